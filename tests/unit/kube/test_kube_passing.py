"""Every method of the port is passed on whole; the list of them is the port's own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import pytest

from lbprovider.api.resources import SERVICES
from lbprovider.kube.passing import Outgoing, Passing
from lbprovider.kube.ports import Api

R = TypeVar("R")

METHODS: Final = {
    name: inspect.signature(method)
    for name, method in vars(Api).items()
    if inspect.isfunction(method) and not name.startswith("_")
}
REQUESTS: Final = tuple(name for name in METHODS if inspect.iscoroutinefunction(getattr(Api, name)))

every_method = pytest.mark.parametrize("method", METHODS)
every_request = pytest.mark.parametrize("method", REQUESTS)


class Recorder:
    """A port, whatever its methods: notes what it is asked, by parameter, and answers each time with the same thing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer = object()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def asked(*args: Any, **options: Any) -> Any:
            bound = METHODS[name].bind(self, *args, **options)
            bound.apply_defaults()
            self.asked.append((name, {key: value for key, value in bound.arguments.items() if key != "self"}))
            return self._answer() if name in REQUESTS else self.answer

        return asked

    async def _answer(self) -> object:
        return self.answer


class Noting(Passing):
    """Notes what comes by, and answers with something of its own."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self.passed: list[Outgoing[Any]] = []
        self.answer = object()

    async def _pass(self, request: Outgoing[R]) -> R:
        self.passed.append(request)
        return cast("R", self.answer)


def ask(api: Passing, method: str, given: dict[str, Any]) -> Any:
    """What it answers; positional where the port is, by name where it wants names."""
    parameters = METHODS[method].parameters
    positional = [value for key, value in given.items() if parameters[key].kind is not inspect.Parameter.KEYWORD_ONLY]
    named = {key: value for key, value in given.items() if parameters[key].kind is inspect.Parameter.KEYWORD_ONLY}
    answer = getattr(api, method)(*positional, **named)
    return asyncio.run(answer) if method in REQUESTS else answer


def arguments(method: str, *, optional: bool = True) -> dict[str, Any]:
    """By parameter: a thing that is like no other, and none that would pass for a default."""
    return {
        name: SERVICES if name == "resource" else object()
        for name, parameter in METHODS[method].parameters.items()
        if name != "self" and (optional or parameter.default is parameter.empty)
    }


def test_the_port_has_requests_and_watches() -> None:
    assert set(METHODS) - set(REQUESTS) == {"watch"}
    assert {"get", "list", "create", "replace", "patch", "delete"} <= set(REQUESTS)


@every_method
def test_all_arguments_are_passed_on_and_the_answer_comes_back(method: str) -> None:
    server, given = Recorder(), arguments(method)
    assert ask(Passing(server), method, given) is server.answer
    assert server.asked == [(method, given)]


@every_method
def test_what_is_not_given_is_what_the_port_says(method: str) -> None:
    server, given = Recorder(), arguments(method, optional=False)
    ask(Passing(server), method, given)
    defaults = {
        name: parameter.default
        for name, parameter in METHODS[method].parameters.items()
        if parameter.default is not parameter.empty
    }
    assert server.asked == [(method, given | defaults)]


@every_request
def test_nothing_is_sent_but_by_who_extends_it_and_the_answer_is_theirs(method: str) -> None:
    server, given = Recorder(), arguments(method)
    api = Noting(server)
    assert ask(api, method, given) is api.answer
    assert server.asked == []
    (request,) = api.passed
    assert (request.method, request.resource) == (method, SERVICES)
    assert request.writes is (method not in ("get", "list"))


def test_watches_are_passed_by_nobody() -> None:
    server = Recorder()
    api = Noting(server)
    assert ask(api, "watch", arguments("watch")) is server.answer
    assert api.passed == []

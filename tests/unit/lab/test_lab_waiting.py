from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lbprovider.errors import HostError, Unreachable
from lbprovider.lab.waiting import Late, until
from tests.e2e.rig.waiting import eventually


def in_turn(*answers: str | Exception) -> Callable[[], str]:
    """A condition that gives these answers, one a look, and the last one ever after."""
    left = list(answers)

    def look() -> str:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


@pytest.mark.parametrize("wait", [until, eventually])
@pytest.mark.parametrize("answers", [("yes",), ("", "yes"), (OSError("busy"), Unreachable("not up yet"), "", "yes")])
def test_the_first_true_value_is_the_answer(wait: Callable[..., str], answers: tuple[str | Exception, ...]) -> None:
    assert wait(in_turn(*answers), "it says so", every=0) == "yes"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("", "not within 0 s: it is up"), (Unreachable("no route"), "not within 0 s: it is up: no route")],
)
def test_the_lab_says_what_it_waited_for_and_why_it_was_not(answer: str | Exception, said: str) -> None:
    with pytest.raises(Late, match=f"^{re.escape(said)}$"):
        until(in_turn(answer), "it is up", within=0, every=0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "not within 0 s: it is up; last value: ''"),
        (LookupError("web"), "not within 0 s: it is up; last error: LookupError('web')"),
        (RuntimeError("exit 1"), "not within 0 s: it is up; last error: RuntimeError('exit 1')"),
        (HostError("no nft"), "not within 0 s: it is up; last error: HostError('no nft')"),
    ],
)
def test_a_test_fails_with_the_last_it_saw(answer: str | Exception, said: str) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(said)}$"):
        eventually(in_turn(answer), "it is up", within=0, every=0)


@pytest.mark.parametrize("wait", [until, eventually])
def test_a_bug_in_the_condition_is_no_reason_to_wait(wait: Callable[..., str]) -> None:
    with pytest.raises(TypeError, match="a bug"):
        wait(in_turn(TypeError("a bug"), "yes"), "it is up", every=0)


def test_what_the_check_raises_ends_the_wait() -> None:
    def check() -> None:
        raise HostError("the program has ended")

    with pytest.raises(HostError, match="has ended"):
        until(in_turn("yes"), "it is up", check=check)

"""Mutations: one clause of the rules taken away, to see that some scenario notices. ELECTION.md section 5 (b)."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

from lbprovider.election.guards import ALL, Guards


class Stale(AssertionError):
    """The code that a mutation is about has changed: the mutation has to follow it."""


@dataclass(frozen=True)
class Off:
    """These guards off."""

    guards: tuple[str, ...]

    def __str__(self) -> str:
        return "without " + ", ".join(self.guards)


@dataclass(frozen=True)
class Edit:
    """Another text in the code of one function, method or property.

    Args:
        where: ``module:name`` or ``module:Class.name``, the module below ``lbprovider``.
        old: what stands there, exactly once.
        new: what takes its place.
    """

    where: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.where}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class Constant:
    """Another value of a module's constant."""

    where: str
    value: Any

    def __str__(self) -> str:
        return f"{self.where} = {self.value}"


Change = Off | Edit | Constant


def apply(changes: tuple[Change, ...], patch: pytest.MonkeyPatch) -> Guards:
    """Makes the changes for as long as ``patch`` lives; the guards to play with.

    Raises:
        Stale: there is no such code any more.
    """
    off: set[str] = set()
    for change in changes:
        match change:
            case Off(guards):
                if not set(guards) <= {field.name for field in fields(Guards)}:
                    raise Stale(f"no such guard: {guards}")
                off.update(guards)
            case Edit(where, old, new):
                _edit(where, old, new, patch)
            case Constant(where, value):
                module, name = _module(where)
                patch.setattr(module, name, value)
    return Guards(**dict.fromkeys(off, False)) if off else ALL


def _edit(where: str, old: str, new: str, patch: pytest.MonkeyPatch) -> None:
    module, path = _module(where)
    *owner, name = path.split(".")
    holder = getattr(module, owner[0]) if owner else module
    original = vars(holder)[name]
    code: Any = original.fget if isinstance(original, property) else original
    source = textwrap.dedent(inspect.getsource(code))
    if source.count(old) != 1:
        raise Stale(f"{where} has {old!r} {source.count(old)} times:\n{source}")
    made: dict[str, Any] = {}
    # This module's own future, annotations as text, holds for what it compiles.
    changed = compile(source.replace(old, new), f"<mutated {where}>", "exec")
    exec(changed, vars(module), made)  # noqa: S102  (our own code, changed in one place)
    if owner:
        patch.setattr(holder, name, made[name])
    else:
        for each in _importers(original):
            patch.setattr(each, name, made[name])


def _module(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    return import_module(f"lbprovider.{module}"), path


def _importers(original: FunctionType) -> Iterator[Any]:
    """Every module of ours that knows the function by its name."""
    for name, module in tuple(sys.modules.items()):
        ours = name.startswith(("lbprovider", "tests", "test_"))
        if ours and vars(module).get(original.__name__) is original:
            yield module

"""From what a reflector tells to what has changed since: the one place that knows about lists and their gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lbprovider.api.meta import Object
from lbprovider.kube.ports import Unreadable

T = TypeVar("T", bound=Object)


class Store(Generic[T]):
    """A reflector's sink for objects of one namespace, or of none: tells of each by name, and who is gone.

    Args:
        put: told of each object that is new or may have changed.
        drop: told the name of each that is gone.

    An object that can't be read stays as it was last known.
    """

    def __init__(self, put: Callable[[T], None], drop: Callable[[str], None]) -> None:
        self._put = put
        self._drop = drop
        self._known: set[str] = set()

    def replaced(self, objects: Sequence[T], unreadable: Sequence[Unreadable]) -> None:
        there = {obj.metadata.name for obj in objects} | {one.metadata.name for one in unreadable}
        # One whose very name can't be read could be any that is missing.
        gone = set() if "" in there else self._known - there
        for name in sorted(gone):
            self._forget(name)
        for obj in objects:
            self.changed(obj)

    def changed(self, obj: T) -> None:
        self._known.add(obj.metadata.name)
        self._put(obj)

    def deleted(self, obj: Object) -> None:
        self._forget(obj.metadata.name)

    def unreadable(self, unreadable: Unreadable) -> None:
        """Keeps what was known; the reflector has said so."""

    def _forget(self, name: str) -> None:
        self._known.discard(name)
        self._drop(name)

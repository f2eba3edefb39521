"""What the API server looks like to the other rooms: requests, what a watch tells, and who listens.

``client.Client`` is the real one; ``tests/fakes/api_server.py`` the one in memory. ``list`` and ``watch`` pass by an
object that can't be decoded as an ``Unreadable``: it exists, so whoever keeps state goes on with what it knew of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import Resource

T = TypeVar("T", bound=Object)
S_contra = TypeVar("S_contra", bound=Object, contravariant=True)


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """The object was created or changed; this is its new state."""

    object: T


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object is gone, or no longer matches the selectors. Only its metadata is told."""

    object: Object


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing happened up to this resourceVersion."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that is there but can't be decoded: whoever keeps state keeps the last that it could read.

    Args:
        kind: as in manifests.
        metadata: as far as it could be read; an empty name where not even that could.
        problem: what is wrong where, as ``Expected `str`, got `int` - at `$.spec.type```.
    """

    kind: str
    metadata: ObjectMeta
    problem: str

    @property
    def key(self) -> str:
        """``namespace/name``, or ``name``."""
        return Object(metadata=self.metadata).key

    def __str__(self) -> str:
        return f"{self.kind} {self.key or 'without a name'} can't be read and is passed by: {self.problem}"


WatchEvent = Changed[T] | Deleted | Bookmark | Unreadable


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A collection as it was at one resourceVersion, from which a watch goes on."""

    objects: tuple[T, ...]
    resource_version: str
    unreadable: tuple[Unreadable, ...] = ()


class Api(Protocol):
    """Requests to the API server. Each raises ``errors.ClusterError``; none retries."""

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        """One object, by a quorum read: no resourceVersion is sent, so the answer is no older than the request.

        Raises:
            NotFound: no such object (``KindMissing``: no such kind).
            InvalidObject: it can't be decoded.
        """
        ...

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        """All objects (of all namespaces, where ``namespace`` is empty), in pages, as of one quorum read.

        Raises:
            Gone: the server doesn't list even without pages; list again.
            KindMissing: the CRD is not there.
        """
        ...

    def watch(
        self,
        resource: Resource[T],
        resource_version: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """What happens after ``resource_version``; ends without an error when the server ends it, after minutes.

        The first event is a ``Bookmark`` of that very version: the server has accepted the watch.
        Close it (``contextlib.aclosing``) to give the connection back.

        Raises:
            Gone: the version is too old; list again.
            Unreachable: the connection broke. One that is silent for too long ends, as by the server's timeout.
        """
        ...

    async def create(self, resource: Resource[T], obj: T) -> T:
        """Creates the object, in ``obj.metadata.namespace``; returns it as stored.

        Raises:
            Conflict: one of this name exists (reason ``AlreadyExists``).
            Invalid: schema, CEL or admission refused it.
        """
        ...

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        """Compare-and-swap: replaces the object if ``obj.metadata.resource_version`` is still the current one.

        ``obj`` must carry that and its uid, as whatever was read does: without a uid, a PUT *creates* a Lease that is
        gone (kube-apiserver 1.35).

        Raises:
            Conflict: it is not, or the object is another one (uid) of that name, or gone.
            NotFound: it is gone (which of the two depends on the kind).
            ValueError: no resourceVersion, or no uid: a bug.
        """
        ...

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        strategic: bool = False,
    ) -> T:
        """Changes the fields of ``body`` (see ``patches``); returns the object as stored.

        A ``metadata.resourceVersion`` or ``metadata.uid`` in the body is a precondition. ``strategic``: lists merge by
        their keys, for Kubernetes' own kinds only; else JSON merge patch (RFC 7396).

        Raises:
            Conflict: a precondition is not met.
            NotFound: it is gone.
        """
        ...

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        """Deletes the object, if it still has that uid and resourceVersion where they are given.

        Raises:
            Conflict: it has not.
            NotFound: it is gone already.
        """
        ...


class Sink(Protocol[S_contra]):
    """Who keeps what a reflector sees. Called on the event loop, in order; must not block."""

    def replaced(self, objects: Sequence[S_contra], unreadable: Sequence[Unreadable]) -> None:
        """All that there is now, apart from the unreadable ones, of which the last known state goes on to count."""
        ...

    def changed(self, obj: S_contra) -> None:
        """One object is new or has changed."""
        ...

    def deleted(self, obj: Object) -> None:
        """One object is gone; only its metadata is told."""
        ...

    def unreadable(self, unreadable: Unreadable) -> None:
        """One object changed into something that can't be decoded; its last known state goes on to count."""
        ...

"""A speaker's own Lease: its incarnation, and what it sees. ELECTION.md C2 and C3."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from lbprovider.api import names
from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import ObjectMeta, OwnerReference
from lbprovider.api.registration import ANNOTATION, Attachment, Registration, registration
from lbprovider.api.resources import LEASES, NODES
from lbprovider.errors import ClusterError, Conflict, LeaseLost, NotFound
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.clocks import boottime, rfc3339_micro
from lbprovider.kube.ports import Api

PERIOD: Final = 10.0
"""Seconds between renewals (DESIGN §5)."""
DURATION: Final = 40
"""Seconds unchanged after which others take the speaker for gone (ELECTION rule 19)."""
GAP: Final = 1.0
"""Seconds between two writes: a peer that comes and goes must not become a stream of them."""
TIMEOUT: Final = 5.0
"""Seconds for one write."""
ATTEMPTS: Final = 10
"""Starters that may be faster than us in a row before ``start`` tells its caller."""

_log = structlog.get_logger(__name__)


class NodeLease:
    """A speaker's own Lease: takes the next incarnation at start, then says that it is there and what it sees.

    Args:
        api: the API server.
        namespace: of the Lease.
        node: the Node's name; the Lease's, too.
        ignores_exclude_label: registered with the rest, for whoever asks which nodes may announce.
        clock: seconds since boot.
        wall: seconds since 1970, for people.
        rand: uniform in [0, 1).

    Attributes:
        incarnation: ours; 0 before ``start`` or ``resume``.
    """

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        node: str,
        ignores_exclude_label: bool = False,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.incarnation = 0
        self._api = api
        self._node = node
        self._ignores_exclude_label = ignores_exclude_label
        self._clock = clock
        self._wall = wall
        self._backoff = Backoff(rand, cap=PERIOD)
        self._attachments: tuple[Attachment, ...] = ()
        self._dirty = asyncio.Event()
        self._told = asyncio.Event()
        self._wrote_at = clock()
        self._none = Lease(metadata=ObjectMeta(name=node, namespace=namespace))
        self._stored = self._none
        self._owner: tuple[OwnerReference, ...] = ()
        # Tells this process from another of this node, whatever became of the Lease between.
        self._identity = f"{node}_{secrets.token_hex(4)}"

    async def start(self, at_least: int = 0) -> int:
        """Takes and returns the next incarnation: max(the Lease's, ``at_least``) + 1, by compare-and-swap.

        Two starters get different numbers. What ``register`` said before is written with it. A Lease that is gone
        (with its Node, which may be back under the same name) or spoiled must not begin at 1 again: peers ignore who
        is below the incarnation that they remember. Then the API server's own revision counts, which grows with each
        write and so with each start there ever was.

        Raises:
            ClusterError: the API server didn't answer (the caller retries), or has no such Node.
        """
        for _ in range(ATTEMPTS):
            await self._read()
            last = _incarnation(self._stored) or await self._revision()
            self.incarnation = max(last, at_least) + 1
            try:
                await self._write()
            except Conflict:
                continue
            return self.incarnation
        raise Conflict(f"{ATTEMPTS} others in a row started a speaker for node {self._node} while this one did")

    def resume(self, incarnation: int) -> None:
        """Goes on under an incarnation of our own, for the API server is down (C2); ``run`` writes it once it can.

        A Lease that has it, or a later one, by then is another speaker's, and ``run`` says so.
        """
        self.incarnation = incarnation
        self._dirty.set()

    def register(self, attachments: tuple[Attachment, ...]) -> None:
        """Says what there is now; ``run`` writes it at once, or with what else comes within a second of a write."""
        if attachments != self._attachments:
            self._attachments = attachments
            self._dirty.set()
            self._told.clear()

    async def told(self) -> None:
        """Until the API server has all that was registered; ``run`` must be running."""
        await self._told.wait()

    async def run(self) -> None:
        """Renews until cancelled; outlives an API server that is down, and a Lease that was deleted.

        Raises:
            LeaseLost: a later incarnation of this node's speaker has started; this one must end.
        """
        said: type[Exception] | None = None
        while True:
            await self._due()
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._renew()
            except LeaseLost:
                raise
            except (ClusterError, TimeoutError) as error:
                self._dirty.set()
                if type(error) is not said:  # once for each kind of failure, however long it lasts
                    said = type(error)
                    why = str(error) or "no answer in time"
                    _log.warning(f"the node's Lease is not renewed: {why}", reason="LeaseNotRenewed")
                await asyncio.sleep(self._backoff.pause(error if isinstance(error, ClusterError) else None))
            else:
                if said is not None:
                    _log.info("the node's Lease is renewed again", reason="LeaseRenewed")
                said = None
                self._backoff.reset()

    async def _due(self) -> None:
        """Until something is to be told, or a renewal is due; never within ``GAP`` of the last write."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._wrote_at + PERIOD - self._clock())):
                await self._dirty.wait()
        await asyncio.sleep(max(0.0, self._wrote_at + GAP - self._clock()))

    async def _renew(self) -> None:
        if self._owner:
            # Refused: edited, or our own write whose answer was lost, or deleted (with the Node), or a later speaker's.
            with suppress(Conflict, NotFound):
                await self._write()
                return
        await self._read()
        if not self._is_ours() and _incarnation(self._stored) >= self.incarnation:
            raise LeaseLost(
                f"another speaker for node {self._node} has started "
                f"(incarnation {_incarnation(self._stored)}, this one is {self.incarnation}): this one ends"
            )
        await self._write()

    async def _read(self) -> None:
        try:
            self._stored = await self._api.get(LEASES, self._node, namespace=self._none.metadata.namespace)
        except NotFound:
            self._stored = self._none
            self._owner = ()
        if not self._owner:
            # Also after the Lease was deleted: perhaps with its Node, and the one of that name is another now.
            try:
                node = await self._api.get(NODES, self._node)
            except NotFound as error:
                raise NotFound(
                    f"there is no Node {self._node!r}: is --node-name right?", status=error.status
                ) from error
            self._owner = (OwnerReference(api_version="v1", kind="Node", name=self._node, uid=node.metadata.uid),)

    async def _revision(self) -> int:
        """The API server's: resourceVersions are decimal numbers that grow (KEP-5504; they always were)."""
        listed = await self._api.list(
            LEASES, namespace=self._none.metadata.namespace, label_selector=names.SPEAKER_LABEL
        )
        return int(listed.resource_version) if listed.resource_version.isdecimal() else 0

    async def _write(self) -> None:
        self._dirty.clear()
        old, now = self._stored.metadata, rfc3339_micro(self._wall())
        told = Registration(
            incarnation=self.incarnation,
            attachments=self._attachments,
            ignores_exclude_label=self._ignores_exclude_label,
        ).encode()
        metadata = msgspec.structs.replace(
            old,
            labels={**old.labels, names.SPEAKER_LABEL: ""},
            annotations={**old.annotations, ANNOTATION: told},
            owner_references=self._owner,
        )
        spec = LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=DURATION,
            acquire_time=self._stored.spec.acquire_time if self._is_ours() else now,
            renew_time=now,
        )
        lease = msgspec.structs.replace(self._stored, metadata=metadata, spec=spec)
        write = self._api.replace if old.resource_version else self._api.create
        self._stored = await write(LEASES, lease)
        self._wrote_at = self._clock()
        if not self._dirty.is_set():
            self._told.set()

    def _is_ours(self) -> bool:
        return self._stored.spec.holder_identity == self._identity


def _incarnation(lease: Lease) -> int:
    """The last that the Lease knew; 0 where it tells none."""
    told = registration(lease)
    return told.incarnation if told else 0

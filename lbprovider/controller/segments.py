"""Segments: made for the LANs that addresses need, grown as speakers are heard. ELECTION.md rules 15–17, C1, C8.

What a Segment should become is ``election.membership``'s; here it is written, by compare-and-swap, and its status kept.
A LAN that no address needs (a management or storage network of the nodes) gets none, and so costs no election.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec
import structlog

from lbprovider.api.conditions import SegmentCondition, SegmentReason
from lbprovider.api.meta import Condition, Object, ObjectMeta, with_condition
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.resources import SEGMENTS
from lbprovider.api.segment import Segment, SegmentSpec, SegmentStatus
from lbprovider.api.times import rfc3339
from lbprovider.controller.inventory import Change, Inventory
from lbprovider.controller.pools import Pools
from lbprovider.controller.speakers import Speakers
from lbprovider.election import placement
from lbprovider.election.membership import Plan, Why, newcomers, next_segment, unheard_members
from lbprovider.election.segment import majority
from lbprovider.errors import ClusterError, Conflict, KindMissing, NotFound
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.ranges import to_address
from lbprovider.kube import patches
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api

PERIOD: Final = 0.2
"""Seconds between two looks at all Segments; speakers report at most each second."""
RETRY: Final = 2.0
"""Seconds after a failed write; a swap that was lost is tried again at once."""
UNHEARD: Final = 10.0
"""Seconds for which a new speaker may be unheard before it is said: it needs one to be heard, and to report it."""
DEAD: Final = 30.0
"""Seconds for which no member has heard another one before that is taken off the list (C8)."""

JOIN: Final = 0.5
"""Seconds for which a node is heard before it is added: by then it has granted its members what they own."""

log = structlog.get_logger(__name__)


class Segments:
    """Writes Segments.

    Args:
        api: the API server.
        inventory: what is known of the cluster.
        speakers: who registered.
        pools: which pools are announced.
        ledger: what is held.
        recorder: writes Events.
        placed: called when speakers or advertisements came or went: addresses may find their LAN now.
        clock: seconds, monotonic.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        inventory: Inventory,
        speakers: Speakers,
        pools: Pools,
        ledger: Ledger,
        *,
        recorder: Recorder,
        placed: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._inventory = inventory
        self._speakers = speakers
        self._pools = pools
        self._ledger = ledger
        self._recorder = recorder
        self._placed = placed
        self._clock = clock
        self._wall = wall
        self._due = asyncio.Event()
        self._seen: tuple[int, tuple[L2Advertisement, ...]] | None = None
        self._unheard_since: dict[tuple[str, str], float] = {}
        self._missing_since: dict[tuple[str, str], float] = {}
        self._heard_since: dict[tuple[str, str], float] = {}
        speakers.subscribe(self.look)
        inventory.segments.subscribe(self._changed)

    def look(self) -> None:
        """Something that Segments depend on has changed: speakers, pools, advertisements, addresses."""
        self._due.set()

    async def run(self) -> None:
        """Keeps Segments as they should be; until cancelled.

        Raises:
            KindMissing: their CRD was taken away.
        """
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            self._place_anew()
            pause = PERIOD
            for name in sorted({*self._needed(), *self._inventory.segments.objects}):
                try:
                    await self._keep(name)
                except KindMissing:
                    raise
                except (Conflict, NotFound):
                    # A member or the garbage collector was faster; the newest is read below.
                    await self._refetch(name)
                    self._due.set()
                except ClusterError as error:
                    log.warning("Segment not written", segment=name, error=str(error))
                    self._due.set()
                    pause = RETRY
            await asyncio.sleep(pause)

    def _needed(self) -> frozenset[str]:
        """The LANs that addresses need: of each range of the pools that are announced, and of each address held."""
        registrations = self._speakers.registrations.values()
        found: set[str] = set()
        for name, pool in self._ledger.pools.pools.items():
            specs = [one.spec for one in self._pools.advertisements() if name in one.status.pools]
            if not specs:
                continue
            named = placement.interfaces_named(specs)
            for piece in (piece for pieces in pool.pieces.values() for piece in pieces):
                for number in {piece.first, piece.last}:
                    found.add(placement.segment_for(to_address(piece.family, number), registrations, named) or "")
        found.update(allocation.spec.segment for allocation in self._inventory.allocations.objects.values())
        return frozenset(found - {""})

    def _place_anew(self) -> None:
        seen = (self._speakers.moves, self._pools.advertisements())
        if seen != self._seen:
            self._seen = seen
            self._placed()

    def _changed(self, change: Change[Segment]) -> None:
        if change.old is None or change.new is None or change.old.spec != change.new.spec:
            self.look()

    async def _keep(self, name: str) -> None:
        current = self._inventory.segments.objects.get(name)
        spec = current.spec if current else None
        registrations = self._speakers.registrations
        plan = next_segment(name, spec, registrations, self._dead(name, spec), self._fresh(name, spec))
        if plan.spec is not None:
            if current is None:
                made = Segment(metadata=ObjectMeta(name=name), spec=plan.spec)
                current = await self._api.create(SEGMENTS, made)
            else:
                current = await self._api.replace(SEGMENTS, msgspec.structs.replace(current, spec=plan.spec))
            log.info(plan.message, reason=plan.why, segment=name, version=plan.spec.version)
            # Its status follows: this very change has it looked at again.
            self._inventory.segments.changed(current)
        elif current is not None:
            await self._show(current, plan)

    def _dead(self, name: str, spec: SegmentSpec | None) -> frozenset[str]:
        """The members that no other one has heard for ``DEAD``, while a majority of them tell us whom they hear.

        Fewer can't tell: where the others are cut from the API server, the one that isn't is heard, and nobody says so.
        """
        members = spec.lists[-1].members if spec is not None and spec.lists else ()
        renewed, missing = self._speakers.renewed(DEAD), frozenset[str]()
        if len(renewed.intersection(members)) >= majority(len(members)):
            missing = unheard_members(name, spec, self._speakers.registrations, renewed)
        return missing - self._recent(self._missing_since, name, missing, DEAD)

    def _fresh(self, name: str, spec: SegmentSpec | None) -> frozenset[str]:
        """The nodes that may be added, but have been heard for less than ``JOIN``."""
        coming = newcomers(name, spec, self._speakers.registrations)
        return self._recent(self._heard_since, name, coming, JOIN)

    def _recent(
        self, since: dict[tuple[str, str], float], name: str, nodes: frozenset[str], span: float
    ) -> frozenset[str]:
        """Of these nodes those of which this has been so for less than ``span``; looks again when it is over."""
        now = self._clock()
        for key in [key for key in since if key[0] == name and key[1] not in nodes]:
            del since[key]
        for node in nodes:
            if (name, node) not in since:
                since[name, node] = now
                asyncio.get_running_loop().call_later(span, self.look)
        return frozenset(node for node in nodes if now - since[name, node] < span)

    async def _show(self, segment: Segment, plan: Plan) -> None:
        lists = segment.spec.lists
        condition = self._heard(segment, plan)
        alone = _last_resort(segment)
        wall = rfc3339(self._wall())
        conditions = with_condition(with_condition(segment.status.conditions, condition, wall), alone, wall)
        members = len(lists[-1].members) if lists else 0
        body = patches.status(segment, SegmentStatus(live=plan.live, members=members, conditions=conditions))
        if body is None:
            return
        written = await self._api.patch(SEGMENTS, segment.metadata.name, body, subresource="status")
        self._inventory.segments.changed(written)
        for one in (condition, alone):
            if one.status == "True" and _status(segment, one.type) != "True":
                self._recorder.event(SEGMENTS, written, "Warning", one.reason, one.message)

    def _heard(self, segment: Segment, plan: Plan) -> Condition:
        """``NodesUnheard``: a blocked UDP port must never look green."""
        unheard = frozenset(plan.unheard)
        lasting = bool(unheard - self._recent(self._unheard_since, segment.metadata.name, unheard, UNHEARD))
        status: Literal["True", "False"] = "True" if lasting else "False"
        return Condition(
            type=SegmentCondition.NODES_UNHEARD,
            status=status,
            reason=Why.NODES_UNHEARD if lasting else SegmentReason.ALL_HEARD,
            message=plan.message if lasting else "",
            observed_generation=segment.metadata.generation,
        )

    async def _refetch(self, name: str) -> None:
        store = self._inventory.segments
        try:
            store.changed(await self._api.get(SEGMENTS, name))
        except NotFound:
            if name in store.objects:
                store.deleted(Object(metadata=store.objects[name].metadata))
        except ClusterError as error:
            log.warning("Segment not read", segment=name, error=str(error))


def _last_resort(segment: Segment) -> Condition:
    """``ServingWithoutQuorum``: fewer than half were left, so two may serve one address (ELECTION.md rule 19)."""
    last = segment.spec.lists[-1] if segment.spec.lists else None
    serving = last is not None and last.last_resort
    members = ", ".join(last.members) if last is not None else ""
    message = (
        f"fewer than half of the members were left; {members} serve because the Leases of the others stood still for "
        "40 s and nobody answered for the addresses; if the others do live, two may answer for one address"
    )
    return Condition(
        type=SegmentCondition.SERVING_WITHOUT_QUORUM,
        status="True" if serving else "False",
        reason=SegmentReason.QUORUM_LOST if serving else SegmentReason.QUORUM,
        message=message if serving else "",
        observed_generation=segment.metadata.generation,
    )


def _status(segment: Segment, kind: str) -> str:
    return next((one.status for one in segment.status.conditions if one.type == kind), "")

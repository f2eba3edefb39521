"""A Segment as election sees it: lists of members, what a quorum is, how long promises last. ELECTION.md 1, 15–17.

Each list carries its own heartbeat period. ``spec.heartbeatPeriod`` of the object is only the admin's wish: were it to
act at once, a node that restarts under the new, shorter hold would be silent for less than its former life promised.
So a new period comes as new members do: a second list, settled, then the first one dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from lbprovider.api import segment as objects
from lbprovider.errors import InvalidObject

NS_PER_MS: Final = 1_000_000
PERIODS_PER_HOLD: Final = 5
DEFAULT_PERIOD: Final = 50 * NS_PER_MS
LONGEST_PERIOD: Final = 1000 * NS_PER_MS
PERIOD_PER_PEER: Final = 2 * NS_PER_MS
"""A period of at least this much per other member bounds what a node sends and hears: 500 datagrams a second."""


def majority(count: int) -> int:
    """More than half of ``count``."""
    return count // 2 + 1


@dataclass(frozen=True, slots=True)
class MemberList:
    """Members (sorted, each once), how many of them make a quorum of this list, and its heartbeat period in ns.

    ``last_resort``: written by rule 19, without a quorum of the lists before it.
    """

    members: tuple[str, ...]
    need: int
    period: int = DEFAULT_PERIOD
    last_resort: bool = False

    @classmethod
    def by_majority(cls, members: Iterable[str], period: int, *, last_resort: bool = False) -> MemberList:
        """These members, each once, of whom more than half are a quorum; ``period`` in ns."""
        each = tuple(sorted(set(members)))
        return cls(each, majority(len(each)), period, last_resort)

    @property
    def hold(self) -> int:
        """How long a promise lasts, ns: 5·max(period, 2 ms·(members − 1))."""
        return PERIODS_PER_HOLD * max(self.period, PERIOD_PER_PEER * (len(self.members) - 1))

    def quorum(self, nodes: Collection[str]) -> bool:
        """Whether at least ``need`` members are among ``nodes``."""
        return sum(member in nodes for member in self.members) >= self.need


@dataclass(frozen=True, slots=True)
class Segment:
    """One LAN and who votes on it, at one version. The last list is in force.

    ``hold`` (ns) is the shortest of its lists, named in datagrams and counted on; ``hmax`` the longest, waited for.
    """

    uid: str
    name: str
    version: int
    lists: tuple[MemberList, ...]
    hold: int = field(init=False, compare=False)
    hmax: int = field(init=False, compare=False)
    everyone: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not self.lists or not all(one.members for one in self.lists):
            raise InvalidObject(f"Segment {self.name} spec.lists", "has no members", "delete it; it is made anew")
        holds = [one.hold for one in self.lists]
        object.__setattr__(self, "hold", min(holds))
        object.__setattr__(self, "hmax", max(holds))
        object.__setattr__(self, "everyone", frozenset(node for one in self.lists for node in one.members))

    @property
    def period(self) -> int:
        """Between two datagrams to one peer, ns."""
        return self.hold // PERIODS_PER_HOLD

    @property
    def in_force(self) -> MemberList:
        """The last list: its members may own addresses."""
        return self.lists[-1]

    def followed_by(self, *lists: MemberList) -> Segment:
        """The next version, with these lists."""
        return replace(self, version=self.version + 1, lists=lists)

    def quorum(self, nodes: Collection[str]) -> bool:
        """Whether ``nodes`` are a quorum of every list."""
        return all(one.quorum(nodes) for one in self.lists)

    def alone(self, node: str) -> bool:
        """Whether ``node`` is the only member there is."""
        return self.everyone == {node}


def grown(segment: Segment, nodes: Iterable[str], period: int) -> Segment:
    """Rule 16: the present members and, as a second list, what they are to become.

    Args:
        segment: with one list.
        nodes: the members to come.
        period: their heartbeat period, ns.

    Raises:
        ValueError: there are several lists already.
    """
    if len(segment.lists) != 1:
        raise ValueError(f"Segment {segment.name} still changes: {len(segment.lists)} lists")
    return segment.followed_by(segment.in_force, MemberList.by_majority(nodes, period))


def cleared(segment: Segment) -> Segment:
    """Rule 17: the last list alone, by majority."""
    last = segment.in_force
    return segment.followed_by(replace(last, need=majority(len(last.members))))


def period_ns(wish: int | None) -> int:
    """``spec.heartbeatPeriod`` (ms) in ns, within what is allowed; None = the default."""
    return DEFAULT_PERIOD if wish is None else min(max(wish * NS_PER_MS, DEFAULT_PERIOD), LONGEST_PERIOD)


def from_spec(name: str, uid: str, spec: objects.SegmentSpec) -> Segment:
    """The Segment that a spec stands for.

    Raises:
        InvalidObject: no lists, or a list without members.
    """
    return Segment(
        uid=uid,
        name=name,
        version=spec.version,
        lists=tuple(
            MemberList(tuple(sorted(set(one.members))), one.need, period_ns(one.heartbeat_period), one.last_resort)
            for one in spec.lists
        ),
    )


def from_object(segment: objects.Segment) -> Segment:
    """The API server's Segment.

    Raises:
        InvalidObject: no lists, or a list without members.
    """
    return from_spec(segment.metadata.name, segment.metadata.uid, segment.spec)


def object_lists(segment: Segment) -> tuple[objects.MemberList, ...]:
    """The lists as the API server, and a speaker's registration, have them."""
    return tuple(
        objects.MemberList(
            members=one.members,
            need=one.need,
            heartbeat_period=None if one.period == DEFAULT_PERIOD else one.period // NS_PER_MS,
            last_resort=one.last_resort,
        )
        for one in segment.lists
    )


def with_lists(spec: objects.SegmentSpec, segment: Segment) -> objects.SegmentSpec:
    """``spec`` with this version and these lists: what a swap writes."""
    return msgspec.structs.replace(spec, version=segment.version, lists=object_lists(segment))

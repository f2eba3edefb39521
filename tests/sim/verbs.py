"""What can happen in a round, by the name that scripts call it. Each does nothing where it makes no sense just then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from lbprovider.api.registration import Attachment, Registration
from lbprovider.api.segment import SegmentSpec
from lbprovider.election.member import Member
from lbprovider.election.membership import Why, next_segment
from lbprovider.election.segment import Segment, from_spec, grown, object_lists, with_lists
from lbprovider.wire.heartbeat import scope
from tests.sim.outlook import Outlook
from tests.sim.script import ADDRESSES
from tests.sim.world import MS, World


def _up(world: World, name: str) -> bool:
    return world.nodes[name].member is not None


def _cut(world: World, _: Outlook, one: str, other: str) -> None:
    world.cut((one, other))


def _isolate(world: World, _: Outlook, names: tuple[str, ...]) -> None:
    world.isolate(*names)


def _heal(world: World, _: Outlook) -> None:
    world.heal()


def _pause(world: World, _: Outlook, name: str) -> None:
    world.pause(name)


def _resume(world: World, _: Outlook, name: str) -> None:
    if world.nodes[name].paused:
        world.resume(name)


def _crash(world: World, _: Outlook, name: str) -> None:
    if _up(world, name):
        world.crash(name)


def _start(world: World, _: Outlook, name: str, reboot: bool, snapshot: bool) -> None:  # noqa: FBT001  (as in scripts)
    """Now and then one that could reach the API server starts from its snapshot: C7 can't tell for sure."""
    if not _up(world, name):
        down = name in world.no_api or snapshot
        world.start(name, reboot=reboot, snapshot=down and world.nodes[name].disk.file is not None)


def _stale(world: World, _: Outlook, name: str, back: int) -> None:
    """Restarts, and sees an old version from a cache before the quorum read."""
    if _up(world, name):
        world.crash(name)
        world.start(name, read=world.history[-1 - back % len(world.history)], quorum=False)


def _drain(world: World, _: Outlook, name: str) -> None:
    world.drain(name)


def _undrain(world: World, _: Outlook, name: str) -> None:
    world.undrain(name)


def _leave(world: World, outlook: Outlook, name: str) -> None:
    """C10: ends once it may, or after five seconds: here, a shorter while."""
    if not _up(world, name):
        return
    world.drain(name)
    world.leave(name)
    life = world.nodes[name].life

    def end(tries: int) -> None:
        node = world.nodes[name]
        if node.member is None or node.life != life or outlook.over:
            return
        if not tries or (not node.member.claims and node.member.leaving_done(node.local(world.now))):
            world.counts["left/" + ("asked for" if tries else "timed out")] += 1
            world.crash(name)
        else:
            world.at(world.now + 50 * MS, lambda: end(tries - 1))

    end(40)


def _hand(world: World, _: Outlook, name: str, address: int, to: str) -> None:
    world.hand(name, {ADDRESSES[address]: to})


def _unusable(world: World, _: Outlook, name: str) -> None:
    world.candidate(name, usable=False)


def _usable(world: World, _: Outlook, name: str) -> None:
    world.candidate(name, usable=True)


def _members(world: World, _: Outlook, target: tuple[str, ...], period: int) -> None:
    """Rule 16, with any target: safe for all of them."""
    if len(world.segment.lists) == 1:
        before = set(world.segment.in_force.members)
        world.write(grown(world.segment, target, period * MS))
        world.counts["members/" + ("grown" if before <= set(target) else "shrunk or swapped")] += 1


def _deleted(world: World, _: Outlook) -> None:
    """C1: the Segment is deleted, and made anew by the controller."""
    _restore(world, None, f"{world.segment.uid}'")


def _backup(world: World, _: Outlook, back: int) -> None:
    """C1: the API server comes back with an older version of the Segment."""
    same = [one for one in world.history if one.uid == world.segment.uid]
    _restore(world, same[-1 - back % len(same)], world.segment.uid)


def _restore(world: World, present: Segment | None, uid: str) -> None:
    """As the controller does it. Where too few speakers are registered it is an admin's risk, and left out here."""
    registrations = {
        name: Registration(incarnation=node.incarnation, attachments=(_attachment(node.member, node.member.segment),))
        for name, node in world.nodes.items()
        if node.member is not None and node.member.segment is not None and name not in world.no_api
    }
    spec = None if present is None else with_lists(SegmentSpec(), present)
    plan = next_segment("lan", spec, registrations)
    if plan.why is Why.RESTORED and plan.spec is not None:
        world.renew(from_spec("lan", uid, plan.spec))
        world.counts["members/deleted" if present is None else "members/backup"] += 1


def _attachment(member: Member, segment: Segment) -> Attachment:
    return Attachment(
        segment="lan", interface="eth0", address="", mac="", hears=tuple(member._peers.live), version=segment.version,
        lists=object_lists(segment),
    )  # fmt: skip


def _api_cut(world: World, _: Outlook, names: tuple[str, ...]) -> None:
    world.no_api.update(names)


def _api_heal(world: World, _: Outlook) -> None:
    world.no_api.clear()


def _wish(world: World, _: Outlook, address: int, ranking: tuple[str, ...], told: tuple[str, ...]) -> None:
    world.wish(ADDRESSES[address], *ranking, only=told)


def _tell(world: World, _: Outlook, address: int) -> None:
    world.wish(ADDRESSES[address], *world.wishes[ADDRESSES[address]])


def _lose_disk(world: World, _: Outlook, name: str, span: int) -> None:
    if world.net.fsync is not None:
        world.lose_disk(name, span * MS)


def _blind(_: World, outlook: Outlook, names: tuple[str, ...]) -> None:
    outlook.blind = set(names)


def _stray(world: World, _: Outlook, name: str, what: str) -> None:
    """A datagram that is not for the node, signed with the right key: of another cluster, another LAN, or its own."""
    beat = world.newest(name)
    if beat is not None:
        foreign = {"cluster": {"cluster": scope("other")}, "segment": {"segment": scope("other")}, "node": {}}[what]
        world.replay(name, replace(beat, **({"node": name} if what == "node" else foreign)))


VERBS: Final[dict[str, Callable[..., Any]]] = {
    "cut": _cut, "isolate": _isolate, "heal": _heal, "pause": _pause, "resume": _resume, "crash": _crash,
    "start": _start, "stale": _stale, "drain": _drain, "undrain": _undrain, "leave": _leave, "hand": _hand,
    "unusable": _unusable, "usable": _usable, "members": _members, "deleted": _deleted, "backup": _backup,
    "api_cut": _api_cut, "api_heal": _api_heal,
    "wish": _wish, "tell": _tell, "lose_disk": _lose_disk, "blind": _blind, "stray": _stray,
}  # fmt: skip
"""By name; called with the world, its outlook, and the action's arguments."""

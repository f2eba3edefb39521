"""Kill -9 of the controller between each two of its writes, by name, and what is true after a restart.

What a killed controller leaves is what the API server has. So between two writes there is one place to be killed at,
however it comes about: the first has arrived (``after``); and there is one before the first. What it leaves after the
last is whole: each restart adopts that of all cases before it. A life that takes other writes than are said of it is a
test that fails, for then there is a pair that nobody tried.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from lbprovider.api.names import HEARTBEAT_SECRET
from tests.e2e.rig import judging, ours
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.lives import LIVES, POOL, Life, Wanted
from tests.e2e.rig.meddled import Case, Rig, rigged, writes
from tests.e2e.rig.meddler import Kill, Moment, Rule, to
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

SEED: Final = int(os.environ.get("LBPROVIDER_SEED", "0"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the controller is killed: just before or just after the so-manieth write of a name in a life."""

    life: str
    moment: Moment
    write: str
    number: int

    def __str__(self) -> str:
        again = f"-{self.number}" if self.number > 1 else ""
        return f"{self.life}/{self.moment}-{self.write.replace(' ', '-')}{again}"


def _places(name: str, life: Life) -> Iterator[Place]:
    yield Place(name, Moment.BEFORE, life.writes[0], 1)
    for number, write in enumerate(life.writes[:-1], start=1):
        yield Place(name, Moment.AFTER, write, life.writes[:number].count(write))
    for write in life.besides:
        for moment in Moment:
            yield Place(name, moment, write, 1)


PLACES: Final = [place for name, life in LIVES.items() for place in _places(name, life)]


KEY: Final = f"/api/v1/namespaces/{ours.NAMESPACE}/secrets/{HEARTBEAT_SECRET}"

STARTS: Final = ("create secret", "create lease", "update lease")
"""What it writes before it leads, and as long as it does."""
LAN: Final = ("create segment", "update ipallocation", "patch segment status")
"""What the first speaker on a LAN is the cause of, each whenever it comes."""

SERVICES: Final = 100
KILLS: Final = 5
AMID: Final = 30
"""Writes of the controller's between a start and its end, at most."""


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Iterator[Rig]:
    with rigged(cluster) as rig:
        yield rig


def _struck(rig: Rig, rule: Rule) -> None:
    eventually(lambda: rule.hit and not rig.controller.running, "it is killed there")


def _ends(case: Case, life: Life, wanted: Wanted) -> None:
    """It comes to what is wanted, and nothing is wrong on the way nor elsewhere."""
    case.settles(wanted)
    reason = life.reason or ("Assigned" if wanted.get("a") else "")
    eventually(lambda: case.reason("a") == reason, f"the condition says {reason or 'nothing'}")
    untrue = case.rig.untrue()
    assert [each for each in untrue if life.honest or case.name not in each] == []


@pytest.mark.parametrize("name", LIVES)
def test_an_undisturbed_life_is_these_writes(rig: Rig, name: str) -> None:
    life, case = LIVES[name], Case(rig, name)
    story = life.story(case)
    case.settles(next(story))
    mark = rig.meddler.mark()
    wanted = next(story)
    eventually(lambda: len(case.writes(mark)) >= len(life.writes), "all is written")
    _ends(case, life, wanted)
    assert case.writes(mark) == list(life.writes)
    for write in life.besides:
        eventually(lambda write=write: rig.meddler.since(mark, case.about(write)), write)  # type: ignore[misc]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_kill_heals(rig: Rig, place: Place) -> None:
    life, case = LIVES[place.life], Case(rig, place.life)
    story = life.story(case)
    before = next(story)
    case.settles(before)
    if place.write == POOL:
        case.counted()
    kill = Kill(place.moment, lambda: rig.controller)
    with rig.meddler.fault(case.about(place.write), kill, first=place.number, times=1) as rule:
        after = next(story)
        _struck(rig, rule)
    rig.restart()
    _ends(case, life, after)
    for which, addresses in after.items():
        # What was shown before the crash is shown after it, and nothing else in between, unless the change moves it.
        steps = [tuple(each) for each in (before.get(which, ()), addresses) if each]
        assert case.showed(which) == list(dict.fromkeys(steps)), which


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("write", STARTS)
def test_a_kill_at_its_start_heals(rig: Rig, write: str, moment: Moment) -> None:
    case = Case(rig, "started")
    case.pool()
    case.service("a")
    case.settles({"a": [case.four(1)]})
    rig.controller.kill()
    case.service("b")
    if write == "create secret":
        rig.api.delete(KEY)
    with rig.meddler.fault(to(write), Kill(moment, lambda: rig.controller), times=1) as rule:
        rig.restart()
        _struck(rig, rule)
    made = rig.api.find(KEY)
    rig.restart()
    case.settles({"a": [case.four(1)], "b": [case.four(2)]})
    assert rig.untrue() == []
    assert (made is None) == (write == "create secret" and moment is Moment.BEFORE)
    # What speakers may have signed with already is never made anew.
    assert rig.api.get(KEY)["data"] == (made or rig.api.get(KEY))["data"]


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("write", LAN)
def test_a_kill_amid_a_new_lan_heals(rig: Rig, write: str, moment: Moment) -> None:
    case = Case(rig, "lan")
    case.pool()
    case.service("a")
    case.settles({"a": [case.four(1)]})
    with rig.meddler.fault(case.about(write), Kill(moment, lambda: rig.controller), times=1) as rule:
        speaker = case.speaker("node1")
        _struck(rig, rule)
    try:
        rig.restart()
        eventually(lambda: case.spec(case.four(1))["segment"] == case.lan, "its address is on the LAN")
        segment = eventually(lambda: rig.api.find(f"{ours.GROUP}/segments/{case.lan}"), "the LAN is a Segment")
        assert [each["members"] for each in segment["spec"]["lists"]] == [["node1"]]
        eventually(lambda: rig.api.get(f"{ours.GROUP}/segments/{case.lan}").get("status"), "the Segment has a status")
        case.settles({"a": [case.four(1)]})
        assert rig.untrue() == []
    finally:
        rig.api.delete(speaker)


@pytest.mark.parametrize("moment", Moment)
def test_a_kill_amid_what_is_said_of_an_advertisement_heals(rig: Rig, moment: Moment) -> None:
    name = f"astray-{moment}"
    write = to("patch l2advertisement status")
    act = Kill(moment, lambda: rig.controller)
    with rig.meddler.fault(lambda asked: write(asked) and asked.name == name, act, times=1) as rule:
        ours.advertisement(rig.cluster, name, ipAddressPools=["nowhere"])
        _struck(rig, rule)
    rig.restart()
    path = f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/l2advertisements/{name}"
    eventually(lambda: "nowhere" in rig.api.get(path)["status"]["conditions"][0]["message"], "the pool is missed")


class Burst:
    """Services that come, change and go, one thing after the other, with a pool of their own.

    Args:
        rig: where.
        chance: what is next.
    """

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self._rig, self._chance = rig, chance
        self._case = Case(rig, "burst", most=249)
        self._asks: dict[str, str] = {}
        """What each Service that there is asks for; empty where it takes what there is."""
        self._steady: set[str] = set()
        """Those that were never told to move."""
        self._made = 0
        self._case.pool(1, 249)

    def go_on(self, changes: int) -> None:
        """So many changes: at first it grows, and with all Services there as many go as come."""
        for _ in range(changes):
            if self._chance.random() < 1 - len(self._asks) / SERVICES:
                self._create()
            else:
                change = self._chance.choice((self._delete, self._move, self._let_be))
                change(self._chance.choice(sorted(self._asks)))

    def settles(self) -> None:
        """Wait until each has what it asks for; those that weren't told to move have what they were given first."""
        eventually(self._settled, "each has what it asks for")
        moved = {which: told for which in sorted(self._steady) if len(told := self._case.showed(which)) != 1}
        assert moved == {}

    def _create(self) -> None:
        self._made += 1
        which = f"{self._made:03}"
        self._case.service(which)
        self._asks[which] = ""
        self._steady.add(which)

    def _delete(self, which: str) -> None:
        self._case.delete(which)
        del self._asks[which]
        self._steady.discard(which)

    def _move(self, which: str) -> None:
        others = set(self._asks.values())
        free = [asked for number in range(200, 250) if (asked := self._case.four(number)) not in others]
        self._asks[which] = self._chance.choice(free)
        self._case.annotate(which, asks=self._asks[which])
        self._steady.discard(which)

    def _let_be(self, which: str) -> None:
        self._asks[which] = ""
        self._case.annotate(which, asks=None)

    def _settled(self) -> bool:
        if not self._rig.at_rest():
            return False
        world = judging.look(self._rig.api)
        there = {which: world.shown(self._case.key(which)) for which in self._asks}
        lacking = {which: there[which] for which, asks in self._asks.items() if not _has(there[which], asks)}
        if lacking:
            raise LookupError(f"lacking: {lacking}")
        return True


def _has(shown: tuple[str, ...], asks: str) -> bool:
    return shown == (asks,) if asks else len(shown) == 1


def test_kills_at_random_amid_a_burst_heal(rig: Rig, report: Report) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    burst = Burst(rig, chance)
    for kill in range(1, KILLS + 1):
        number, moment = chance.randint(1, AMID), chance.choice(list(Moment))
        act = Kill(moment, lambda: rig.controller)
        with rig.meddler.fault(writes, act, first=number, times=1) as rule:
            if not rig.controller.running:
                rig.restart()
            burst.go_on(2 * AMID)
            _struck(rig, rule)
        (asked,) = rule.hit
        report(f"seed {SEED}, kill {kill}: {moment} write {number}, {asked.what} {asked.name}")
    rig.restart()
    burst.settles()
    assert rig.untrue() == []

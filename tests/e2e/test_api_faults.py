"""An API server that refuses, hangs up, forgets and dawdles: nothing is lost, and nobody asks it in a loop.

Each fault is on while Services come, change and go and a pool is edited. One that hits only some requests, or only
watches, is on until all of that is done; one that hits each write, or each answer, ends, and what waited is done then.
"""

import contextlib
import itertools
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import pytest

from tests.e2e.rig import judging
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.meanwhile import meanwhile
from tests.e2e.rig.meddled import Case, Rig, rigged, writes
from tests.e2e.rig.meddler import Act, Applies, Asked, Cut, Delay, Expire, Meddler, Moment, Refuse, to
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

SERVICES: Final = 60
LASTS: Final = 5.0
"""Seconds of a fault that hits everything: less than a Lease lasts, so that the controller goes on leading."""
WATCH: Final = to("watch *")
LIST: Final = to("list *")
OFTEN: Final = 5.0
"""Requests a second for the same Service, list or watch, or for a Lease that is not renewed: more is a loop."""
MOST: Final = 150.0
"""Requests a second in all, for forty Services that lack something, and what is watched."""
CREATES: Final = "create ipallocation"
RETRY: Final = 2
"""Seconds of a Retry-After."""
IN_A_ROW: Final = 2
"""So many times one request may be hit in a row where only some are."""
SEED: Final = int(os.environ.get("LBPROVIDER_SEED", random.SystemRandom().randrange(2**32)))
"""Of what is drawn."""

Fault = Callable[[Meddler], AbstractContextManager[None]]


class Drawn:
    """About a third of those requests, and none of them more than twice in a row.

    Each third by number would not do: a few that are left repeat themselves, and the same one is refused for ever.

    Args:
        asks: which requests.
    """

    def __init__(self, asks: Applies) -> None:
        self._asks, self._chance = asks, random.Random(SEED)  # noqa: S311 - no secret
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self._hits = 0
        self._last: Asked | None = None
        self._hit = False

    def hits(self, turn: int, of: int, asked: Asked) -> bool:
        """Whether that request is hit, by the one of so many acts whose turn it is."""
        if asked is not self._last:
            self._last, self._hit = asked, self._draws(asked)
            self._hits += self._hit
        return self._hit and self._hits % of == turn

    def _draws(self, asked: Asked) -> bool:
        if not self._asks(asked):
            return False
        about = (asked.what, asked.name)
        # The first one is hit whatever is drawn: a test in which nothing is shows nothing.
        hit = not self._hits or (self._in_a_row[about] < IN_A_ROW and self._chance.random() < 1 / 3)
        self._in_a_row[about] = self._in_a_row[about] + 1 if hit else 0
        return hit


def a_third(asks: Applies, *acts: Act) -> Fault:
    """About a third of those requests; of several acts one after the other."""

    @contextlib.contextmanager
    def fault(meddler: Meddler) -> Iterator[None]:
        drawn = Drawn(asks)
        with contextlib.ExitStack() as stack:
            rules = [
                stack.enter_context(meddler.fault(partial(drawn.hits, turn, len(acts)), act))
                for turn, act in enumerate(acts)
            ]
            yield
        assert all(rule.hit for rule in rules)

    return fault


def every(asks: Applies, act: Act) -> Fault:
    """All of those requests."""

    @contextlib.contextmanager
    def fault(meddler: Meddler) -> Iterator[None]:
        with meddler.fault(asks, act) as rule:
            yield
        assert rule.hit

    return fault


def both(*faults: Fault) -> Fault:
    @contextlib.contextmanager
    def fault(meddler: Meddler) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for each in faults:
                stack.enter_context(each(meddler))
            yield

    return fault


@contextlib.contextmanager
def watches_closed(meddler: Meddler) -> Iterator[None]:
    """All watches end each second: well ordered and with a reset in turn."""
    abruptly = itertools.cycle((False, True))
    with meanwhile(lambda: meddler.close_watches(abruptly=next(abruptly)), every=1.0):
        yield


@contextlib.contextmanager
def small_pages(meddler: Meddler) -> Iterator[None]:
    """Lists come in pages of ten, so that there are tokens to go on with."""
    meddler.page = 10
    try:
        yield
    finally:
        meddler.page = None


def answered(asked: Asked) -> bool:
    return not WATCH(asked)


def goes_on(asked: Asked) -> bool:
    return LIST(asked) and "continue" in asked.query


SOME: Final[dict[str, Fault]] = {
    "409": a_third(writes, Refuse(409)),
    "429": a_third(answered, Refuse(429)),
    "429-retry-after": a_third(answered, Refuse(429, retry_after=1)),
    "500-503-504": a_third(answered, Refuse(500), Refuse(503), Refuse(504)),
    "cut-before": a_third(answered, Cut(Moment.BEFORE)),
    "cut-after": a_third(answered, Cut(Moment.AFTER)),
    "slow": every(answered, Delay(1.0, 3.0)),
    "watches-closed": watches_closed,
    "watch-410": both(watches_closed, a_third(WATCH, Refuse(410))),
    "relist-410": both(watches_closed, a_third(WATCH, Expire()), small_pages, a_third(goes_on, Refuse(410))),
}
"""Faults under which all gets done."""

ALL: Final[dict[str, Fault]] = {
    "409": every(writes, Refuse(409)),
    "429": every(answered, Refuse(429)),
    "429-retry-after": every(answered, Refuse(429, retry_after=RETRY)),
    "500": every(answered, Refuse(500)),
    "cut-before": every(answered, Cut(Moment.BEFORE)),
    "cut-after": every(writes, Cut(Moment.AFTER)),
    "watch-410": both(watches_closed, every(WATCH, Refuse(410))),
    "watch-410-event": both(watches_closed, every(WATCH, Expire())),
    "watch-500": both(watches_closed, every(WATCH, Refuse(500))),
    "relist-410": both(watches_closed, every(WATCH, Expire()), every(LIST, Refuse(410))),
}
"""Faults under which nothing gets done."""


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Iterator[Rig]:
    with rigged(cluster) as rig:
        yield rig


class Work:
    """Services of a case that come, change and go: what is wanted of each at last.

    Args:
        rig: where.
        name: of the case.
    """

    def __init__(self, rig: Rig, name: str) -> None:
        self._rig, self.case = rig, Case(rig, name, most=249)
        self._asks: dict[str, str] = {}

    def begin(self) -> None:
        """A pool that is too small, and two thirds of the Services."""
        self.case.pool(1, SERVICES // 2)
        for number in range(SERVICES * 2 // 3):
            self._create(f"{number:02}")

    def go_on(self) -> None:
        """The pool grows, then some Services move, some go, and the rest comes."""
        self.case.repool(1, 249)
        for number in range(0, SERVICES // 3, 2):
            which = f"{number:02}"
            self._asks[which] = self.case.four(200 + number)
            self.case.annotate(which, asks=self._asks[which])
        for number in range(1, SERVICES // 3, 2):
            self.case.delete(f"{number:02}")
            del self._asks[f"{number:02}"]
        for number in range(SERVICES * 2 // 3, SERVICES):
            self._create(f"{number:02}")

    def begun(self, *, within: float = 30) -> None:
        """Wait until the pool is used up."""
        eventually(lambda: len(self._lacking()) == SERVICES * 2 // 3 - SERVICES // 2, "the rest waits", within=within)

    def done(self, *, within: float) -> float:
        """Wait until each has what it asks for and nothing is left over; how many seconds that took."""
        began = time.monotonic()
        eventually(self._settled, "all is done", within=within, every=0.1)
        took = time.monotonic() - began
        assert self._rig.untrue() == []
        self.case.counted()
        return took

    def _settled(self) -> bool:
        if not self._rig.at_rest():
            return False
        if lacking := self._lacking():
            raise LookupError(f"lacking: {lacking}")
        if left := judging.wrong(judging.look(self._rig.api)):
            raise LookupError(f"{len(left)} left over, {left[:3]}")
        return True

    def _create(self, which: str) -> None:
        self.case.service(which)
        self._asks[which] = ""

    def _lacking(self) -> list[str]:
        world = judging.look(self._rig.api)
        shown = {which: world.shown(self.case.key(which)) for which in self._asks}
        return [which for which, asks in self._asks.items() if (shown[which] != (asks,) if asks else not shown[which])]


@pytest.mark.parametrize("name", SOME)
def test_what_fails_now_and_then_gets_done_all_the_same(rig: Rig, name: str, report: Report) -> None:
    report(f"LBPROVIDER_SEED={SEED}")
    work = Work(rig, f"some-{name}")
    mark = rig.meddler.mark()
    with SOME[name](rig.meddler):
        work.begin()
        work.begun(within=60)
        work.go_on()
        took = work.done(within=90)
    counts = rig.meddler.count(mark)
    report(f"all was done {took:.1f} s later; {counts.total()} requests, {counts.total() / SERVICES:.1f} a Service")


@pytest.mark.parametrize("name", ALL)
def test_what_fails_for_a_while_is_done_as_soon_as_it_can_be(rig: Rig, name: str, report: Report) -> None:
    work = Work(rig, f"all-{name}")
    work.begin()
    work.begun()
    with ALL[name](rig.meddler):
        work.go_on()
        mark, began = rig.meddler.mark(), time.monotonic()
        eventually(lambda: time.monotonic() > began + LASTS, "it has lasted")
        asked = rig.meddler.since(mark)
    took = work.done(within=60)
    report(f"{len(asked) / LASTS:.0f} requests a second while it lasted; all was done {took:.1f} s after it")
    assert len(asked) <= MOST * LASTS
    often = {what: len(requests) for what, requests in _by_object(asked).items() if len(requests) > OFTEN * LASTS}
    assert often == {}
    if name == "429-retry-after":
        assert _early(asked) == []


def _by_object(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    """By what was asked for, of which object; for a new IPAllocation, of the Service that it is for."""
    found: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        if each.what == "get ipallocation":
            continue  # who has it, after each refusal; many Services ask for one address
        about = json.loads(each.body)["spec"]["services"][-1]["name"] if each.what == CREATES else each.name
        found[f"{each.what} {about} {'(kopf)' if 'kopf' in each.agent else ''}"].append(each)
    return found


def _early(asked: Sequence[Asked]) -> list[str]:
    """What came sooner after a refusal than the API server had asked for. Leadership doesn't wait: it would be lost."""
    return [
        f"{what}, after {after.at - before.ended:.2f} s"
        for what, requests in _by_object(asked).items()
        for before, after in itertools.pairwise(requests)
        if after.at - before.ended < RETRY and " lease" not in what
    ]

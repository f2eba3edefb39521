"""What was seen, set against what should be: the only place that says whether a trial was passed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.story.findings import STILL, milliseconds
from lbprovider.lab.trials.figures import Figures
from lbprovider.lab.trials.target import Target

MOST_VOID: Final = 0.1
"""More void samples than this, of all, and the run says nothing; one alone is none too many."""
AN_ADDRESS: Final = 1 * MS
"""What each further address may take to be announced: 1,000 within a second (DESIGN section 6)."""
TOLD: Final = 100 * MS
"""How long a client with a warm cache may be misled by a change: what is lost is said again within twice that."""


class Verdict(StrEnum):
    """What is to be said of a sample, a trial or a run."""

    OK = "ok"
    FAILED = "FAILED"
    VOID = "void"
    """The machine stood still; nothing can be told."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Something that should not have been seen."""

    what: str
    seen: str
    wanted: str

    def __str__(self) -> str:
        """As in ``two MACs 12 ms, not 0 ms``."""
        return f"{self.what} {self.seen}, not {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One repeat of a trial, judged."""

    number: int
    figures: Figures | None
    """None where it broke off before there was anything to look at."""
    hold: int
    still: int
    """How late the prober may be, ns: see :func:`still`."""
    cause: str
    """As the API server has it of the address at the end: the reason of its condition, and those of its Events."""
    load: float
    """The machine's load, over a minute."""
    problem: str
    """Why it broke off; empty where it came to its end."""
    misses: tuple[Miss, ...]

    @property
    def void(self) -> bool:
        """Whether it is taken again."""
        return self.figures is not None and self.figures.late > self.still

    @property
    def verdict(self) -> Verdict:
        """Two owners, and a trial that doesn't come to its end, are no matter of how late anybody was."""
        if self.problem or any(each.what in _CERTAIN for each in self.misses):
            return Verdict.FAILED
        if self.void:
            return Verdict.VOID
        return Verdict.FAILED if self.misses else Verdict.OK


def still(target: Target, hold: int) -> int:
    """How late a prober may be that looks from a machine that didn't stand still, for what was to be seen, ns.

    What takes seconds, as a start of all speakers, makes a small machine busy by itself, and a prober that is late by a
    fifteenth of it still tells how long it took: ``STILL`` is that of a crash.
    """
    return max(STILL, target.silence(hold) // 15)


_TWO: Final = "two MACs"
_TWO_AFTER: Final = "two MACs after healing"
_CERTAIN: Final = frozenset({_TWO, _TWO_AFTER})
"""What a prober that is late doesn't make up."""


def misses(seen: Figures, target: Target, hold: int, addresses: int) -> tuple[Miss, ...]:
    """What of a repeat's figures misses its target.

    Args:
        seen: the figures.
        target: of the trial.
        hold: how long a promise lasts, ns.
        addresses: how many there are to be announced.
    """
    both = 2 * hold if target.planned else 0
    found = [
        *_silence(seen, target, hold),
        *_over(_TWO, seen.contested, both, 0),
        *_over(_TWO_AFTER, seen.contested_after, 0, 0),
        *_over("a warm cache was misled for", seen.misled, TOLD + addresses * AN_ADDRESS, seen.late),
    ]
    if target.moves is not None and seen.moves > target.moves:
        found.append(Miss("moves", str(seen.moves), f"{target.moves} at most"))
    if not target.lossless and not target.ends_silent:
        limit = target.silence(hold) + addresses * AN_ADDRESS
        found += _over("the last address was announced after", seen.announced, limit, seen.late)
    return tuple(found)


def _silence(seen: Figures, target: Target, hold: int) -> list[Miss]:
    if target.ends_silent:
        return [Miss("answered", "on", "silent")] if seen.answered_late else []
    if target.lossless:
        counts = (("requests unanswered", seen.lost), ("new connections failed", seen.refused))
        return [Miss(what, str(count), "0") for what, count in counts if count]
    limit = target.silence(hold)
    silence, unconnected = seen.silence, seen.unconnected
    return [
        *_over("silence", silence.length, limit, silence.lateness),
        *_over(
            "no new connection for", unconnected.length, limit + _CALLS, max(unconnected.lateness, silence.lateness)
        ),
    ]


_CALLS: Final = 50 * MS
"""A caller opens a connection each 20 ms, and takes the answer for its success."""


def _over(what: str, seen: int, limit: int, lateness: int) -> list[Miss]:
    """``lateness`` is how late the prober itself was then: it excuses as much."""
    if seen <= limit + lateness:
        return []
    return [Miss(what, milliseconds(seen), f"≤ {milliseconds(limit)}" if limit else "0 ms")]


def of_trial(samples: Sequence[Sample], wanted: int) -> Verdict:
    """One bad sample fails a trial; without as many good ones as were wanted it is void."""
    if any(each.verdict is Verdict.FAILED for each in samples):
        return Verdict.FAILED
    good = sum(each.verdict is Verdict.OK for each in samples)
    return Verdict.OK if good >= wanted else Verdict.VOID


def of_run(trials: Sequence[Verdict], samples: Sequence[Sample]) -> Verdict:
    """One failed trial fails the run; more than :data:`MOST_VOID` void samples, or a void trial, void it."""
    if Verdict.FAILED in trials:
        return Verdict.FAILED
    void = sum(each.verdict is Verdict.VOID for each in samples)
    return Verdict.VOID if Verdict.VOID in trials or too_many(void, len(samples)) else Verdict.OK


def too_many(void: int, samples: int) -> bool:
    """Whether so many void samples of so many void the run."""
    return void > max(1, MOST_VOID * samples)

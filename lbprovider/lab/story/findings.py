"""What the lab's story found, set against what it should be. Pure: nothing here looks at a clock or a cluster.

Times are nanoseconds of the monotonic clock. What was seen comes from :mod:`lbprovider.lab.eyes.judge`, which takes
into account how late the prober itself was: a machine that stands still for a while makes no finding fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lbprovider.lab.eyes.capture import Captured
from lbprovider.lab.eyes.frames import Address, Kind
from lbprovider.lab.eyes.judge import MS, Contest, Reply, Verdict

GONE: Final = 2000 * MS
"""How long an address may still be answered for after its Service was deleted."""
STILL: Final = 20 * MS
"""A prober that was later than this looked from a machine that stood still."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the summary."""

    chapter: str
    what: str
    seen: str
    target: str
    ok: bool
    void: bool = False
    """It is not ok, and nothing can be told from it: the machine stood still, all of the lab with it."""

    def __str__(self) -> str:
        """One sentence, for who wants to know what failed."""
        return f"{self.chapter}: {self.what} {self.seen}, and should be {self.target}"


def milliseconds(nanos: int) -> str:
    """A time as it is read best: ``0.4 ms``, ``12 ms``."""
    return f"{nanos / MS:.1f} ms" if 0 < nanos < 10 * MS else f"{nanos / MS:.0f} ms"


def complete(chapter: str, what: str, wanted: Sequence[str], took: Mapping[str, int]) -> Finding:
    """Whether each of those that were wanted came.

    Args:
        chapter: where it was found.
        what: was wanted.
        wanted: by name.
        took: how long it took for those that came.
    """
    came = [took[each] for each in wanted if each in took]
    within = f" within {milliseconds(max(came))}" if came else ""
    return Finding(chapter, what, f"{len(came)} of {len(wanted)}{within}", "all", len(came) == len(wanted))


def silence(chapter: str, verdict: Verdict, most: int) -> Finding:
    """How long a client was left without an answer while the address moved, and how long it may be, ns."""
    found = verdict.silence
    late = f" (the prober itself late by {milliseconds(found.lateness)})" if found.lateness > STILL else ""
    ok = found.length <= most + found.lateness
    seen = f"{milliseconds(found.length)}{late}"
    return Finding(chapter, "silence", seen, f"≤ {milliseconds(most)}", ok, _void(verdict, ok=ok))


def _void(verdict: Verdict, *, ok: bool) -> bool:
    return not ok and max(verdict.lateness, verdict.silence.lateness) > STILL


def owners(chapter: str, verdict: Verdict, switch: Iterable[Contest]) -> Finding:
    """For how long two answered at once, as the client and as the switch saw it: never.

    Args:
        chapter: where it was found.
        verdict: of the client's prober.
        switch: what the capture on the switch saw.
    """
    contests = [*verdict.contests, *switch]
    longest = max((each.end - each.start for each in contests), default=0)
    seen = milliseconds(longest) if not contests else f"{len(contests)} times, up to {milliseconds(longest)}"
    return Finding(chapter, "two MACs answer", seen, "0 ms", not contests)


def moved(chapter: str, verdict: Verdict, node_of: Callable[[str], str], old: str, new: str) -> Finding:
    """Whether the address went from one node to another, and to nobody else.

    Args:
        chapter: where it was found.
        verdict: of the client's prober.
        node_of: the name of the node with a MAC.
        old: the node that had it.
        new: the node that the API server says has it now.
    """
    seen = tuple(map(node_of, verdict.macs))
    ok = seen == (old, new) != (old, old)
    said = ", then ".join(seen) or "nobody"
    return Finding(chapter, "answered by", said, f"{old}, then {new}", ok, _void(verdict, ok=ok))


def answered(chapter: str, verdict: Verdict) -> Finding:
    """Whether every request was answered."""
    seen = f"{verdict.requests - verdict.unanswered} of {verdict.requests} requests"
    ok = verdict.requests > 0 and verdict.unanswered == 0
    return Finding(chapter, "answered", seen, "all", ok, _void(verdict, ok=ok))


def served(chapter: str, what: str, answers: Mapping[Address, str], leaders: Mapping[Address, str]) -> Finding:
    """Whether a client's HTTP requests were answered by the node that announces the address.

    Args:
        chapter: where it was found.
        what: was asked.
        answers: the node that answered, by address.
        leaders: the node that should, by address.
    """
    wrong = [f"{each} by {answers.get(each, 'nobody')}" for each, node in leaders.items() if answers.get(each) != node]
    right = f"{len(leaders)} of {len(leaders)}" if len(leaders) > 1 else f"by {', '.join(leaders.values())}"
    seen = ", ".join(wrong) or right
    return Finding(chapter, what, seen, "by its leader", not wrong and bool(leaders))


def gone(chapter: str, replies: Sequence[Reply], deleted: int, end: int) -> Finding:
    """Whether an address left the wire after its Service was deleted, and stayed away.

    Args:
        chapter: where it was found.
        replies: all of a prober that asked from before ``deleted``.
        deleted: when the Service was.
        end: until when the prober asked: at least :data:`GONE` after ``deleted``.
    """
    last = max((each.at for each in replies if each.at > deleted), default=deleted)
    seen = f"after {milliseconds(last - deleted)}"
    good = bool(replies) and last - deleted <= GONE <= end - deleted
    return Finding(chapter, "gone from the wire", seen, f"≤ {milliseconds(GONE)}, for good", good)


class Announced:
    """The first gratuitous frame of each address, as far as a capture was read."""

    def __init__(self) -> None:
        self.first: dict[Address, Captured] = {}

    def heed(self, claims: Iterable[Captured]) -> Mapping[Address, Captured]:
        """Take in further claims, in order; all that is known then."""
        for each in claims:
            if each.claim.kind is Kind.GRATUITOUS:
                self.first.setdefault(each.claim.address, each)
        return self.first


def spread(took: Iterable[int]) -> str:
    """Median and 99th percentile, in words."""
    ordered = sorted(took)
    return f"p50 {milliseconds(ordered[len(ordered) // 2])}, p99 {milliseconds(ordered[len(ordered) * 99 // 100])}"

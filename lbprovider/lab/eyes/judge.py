"""What a client saw of an address, judged: how long it was silent, and whether two answered. Pure.

Time is in nanoseconds of one monotonic clock. Replies carry the time at which the kernel received them, so a reader
that runs late changes nothing; a *sender* that runs late does, and every silence says by how much.

An ARP reply doesn't say which request it answers. A reply is taken for the answer to the newest request that its
sender has not answered yet and that is not older than :data:`PATIENCE`; a responder that had no processor for a while
and then answers all at once has answered them all.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
PATIENCE: Final = 100 * MS
"""An answer that takes longer is none: far above what a busy machine of two cores was seen to take."""
REIGN: Final = 50 * MS
"""The least time that one owner has an address before it may change again: a fifth of ``hold`` at its default. Whoever
changes twice within it does not own in turn: two answer at once."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request."""

    at: int
    due: int
    """When it should have been sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Somebody said that it has the address."""

    at: int
    mac: str
    unasked: bool = False
    """Whether it said so in a gratuitous frame, which is what a client learns from that has an entry already."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a prober sent and received for one address, each in order of time."""

    period: int
    sent: tuple[Sent, ...]
    replies: tuple[Reply, ...]

    def between(self, start: int, end: int) -> "Samples":
        """The part of it from one instant to another."""
        return Samples(
            self.period,
            tuple(each for each in self.sent if start <= each.at <= end),
            tuple(each for each in self.replies if start <= each.at <= end),
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """A time without a reply, from the last one before it to the first one after it.

    The address itself was silent for no longer than ``length``, and for no less than ``length - lateness`` less two
    periods. Where the prober was late in the midst of it, so may have been whoever should have answered: a machine that
    stands still for a while, as a virtual one may, stands still for all of the lab.
    """

    start: int
    end: int
    lateness: int
    """Nanoseconds for which the prober itself asked nobody though it should have, all together."""

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Contest:
    """Two or more answered for one address at one time."""

    start: int
    end: int
    macs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is to be said of some samples."""

    requests: int
    unanswered: int
    silence: Silence
    lateness: int
    macs: tuple[str, ...]
    """In the order of their first reply."""
    contests: tuple[Contest, ...]

    def __str__(self) -> str:
        """One line for the log of a test."""
        contested = sum(each.end - each.start for each in self.contests) / MS
        return (
            f"{self.requests} requests, {self.unanswered} unanswered, longest silence {self.silence.length / MS:.1f} ms"
            f" (prober late by {self.silence.lateness / MS:.1f} ms then, {self.lateness / MS:.1f} ms at most),"
            f" answered by {', '.join(self.macs) or 'nobody'}, contested {len(self.contests)}x for {contested:.1f} ms"
        )


def judge(samples: Samples) -> Verdict:
    """Judge samples as a whole.

    Raises:
        ValueError: nothing was sent.
    """
    return Verdict(
        requests=len(samples.sent),
        unanswered=len(unanswered(samples)),
        silence=longest_silence(samples),
        lateness=lateness(samples),
        macs=tuple(dict.fromkeys(reply.mac for reply in samples.replies)),
        contests=contests(samples),
    )


def lateness(samples: Samples) -> int:
    """The most that a request was sent after it was due."""
    return max((each.at - each.due for each in samples.sent), default=0)


def longest_silence(samples: Samples) -> Silence:
    """The longest silence, from the first request to the last one; both count as its ends where no reply is nearer.

    Raises:
        ValueError: nothing was sent.
    """
    if not samples.sent:
        raise ValueError("no request was sent, so nothing can be said of the replies")
    return longest_gap([each.at for each in samples.sent], [each.at for each in samples.replies], samples.period)


def longest_gap(asked: Sequence[int], heard: Sequence[int], period: int) -> Silence:
    """The longest time in which nothing was heard; the first and last question are its ends where nothing is nearer.

    Args:
        asked: when somebody asked, in order of time; at least once.
        heard: when there was an answer, in any order.
        period: how far apart the questions should have been.
    """
    ends = sorted([asked[0], *heard])
    ends.append(max(asked[-1], ends[-1]))
    start, end = max(itertools.pairwise(ends), key=lambda pair: pair[1] - pair[0])
    return Silence(start, end, _slack(asked, start, end, period))


def _slack(asked: Sequence[int], start: int, end: int, period: int) -> int:
    """By how much the questions around these instants lie further apart, all together, than a period each."""
    first, last = max(0, bisect_right(asked, start) - 1), min(bisect_left(asked, end), len(asked) - 1)
    return max(0, asked[last] - asked[first] - (last - first) * period)


def _answers(samples: Samples) -> Mapping[int, frozenset[str]]:
    """Who answered each request, by the request's index; those that nobody answered are left out.

    Gratuitous frames answer none: a new owner's would count for requests that the former one has answered.
    """
    asked = [each.at for each in samples.sent]
    open_to: dict[str, list[int]] = defaultdict(list)  # what each has still to answer, newest last
    upto: dict[str, int] = defaultdict(int)
    answered: dict[int, set[str]] = defaultdict(set)
    for reply in samples.replies:
        if reply.unasked:
            continue
        known = bisect_right(asked, reply.at)
        waiting = open_to[reply.mac]
        waiting.extend(range(upto[reply.mac], known))
        upto[reply.mac] = known
        if waiting and reply.at - asked[waiting[-1]] <= PATIENCE:
            answered[waiting.pop()].add(reply.mac)
    return {request: frozenset(macs) for request, macs in answered.items()}


def unanswered(samples: Samples) -> tuple[Sent, ...]:
    """The requests that got no reply, save the last ones, whose replies may still be on their way."""
    answers = _answers(samples)
    if not samples.sent:
        return ()
    closed = samples.sent[-1].at - PATIENCE
    return tuple(each for index, each in enumerate(samples.sent) if index not in answers and each.at <= closed)


def contests(samples: Samples) -> tuple[Contest, ...]:
    """The times at which two answered: one request got two answers, or the replies of two are interleaved.

    At a clean change of owners the last reply of the old one may come late, after a request that the new one answers
    too. Then an earlier request of the last :data:`PATIENCE` is left without an answer; that is no contest.
    """
    answers = _answers(samples)
    found: list[Contest] = list(interleaved(samples.replies))
    owed: list[int] = []
    for index, request in enumerate(samples.sent):
        macs = answers.get(index, frozenset[str]())
        if not macs:
            owed.append(request.at)
        elif len(macs) > 1:
            owed = [at for at in owed if request.at - at <= PATIENCE]
            if owed:
                owed.pop()
            else:
                found.append(Contest(request.at, request.at + samples.period, macs))
    return _merged(found)


def interleaved(replies: Sequence[Reply]) -> tuple[Contest, ...]:
    """The times at which the address changed hands and changed again within :data:`REIGN`.

    Also good for the claims of a passive capture, which knows of no requests.
    """
    changes = [(before, after) for before, after in itertools.pairwise(replies) if before.mac != after.mac]
    return _merged(
        [
            Contest(first.at, second.at, frozenset({first.mac, left.mac, second.mac}))
            for (_, first), (left, second) in itertools.pairwise(changes)
            if second.at - first.at <= REIGN
        ]
    )


def _merged(found: Sequence[Contest]) -> tuple[Contest, ...]:
    """Contests that touch or overlap are one."""
    merged: list[Contest] = []
    for each in sorted(found, key=lambda contest: contest.start):
        if merged and each.start <= merged[-1].end:
            last = merged.pop()
            merged.append(Contest(last.start, max(last.end, each.end), last.macs | each.macs))
        else:
            merged.append(each)
    return tuple(merged)

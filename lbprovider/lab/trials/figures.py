"""What was seen of one repeat of a trial, and the figures that come of it. Pure.

Times are nanoseconds of the monotonic clock. Each figure stands for a client of another kind: the prober asks each
2 ms and has no cache; a cache that is warm believes what it was last told unasked; and connections are opened all the
time, through the kernel's own cache and the nodes' data path.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lbprovider.lab.eyes import calls, judge
from lbprovider.lab.eyes.calls import Call
from lbprovider.lab.eyes.judge import Contest, Reply, Samples, Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One repeat, as everybody saw it."""

    began: int
    """When the prober had its first answer, before anything was done."""
    struck: int
    """When the fault was."""
    healed: int
    """When it was over; ``ended`` where it never was."""
    ended: int
    prober: Samples
    switch: tuple[Reply, ...]
    """Answers to anybody, as the switch saw them."""
    far: Samples | None
    """What a prober saw on the far side of a LAN that was split."""
    calls: tuple[Call, ...]
    period: int
    """Between two calls."""
    gratuitous: tuple[tuple[int, str, str], ...]
    """Time, address and MAC of each gratuitous frame on the switch, for whatever address."""
    owners: Mapping[str, str]
    """The MAC of whoever had each address at the beginning."""
    strangers: frozenset[str] = frozenset()
    """MACs of hosts that are none of ours: what they answer is no doing of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What it comes to."""

    silence: Silence
    """The longest time without an answer."""
    lost: int
    """Requests of the prober that nobody answered."""
    contested: int
    """Time in which two answered, from the fault until it was healed."""
    contested_after: int
    """The same, since then."""
    misled: int
    """The longest time for which a warm cache named another than who answered."""
    unconnected: Silence
    """The longest time without a new connection that came to success."""
    refused: int
    """New connections that could not be opened."""
    cut: int
    """Connections that were opened and then cut: the state of a single owner goes with it."""
    gratuitous: int
    """Gratuitous frames, for whatever address."""
    announced: int
    """How long after the last answer of the old owner the last address that moved was first announced by who has it
    now; 0: none moved."""
    moves: int
    """How often the address changed hands."""
    late: int
    """The most that the prober was late, all together around the longest silence or at once."""
    answered_late: bool
    """Whether somebody still answered a promise and more after the fault, until it was healed."""


def figures(seen: Seen, hold: int) -> Figures:
    """The figures of one repeat.

    Args:
        seen: with at least one request.
        hold: how long a promise lasts.
    """
    window = seen.prober.between(seen.began, seen.ended)
    ours = [each for each in window.replies if each.mac not in seen.strangers]
    asked = Samples(window.period, window.sent, tuple(ours))
    silence = judge.longest_silence(asked)
    contests = [*judge.contests(asked), *judge.interleaved(_ours(seen.switch, seen)), *_far_contests(seen)]
    made = [each for each in seen.calls if each.at >= seen.began and each.ended <= seen.ended + judge.PATIENCE]
    good = [each.ended for each in made if not each.error]
    return Figures(
        silence=silence,
        lost=len(judge.unanswered(asked)),
        contested=_time(contests, seen.struck, seen.healed),
        contested_after=_time(contests, seen.healed, seen.ended),
        misled=misled(ours),
        unconnected=calls.judge(made, seen.period).silence if good else Silence(seen.began, seen.ended, 0),
        refused=sum(1 for each in made if each.error and not each.opened),
        cut=sum(1 for each in made if each.error and each.opened),
        gratuitous=sum(1 for at, _, mac in seen.gratuitous if at >= seen.struck and mac not in seen.strangers),
        # A fault takes its time to be done: it is felt from the last answer before the silence on.
        announced=announced(seen, max(seen.struck, silence.start)),
        moves=_moves(ours, contests),
        late=max(judge.lateness(window), silence.lateness),
        answered_late=any(seen.struck + 2 * hold <= each.at < seen.healed for each in ours),
    )


def _ours(replies: Iterable[Reply], seen: Seen) -> tuple[Reply, ...]:
    return tuple(each for each in replies if seen.began <= each.at <= seen.ended and each.mac not in seen.strangers)


def _moves(replies: Iterable[Reply], contests: Collection[Contest]) -> int:
    """How often the owner changed; while two answered, neither of them had changed."""
    clear = (each for each in replies if not any(one.start <= each.at <= one.end for one in contests))
    return max(0, sum(1 for _ in itertools.groupby(clear, lambda each: each.mac)) - 1)


def _far_contests(seen: Seen) -> Iterable[Contest]:
    """Each time that an answer on the far side of a split fell between two answers on this side, of another owner."""
    if seen.far is None:
        return ()
    there = [each for each in seen.far.replies if seen.struck <= each.at <= seen.healed]
    here = [each for each in seen.prober.replies if seen.struck <= each.at <= seen.healed]
    return judge.interleaved(tuple(sorted([*there, *here], key=lambda each: each.at)))


def _time(contests: Iterable[Contest], start: int, end: int) -> int:
    """How much of a time was contested; contests that overlap count once."""
    total, upto = 0, start
    for each in sorted(contests, key=lambda contest: contest.start):
        begin, until = max(each.start, upto), min(each.end, end)
        if until > begin:
            total, upto = total + until - begin, until
    return total


def misled(replies: Sequence[Reply]) -> int:
    """For how long a client was misled that has an entry already and changes it at gratuitous frames alone.

    It is misled from an answer by another than its entry names until the entry is right again, or until an answer comes
    from whom it names: at the longest time of those. What it sends while nobody answers is part of the silence.

    Args:
        replies: in order of time; the first one makes the entry.
    """
    entry, since, longest = "", 0, 0
    for each in replies:
        if not entry or each.unasked:
            entry = each.mac
        if each.mac == entry:
            longest, since = max(longest, each.at - since if since else 0), 0
        else:
            since = since or each.at
    return max(longest, replies[-1].at - since if since else 0)


def announced(seen: Seen, felt: int) -> int:
    """How long after ``felt`` the last address that moved was announced by its new owner; 0: none moved."""
    moved: dict[str, int] = {}
    for at, address, mac in seen.gratuitous:
        if seen.struck <= at < seen.healed and mac not in seen.strangers and seen.owners.get(address, mac) != mac:
            moved.setdefault(address, max(0, at - felt))
    return max(moved.values(), default=0)

"""A million datagrams and frames that nobody should send: dropped, counted, never a crash, never an owner lost.

LBPROVIDER_FUZZ sets how many, LBPROVIDER_SEED the first seed. What fails names its seed: ``datagrams.send(seed, ...)``
and ``frames.show(seed, ...)`` do the same again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from lbprovider.election.member import Member
from lbprovider.election.peers import MAX_PEERS
from lbprovider.election.segment import MemberList, Segment
from lbprovider.wire.heartbeat import Heartbeat, scope
from tests.fuzz import datagrams, frames
from tests.fuzz.datagrams import Fuzzed

NUMBER = int(os.environ.get("LBPROVIDER_FUZZ", "1100000"))
SEED = int(os.environ.get("LBPROVIDER_SEED", "0"))
CHUNK = 25_000


def run(work: Callable[..., Fuzzed], number: int, capsys: pytest.CaptureFixture[str]) -> Fuzzed:
    """All of them, on all processors."""
    began, fuzzed = time.monotonic(), Fuzzed()
    seeds = range(SEED, SEED + -(-number // CHUNK))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("forkserver")) as pool:
        for each in pool.map(partial(work, number=CHUNK), seeds):
            fuzzed.add(each)
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{work.__module__}: {fuzzed.kinds.total():,} of seeds {seeds.start} to {seeds.stop - 1}, {took:.0f} s")  # noqa: T201
        for what in (fuzzed.kinds, fuzzed.outcomes):
            print("  " + ", ".join(f"{count:,} {name}" for name, count in what.most_common() if count))  # noqa: T201
    return fuzzed


def test_no_datagram_unseats_an_owner_and_each_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    fuzzed = run(datagrams.send, NUMBER // 2, capsys)
    sealed = sum(count for kind, count in fuzzed.kinds.items() if kind.startswith("good seal"))
    assert sealed >= fuzzed.kinds.total() / 2
    assert fuzzed.outcomes.total() == fuzzed.kinds.total()


def test_no_frame_gets_an_answer_that_is_not_ours_or_takes_an_address_away(capsys: pytest.CaptureFixture[str]) -> None:
    fuzzed = run(frames.show, NUMBER // 2, capsys)
    assert fuzzed.outcomes["answered"] + fuzzed.outcomes["no answer"] == fuzzed.kinds.total()
    refused = sum(count for outcome, count in fuzzed.outcomes.items() if outcome.startswith("no answer: "))
    assert refused == fuzzed.outcomes["no answer"]
    assert fuzzed.outcomes["answered"] > 0


def test_more_nodes_than_any_cluster_has_are_counted_and_not_kept() -> None:
    one = Member("a", 1, 0, "kube-system")
    one.adopt(Segment("uid", "lan", 1, (MemberList(("a",), 1),)), 0, quorum_read=True)
    beats = [
        Heartbeat(
            cluster=scope("kube-system"), segment=scope("uid"), node=f"stranger-{number}", to=scope("a"),
            incarnation=1, sent=1, number=0, hold=250_000_000, version=1, settled=0, ver=0, candidate=True,
        )
        for number in range(MAX_PEERS + 10)
    ]  # fmt: skip
    assert one.heard(beats, 1).ignored == ("",) * MAX_PEERS + ("TooManyPeers",) * 10

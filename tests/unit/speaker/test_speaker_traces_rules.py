"""Clauses of the rules that live in the speaker's loop, each on real Lans or speakers: see tests/sim/clauses.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.speaker.bench import Bench, run
from tests.unit.speaker.test_speaker_lan import Ports, World
from tests.unit.speaker.test_speaker_restoring import cut_api, heal_api


def test_a_recorded_datagram_moves_no_peer() -> None:
    """Nor does the newest of all, sent again by somebody else: its peer's answers would go there."""
    world = World()
    one, two = world.join("n1", "n2")
    ports = two._upstairs
    assert isinstance(ports, Ports)
    for recorded in ports.payloads[-3:]:
        one._received([(recorded, "192.0.2.66")])
        assert one._peers._addresses["n2"] == "192.0.2.2"


def test_an_api_server_that_answers_within_half_a_second_is_asked_whom_to_vote_with(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await (await bench.kept()).kill()
        cut_api(bench)
        again = bench.node(1)
        await asyncio.sleep(0.5)
        heal_api(bench)
        await bench.settled(members=1)
        assert again.speaker._agent is not None
        assert again.speaker._agent._restored == {}

    run(story, tmp_path)

"""A speaker that starts while the API server is down: from its snapshot, as far as that is trusted, and no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from lbprovider.api.core import Namespace
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import ANNOTATION, Registration, registration
from lbprovider.api.resources import ALLOCATIONS, LEASES, NAMESPACES, SEGMENTS
from lbprovider.api.segment import Segment
from lbprovider.errors import HostError, LeaseLost, Unreachable
from lbprovider.kube.ports import Api
from lbprovider.speaker.files import SnapshotFile
from lbprovider.speaker.keeper import RETRY
from lbprovider.speaker.snapshot import Snapshot
from tests.fakes.api_server import FakeApi
from tests.unit.speaker.bench import NAMESPACE, SEGMENT, Bench, run

HOLD = 0.25
DOWN = 5.0
"""C7."""


def cut_api(bench: Bench) -> None:
    bench.api.fault = lambda _: Unreachable("no connection to 192.0.2.1")
    bench.api.cut()


def heal_api(bench: Bench) -> None:
    bench.api.fault = lambda _: None


async def kill_all(bench: Bench) -> None:
    for each in bench.nodes.values():
        await each.kill()


async def three_and_a_leader(bench: Bench) -> str:
    await bench.three()
    leader = await bench.led()
    await asyncio.sleep(5)
    return leader


def stored(bench: Bench, name: str) -> Snapshot:
    assert bench.snapshots is not None
    found = SnapshotFile(bench.snapshots / name).load()
    assert found is not None
    return found


def rewrite_lease(bench: Bench, name: str, *, incarnation: int) -> None:
    lease = bench.api.objects(LEASES)[f"{NAMESPACE}/{name}"]
    told = {ANNOTATION: Registration(incarnation=incarnation).encode()}
    metadata = msgspec.structs.replace(lease.metadata, annotations=told)
    bench.api.write(LEASES, msgspec.structs.replace(lease, metadata=metadata))


def test_all_speakers_restart_without_the_api_server_and_one_answers_soon(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await three_and_a_leader(bench)
        cut_api(bench)
        await kill_all(bench)
        before = {name: stored(bench, name).incarnation for name in bench.nodes}
        began = bench.clock()
        for number in (1, 2, 3):
            bench.node(number)
        while not (answers := await bench.ask()):  # noqa: ASYNC110  (what it waits for is on the wire)
            await asyncio.sleep(0.002)
        # Silent for a hold from the bind of the port, then two round trips and a few writes of 10 ms.
        assert DOWN + HOLD <= bench.clock() - began <= DOWN + 2 * HOLD
        for _ in range(1000):
            assert await bench.ask() == answers
            await asyncio.sleep(0.01)
        assert not any(each.speaker.why_not_ready() for each in bench.nodes.values())
        assert {name: stored(bench, name).incarnation for name in bench.nodes} == {
            name: last + 1 for name, last in before.items()
        }

    run(story, tmp_path)


def test_when_the_api_server_is_back_nothing_moves_and_the_truth_counts(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await three_and_a_leader(bench)
        freed = IPv4Address("192.0.2.101")
        bench.allocate(freed)
        await asyncio.sleep(5)
        cut_api(bench)
        bench.api.remove(ALLOCATIONS, str(freed))
        await kill_all(bench)
        for number in (1, 2, 3):
            bench.node(number)
        await bench.until(lambda: not any(each.speaker.why_not_ready() for each in bench.nodes.values()))
        await asyncio.sleep(1)
        (owner,) = await bench.ask()
        assert len(await bench.ask(freed)) == 1, "freed meanwhile, and nobody can know"
        heal_api(bench)
        for _ in range(1000):
            assert await bench.ask() == [owner]
            await asyncio.sleep(0.05)
        assert await bench.ask(freed) == []
        assert bench.allocation().status.leader == f"n{owner[-1]}"
        for name in bench.nodes:
            told = registration(bench.api.objects(LEASES)[f"{NAMESPACE}/{name}"])
            assert told is not None
            assert told.incarnation == stored(bench, name).incarnation
        assert not any(each.task.done() for each in bench.nodes.values())

    run(story, tmp_path)


def test_one_that_restarts_alone_hears_its_peers_and_votes_again(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        leader = await three_and_a_leader(bench)
        cut_api(bench)
        await bench.nodes[leader].kill()
        node = bench.node(int(leader[1:]))
        await bench.until(lambda: not node.speaker.why_not_ready(), within=DOWN + 2 * HOLD)
        for _ in range(500):
            (answer,) = await bench.ask()
            assert f"n{answer[-1]}" != leader
            await asyncio.sleep(0.01)

    run(story, tmp_path)


def test_without_a_snapshot_it_waits_for_the_api_server(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        cut_api(bench)
        node = bench.node(1)
        await asyncio.sleep(60)
        assert node.speaker.why_not_ready() == "no connection to 192.0.2.1"
        assert not (tmp_path / "n1").exists()

    run(story, tmp_path)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_an_api_server_that_answers_within_five_seconds_is_not_down(tmp_path: Path, seconds: float) -> None:
    async def story(bench: Bench) -> None:
        await (await bench.kept()).kill()
        cut_api(bench)
        bench.node(1)
        await asyncio.sleep(seconds)
        heal_api(bench)
        await bench.settled(members=1)
        calls = [(call.verb, call.plural, call.name) for call in bench.api.calls]
        assert ("get", "segments", SEGMENT) in calls[-20:], "the vote came from a quorum read"

    run(story, tmp_path)


def test_a_snapshot_of_another_node_is_none(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.kept()
        await bench.nodes.pop("n1").kill()
        (tmp_path / "n1").rename(tmp_path / "n2")
        cut_api(bench)
        node = bench.node(2)
        await asyncio.sleep(60)
        assert node.speaker.why_not_ready() == "no connection to 192.0.2.1"

    run(story, tmp_path)


def test_a_snapshot_of_another_cluster_is_none_where_the_api_server_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(bench: Bench) -> None:
        await another_cluster(bench)
        node = await bench.kept()
        assert not node.task.done()
        assert stored(bench, "n1").cluster == "another"

    run(story, tmp_path)
    assert "this is another; starting as if there were none" in capsys.readouterr().out


def test_a_speaker_that_began_in_another_cluster_ends_when_it_learns_so(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await another_cluster(bench)
        cut_api(bench)
        node = bench.node(1)
        await bench.until(lambda: not node.speaker.why_not_ready())
        heal_api(bench)
        with pytest.raises(HostError, match="was of cluster"):
            await asyncio.wait_for(node.task, 60)
        del bench.nodes["n1"]
        assert list((tmp_path / "n1").iterdir()) == []

    run(story, tmp_path)


async def another_cluster(bench: Bench) -> None:
    await (await bench.kept()).kill()
    bench.api.remove(NAMESPACES, "kube-system")
    bench.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="kube-system", uid="another")))


def test_one_whose_lease_was_taken_meanwhile_ends(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await (await bench.kept()).kill()
        cut_api(bench)
        node = bench.node(1)
        await bench.until(lambda: not node.speaker.why_not_ready())
        rewrite_lease(bench, "n1", incarnation=1000)
        heal_api(bench)
        with pytest.raises(LeaseLost, match="another speaker for node n1 has started"):
            await asyncio.wait_for(node.task, 60)
        bench.nodes.clear()

    run(story, tmp_path)


def test_the_incarnation_is_higher_than_the_snapshots_where_the_lease_lost_it(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await (await bench.kept()).kill()
        last = stored(bench, "n1").incarnation
        rewrite_lease(bench, "n1", incarnation=1)
        bench.node(1)
        await bench.settled(members=1)
        assert stored(bench, "n1").incarnation > last

    run(story, tmp_path)


def test_no_incarnation_is_used_before_it_is_on_disk(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await (await bench.kept()).kill()
        last = stored(bench, "n1").incarnation
        bench.fsync = 3
        bench.node(1)
        await bench.until(lambda: bench.lan.datagrams)
        assert stored(bench, "n1").incarnation > last

    run(story, tmp_path)


def test_no_segment_is_voted_in_before_it_is_on_disk(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.fsync = 3
        node = bench.node(1)
        await bench.until(lambda: bench.lan.datagrams)
        await asyncio.sleep(2)
        assert node.speaker.why_not_ready() == f"Segment {SEGMENT} is not yet in the snapshot on disk"
        await bench.settled(members=1)
        assert [one.segment.metadata.name for one in stored(bench, "n1").segments] == [SEGMENT]

    run(story, tmp_path)


class Apart:
    """One node's way to the API server, which can be cut."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise Unreachable("refused")
        return getattr(self._api, name)

    async def watch(self, *args: Any, **scope: Any) -> AsyncGenerator[Any, None]:
        async for event in self._api.watch(*args, **scope):
            if self.cut:
                raise Unreachable("refused")
            yield event


def test_a_version_that_only_a_peer_told_is_on_disk_soon(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        one = Apart(bench.api)
        bench.node(1, cast(Api, one))
        bench.node(2)
        bench.node(3)
        await bench.settled(members=3)
        await asyncio.sleep(5)
        one.cut = True
        bench.node(4)
        await bench.settled(members=4)
        version = bench.api.objects(SEGMENTS)[SEGMENT].spec.version
        await asyncio.sleep(1)
        assert [kept.segment.spec.version for kept in stored(bench, "n1").segments] == [version]

    run(story, tmp_path)


def test_other_lans_are_kept_too(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.kept()
        spec = msgspec.structs.replace(bench.api.objects(SEGMENTS)[SEGMENT].spec, subnets=("203.0.113.0/24",))
        bench.api.write(SEGMENTS, Segment(metadata=ObjectMeta(name="203.0.113.0-24"), spec=spec))
        await asyncio.sleep(2)
        assert [one.segment.metadata.name for one in stored(bench, "n1").segments] == [SEGMENT, "203.0.113.0-24"]

    run(story, tmp_path)


def test_what_changes_is_written_within_seconds_and_not_each_time(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.kept()
        path = tmp_path / "n1" / "snapshot"
        seen = set[int]()
        for number in range(100):
            bench.allocate(IPv4Address(f"192.0.2.{100 + number}"))
            await asyncio.sleep(0.05)
            seen.add(path.stat().st_ino)
        await asyncio.sleep(2)
        assert len(stored(bench, "n1").allocations) == 100
        assert len(seen) <= 7

    run(story, tmp_path)


def test_an_unwritable_disk_stops_nothing_and_leaves_nothing_that_is_out_of_date(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await three_and_a_leader(bench)
        (owner,) = await bench.ask()
        directory = tmp_path / f"n{owner[-1]}"
        (directory / ".snapshot.new").mkdir()  # so that no file of that name can be made
        (directory / ".snapshot.new" / "full").touch()
        bench.allocate(IPv4Address("192.0.2.101"))
        for _ in range(100):
            assert await bench.ask() == [owner]
            await asyncio.sleep(0.1)
        assert not (directory / "snapshot").exists()
        assert not any(each.speaker.why_not_ready() for each in bench.nodes.values())
        (directory / ".snapshot.new" / "full").unlink()
        (directory / ".snapshot.new").rmdir()
        await asyncio.sleep(RETRY + 1)
        assert len(stored(bench, directory.name).allocations) == 2

    run(story, tmp_path)


def test_the_key_is_nowhere_but_in_the_file(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.kept()
        assert "kkkk" not in repr(stored(bench, "n1"))
        (file,) = (tmp_path / "n1").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "n1").stat().st_mode & 0o777 == 0o700

    run(story, tmp_path)

"""How a speaker starts, waits, refuses and ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from lbprovider.api import names
from lbprovider.api.core import Secret
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import ANNOTATION, Registration, registration
from lbprovider.api.resources import LEASES, NODES, SECRETS, SEGMENTS
from lbprovider.api.segment import Segment
from lbprovider.errors import ClusterError, Forbidden, KindMissing, LeaseLost, NotFound, PortTaken, Unreachable
from lbprovider.speaker.files import NAME
from lbprovider.speaker.succession import FORMER
from lbprovider.telemetry import HealthServer
from tests.fakes.api_server import Call
from tests.unit.speaker.bench import NAMESPACE, SEGMENT, Bench, run


def failing(plural: str, error: ClusterError) -> Callable[[Call], ClusterError | None]:
    return lambda call: error if call.plural == plural else None


@pytest.mark.parametrize(
    ("plural", "error"),
    [
        ("segments", KindMissing("no kind Segment: apply the CRDs")),
        ("ipallocations", Forbidden("can't list ipallocations")),
        ("secrets", Forbidden("can't list secrets")),
        ("leases", Forbidden("can't create leases")),
        ("namespaces", Forbidden("can't get namespaces")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_waiting_does_not_mend_ends_the_speaker(plural: str, error: ClusterError) -> None:
    async def story(bench: Bench) -> None:
        bench.api.fault = failing(plural, error)
        node = bench.node(1)
        with pytest.raises(type(error), match=str(error)):
            await asyncio.wait_for(node.task, 10)
        bench.nodes.clear()

    run(story)


def test_a_node_that_is_not_there_ends_the_speaker() -> None:
    async def story(bench: Bench) -> None:
        node = bench.node(1)
        bench.api.remove(NODES, "n1")
        with pytest.raises(NotFound, match="there is no Node 'n1'"):
            await asyncio.wait_for(node.task, 10)
        bench.nodes.clear()

    run(story)


def test_an_api_server_that_is_away_at_the_start_is_waited_for() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        bench.api.fault = lambda _: Unreachable("no connection to 192.0.2.1")
        node = bench.node(1)
        await asyncio.sleep(600)
        assert not node.task.done()
        assert node.speaker.why_not_ready() == "no connection to 192.0.2.1"
        bench.api.fault = lambda _: None
        await bench.settled(members=1, within=60)
        await bench.until(lambda: bench.allocation().status.leader == "n1")

    run(story)


def test_without_a_key_it_waits_and_says_so_and_an_unusable_one_is_none() -> None:
    async def story(bench: Bench) -> None:
        secret = bench.api.objects(SECRETS)[f"{NAMESPACE}/{names.HEARTBEAT_SECRET}"]
        bench.api.write(SECRETS, Secret(metadata=secret.metadata, data={"key-1": "c2hvcnQ="}))
        node = bench.node(1)
        await asyncio.sleep(60)
        why = "waits for the Secret lbprovider-system/lbprovider-heartbeat, which the controller makes"
        assert node.speaker.why_not_ready() == why
        bench.api.write(SECRETS, secret)
        await bench.settled(members=1, within=1)

    run(story)


def test_sigterm_before_there_is_anything_to_hand_on_ends_it_at_once() -> None:
    async def story(bench: Bench) -> None:
        bench.api.fault = lambda _: Unreachable("refused")
        node = bench.node(1)
        await asyncio.sleep(1)
        node.stop.set()
        await asyncio.wait_for(node.task, 1)
        bench.nodes.clear()

    run(story)


def test_a_second_speaker_on_the_node_is_refused_before_it_takes_anything(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.node(1)
        await asyncio.sleep(1)
        bench.allocate()
        await bench.settled(members=1)
        await asyncio.sleep(20)  # all that there is to write is written
        before, kept = taken(bench), (tmp_path / "n1" / NAME).read_bytes()
        first = bench.nodes["n1"]
        second = bench.node(1)
        await asyncio.sleep(FORMER)
        assert not second.task.done()
        with pytest.raises(PortTaken, match="another speaker runs on this node"):
            await second.task
        bench.nodes["n1"] = first
        assert taken(bench) == before
        assert (tmp_path / "n1" / NAME).read_bytes() == kept
        assert not first.speaker.why_not_ready()

    run(story, tmp_path)


def taken(bench: Bench) -> tuple[str | None, Mapping[str, str]]:
    """Who holds the Lease of n1, and what is registered there."""
    lease = bench.api.objects(LEASES)[f"{NAMESPACE}/n1"]
    return lease.spec.holder_identity, lease.metadata.annotations


def test_one_whose_former_speaker_still_ends_waits_for_it_says_so_once_and_lets_it_hand_on() -> None:
    """As after a deletion of its Pod by force: of two, the former one leaves the list of members before it ends."""

    async def story(bench: Bench) -> None:
        bench.node(1)
        bench.node(2)
        await bench.settled(members=2)
        former = bench.nodes[await bench.led()]
        incarnation = told_of(bench, former.name).incarnation
        with capture_logs() as logs:
            former.stop.set()
            new = bench.node(int(former.name[1:]))
            while not former.task.done():
                await asyncio.sleep(0.001)
                assert await bench.ask()
                assert new.speaker.why_not_ready().startswith("waits for a former speaker of this node to end: another")
                assert told_of(bench, former.name).incarnation == incarnation
            await former.task
            await bench.settled(members=2)
        assert [each["log_level"] for each in logs if each["event"].startswith("waits for a former")] == ["warning"]
        assert told_of(bench, former.name).incarnation == incarnation + 1

    run(story)


def test_one_that_is_told_to_end_while_its_former_speaker_still_does_ends_at_once() -> None:
    async def story(bench: Bench) -> None:
        first = bench.node(1)
        await asyncio.sleep(1)
        second = bench.node(1)
        await asyncio.sleep(1)
        second.stop.set()
        await asyncio.wait_for(second.task, 0.1)
        bench.nodes["n1"] = first

    run(story)


def test_the_port_of_health_is_taken_once_a_former_speaker_has_let_it_go() -> None:
    async def scenario() -> None:
        former = HealthServer(0, lambda: "draining")
        port = await former.start()
        new = HealthServer(port, lambda: "")
        with pytest.raises(PortTaken, match=f"can't serve health on TCP port {port}: .*address already in use"):
            await new.start()
        await former.stop()
        assert await new.start() == port
        await new.stop()

    asyncio.run(scenario())


def told_of(bench: Bench, name: str) -> Registration:
    told = registration(bench.api.objects(LEASES)[f"{NAMESPACE}/{name}"])
    assert told is not None
    return told


def test_one_whose_node_has_a_later_speaker_ends() -> None:
    async def story(bench: Bench) -> None:
        node = bench.node(1)
        await asyncio.sleep(1)
        lease = bench.api.objects(LEASES)[f"{NAMESPACE}/n1"]
        spec = msgspec.structs.replace(lease.spec, holder_identity="another")
        told = {ANNOTATION: Registration(incarnation=1000).encode()}
        metadata = msgspec.structs.replace(lease.metadata, annotations=told)
        bench.api.write(LEASES, msgspec.structs.replace(lease, metadata=metadata, spec=spec))
        with pytest.raises(LeaseLost, match="another speaker for node n1 has started"):
            await asyncio.wait_for(node.task, 20)
        bench.nodes.clear()

    run(story)


def test_each_start_has_a_higher_incarnation_and_registers_where_it_is() -> None:
    async def story(bench: Bench) -> None:
        last = 0
        for _ in range(3):
            node = bench.node(1)
            await asyncio.sleep(1)
            told = registration(bench.api.objects(LEASES)[f"{NAMESPACE}/n1"])
            assert told is not None
            assert told.incarnation > last
            assert [one.segment for one in told.attachments] == [SEGMENT]
            last = told.incarnation
            await node.kill()

    run(story)


def test_whom_it_hears_is_registered_within_seconds_and_not_with_every_datagram() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        await bench.three()
        await asyncio.sleep(2)
        began, mark = bench.clock(), len(bench.api.calls)
        await asyncio.sleep(100)
        writes = [call for call in bench.api.calls[mark:] if call.verb == "update" and call.plural == LEASES.plural]
        # Three speakers, each once in 10 s: hundreds of datagrams, and nothing new.
        assert 27 <= len(writes) <= 33
        assert bench.clock() - began == pytest.approx(100, abs=1)
        await bench.nodes.pop("n3").kill()
        await asyncio.sleep(2)
        for name in ("n1", "n2"):
            told = bench.api.objects(LEASES)[f"{NAMESPACE}/{name}"].metadata.annotations
            assert '"n3"]' not in told["lbprovider.io/registration"].split('"hears"')[1].split("]")[0]

    run(story)


def test_a_segment_that_is_deleted_comes_back_and_the_address_with_it() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        await bench.led()
        bench.api.remove(SEGMENTS, SEGMENT)
        for _ in range(3000):
            assert len(await bench.ask()) <= 1
            await asyncio.sleep(0.002)
        assert len(await bench.ask()) == 1
        assert len(bench.api.objects(SEGMENTS)[SEGMENT].spec.lists[-1].members) == 3

    run(story)


def test_one_bad_object_stops_none_of_the_others() -> None:
    async def story(bench: Bench) -> None:
        bench.api.write(SEGMENTS, Segment(metadata=ObjectMeta(name="203.0.113.0-24")))
        bench.allocate()
        bench.node(1)
        await bench.settled(members=1)
        await bench.until(lambda: bench.allocation().status.leader == "n1")

    run(story)


def test_it_carries_nothing_that_only_the_controller_needs() -> None:
    program = (
        "import sys; sys.argv = ['lbprovider', 'speaker', '--node-name', 'n1', '--service-account-dir', '/nowhere']\n"
        "from lbprovider.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code == 2, end.code\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'kubernetes', 'kopf', 'pydantic', 'scapy'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "[]"
    assert done.stderr.count("\n") == 1

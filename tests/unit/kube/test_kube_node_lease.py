"""A speaker's own Lease: incarnations that only grow, and a registration that is soon known. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog

from lbprovider.api import names
from lbprovider.api.core import Lease, LeaseSpec, Node
from lbprovider.api.meta import ObjectMeta, OwnerReference
from lbprovider.api.registration import ANNOTATION, Attachment, Registration, registration
from lbprovider.api.resources import LEASES, NODES
from lbprovider.errors import Conflict, LeaseLost, NotFound, Unreachable
from lbprovider.kube.node_lease import DURATION, GAP, PERIOD, TIMEOUT, NodeLease
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

Clock = Callable[[], float]
LAN = Attachment(segment="192.0.2.0-24", interface="eth0", address="192.0.2.1", mac="02:00:00:00:00:01")


def speaker(api: FakeApi, clock: Clock) -> NodeLease:
    return NodeLease(api, namespace="ns", node="n1", clock=clock, wall=lambda: 1e9 + clock(), rand=lambda: 0.5)


def stored(api: FakeApi) -> Lease:
    return api.objects(LEASES)["ns/n1"]


def told(api: FakeApi) -> Registration:
    found = registration(stored(api))
    assert found is not None
    return found


def writes(api: FakeApi) -> int:
    return sum(call.plural == "leases" and call.verb in {"create", "update"} for call in api.calls)


def play(story: Callable[[FakeApi, Clock], Coroutine[Any, Any, None]], *, latency: float = 0.0) -> None:
    api = FakeApi(latency=latency)
    api.write(NODES, Node(metadata=ObjectMeta(name="n1", uid="node-uid")))
    virtual_time.run(lambda clock: story(api, clock))


@asynccontextmanager
async def kept(api: FakeApi, clock: Clock, *, at_least: int = 0) -> AsyncIterator[NodeLease]:
    """The Lease of a speaker that has started and runs, until the end of the block and no shorter."""
    lease = speaker(api, clock)
    await lease.start(at_least=at_least)
    running = asyncio.create_task(lease.run())
    yield lease
    assert not running.done()
    running.cancel()


def test_the_first_start_makes_the_lease() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        lease = speaker(api, clock)
        lease.register((LAN,))
        first = await lease.start()
        made = stored(api)
        assert made.metadata.labels == {names.SPEAKER_LABEL: ""}
        assert made.metadata.owner_references == (
            OwnerReference(api_version="v1", kind="Node", name="n1", uid="node-uid"),
        )
        assert (made.spec.holder_identity or "").startswith("n1_")
        assert made.spec.lease_duration_seconds == DURATION
        assert told(api) == Registration(incarnation=first, attachments=(LAN,))

    play(story)


def test_each_start_takes_the_next_incarnation() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        first, second, third = [await speaker(api, clock).start() for _ in range(3)]
        assert (second, third) == (first + 1, first + 2)
        # A snapshot on disk knows of a later one than the Lease, or of an earlier one.
        assert await speaker(api, clock).start(at_least=1000) == 1001
        assert await speaker(api, clock).start(at_least=400) == 1002

    play(story)


def test_what_others_wrote_on_the_lease_stays() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        metadata = ObjectMeta(name="n1", namespace="ns", labels={"team": "net"}, annotations={"foreign": "x"})
        api.write(LEASES, Lease(metadata=metadata, spec=LeaseSpec(holder_identity="n1_old")))
        await speaker(api, clock).start()
        assert stored(api).metadata.labels == {"team": "net", names.SPEAKER_LABEL: ""}
        assert stored(api).metadata.annotations["foreign"] == "x"

    play(story)


def test_racing_starters_get_different_incarnations() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        taken = await asyncio.gather(*(speaker(api, clock).start() for _ in range(6)))
        assert len(set(taken)) == 6

    play(story, latency=0.01)


def test_endless_conflicts_are_told() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        api.fault = lambda call: Conflict("no", status=409) if call.verb == "create" else None
        with pytest.raises(Conflict, match="10 others in a row"):
            await speaker(api, clock).start()

    play(story)


def test_a_node_that_is_not_there_is_named() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        api.remove(NODES, "n1")
        with pytest.raises(NotFound, match="there is no Node 'n1': is --node-name right"):
            await speaker(api, clock).start()

    play(story)


def test_it_is_renewed_each_period() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock):
            before = stored(api).spec
            await asyncio.sleep(10 * PERIOD + 1)
            assert writes(api) == 11
            assert stored(api).spec.renew_time != before.renew_time
            assert stored(api).spec.acquire_time == before.acquire_time

    play(story)


def test_a_change_is_told_at_once_and_many_in_one_write() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock) as lease:
            await asyncio.sleep(GAP)
            lease.register((LAN,))
            await asyncio.sleep(0.001)
            assert told(api).attachments == (LAN,)
            assert writes(api) == 2

            for number in range(50):  # a peer that comes and goes
                lease.register((msgspec.structs.replace(LAN, hears=(f"n{number}",)),))
                await asyncio.sleep(0.1)
            await asyncio.sleep(GAP)
            assert told(api).attachments[0].hears == ("n49",)
            assert writes(api) <= 2 + 5 + 2

            count = writes(api)
            lease.register((msgspec.structs.replace(LAN, hears=("n49",)),))  # nothing new
            await asyncio.sleep(GAP)
            assert writes(api) == count

    play(story)


def test_a_change_whose_write_failed_is_told_soon() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock) as lease:
            await asyncio.sleep(GAP)
            api.fault = lambda _: Unreachable("for a moment")
            lease.register((LAN,))
            await asyncio.sleep(0.001)
            api.fault = lambda _: None
            await asyncio.sleep(GAP)
            assert told(api).attachments == (LAN,)

    play(story)


def test_a_later_speaker_of_the_node_ends_this_one() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        old = speaker(api, clock)
        first = await old.start()
        running = asyncio.create_task(old.run())
        await asyncio.sleep(25)
        new = speaker(api, clock)
        second = await new.start()
        with pytest.raises(
            LeaseLost, match=rf"another speaker for node n1 has started \(incarnation {second}, this one is {first}\)"
        ):
            await running
        assert told(api).incarnation == second
        assert clock() <= 30.1

    play(story)


@pytest.mark.parametrize("spoiled", [False, True], ids=["gone", "spoiled"])
def test_a_lease_that_is_gone_or_spoiled_begins_above_all_that_peers_may_remember(spoiled: bool) -> None:  # noqa: FBT001
    async def story(api: FakeApi, clock: Clock) -> None:
        last = [await speaker(api, clock).start() for _ in range(5)][-1]
        if spoiled:
            metadata = msgspec.structs.replace(stored(api).metadata, annotations={ANNOTATION: "spoiled"})
            api.write(LEASES, msgspec.structs.replace(stored(api), metadata=metadata))
        else:
            api.remove(LEASES, "n1", "ns")
        assert await speaker(api, clock).start() > last

    play(story)


def test_of_two_that_started_from_nothing_one_goes_on() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        first = speaker(api, clock)
        await first.start()
        api.remove(LEASES, "n1", "ns")
        second = speaker(api, clock)
        assert await second.start() > first.incarnation
        tasks = [asyncio.create_task(one.run()) for one in (first, second)]
        done, _ = await asyncio.wait(tasks, timeout=60)
        assert done == {tasks[0]}
        assert isinstance(tasks[0].exception(), LeaseLost)
        tasks[1].cancel()

    play(story)


def test_a_deleted_lease_is_made_again_with_the_node_of_today() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock, at_least=4000) as lease:
            assert lease.incarnation == 4001
            api.remove(NODES, "n1")
            api.remove(LEASES, "n1", "ns")
            await asyncio.sleep(3 * PERIOD)  # without a Node it goes on trying
            assert api.objects(LEASES) == {}
            api.write(NODES, Node(metadata=ObjectMeta(name="n1", uid="another")))
            await asyncio.sleep(2 * PERIOD)
            assert told(api).incarnation == 4001
            assert stored(api).metadata.owner_references[0].uid == "another"

    play(story)


def test_an_edit_by_somebody_is_no_loss() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock) as lease:
            first = lease.incarnation
            edited = msgspec.structs.replace(stored(api).metadata, annotations={})
            api.write(LEASES, msgspec.structs.replace(stored(api), metadata=edited))
            await asyncio.sleep(PERIOD + 1)
            assert told(api).incarnation == first

    play(story)


@pytest.mark.parametrize("how", ["refused", "hanging"])
def test_an_api_server_that_is_down_is_outlived(how: str) -> None:
    def down(_: Call) -> Unreachable | None:
        return Unreachable("down") if how == "refused" else None

    async def story(api: FakeApi, clock: Clock) -> None:
        async with kept(api, clock) as lease:
            api.fault, api.latency = down, 1e9 if how == "hanging" else 0.0
            count = len(api.calls)
            await asyncio.sleep(3600)
            assert 3600 / (PERIOD + TIMEOUT) / 2 < len(api.calls) - count < 3600 / 2
            lease.register((LAN,))
            api.fault, api.latency = (lambda _: None), 0.0
            await asyncio.sleep(PERIOD + TIMEOUT)
            assert told(api).attachments == (LAN,)

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert [entry["reason"] for entry in logs] == ["LeaseNotRenewed", "LeaseRenewed"]


def test_one_that_began_while_the_api_server_was_down_is_told_once_that_is_back() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        last = await speaker(api, clock).start()
        api.fault = lambda _: Unreachable("refused")
        lease = speaker(api, clock)
        lease.register((LAN,))
        lease.resume(last + 1)
        running = asyncio.create_task(lease.run())
        await asyncio.sleep(60)
        api.fault = lambda _: None
        await asyncio.sleep(PERIOD + GAP)
        assert told(api) == Registration(incarnation=last + 1, attachments=(LAN,))
        assert not running.done()
        running.cancel()

    play(story)


def test_one_that_began_while_the_api_server_was_down_ends_where_another_took_its_incarnation() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        last = await speaker(api, clock).start()
        lease = speaker(api, clock)
        lease.resume(last)
        with pytest.raises(LeaseLost, match="another speaker for node n1 has started"):
            await asyncio.wait_for(lease.run(), PERIOD + GAP)

    play(story)


def test_that_it_ignores_the_exclude_label_is_registered_for_those_who_ask_which_nodes_may_announce() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        assert not told_by(await started(api, clock, ignores=False))
        assert told_by(await started(api, clock, ignores=True))

    async def started(api: FakeApi, clock: Clock, *, ignores: bool) -> Registration:
        await NodeLease(api, namespace="ns", node="n1", ignores_exclude_label=ignores, clock=clock).start()
        return told(api)

    def told_by(found: Registration) -> bool:
        return found.ignores_exclude_label

    play(story)

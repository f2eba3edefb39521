"""Events are there where people look, and however much happens, few of them are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import Event, Node
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import EVENTS
from lbprovider.kube.events import Recorder
from lbprovider.speaker.telling import BURST, PER_SECOND, WINDOW, Teller, own_node
from tests.fakes import virtual_time
from tests.fakes.api_server import FakeApi


class World:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.api = FakeApi()
        self.nodes = {"n1": Node(metadata=ObjectMeta(name="n1", uid="uid-of-n1"))}
        recorder = Recorder(self.api, component="lbprovider-speaker", instance="n1", clock=clock)
        self.teller = Teller(recorder, lambda: own_node(self, "n1"), clock=clock)

    def node(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def tell(self, number: int = 10, services: int = 1, reason: str = "NodeSilent") -> None:
        claims = tuple(ServiceClaim(namespace="shop", name=f"web-{n}", uid=f"uid-{n}") for n in range(services))
        spec = IPAllocationSpec(address=f"192.0.2.{number}", pool="lan", services=claims)
        about = IPAllocation(metadata=ObjectMeta(name=spec.address, uid=f"uid-of-{number}"), spec=spec)
        self.teller.of_address(about, "Warning", reason, f"n1 answers for {spec.address}")

    def events(self) -> list[Event]:
        return list(self.api.objects(EVENTS).values())


def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main(clock: Callable[[], float]) -> None:
        world = World(clock)
        task = asyncio.get_running_loop().create_task(world.teller.run())
        try:
            await story(world)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    virtual_time.run(main)


def test_an_address_is_told_of_beneath_its_allocation_and_its_services() -> None:
    async def story(world: World) -> None:
        world.tell(10, services=2)
        await asyncio.sleep(1)
        about = [event.involved_object for event in world.events()]
        assert [(one.kind, one.namespace, one.name, one.uid) for one in about] == [
            ("IPAllocation", "", "192.0.2.10", "uid-of-10"),
            ("Service", "shop", "web-0", "uid-0"),
            ("Service", "shop", "web-1", "uid-1"),
        ]
        assert {(event.metadata.namespace, event.type, event.reason, event.message) for event in world.events()} == {
            (where, "Warning", "NodeSilent", "n1 answers for 192.0.2.10") for where in ("default", "shop")
        }

    run(story)


def test_of_many_a_few_are_told_one_by_one_and_the_rest_in_one_event_on_the_node() -> None:
    async def story(world: World) -> None:
        for number in range(100):
            world.tell(number, reason="Drain" if number == 99 else "NodeSilent")
        await asyncio.sleep(WINDOW + 1)
        single = [event for event in world.events() if event.involved_object.kind != "Node"]
        gathered = [event for event in world.events() if event.involved_object.kind == "Node"]
        assert len(single) == BURST
        assert [(event.involved_object.uid, event.reason, event.message) for event in gathered] == [
            (
                "uid-of-n1", "NodeSilent",
                ("94 addresses at once, told here together: 192.0.2.5, 192.0.2.6, 192.0.2.7, 192.0.2.8, 192.0.2.9 "
                "and 89 more"),
            ),
            ("uid-of-n1", "Drain", "1 addresses at once, told here together: 192.0.2.99"),
        ]  # fmt: skip

    run(story)


def test_what_happens_all_the_time_is_told_at_a_steady_rate() -> None:
    async def story(world: World) -> None:
        for second in range(100):
            for number in range(20):
                world.tell(number, reason=f"Reason{second % 3}")
            await asyncio.sleep(1)
        single = [event for event in world.events() if event.involved_object.kind != "Node"]
        gathered = len(world.events()) - len(single)
        assert len(single) <= BURST + 100 * PER_SECOND
        assert gathered <= 3 * (100 / WINDOW + 1)

    run(story)


def test_a_shared_address_never_takes_more_than_the_burst() -> None:
    async def story(world: World) -> None:
        world.tell(10, services=500)
        await asyncio.sleep(1)
        assert len(world.events()) == BURST

    run(story)


def test_a_node_that_is_not_known_is_named_as_the_kubelet_names_it() -> None:
    async def story(world: World) -> None:
        world.nodes.clear()
        world.teller.of_node("Warning", "NotReady", "no quorum answers")
        await asyncio.sleep(1)
        (event,) = world.events()
        assert (event.involved_object.name, event.involved_object.uid) == ("n1", "n1")

    run(story)

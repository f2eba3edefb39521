"""EndpointSlices for the lab's Services: made once, and taken away with them, in that order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, cast

from lbprovider.api.core import Service, ServiceSpec
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import SERVICES
from lbprovider.errors import Unreachable
from lbprovider.lab import objects
from lbprovider.lab.backing import Backing
from lbprovider.lab.lan import LanNode
from lbprovider.net.namespaces import Namespace
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

NODE = LanNode(
    name="node1",
    namespace=cast("Namespace", None),
    address4=IPv4Address("198.51.100.11"),
    address6=IPv6Address("2001:db8:1::b"),
    management=IPv4Address("10.0.0.11"),
    pods4=IPv4Network("10.244.1.0/24"),
    pods6=IPv6Network("2001:db8:244:1::/64"),
    mac="02:00:00:00:00:01",
)


def service(name: str) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ServiceSpec(type="LoadBalancer", ip_families=("IPv4", "IPv6")),
    )


def slices(api: FakeApi) -> list[str]:
    return sorted(api.objects(objects.ENDPOINT_SLICES))


def play(api: FakeApi, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main(_: Callable[[], float]) -> None:
        backing = asyncio.create_task(Backing(api, [NODE]).run())
        await asyncio.sleep(1)
        await story()
        assert not backing.done()
        backing.cancel()

    virtual_time.run(main)


def test_slices_come_and_go_with_their_service() -> None:
    api = FakeApi()

    async def story() -> None:
        api.write(SERVICES, service("web"))
        await asyncio.sleep(1)
        assert slices(api) == ["default/web-ipv4", "default/web-ipv6"]
        api.remove(SERVICES, "web", "default")
        await asyncio.sleep(1)
        assert slices(api) == []

    play(api, story)


def test_one_that_is_made_anew_at_once_keeps_its_slices() -> None:
    failures = [Unreachable("later")]
    api = FakeApi(fault=lambda call: failures.pop() if call.verb == "delete" and failures else None)

    async def story() -> None:
        api.write(SERVICES, service("web"))
        await asyncio.sleep(1)
        api.remove(SERVICES, "web", "default")
        api.write(SERVICES, service("web"))
        await asyncio.sleep(60)
        assert not failures
        assert slices(api) == ["default/web-ipv4", "default/web-ipv6"]

    play(api, story)


def test_what_can_not_be_made_is_given_up_with_its_service() -> None:
    def fault(call: Call) -> Unreachable | None:
        return Unreachable("never") if call.verb == "create" else None

    api = FakeApi(fault=fault)

    async def story() -> None:
        api.write(SERVICES, service("web"))
        await asyncio.sleep(60)
        api.remove(SERVICES, "web", "default")
        await asyncio.sleep(60)
        tried = len(api.calls)
        await asyncio.sleep(600)
        assert [each.verb for each in api.calls[tried:] if each.plural == "endpointslices"] == []

    play(api, story)

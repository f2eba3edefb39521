"""Which forwards the Services of a cluster mean to a node, and when the kernel is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import pytest

from lbprovider.api.core import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.errors import HostError
from lbprovider.kube.ports import Unreadable
from lbprovider.lab.node import PAUSE, RETRY, Services, follow, forwards, frontends
from lbprovider.net.nftables_messages import Backend, Frontend
from tests.fakes import virtual_time

VIP4, VIP6 = IPv4Address("198.51.100.10"), IPv6Address("2001:db8:1::10")
OWN: Final = (IPv4Address("10.244.1.1"), IPv6Address("2001:db8:244:1::1"))
HTTP: Final = ServicePort(port=80)
Forwarded = Mapping[Frontend, Backend]


def service(name: str, *addresses: str, ports: Sequence[ServicePort] = (HTTP,), kind: str = "LoadBalancer") -> Service:
    return served(name, *(LoadBalancerIngress(ip=each, ip_mode="VIP") for each in addresses), ports=ports, kind=kind)


def served(
    name: str, *ingress: LoadBalancerIngress, ports: Sequence[ServicePort] = (HTTP,), kind: str = "LoadBalancer"
) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ServiceSpec(type=kind, ports=tuple(ports)),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress)),
    )


def test_each_address_is_forwarded_at_each_port() -> None:
    ports = (HTTP, ServicePort(port=53, protocol="UDP"))

    assert frontends(service("web", str(VIP4), str(VIP6), ports=ports)) == {
        Frontend(VIP4, "TCP", 80),
        Frontend(VIP4, "UDP", 53),
        Frontend(VIP6, "TCP", 80),
        Frontend(VIP6, "UDP", 53),
    }


@pytest.mark.parametrize(
    "given",
    [
        service("pending"),
        service("typed", str(VIP4), kind="ClusterIP"),
        service("sctp", str(VIP4), ports=[ServicePort(port=80, protocol="SCTP")]),
        served("named", LoadBalancerIngress(hostname="web.example.org")),
        served("proxied", LoadBalancerIngress(ip=str(VIP4), ip_mode="Proxy")),
        service("wrong", "198.51.100"),
    ],
    ids=lambda each: each.metadata.name,
)
def test_what_is_not_ours_to_forward(given: Service) -> None:
    assert frontends(given) == frozenset()


def test_a_bad_entry_takes_nothing_from_the_others() -> None:
    assert frontends(service("web", "nonsense", str(VIP4))) == {Frontend(VIP4, "TCP", 80)}


def test_forwards_lead_to_the_own_server_of_the_same_family() -> None:
    wanted = [Frontend(VIP4, "TCP", 80), Frontend(VIP6, "UDP", 53)]

    assert forwards(wanted, OWN, 8080) == {wanted[0]: Backend(OWN[0], 8080), wanted[1]: Backend(OWN[1], 8080)}
    assert forwards(wanted, OWN[:1], 8080) == {wanted[0]: Backend(OWN[0], 8080)}


# --- the sink


def test_a_service_that_can_not_be_read_goes_on_as_it_was() -> None:
    services = Services()
    services.replaced([service("web", str(VIP4)), service("other", str(VIP6))], ())
    bad = Unreadable("Service", ObjectMeta(name="web", namespace="default"), "what is wrong")

    services.unreadable(bad)
    services.replaced([], [bad, Unreadable("Service", ObjectMeta(), "it has no name")])

    assert set(services.wanted) == {Frontend(VIP4, "TCP", 80)}


def test_only_what_changes_the_forwards_is_news() -> None:
    services = Services()

    def news() -> bool:
        told = services.news.is_set()
        services.news.clear()
        return told

    services.replaced([], ())
    assert news(), "the first list ends what an earlier life left"
    services.changed(service("web"))
    assert not news()
    services.changed(service("web", str(VIP4)))
    assert news()
    services.changed(service("web", str(VIP4)))
    assert not news()
    services.deleted(Object(metadata=ObjectMeta(name="web", namespace="default")))
    assert news()
    assert set(services.wanted) == set()
    services.deleted(Object(metadata=ObjectMeta(name="never-seen", namespace="default")))
    assert not news()


# --- telling the kernel


class Kernel:
    """Remembers what it was told when, and refuses as often as asked to."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.told: list[tuple[float, int]] = []
        self.holds: Forwarded = {}
        self.refuses = 0
        self._clock = clock

    def replace(self, wanted: Forwarded) -> None:
        self.told.append((round(self._clock(), 3), len(wanted)))
        if self.refuses:
            self.refuses -= 1
            raise HostError("the kernel refuses")
        self.holds = dict(wanted)


Story = Callable[[Services, Kernel], Coroutine[Any, Any, None]]


def play(story: Story) -> None:
    async def main(clock: Callable[[], float]) -> None:
        services, kernel = Services(), Kernel(clock)
        task = asyncio.ensure_future(follow(services, kernel, OWN))
        await story(services, kernel)
        assert not task.done()
        task.cancel()

    virtual_time.run(main)


def test_the_kernel_is_left_alone_until_the_first_list() -> None:
    async def story(services: Services, kernel: Kernel) -> None:
        await asyncio.sleep(60)
        assert kernel.told == []
        services.replaced([], ())
        await asyncio.sleep(1)
        assert kernel.told == [(60.0, 0)]

    play(story)


def test_a_burst_is_told_at_once_and_then_in_a_few_steps() -> None:
    async def story(services: Services, kernel: Kernel) -> None:
        for number in range(1000):
            services.changed(service(f"web-{number}", str(VIP4 + number)))
            await asyncio.sleep(0.001)
        await asyncio.sleep(PAUSE)

        assert kernel.told[0] == (0.0, 1)
        assert len(kernel.told) <= 2 + 1 / PAUSE
        assert len(kernel.holds) == 1000
        told = list(kernel.told)
        await asyncio.sleep(60)
        assert kernel.told == told, "nothing new is nothing to tell"

    play(story)


def test_what_the_kernel_refuses_is_tried_again_until_it_takes_it() -> None:
    async def story(services: Services, kernel: Kernel) -> None:
        kernel.refuses = 3
        services.changed(service("web", str(VIP4)))
        await asyncio.sleep(10 * RETRY)
        assert kernel.holds == {Frontend(VIP4, "TCP", 80): Backend(OWN[0], 8080)}
        assert [at for at, _ in kernel.told] == pytest.approx([0, RETRY, 2 * RETRY, 3 * RETRY])

    play(story)

"""What ``ports.Api`` promises, against any server: the fake in memory, the lab's, a real kube-apiserver.

Each case is a coroutine of an ``Api`` and a namespace that exists, and needs our CRDs. It makes objects of its own,
removes the cluster-scoped ones, and can run again on the same server with another namespace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from ipaddress import ip_address
from typing import Final

import msgspec
import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus
from lbprovider.api.core import Lease, LeaseSpec, Service, ServicePort, ServiceSpec
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, LEASES, SERVICES
from lbprovider.errors import Conflict, Gone, NotFound
from lbprovider.kube import patches
from lbprovider.kube.ports import Api, Bookmark, Changed, Deleted

Case = Callable[[Api, str], Awaitable[None]]
NOW: Final = "2026-01-01T00:00:00Z"


async def an_object_is_created_once(api: Api, namespace: str) -> None:
    made = await api.create(LEASES, _lease(namespace, "once"))
    assert made.metadata.uid
    assert made.metadata.resource_version
    assert made.spec.holder_identity == "me"
    assert await api.get(LEASES, "once", namespace=namespace) == made
    with pytest.raises(Conflict) as caught:
        await api.create(LEASES, _lease(namespace, "once"))
    assert caught.value.reason == "AlreadyExists"


async def a_missing_object_is_not_found(api: Api, namespace: str) -> None:
    with pytest.raises(NotFound, match="none"):
        await api.get(LEASES, "none", namespace=namespace)
    with pytest.raises(NotFound):
        await api.patch(LEASES, "none", {"spec": {"holderIdentity": "me"}}, namespace=namespace)
    with pytest.raises(NotFound):
        await api.delete(LEASES, "none", namespace=namespace)


async def what_is_gone_is_not_replaced(api: Api, namespace: str) -> None:
    made = await api.create(LEASES, _lease(namespace, "gone"))
    await api.delete(LEASES, "gone", namespace=namespace)
    with pytest.raises((NotFound, Conflict)):
        await api.replace(LEASES, made)
    with pytest.raises(NotFound):
        await api.get(LEASES, "gone", namespace=namespace)
    again = await api.create(LEASES, _lease(namespace, "gone"))
    with pytest.raises(Conflict):  # another one of that name
        await api.replace(LEASES, made)
    with pytest.raises(ValueError, match="has no resourceVersion or uid"):
        await api.replace(LEASES, _lease(namespace, "gone"))
    assert await api.get(LEASES, "gone", namespace=namespace) == again


async def a_replacement_compares_and_swaps(api: Api, namespace: str) -> None:
    made = await api.create(LEASES, _lease(namespace, "cas"))

    async def swap(holder: str) -> bool:
        wanted = msgspec.structs.replace(made, spec=LeaseSpec(holder_identity=holder))
        try:
            await api.replace(LEASES, wanted)
        except Conflict:
            return False
        return True

    winners = await asyncio.gather(*(swap(f"racer-{i}") for i in range(8)))
    assert sum(winners) == 1
    stored = await api.get(LEASES, "cas", namespace=namespace)
    assert stored.spec.holder_identity == f"racer-{winners.index(True)}"


async def one_of_many_creators_wins(api: Api, namespace: str) -> None:
    made = await asyncio.gather(
        *(api.create(LEASES, _lease(namespace, "race", f"racer-{i}")) for i in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, Lease) for answer in made) == 1
    assert sum(isinstance(answer, Conflict) for answer in made) == 7


async def status_and_spec_are_written_apart(api: Api, namespace: str) -> None:
    allocation = _allocation(namespace)
    made = await api.create(
        ALLOCATIONS, msgspec.structs.replace(allocation, status=IPAllocationStatus(leader="nobody"))
    )
    assert made.status == IPAllocationStatus()
    try:
        status = IPAllocationStatus(
            leader="a",
            interface="eth0",
            mac="02:00:00:00:00:01",
            since=NOW,
            conditions=(_condition("Announced", message="answers on eth0"),),
        )
        body = patches.status(made, status)
        assert body is not None
        told = await api.patch(ALLOCATIONS, made.metadata.name, body, subresource="status")
        assert told.status == status
        assert told.spec == made.spec
        assert patches.status(told, status) is None

        moved = msgspec.structs.replace(
            told, spec=msgspec.structs.replace(told.spec, nodes=("a",)), status=IPAllocationStatus()
        )
        replaced = await api.replace(ALLOCATIONS, moved)
        assert replaced.spec.nodes == ("a",)
        assert replaced.status == status

        with pytest.raises(Conflict):  # based on what was seen before the replacement
            await api.patch(ALLOCATIONS, made.metadata.name, body, subresource="status")

        cleared = patches.status(replaced, IPAllocationStatus())
        assert cleared is not None
        assert (await api.patch(ALLOCATIONS, made.metadata.name, cleared, subresource="status")).status == (
            IPAllocationStatus()
        )
    finally:
        await api.delete(ALLOCATIONS, made.metadata.name)


async def a_write_that_changes_nothing_makes_no_version(api: Api, namespace: str) -> None:
    made = await api.create(LEASES, _lease(namespace, "same"))
    same = await api.patch(LEASES, "same", {"spec": {"holderIdentity": "me"}}, namespace=namespace)
    assert same.metadata.resource_version == made.metadata.resource_version


async def a_service_gets_its_addresses_and_conditions(api: Api, namespace: str) -> None:
    service = await api.create(SERVICES, _service(namespace, "web"))
    addresses = [ip_address("192.0.2.10"), ip_address("2001:db8::10")]
    body = patches.service_status(service, addresses, _condition("First"), NOW)
    assert body is not None
    told = await _patch_service(api, service, body)
    assert [(entry.ip, entry.ip_mode) for entry in told.status.load_balancer.ingress] == [
        ("192.0.2.10", "VIP"),
        ("2001:db8::10", "VIP"),
    ]
    assert patches.service_status(told, addresses, _condition("First"), "2027-01-01T00:00:00Z") is None

    second = patches.service_status(told, addresses[:1], _condition("Second", message="m"), NOW)
    assert second is not None
    both = await _patch_service(api, service, second)
    assert [entry.ip for entry in both.status.load_balancer.ingress] == ["192.0.2.10"]
    assert {condition.type for condition in both.status.conditions} == {"First", "Second"}

    clearing = patches.service_status(both, [], _condition("Second", status="False"), "2027-01-01T00:00:00Z")
    assert clearing is not None
    cleared = await _patch_service(api, service, clearing)
    assert cleared.status.load_balancer.ingress == ()
    changed = next(condition for condition in cleared.status.conditions if condition.type == "Second")
    assert (changed.status, changed.message, changed.last_transition_time) == ("False", "", "2027-01-01T00:00:00Z")


async def a_status_never_lands_on_a_later_service_of_the_name(api: Api, namespace: str) -> None:
    service = await api.create(SERVICES, _service(namespace, "again"))
    await api.delete(SERVICES, "again", namespace=namespace)
    await api.create(SERVICES, _service(namespace, "again"))
    body = patches.service_status(service, [ip_address("192.0.2.10")], None, NOW)
    assert body is not None
    with pytest.raises(Conflict):
        await _patch_service(api, service, body)
    assert (await api.get(SERVICES, "again", namespace=namespace)).status.load_balancer.ingress == ()


async def only_what_is_meant_is_deleted(api: Api, namespace: str) -> None:
    made = await api.create(LEASES, _lease(namespace, "meant"))
    with pytest.raises(Conflict):
        await api.delete(LEASES, "meant", namespace=namespace, uid="another")
    with pytest.raises(Conflict):
        await api.delete(LEASES, "meant", namespace=namespace, resource_version="1")
    meta = made.metadata
    await api.delete(LEASES, "meant", namespace=namespace, uid=meta.uid, resource_version=meta.resource_version)
    with pytest.raises(NotFound):
        await api.get(LEASES, "meant", namespace=namespace)


async def a_watch_goes_on_where_a_list_ended(api: Api, namespace: str) -> None:
    mine = {"contract": "watch"}
    await api.create(LEASES, _lease(namespace, "w1", labels=mine))
    await api.create(LEASES, _lease(namespace, "other"))
    listed = await api.list(LEASES, namespace=namespace, label_selector="contract=watch")
    assert [lease.metadata.name for lease in listed.objects] == ["w1"]

    await api.create(LEASES, _lease(namespace, "w2", labels=mine))
    await api.patch(LEASES, "w1", {"spec": {"holderIdentity": "other"}}, namespace=namespace)
    await api.patch(LEASES, "w1", {"metadata": {"labels": {"contract": None}}}, namespace=namespace)
    await api.delete(LEASES, "w2", namespace=namespace)

    seen: list[tuple[str, str]] = []
    last = ""
    stream = api.watch(LEASES, listed.resource_version, namespace=namespace, label_selector="contract=watch")
    async with asyncio.timeout(20), aclosing(stream) as events:
        async for event in events:
            match event:
                case Bookmark(version) if not seen:
                    assert version == listed.resource_version
                case Changed(lease):
                    seen.append(("changed", lease.metadata.name))
                case Deleted(lease):
                    seen.append(("deleted", lease.metadata.name))
                    last = lease.metadata.resource_version
            if len(seen) == 4:
                break
    assert seen == [("changed", "w2"), ("changed", "w1"), ("deleted", "w1"), ("deleted", "w2")]
    # A deletion has a version of its own, from which the next watch goes on without telling of it again.
    await api.create(LEASES, _lease(namespace, "w3", labels=mine))
    again = api.watch(LEASES, last, namespace=namespace, label_selector="contract=watch")
    async with asyncio.timeout(20), aclosing(again) as events:
        async for event in events:
            if not isinstance(event, Bookmark):
                break
    assert isinstance(event, Changed)
    assert event.object.metadata.name == "w3"


async def a_version_too_old_is_gone(api: Api, namespace: str) -> None:
    """On a server that has forgotten its first versions: compacted, or started again since."""

    async def drain() -> None:
        async with asyncio.timeout(20), aclosing(api.watch(LEASES, "1", namespace=namespace)) as events:
            async for _ in events:
                pass

    with pytest.raises(Gone):
        await drain()


CASES: Final[tuple[Case, ...]] = (
    an_object_is_created_once,
    a_missing_object_is_not_found,
    what_is_gone_is_not_replaced,
    a_replacement_compares_and_swaps,
    one_of_many_creators_wins,
    status_and_spec_are_written_apart,
    a_write_that_changes_nothing_makes_no_version,
    a_service_gets_its_addresses_and_conditions,
    a_status_never_lands_on_a_later_service_of_the_name,
    only_what_is_meant_is_deleted,
    a_watch_goes_on_where_a_list_ended,
)
"""All that need nothing but a server; ``a_version_too_old_is_gone`` needs one with a past."""


async def _patch_service(api: Api, service: Service, body: object) -> Service:
    assert isinstance(body, dict)
    meta = service.metadata
    return await api.patch(SERVICES, meta.name, body, namespace=meta.namespace, subresource="status", strategic=True)


def _lease(namespace: str, name: str, holder: str = "me", labels: dict[str, str] | None = None) -> Lease:
    metadata = ObjectMeta(name=name, namespace=namespace, labels=labels or {})
    return Lease(metadata=metadata, spec=LeaseSpec(holder_identity=holder))


def _service(namespace: str, name: str) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=ServiceSpec(type="LoadBalancer", ports=(ServicePort(port=80),)),
    )


def _allocation(namespace: str) -> IPAllocation:
    """Cluster-scoped, so an address of its own for each namespace."""
    address = f"198.51.100.{sum(namespace.encode()) % 256}"
    return IPAllocation(metadata=ObjectMeta(name=address), spec=IPAllocationSpec(address=address, pool="contract"))


def _condition(kind: str, *, status: str = "True", message: str = "") -> Condition:
    assert status in {"True", "False"}
    return Condition(
        type=kind,
        status="True" if status == "True" else "False",
        reason="Contract",
        message=message,
        last_transition_time=NOW,
    )

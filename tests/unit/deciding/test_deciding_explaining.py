"""What `lbprovider explain` says, over clusters small enough to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationStatus
from lbprovider.api.core import Namespace, Node, NodeCondition, NodeStatus, Service
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.pool import IPAddressPool, L2Advertisement, ServiceAllocation
from lbprovider.api.registration import Attachment, Registration
from lbprovider.deciding.explaining import Explanation, Look, explain
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.rehearsal import Rehearsal
from lbprovider.deciding.services import CONDITION
from lbprovider.election.endpoints import Endpoints
from tests.unit.ipam.builders import FOUR, PREFER, SIX, pool, service

SCOPE = Scope(names.DEFAULT_CLASS, default_class=True)
LAN = "10.0.0.0-24"
READY = NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),))


def known(
    pools: Sequence[IPAddressPool],
    services: Sequence[Service],
    *,
    nodes: Mapping[str, Mapping[str, str]] | None = None,
    advertisements: Sequence[str] = ("all",),
) -> Known:
    some = {"n1": {}, "n2": {}} if nodes is None else nodes
    return Known(
        services={one.key: one for one in services},
        namespaces={"web": Namespace(metadata=ObjectMeta(name="web"))},
        nodes={
            name: Node(metadata=ObjectMeta(name=name, labels=labels), status=READY) for name, labels in some.items()
        },
        pools={one.key: one for one in pools},
        advertisements={name: L2Advertisement(metadata=ObjectMeta(name=name)) for name in advertisements},
    )


def on_lan(*nodes: str) -> dict[str, Registration]:
    each = Attachment(
        segment=LAN, interface="eth0", address="10.0.0.200", mac="02:00:00:00:00:01", subnets=("10.0.0.0/24",)
    )
    return {name: Registration(incarnation=1, attachments=(each,)) for name in nodes}


def settled(there: Known, registrations: Mapping[str, Registration]) -> tuple[Known, list[IPAllocation]]:
    """The cluster as the controller leaves it: IPAllocations and statuses written, a leader on each address."""
    rehearsal = Rehearsal(there, (), SCOPE, 0, registrations)
    services = {}
    for key, one in there.services.items():
        outcome = rehearsal.decisions.decide(one)
        assert outcome is not None
        ingress = tuple({"ip": str(address)} for address in outcome.shown)
        shown = {"loadBalancer": {"ingress": ingress}, "conditions": (outcome.condition,)}
        services[key] = msgspec.structs.replace(
            one, status=msgspec.convert(msgspec.to_builtins(shown), type=type(one.status))
        )
    allocations = []
    for address in rehearsal.ledger:
        spec = rehearsal.ledger[address]
        announced = Condition(type="Announced", status="True", reason="Unclaimed", message="n1 took it.")
        status = IPAllocationStatus(
            leader="n1",
            interface="eth0",
            mac="02:00:00:00:00:01",
            since="2026-01-01T00:00:00Z",
            conditions=(announced,),
        )
        allocations.append(IPAllocation(metadata=ObjectMeta(name=names.object_name(address)), spec=spec, status=status))
    changed: Known = _with(there, services)
    return changed, allocations


def _with(there: Known, services: Mapping[str, Service]) -> Known:
    return Known(
        services=services,
        namespaces=there.namespaces,
        nodes=there.nodes,
        pools=there.pools,
        advertisements=there.advertisements,
    )


def told(
    name: str,
    there: Known,
    allocations: Sequence[IPAllocation] = (),
    *,
    registrations: Mapping[str, Registration] | None = None,
    served: bool = True,
    scope: Scope = SCOPE,
) -> Explanation:
    endpoints = Endpoints(ready=frozenset({"n1"})) if served else Endpoints()
    return explain(
        there.services[f"web/{name}"],
        there,
        allocations,
        scope,
        registrations=on_lan("n1", "n2") if registrations is None else registrations,
        backed=lambda *_: endpoints,
        now=0,
    )


def verdicts(found: Explanation) -> list[tuple[str, str, str]]:
    return [(look.pool, look.family, look.verdict) for look in found.pools]


def test_a_service_that_has_what_it_asked_for() -> None:
    there, allocations = settled(known([pool("lan", "10.0.0.0/29")], [service("a")]), on_lan("n1", "n2"))
    found = told("a", there, allocations)
    assert (found.reason, found.shown, found.advice) == ("Assigned", ("10.0.0.0",), ())
    (held,) = found.addresses
    assert (held.address, held.pool, held.rule, held.leader, held.reason) == (
        "10.0.0.0",
        "lan",
        "GeneralPool",
        "n1",
        "Unclaimed",
    )
    assert sorted(held.announcement.ranking) == ["n1", "n2"]
    assert verdicts(found) == [("lan", "IPv4", "Chosen")]


def test_pools_are_told_in_the_order_tried_with_the_reason_each_was_passed_over() -> None:
    pools = [
        pool("a-off", "10.1.0.0/29", auto_assign=False),
        pool("b-pinned", "10.2.0.0/29", pin=ServiceAllocation(namespaces=("other",))),
        pool("c-six", "2001:db8::/64"),
        pool("d-full", "10.3.0.0/32"),
        pool("e-free", "10.4.0.0/29"),
        pool("f-never", "10.5.0.0/29"),
        pool("g-bad", "10.4.0.0/30", created="2026-03-01T00:00:00Z"),
    ]
    there, allocations = settled(known(pools, [service("first"), service("second")]), on_lan("n1"))
    found = told("second", there, allocations)
    assert verdicts(found) == [
        ("b-pinned", "", "PinnedAway"),
        ("a-off", "", "AutoAssignOff"),
        ("c-six", "IPv4", "NoPoolOfFamily"),
        ("d-full", "IPv4", "Exhausted"),
        ("e-free", "IPv4", "Chosen"),
        ("f-never", "", "NotTried"),
        ("g-bad", "", "Overlapping"),
    ]
    full = next(look for look in found.pools if look.pool == "d-full")
    assert full.message.startswith("1 of 1 IPv4 addresses are in use")


def test_one_that_lacks_a_family_is_told_of_each_pool_and_what_to_do() -> None:
    there, allocations = settled(known([FOUR], [service("a", **PREFER)]), on_lan("n1"))
    found = told("a", there, allocations)
    assert found.reason == "SingleFamilyOnly"
    assert [held.address for held in found.addresses] == ["10.0.0.0"]
    assert verdicts(found) == [("four", "IPv4", "Chosen"), ("four", "IPv6", "NoPoolOfFamily")]
    assert found.advice == (found.message,)


def test_dual_stack_from_two_pools() -> None:
    there, allocations = settled(known([FOUR, SIX], [service("a", **PREFER)]), on_lan("n1"))
    found = told("a", there, allocations)
    assert [(held.address, held.pool) for held in found.addresses] == [("10.0.0.0", "four"), ("2001:db8::", "six")]
    assert [look for look in verdicts(found) if look[2] == "Chosen"] == [
        ("four", "IPv4", "Chosen"),
        ("six", "IPv6", "Chosen"),
    ]


def test_a_refused_request_says_who_has_the_address() -> None:
    there, allocations = settled(
        known([pool("lan", "10.0.0.0/29")], [service("first"), service("second", ips="10.0.0.0")]), on_lan("n1")
    )
    found = told("second", there, allocations)
    assert (found.reason, found.addresses) == ("AddressTaken", ())
    assert "Service web/first" in found.message
    assert found.pools == (
        Look("lan", "", "NotTried", "What the Service asks for was refused before any pool was searched."),
    )
    assert found.advice == (found.message,)


def test_one_that_names_a_pool_is_told_of_that_pool_alone() -> None:
    pools = [pool("a", "10.0.0.0/29"), pool("b", "10.0.1.0/29", auto_assign=False)]
    there, allocations = settled(known(pools, [service("a", named="b")]), on_lan("n1"))
    found = told("a", there, allocations)
    assert verdicts(found) == [("b", "IPv4", "Chosen")]
    assert found.addresses[0].rule == "NamedPool"


def test_an_address_that_another_pool_would_give_today_is_kept_and_said() -> None:
    there, allocations = settled(known([pool("lan", "10.0.0.4/30")], [service("a")]), on_lan("n1"))
    earlier = pool("first", "10.0.0.0/30")
    grown = Known(
        services=there.services,
        namespaces=there.namespaces,
        nodes=there.nodes,
        pools={**there.pools, earlier.key: earlier},
        advertisements=there.advertisements,
    )
    found = told("a", grown, allocations)
    assert [(held.address, held.rule) for held in found.addresses] == [("10.0.0.4", "Kept")]
    assert verdicts(found)[0] == ("first", "IPv4", "Chosen")


@pytest.mark.parametrize(
    ("spec", "scope", "reason", "says"),
    [
        ({"type": "ClusterIP"}, SCOPE, "OtherType", "only type LoadBalancer"),
        ({"load_balancer_class": "other.io/lb"}, SCOPE, "OtherClass", "--lb-class"),
        ({}, Scope(names.DEFAULT_CLASS, default_class=False), "OtherClass", "--no-default-class"),
    ],
    ids=["type", "class", "no class"],
)
def test_one_that_is_not_ours(spec: Mapping[str, Any], scope: Scope, reason: str, says: str) -> None:
    found = told("a", known([FOUR], [service("a", **spec)]), scope=scope)
    assert found.reason == reason
    assert says in found.message
    assert found.pools == ()


def test_one_that_makes_no_sense() -> None:
    there, allocations = settled(known([FOUR], [service("a", ips="nonsense")]), on_lan("n1"))
    found = told("a", there, allocations)
    assert (found.reason, found.addresses) == ("InvalidAddress", ())
    assert found.advice == (found.message,)


def test_an_ipallocation_whose_name_is_no_addresses_holds_none() -> None:
    there, allocations = settled(known([FOUR], [service("a")]), on_lan("n1"))
    (one,) = allocations
    nameless = msgspec.structs.replace(one, metadata=ObjectMeta(name="lan-1"))
    assert told("a", there, [*allocations, nameless]) == told("a", there, allocations)


def test_one_that_makes_no_sense_any_more_keeps_what_it_holds() -> None:
    there, allocations = settled(known([FOUR], [service("a")]), on_lan("n1", "n2"))
    ((key, one),) = there.services.items()
    senseless = msgspec.structs.replace(service("a", ips="nonsense"), status=one.status)
    found = told("a", _with(there, {key: senseless}), allocations)
    assert found.reason == "InvalidAddress"
    assert [(held.address, held.rule, held.leader) for held in found.addresses] == [("10.0.0.0", "Kept", "n1")]
    assert found.pools == ()
    assert found.advice[0] == found.message


def test_no_pool_at_all() -> None:
    found = told("a", known([], [service("a")]))
    assert found.reason == "NoPools"
    assert found.advice == ("There is no IPAddressPool yet; create one.",)


def test_a_status_that_lags_behind_is_said() -> None:
    found = told("a", known([FOUR], [service("a")]))
    assert found.reason == "Assigned"
    assert found.shown == ()
    assert "status doesn't say so yet" in found.advice[0]


def test_nobody_may_announce_it() -> None:
    nodes = {"n1": {names.EXCLUDE_NODE_LABEL: ""}, "n2": {}}
    there, allocations = settled(known([FOUR], [service("a")], nodes=nodes), on_lan("n1"))
    found = told("a", there, allocations, registrations=on_lan("n1"))
    held = found.addresses[0]
    assert held.announcement.excluded == {"n1": "NodeExcluded", "n2": "SpeakerNotRegistered"}
    assert held.placed == "n1 answers for it and may no longer; it is about to hand it over."
    assert "10.0.0.0: no node may announce it" in found.advice[0]
    assert names.EXCLUDE_NODE_LABEL in found.advice[0]


def test_a_service_without_endpoints_is_announced_by_nobody() -> None:
    there, allocations = settled(known([FOUR], [service("a")]), on_lan("n1", "n2"))
    found = told("a", there, allocations, served=False)
    assert set(found.addresses[0].announcement.excluded.values()) == {"NoEndpoints"}


def test_the_owner_that_does_not_rank_first_stays_and_it_says_why() -> None:
    there, allocations = settled(known([FOUR], [service("a")]), on_lan("n1", "n2"))
    (one,) = allocations
    moved = msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, nodes=("n2", "n1")))
    found = told("a", there, [moved])
    assert found.addresses[0].placed == "n2 ranks first of 2 that may; n1 has it, and a healthy owner stays."
    assert ip_address(found.addresses[0].address) == ip_address("10.0.0.0")


def test_a_status_that_is_left_to_another_controller_is_said_in_its_words() -> None:
    theirs = Condition(type=CONDITION, status="False", reason="ForeignController", message='"k3s" keeps changing it.')
    there, allocations = settled(known([FOUR], [service("a", status=("192.0.2.1",))]), on_lan("n1"))
    (one,) = there.services.values()
    status = msgspec.structs.replace(
        service("a", status=("192.0.2.1",)).status, conditions=(theirs,)
    )  # fmt: skip
    there = _with(there, {one.key: msgspec.structs.replace(one, status=status)})
    found = told("a", there, allocations)
    assert (found.reason, found.shown) == ("ForeignController", ("192.0.2.1",))
    assert [held.address for held in found.addresses] == ["10.0.0.0"]
    assert found.advice == (theirs.message,)

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api import names
from lbprovider.api.core import (
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Taint,
)
from lbprovider.api.meta import LabelSelector, ObjectMeta
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodes
from lbprovider.api.registration import Attachment, Registration
from lbprovider.election.endpoints import ANYWHERE, NOWHERE, Backends, Endpoints, backends, of_slice
from lbprovider.election.placement import (
    NodeView,
    Placement,
    Reason,
    among,
    applying,
    counts,
    interfaces_named,
    named,
    place,
    segment_for,
    view,
    why_not,
)

X = bytes((192, 0, 2, 1))
LAN = "192.0.2.0-24"


def node(
    name: str = "a",
    labels: Mapping[str, str] | None = None,
    *,
    taints: tuple[str, ...] = (),
    annotations: Mapping[str, str] | None = None,
    **conditions: str,
) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels=labels or {}, annotations=annotations or {}),
        spec=NodeSpec(taints=tuple(Taint(key=key) for key in taints)),
        status=NodeStatus(
            conditions=tuple(
                NodeCondition(type=kind, status=status) for kind, status in ({"Ready": "True"} | conditions).items()
            )
        ),
    )


def attached(
    interface: str = "eth0", segment: str = LAN, subnets: tuple[str, ...] = ("192.0.2.0/24",), *, default: bool = False
) -> Registration:
    one = Attachment(segment=segment, interface=interface, address="", mac="", subnets=subnets, default_route=default)
    return Registration(incarnation=1, attachments=(one,))


def selector(**labels: str) -> LabelSelector:
    return LabelSelector(match_labels=labels)


ANY = L2AdvertisementSpec()


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (view(node(), attached(), LAN, [ANY]), None),
        (view(node(), attached(), LAN, []), Reason.NO_ADVERTISEMENT),
        (
            view(node(), attached(), LAN, [L2AdvertisementSpec(node_selectors=(selector(rack="1"),))]),
            Reason.NODE_NOT_SELECTED,
        ),
        (view(node(labels={names.EXCLUDE_NODE_LABEL: ""}), attached(), LAN, [ANY]), Reason.NODE_EXCLUDED),
        (
            view(
                node(labels={names.EXCLUDE_NODE_LABEL: ""}),
                msgspec.structs.replace(attached(), ignores_exclude_label=True),
                LAN,
                [ANY],
            ),
            None,
        ),
        (view(node(taints=(names.TO_BE_DELETED_TAINT,)), attached(), LAN, [ANY]), Reason.NODE_TO_BE_DELETED),
        (view(node(taints=("node.kubernetes.io/unschedulable",)), attached(), LAN, [ANY]), None),
        (view(node(NetworkUnavailable="True"), attached(), LAN, [ANY]), Reason.NODE_NETWORK_UNAVAILABLE),
        (view(node(NetworkUnavailable="False"), attached(), LAN, [ANY]), None),
        (view(node(annotations={names.DRAIN_ANNOTATION: ""}), attached(), LAN, [ANY]), Reason.DRAINING),
        (view(node(Ready="False"), attached(), LAN, [ANY]), None),
        (view(node(), None, LAN, [ANY]), Reason.SPEAKER_NOT_REGISTERED),
        (view(node(), attached(segment="other"), LAN, [ANY]), Reason.NOT_ON_SEGMENT),
        (
            view(node(), attached("eth1"), LAN, [L2AdvertisementSpec(interfaces=("eth0",))]),
            Reason.INTERFACE_NOT_ADVERTISED,
        ),
        (view(node(), attached("eth1"), LAN, [L2AdvertisementSpec(interfaces=("eth0",)), ANY]), None),
    ],
)
def test_who_may_announce(seen: NodeView, reason: Reason | None) -> None:
    assert why_not(seen) is reason


def test_interfaces_are_those_of_the_advertisements_that_select_the_node() -> None:
    rack1 = L2AdvertisementSpec(node_selectors=(selector(rack="1"),), interfaces=("eth1",))
    rack2 = L2AdvertisementSpec(node_selectors=(selector(rack="2"),), interfaces=("eth0",))
    assert why_not(view(node(labels={"rack": "1"}), attached("eth1"), LAN, [rack1, rack2])) is None
    assert (
        why_not(view(node(labels={"rack": "2"}), attached("eth1"), LAN, [rack1, rack2]))
        is Reason.INTERFACE_NOT_ADVERTISED
    )


def test_what_the_admin_decided_is_said_before_what_the_machine_can_not() -> None:
    worst = NodeView(
        name="a", advertised=False, gone=True, selected=False, draining=True, excluded=True, to_be_deleted=True,
        network_unavailable=True, registered=False, attached=False, interface_advertised=False,
    )  # fmt: skip
    mended = [
        worst,
        worst := replace(worst, advertised=True),
        worst := replace(worst, gone=False),
        worst := replace(worst, selected=True),
        worst := replace(worst, draining=False),
        worst := replace(worst, excluded=False),
        worst := replace(worst, to_be_deleted=False),
        worst := replace(worst, network_unavailable=False),
        worst := replace(worst, registered=True),
        worst := replace(worst, attached=True),
    ]
    last = replace(worst, interface_advertised=True)
    assert why_not(last) is None
    said = [why_not(one) for one in mended]
    said += [place(X, [last], (), NOWHERE).ineligible["a"], place(X, [last], (), local("b")).ineligible["a"]]
    assert said == list(Reason)


def local(*ready: str, leaving: tuple[str, ...] = ()) -> Backends:
    return backends([(True, Endpoints(frozenset(ready), frozenset(leaving)))])


def test_the_weights_of_all_that_match_add_up() -> None:
    first = L2AdvertisementSpec(
        preferred_node_selectors=(
            PreferredNodes(weight=10, node_selector=selector(disk="ssd")),
            PreferredNodes(weight=5, node_selector=selector(rack="1")),
            PreferredNodes(weight=90, node_selector=selector(rack="2")),
        )
    )
    second = L2AdvertisementSpec(preferred_node_selectors=(PreferredNodes(weight=1, node_selector=selector()),))
    elsewhere = L2AdvertisementSpec(
        node_selectors=(selector(rack="2"),),
        preferred_node_selectors=(PreferredNodes(weight=50, node_selector=selector()),),
    )
    seen = view(node(labels={"disk": "ssd", "rack": "1"}), attached(), LAN, [first, second, elsewhere])
    assert seen.preference == 16


FIVE = tuple(NodeView(name=name) for name in "abcde")


@given(st.permutations(FIVE))
def test_the_ranking_does_not_depend_on_the_order_of_the_nodes(shuffled: list[NodeView]) -> None:
    assert place(X, shuffled) == place(X, FIVE)


def test_the_ranking_does_not_depend_on_the_run() -> None:
    script = (
        "from lbprovider.election.placement import NodeView, place;"
        "print(''.join(place(bytes((192, 0, 2, 1)), [NodeView(name=n) for n in 'abcde']).ranking))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert runs == {"".join(place(X, FIVE).ranking)}


def test_a_node_that_goes_moves_only_its_own_addresses() -> None:
    addresses = [bytes((192, 0, 2, last)) for last in range(250)]
    before = {address: place(address, FIVE).ranking for address in addresses}
    after = {address: place(address, FIVE[:-1]).ranking for address in addresses}
    assert all(after[address] == tuple(name for name in before[address] if name != "e") for address in addresses)
    shares = [sum(ranking[0] == name for ranking in before.values()) for name in "abcde"]
    assert all(30 <= share <= 70 for share in shares), shares


def test_ready_then_the_controllers_choice_then_preference_then_the_lot() -> None:
    nodes = [
        NodeView(name="a", preference=100),
        NodeView(name="b", preference=1),
        NodeView(name="c"),
        NodeView(name="d"),
        NodeView(name="e", ready=False, preference=500),
    ]
    placed = place(X, nodes, preferred=("d", "e", "gone"))
    assert placed.ranking == ("d", "a", "b", "c", "e")
    assert placed.ineligible == {}


def test_the_ineligible_are_named_with_the_reason() -> None:
    placed = place(X, [NodeView(name="a", excluded=True), NodeView(name="b"), NodeView(name="c", attached=False)])
    assert placed.ranking == ("b",)
    assert placed.ineligible == {"a": Reason.NODE_EXCLUDED, "c": Reason.NOT_ON_SEGMENT}


def slice_of(*endpoints: tuple[str | None, bool | None, bool | None]) -> EndpointSlice:
    """Of node, ready and serving of each endpoint."""
    return EndpointSlice(
        endpoints=tuple(
            Endpoint(node_name=name, conditions=EndpointConditions(ready=ready, serving=serving))
            for name, ready, serving in endpoints
        )
    )


@pytest.mark.parametrize(
    ("endpoint", "serves"),
    [
        ((True, None), "ready"),
        ((None, None), "ready"),  # unset is ready
        ((True, False), "ready"),  # ready wins over serving
        ((None, False), "ready"),
        ((False, True), "leaving"),  # it terminates, and serves yet
        ((False, None), ""),
        ((False, False), ""),
    ],
)
def test_which_endpoints_can_serve(endpoint: tuple[bool | None, bool | None], serves: str) -> None:
    known = of_slice(slice_of(("a", *endpoint)))
    assert {"ready": known.ready, "leaving": known.leaving} == {
        which: {"a"} if which == serves else set() for which in ("ready", "leaving")
    }
    assert bool(known) is bool(serves)


def test_a_slice_without_endpoints_may_have_null_in_their_place() -> None:
    decoded = msgspec.json.decode(
        b'{"metadata":{"name":"x"},"addressType":"IPv4","endpoints":null}', type=EndpointSlice
    )
    assert not of_slice(decoded)
    whole = b'{"endpoints":[{"addresses":["10.0.0.1"],"nodeName":"n1","conditions":{"ready":false,"serving":true}}]}'
    assert of_slice(msgspec.json.decode(whole, type=EndpointSlice)).leaving == {"n1"}


def test_slices_are_one_set() -> None:
    one, two = of_slice(slice_of(("a", True, None))), of_slice(slice_of(("a", False, True), ("b", False, True)))
    assert one | two == two | one == Endpoints(frozenset("a"), frozenset("ab"))


ABC = tuple(NodeView(name=name) for name in "abc")


@pytest.mark.parametrize(
    ("services", "eligible"),
    [
        ([], ""),
        ([(False, [])], ""),
        ([(False, [("a", False, False)])], ""),
        ([(False, [("a", True, None)])], "abc"),  # Cluster: one anywhere is enough
        ([(False, [(None, True, None)])], "abc"),
        ([(False, [("elsewhere", False, True)])], "abc"),
        ([(True, [])], ""),
        ([(True, [("a", True, None)])], "a"),
        ([(True, [(None, True, None)])], ""),  # on which node nobody knows
        ([(True, [("a", True, None), ("b", False, True)])], "a"),  # b's terminates, and a has a ready one
        ([(True, [("elsewhere", True, None), ("b", False, True)])], "b"),  # ready where it doesn't matter
        ([(True, [(None, True, None), ("b", False, True)])], "b"),
        ([(True, [("a", False, True), ("b", False, True), ("c", False, False)])], "ab"),
        ([(True, [("a", False, True), ("a", True, None)])], "a"),
        ([(True, [("a", True, None)]), (True, [("a", True, None), ("b", True, None)])], "ab"),  # shared: any of them
        ([(True, []), (False, [("a", True, None)])], "abc"),
        ([(False, []), (True, [("a", True, None)])], "a"),
    ],
)
def test_from_which_nodes_an_address_can_be_served(
    services: list[tuple[bool, list[tuple[str | None, bool | None, bool | None]]]], eligible: str
) -> None:
    known = backends((policy, of_slice(slice_of(*endpoints))) for policy, endpoints in services)
    placed = place(X, ABC, (), known)
    assert set(placed.ranking) == set(eligible)
    some = any(conditions[1] is not False or conditions[2] for _, endpoints in services for conditions in endpoints)
    why = Reason.NO_LOCAL_ENDPOINT if some else Reason.NO_ENDPOINTS
    assert placed.ineligible == {name: why for name in "abc" if name not in eligible}


def test_a_ready_endpoint_on_a_node_that_may_not_announce_does_not_matter() -> None:
    nodes = [NodeView(name="a", excluded=True), NodeView(name="b"), NodeView(name="c")]
    placed = place(X, nodes, (), local("a", leaving=("b",)))
    assert placed.ranking == ("b",)
    assert placed.ineligible == {"a": Reason.NODE_EXCLUDED, "c": Reason.NO_LOCAL_ENDPOINT}


def test_the_controllers_choice_makes_no_node_eligible() -> None:
    assert place(X, FIVE, ("a", "b", "c"), local("b", "e")).ranking == ("b", "e")


views = st.builds(
    NodeView,
    name=st.sampled_from("abcdefgh"),
    ready=st.booleans(),
    excluded=st.sampled_from((False, False, True)),
    preference=st.integers(0, 3),
)


@given(
    st.lists(views, unique_by=lambda one: one.name).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(some))
    ),
    st.frozensets(st.sampled_from("abcdefgh")),
    st.frozensets(st.sampled_from("abcdefgh")),
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=3),
    st.binary(min_size=4, max_size=4),
)
def test_both_families_of_a_service_rank_alike_and_listing_order_changes_nothing(
    nodes: tuple[list[NodeView], list[NodeView]],
    ready: frozenset[str],
    leaving: frozenset[str],
    preferred: list[str],
    address: bytes,
) -> None:
    known = backends([(True, Endpoints(ready, leaving))])
    one = place(address, nodes[0], preferred, known)
    assert one == place(address, nodes[1], preferred, known)
    assert one == place(bytes(12) + address, nodes[0], preferred, known, lot=address)
    assert set(one.ranking) | set(one.ineligible) == {node.name for node in nodes[0]}
    assert not set(one.ranking) & set(one.ineligible)


def test_ties_are_the_addresss_not_the_services() -> None:
    first = {place(bytes((192, 0, 2, last)), FIVE, (), ANYWHERE).ranking[0] for last in range(50)}
    assert first == set("abcde")


def test_why_not_is_counted() -> None:
    nodes = [NodeView(name="a", excluded=True), NodeView(name="b"), NodeView(name="c", attached=False)]
    placed = place(X, [*nodes, NodeView(name="d", excluded=True)], (), NOWHERE)
    assert counts(placed) == {Reason.NODE_EXCLUDED: 2, Reason.NOT_ON_SEGMENT: 1, Reason.NO_ENDPOINTS: 1}
    assert list(counts(placed)) == [Reason.NODE_EXCLUDED, Reason.NOT_ON_SEGMENT, Reason.NO_ENDPOINTS]
    assert counts(Placement()) == {}


def advertisement(pools: tuple[str, ...], **labels: str) -> L2Advertisement:
    return L2Advertisement(
        spec=L2AdvertisementSpec(service_selectors=(selector(**labels),) if labels else (), interfaces=pools),
        status=L2AdvertisementStatus(pools=pools),
    )


def test_an_advertisement_applies_to_its_pools_and_the_services_it_selects() -> None:
    everything, web, other = advertisement(("lan",)), advertisement(("lan",), app="web"), advertisement(("wan",))
    all_three = [everything, web, other]
    assert applying(all_three, "lan", [{"app": "web"}]) == (everything.spec, web.spec)
    assert applying(all_three, "lan", [{"app": "db"}]) == (everything.spec,)
    assert applying(all_three, "lan", [{"app": "db"}, {"app": "web"}]) == (everything.spec, web.spec)
    assert applying(all_three, "lan", []) == (everything.spec,)
    assert applying(all_three, "none", [{}]) == ()


def test_who_does_not_see_services_is_told_which_advertisements_are_for_them() -> None:
    everything = with_name("everything", advertisement(("lan",)))
    web, other = with_name("web", advertisement(("lan",), app="web")), with_name("wan", advertisement(("wan",)))
    all_three = [web, other, everything]
    for labels in ([{"app": "web"}], [{"app": "db"}], [{"app": "db"}, {"app": "web"}], []):
        chosen = named(all_three, "lan", labels)
        assert among(all_three, "lan", chosen) == applying(all_three, "lan", labels)
    assert named(all_three, "lan", [{"app": "web"}]) == ("everything", "web")
    assert named(all_three, "wan", [{"app": "web"}]) is None
    assert named([web], "lan", [{"app": "db"}]) == ()
    assert among([web], "lan", ()) == ()


def test_an_edit_of_service_selectors_silences_nobody_before_the_controller_has_looked_at_services() -> None:
    before, after = with_name("all", advertisement(("lan",))), with_name("all", advertisement(("lan",), app="web"))
    assert among([after], "lan", named([before], "lan", [{"app": "web"}])) == (after.spec,)
    other = with_name("all", advertisement(("lan",), tier="front"))
    assert among([other], "lan", named([after], "lan", [{"app": "web", "tier": "front"}])) == (other.spec,)


def with_name(name: str, one: L2Advertisement) -> L2Advertisement:
    return msgspec.structs.replace(one, metadata=ObjectMeta(name=name))


def test_one_advertisement_without_interfaces_means_all() -> None:
    one, two = L2AdvertisementSpec(interfaces=("eth0",)), L2AdvertisementSpec(interfaces=("eth1",))
    assert interfaces_named([one, two]) == frozenset({"eth0", "eth1"})
    assert interfaces_named([one, ANY]) is None


def lans(*attachments: Attachment) -> list[Registration]:
    return [Registration(incarnation=1, attachments=(one,)) for one in attachments]


def lan(segment: str, interface: str, *subnets: str, default: bool = False) -> Attachment:
    return Attachment(segment=segment, interface=interface, address="", mac="", subnets=subnets, default_route=default)


NARROW = lan("narrow", "eth1", "192.0.2.0/25", "2001:db8::/64")
WIDE = lan("wide", "eth0", "192.0.0.0/16", default=True)
STORAGE = lan("storage", "eth2", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("address", "attachments", "interfaces", "segment"),
    [
        ("192.0.2.1", [WIDE, NARROW], None, "narrow"),  # the narrowest subnet
        ("192.0.2.200", [WIDE, NARROW], None, "wide"),
        ("192.0.2.1", [WIDE, NARROW], {"eth0"}, "wide"),  # interfaces filter first
        ("2001:db8::5", [WIDE, NARROW], None, "narrow"),  # both families of one interface are one segment
        ("203.0.113.1", [WIDE, NARROW, STORAGE], None, "wide"),  # in no subnet: the default route's
        ("203.0.113.1", [WIDE, STORAGE], {"eth2"}, "storage"),  # in no subnet: the only one named
        ("203.0.113.1", [NARROW, STORAGE], {"eth1", "eth2"}, None),  # two are named, neither has the default route
        ("203.0.113.1", [NARROW], None, None),
        ("192.0.2.1", [], None, None),
        ("192.0.2.1", [lan("z", "eth0", "192.0.2.0/24"), lan("y", "eth0", "192.0.2.0/24")], None, "y"),  # tie: the name
        (
            "203.0.113.1",
            [lan("y", "eth0", default=True), lan("z", "eth0", default=True), lan("z", "eth0", default=True)],
            None,
            "z",  # most nodes
        ),
    ],
)
def test_which_lan_announces_an_address(
    address: str, attachments: list[Attachment], interfaces: set[str] | None, segment: str | None
) -> None:
    named = None if interfaces is None else frozenset(interfaces)
    assert segment_for(ip_address(address), lans(*attachments), named) == segment
    assert segment_for(ip_address(address), lans(*reversed(attachments)), named) == segment

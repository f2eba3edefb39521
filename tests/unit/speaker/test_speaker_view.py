"""What follows from what is known of the cluster: wishes, and how little a change costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

import msgspec
import pytest

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus, ServiceClaim
from lbprovider.api.core import EndpointSlice, Lease, LeaseSpec, Node, NodeCondition, NodeSpec, NodeStatus, Taint
from lbprovider.api.meta import LabelSelector, Object, ObjectMeta
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus
from lbprovider.api.registration import ANNOTATION, Attachment, Registration
from lbprovider.election import placement
from lbprovider.election.endpoints import Backends, Endpoints, as_slice
from lbprovider.election.placement import Placement, Reason, Screened
from lbprovider.kube.ports import Unreadable
from lbprovider.speaker.view import View, Wishes

SEGMENT = "192.0.2.0-24"
SERVICE = ServiceClaim(namespace="default", name="web", uid="u1")


def node(name: str, *labels: str, ready: str = "True", taints: tuple[Taint, ...] = ()) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels=dict.fromkeys(labels, "")),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(conditions=(NodeCondition(type="Ready", status=ready),)),
    )


def attachment(number: int, segment: str = SEGMENT, interface: str = "eth0", **more: object) -> Attachment:
    values = {"address": f"192.0.2.{number}", "mac": f"02:00:00:00:00:0{number}", **more}
    return msgspec.convert({"segment": segment, "interface": interface, **values}, Attachment)


def lease(name: str, *attached: Attachment, renewed: str = "") -> Lease:
    told = Registration(incarnation=1, attachments=attached).encode()
    return Lease(metadata=ObjectMeta(name=name, annotations={ANNOTATION: told}), spec=LeaseSpec(renew_time=renewed))


def advertisement(name: str = "all", *pools: str, **spec: object) -> L2Advertisement:
    return L2Advertisement(
        metadata=ObjectMeta(name=name),
        spec=msgspec.convert(spec, L2AdvertisementSpec),
        status=L2AdvertisementStatus(pools=pools or ("pool",)),
    )


def allocation(address: str = "192.0.2.100", **spec: object) -> IPAllocation:
    values = {"address": address, "pool": "pool", "segment": SEGMENT, "services": (SERVICE,), **spec}
    return IPAllocation(
        metadata=ObjectMeta(name=names.object_name(ip_address(address)), resource_version="1"),
        spec=IPAllocationSpec(**values),  # type: ignore[arg-type]
    )


def slice_of(
    service: str, *ready: str, leaving: tuple[str, ...] = (), name: str = "", family: str = "IPv4"
) -> EndpointSlice:
    labels = {names.SERVICE_LABEL: service}
    metadata = ObjectMeta(name=name or f"{service}-1", namespace="default", labels=labels)
    return as_slice(metadata, family, Endpoints(frozenset(ready), frozenset(leaving)))


@dataclass
class World:
    """A view, and what it told."""

    stale: int = 0
    registered: list[tuple[str, bool]] = field(default_factory=list)
    renewed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view = View(
            stale=self._stale,
            registered=lambda name, what: self.registered.append((name, what is not None)),
            renewed=lambda name, written: self.renewed.append((name, written)),
        )

    def _stale(self) -> None:
        self.stale += 1

    def wishes(self, segment: str = SEGMENT) -> Wishes:
        while self.view.work(10):
            pass
        return self.view.wishes(segment)

    def ranked(self, address: str = "192.0.2.100") -> tuple[str, ...] | None:
        return self.wishes().get(ip_address(address).packed)


@pytest.fixture
def world() -> World:
    """Three nodes on one LAN, one advertisement, one address that prefers n2, then n3."""
    made = World()
    made.view.nodes.replaced([node(f"n{number}") for number in (1, 2, 3)], [])
    made.view.leases.replaced([lease(f"n{number}", attachment(number)) for number in (1, 2, 3)], [])
    made.view.advertisements.replaced([advertisement()], [])
    made.view.endpoints.replaced([slice_of("web", "n1", "")], [])
    made.view.allocations.replaced([allocation(nodes=("n2", "n3"))], [])
    return made


def test_preferred_nodes_first_then_the_others(world: World) -> None:
    assert world.ranked() == ("n2", "n3", "n1")


@pytest.mark.parametrize(
    ("changed", "ranking"),
    [
        (node("n2", ready="False"), ("n3", "n1", "n2")),
        (node("n2", taints=(Taint(key="node.kubernetes.io/unschedulable"),)), ("n2", "n3", "n1")),
        (node("n2", taints=(Taint(key="ToBeDeletedByClusterAutoscaler"),)), ("n3", "n1")),
        (node("n2", names.EXCLUDE_NODE_LABEL), ("n3", "n1")),
    ],
    ids=["not ready ranks last", "a cordon changes nothing", "to be deleted", "excluded"],
)
def test_a_node_that_changes_is_ranked_anew(world: World, changed: Node, ranking: tuple[str, ...]) -> None:
    world.wishes()
    world.view.nodes.changed(changed)
    assert world.ranked() == ranking


@pytest.mark.parametrize(
    ("changed", "ranking"),
    [
        (lease("n2"), ("n3", "n1")),
        (lease("n2", attachment(2, segment="203.0.113.0-24")), ("n3", "n1")),
        (lease("n2", attachment(2, hears=["n1", "n3"])), ("n2", "n3", "n1")),
    ],
    ids=["on no LAN", "on another LAN", "hears others"],
)
def test_a_speaker_that_registers_something_else_is_ranked_anew(
    world: World, changed: Lease, ranking: tuple[str, ...]
) -> None:
    world.wishes()
    world.view.leases.changed(changed)
    assert world.ranked() == ranking


@pytest.mark.parametrize(
    ("changed", "ranking"),
    [
        (advertisement(interfaces=["eth1"]), ()),
        (advertisement(nodeSelectors=[LabelSelector(match_labels={"rack": "a"})]), ()),
        (advertisement("all", "another-pool"), ()),
    ],
    ids=["another interface", "no node selected", "another pool"],
)
def test_an_advertisement_that_changes_ranks_anew(
    world: World, changed: L2Advertisement, ranking: tuple[str, ...]
) -> None:
    world.wishes()
    world.view.advertisements.changed(changed)
    assert world.ranked() == ranking


@pytest.mark.parametrize(
    "changed",
    [allocation(services=()), allocation(segment=""), allocation(segment="203.0.113.0-24")],
    ids=["it cools down", "no LAN fits", "another LAN"],
)
def test_an_address_that_nobody_here_should_announce_is_wished_for_no_more(world: World, changed: IPAllocation) -> None:
    world.wishes()
    world.view.take_changed()
    world.view.allocations.changed(changed)
    assert world.ranked() is None
    assert SEGMENT in world.view.take_changed()


def test_a_name_that_is_no_address_is_passed_by_and_the_others_go_on(world: World) -> None:
    bad = msgspec.structs.replace(allocation(), metadata=ObjectMeta(name="not-an-address"))
    world.view.allocations.changed(bad)
    world.view.allocations.changed(allocation("192.0.2.101"))
    assert set(world.wishes()) == {ip_address("192.0.2.100").packed, ip_address("192.0.2.101").packed}


def test_what_is_gone_from_a_new_list_is_gone_and_what_cannot_be_read_stays(world: World) -> None:
    world.view.allocations.changed(allocation("192.0.2.101"))
    world.view.allocations.changed(allocation("192.0.2.102"))
    world.wishes()
    unreadable = Unreadable("IPAllocation", ObjectMeta(name="192.0.2.101"), "bad")
    world.view.allocations.replaced([allocation("192.0.2.102")], [unreadable])
    assert set(world.wishes()) == {ip_address("192.0.2.101").packed, ip_address("192.0.2.102").packed}
    world.view.allocations.replaced([], [Unreadable("IPAllocation", ObjectMeta(), "no metadata")])
    assert len(world.wishes()) == 2
    world.view.allocations.deleted(Object(metadata=ObjectMeta(name="192.0.2.101")))
    world.view.allocations.replaced([], [])
    assert world.wishes() == {}


@pytest.fixture
def rankings(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The addresses that were ranked."""
    ranked: list[bytes] = []
    place = placement.place

    def counting(
        address: bytes, nodes: Screened, preferred: Sequence[str], backends: Backends, lot: bytes
    ) -> Placement:
        ranked.append(address)
        return place(address, nodes, preferred, backends, lot)

    monkeypatch.setattr(placement, "place", counting)
    return ranked


def test_what_changes_nothing_ranks_nothing_and_wakes_nobody(world: World, rankings: list[bytes]) -> None:
    world.wishes()
    rankings.clear()
    before = world.stale
    status = IPAllocationStatus(leader="n2", interface="eth0", mac="02:00:00:00:00:02")
    world.view.allocations.changed(msgspec.structs.replace(allocation(nodes=("n2", "n3")), status=status))
    world.view.leases.changed(lease("n1", attachment(1), renewed="2026-01-01T00:00:10.000000Z"))
    world.view.nodes.changed(msgspec.structs.replace(node("n1"), metadata=ObjectMeta(name="n1", resource_version="9")))
    world.view.advertisements.changed(advertisement())
    assert (world.stale, rankings) == (before, [])
    kept = world.view.allocation("192.0.2.100")
    assert kept is not None
    assert kept.status.leader == "n2"


def test_a_change_of_one_address_ranks_one_and_a_node_that_looks_the_same_ranks_none(
    world: World, rankings: list[bytes]
) -> None:
    world.view.allocations.replaced([allocation(f"192.0.2.{number}") for number in range(100, 200)], [])
    world.wishes()
    world.view.take_changed()
    rankings.clear()
    world.view.allocations.changed(allocation("192.0.2.150", nodes=("n3",)))
    assert world.ranked("192.0.2.150") is not None
    assert rankings == [ip_address("192.0.2.150").packed]
    world.view.leases.changed(lease("n1", attachment(1, hears=["n2"])))
    world.wishes()
    assert len(rankings) == 1
    world.view.nodes.changed(node("n1", ready="False"))
    world.wishes()
    assert len(rankings) == 101


def test_ranking_is_done_in_portions_and_what_was_there_stays_meanwhile(world: World) -> None:
    world.view.allocations.replaced([allocation(f"192.0.2.{number}") for number in range(100, 200)], [])
    assert world.view.work(60)
    assert len(world.view.wishes(SEGMENT)) == 60
    assert not world.view.work(60)
    assert len(world.view.wishes(SEGMENT)) == 100
    world.view.nodes.changed(node("n1", ready="False"))
    assert world.view.work(60)
    assert len(world.view.wishes(SEGMENT)) == 100


def test_an_address_follows_the_endpoints_of_its_service(world: World) -> None:
    local = msgspec.structs.replace(SERVICE, external_traffic_policy="Local")
    world.view.allocations.changed(allocation(services=(local,), nodes=("n2", "n3")))
    assert world.ranked() == ("n1",)
    world.view.endpoints.changed(slice_of("web", "n3", name="web-2"))
    assert world.ranked() == ("n3", "n1")
    world.view.endpoints.changed(slice_of("web", "n2", leaving=("n1",)))
    assert world.ranked() == ("n2", "n3")
    world.view.endpoints.deleted(Object(metadata=ObjectMeta(name="web-2", namespace="default")))
    assert world.ranked() == ("n2",)
    world.view.endpoints.changed(slice_of("web", leaving=("n1",)))
    assert world.ranked() == ("n1",)
    world.view.endpoints.changed(slice_of("web"))
    assert world.ranked() == ()
    assert set(world.view.placement("192.0.2.100").ineligible.values()) == {Reason.NO_ENDPOINTS}
    world.view.endpoints.changed(slice_of("web", ""))
    assert set(world.view.placement("192.0.2.100").ineligible.values()) == {Reason.NO_LOCAL_ENDPOINT}


def test_what_arrives_for_a_family_is_served_by_endpoints_of_that_family(world: World) -> None:
    """kube-proxy has rules of each family for itself: without a local endpoint of it, a node drops what comes."""
    local, six = msgspec.structs.replace(SERVICE, external_traffic_policy="Local"), "2001:db8::100"
    for address in ("192.0.2.100", six):
        world.view.allocations.changed(allocation(address, services=(local,)))
    assert (world.ranked(), world.ranked(six)) == (("n1",), ())
    world.view.endpoints.changed(slice_of("web", "n1", "n2", name="web-6", family="IPv6"))
    world.view.endpoints.changed(slice_of("web", "n3", name="web-fqdn", family="FQDN"))
    assert (world.ranked(), set(world.ranked(six) or ())) == (("n1",), {"n1", "n2"})
    assert world.view.placement("192.0.2.100").ineligible["n2"] == Reason.NO_LOCAL_ENDPOINT
    known = {of: one.ready for of, one in world.view.endpoints_known().items()}
    assert known == {("default/web", "IPv4"): {"n1", ""}, ("default/web", "IPv6"): {"n1", "n2"}}
    world.view.endpoints.deleted(Object(metadata=ObjectMeta(name="web-1", namespace="default")))
    assert (world.ranked(), set(world.ranked(six) or ())) == ((), {"n1", "n2"})
    assert set(world.view.placement("192.0.2.100").ineligible.values()) == {Reason.NO_ENDPOINTS}


def test_endpoints_of_a_service_of_the_same_name_elsewhere_are_none_of_ours(world: World) -> None:
    elsewhere = slice_of("web", "n2")
    metadata = msgspec.structs.replace(elsewhere.metadata, namespace="shop")
    world.view.endpoints.changed(msgspec.structs.replace(elsewhere, metadata=metadata))
    world.view.endpoints.changed(slice_of("web"))
    assert world.ranked() == ()


def test_a_slice_that_changes_hands_or_comes_to_nothing_new(world: World) -> None:
    one, other = ServiceClaim(namespace="default", name="other", uid="u2"), allocation("192.0.2.101")
    other = msgspec.structs.replace(other, spec=msgspec.structs.replace(other.spec, services=(one,)))
    world.view.allocations.changed(other)
    assert (world.ranked("192.0.2.101"), world.ranked()) == ((), ("n2", "n3", "n1"))
    handed = slice_of("other", "n1", name="web-1")
    world.view.endpoints.changed(handed)
    assert world.ranked() == ()
    assert world.ranked("192.0.2.101") != ()
    world.wishes()
    before = world.stale
    pod_moved = msgspec.structs.replace(handed, metadata=msgspec.structs.replace(handed.metadata, resource_version="9"))
    world.view.endpoints.changed(pod_moved)
    world.view.endpoints.changed(slice_of("nobodys", "n1"))
    assert world.stale == before


def test_a_list_of_slices_is_read_by_portions_and_says_who_is_gone(world: World) -> None:
    world.wishes()
    many = [slice_of(f"s{number}", "n1") for number in range(100)]
    broken = Unreadable("EndpointSlice", ObjectMeta(name="web-1", namespace="default"), "broken")
    world.view.endpoints.replaced(many, [broken])
    assert world.view.work(5)
    assert world.ranked() == ("n2", "n3", "n1")  # what can't be read counts as it was last
    world.view.endpoints.replaced(many, [])
    world.view.endpoints.changed(slice_of("late", "n1"))  # before the list was read
    assert world.ranked() == ()
    assert {service: known.ready for service, known in world.view.endpoints_known().items()} == {}
    assert world.view.endpoints.of("default/s7", "IPv4").ready == {"n1"}
    world.view.endpoints.replaced(many[:1], [])
    world.wishes()
    assert not world.view.endpoints.of("default/s7", "IPv4")


def test_both_families_rank_alike_and_whatever_came_first(world: World) -> None:
    for number in range(100, 120):
        claim = ServiceClaim(namespace="default", name=f"s{number}", uid=f"u{number}")
        world.view.endpoints.changed(slice_of(f"s{number}", ""))
        world.view.endpoints.changed(slice_of(f"s{number}", "", name=f"s{number}-6", family="IPv6"))
        six, four = f"2001:db8::{number}", f"192.0.2.{number}"
        world.view.allocations.changed(allocation(six, services=(claim,)))
        alone = world.ranked(six)
        world.view.allocations.changed(allocation(four, services=(claim,)))
        assert world.ranked(six) == world.ranked(four)
        world.view.allocations.deleted(Object(metadata=ObjectMeta(name=four)))
        assert world.ranked(six) == alone


def test_advertisements_for_some_services_only(world: World) -> None:
    selecting = advertisement(serviceSelectors=[{"matchLabels": {"app": "web"}}])
    world.view.advertisements.changed(selecting)
    assert world.ranked() == ("n2", "n3", "n1")  # the controller has not looked yet
    world.view.allocations.changed(allocation(nodes=("n2", "n3"), advertisements=()))
    assert world.ranked() == ()
    assert set(world.view.placement("192.0.2.100").ineligible.values()) == {Reason.NO_ADVERTISEMENT}
    world.view.allocations.changed(allocation(nodes=("n2", "n3"), advertisements=("all",)))
    assert world.ranked() == ("n2", "n3", "n1")


def test_a_node_that_is_drained_or_gone_is_said(world: World) -> None:
    drained = node("n2")
    annotated = msgspec.structs.replace(drained.metadata, annotations={names.DRAIN_ANNOTATION: "now"})
    world.view.nodes.changed(msgspec.structs.replace(drained, metadata=annotated))
    world.view.nodes.deleted(Object(metadata=ObjectMeta(name="n3")))
    assert world.ranked() == ("n1",)
    assert world.view.placement("192.0.2.100").ineligible == {"n2": Reason.DRAINING, "n3": Reason.NODE_GONE}
    world.view.nodes.changed(drained)
    assert world.ranked() == ("n2", "n1")


def test_where_nobody_should_announce_nobody_is_placed(world: World) -> None:
    world.wishes()
    assert world.view.placement("192.0.2.100").ranking == ("n2", "n3", "n1")
    world.view.allocations.changed(allocation(services=()))
    world.wishes()
    assert world.view.placement("192.0.2.100") == world.view.placement("192.0.2.77") == Placement()


def test_it_is_said_once_that_no_node_is_left_for_a_pool_and_once_that_there_is_one(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.wishes()
    for number in (1, 2, 3):
        world.view.nodes.changed(node(f"n{number}", names.EXCLUDE_NODE_LABEL))
        world.wishes()
    world.view.leases.changed(lease("n1", attachment(9)))
    world.wishes()
    said = capsys.readouterr().out
    assert said.count("no node may announce the addresses of a pool") == 1
    assert "NodeExcluded" in said
    world.view.nodes.changed(node("n1"))
    world.wishes()
    assert capsys.readouterr().out.count("nodes may announce the addresses of a pool again") == 1


def test_registrations_are_told_on_change_only(world: World) -> None:
    world.registered.clear()
    world.view.leases.changed(lease("n1", attachment(1), renewed="later"))
    assert world.registered == []
    world.view.leases.changed(lease("n1", attachment(7)))
    world.view.leases.deleted(Object(metadata=ObjectMeta(name="n2")))
    world.view.leases.changed(Lease(metadata=ObjectMeta(name="n3", annotations={ANNOTATION: "not JSON"})))
    assert world.registered == [("n1", True), ("n2", False), ("n3", False)]
    assert set(world.view.registrations()) == {"n1"}

"""A plan of what a plan wrote is the same plan, whatever the input."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbprovider.planning import manifests
from tests.unit.planning import planning_input as made

ADDRESSES = tuple(f"192.0.2.{number}" for number in range(8)) + tuple(f"2001:db8::{number:x}" for number in range(4))
NAMES = ("a", "b", "c", "d")
RANGES = ("192.0.2.0/30", "192.0.2.2-192.0.2.5", "192.0.2.4/30", "192.0.2.1", "2001:db8::/127", "2001:db8::2/127")
LABELS = st.dictionaries(st.sampled_from(("x", "y")), st.sampled_from(("1", "2")), max_size=1)
SELECTORS = st.lists(st.builds(lambda labels: {"matchLabels": labels}, LABELS), max_size=1)
Manifest = Mapping[str, Any]


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def pools(draw: st.DrawFn) -> Manifest:
    spec = draw(
        some(
            autoAssign=st.booleans(),
            avoidBuggyIPs=st.booleans(),
            reuseAfter=st.sampled_from(("0s", "10m")),
            allowSharingAcrossNamespaces=st.booleans(),
            excludeAddresses=st.lists(st.sampled_from(ADDRESSES), max_size=1),
            serviceAllocation=some(
                priority=st.integers(0, 2),
                namespaces=st.lists(st.sampled_from(("one", "two")), max_size=1),
                namespaceSelectors=SELECTORS,
                serviceSelectors=SELECTORS,
            ),
        )
    )
    addresses = draw(st.lists(st.sampled_from(RANGES), min_size=1, max_size=2, unique=True))
    force = draw(some(**{"lbprovider.io/force": st.just("true")}))
    return made.pool(draw(st.sampled_from(NAMES[:3])), *addresses, spec=spec, labels=draw(LABELS), annotations=force)


@st.composite
def advertisements(draw: st.DrawFn) -> Manifest:
    spec = draw(
        some(
            ipAddressPools=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            ipAddressPoolSelectors=SELECTORS,
            nodeSelectors=SELECTORS,
            interfaces=st.lists(st.sampled_from(("eth0", "eth1")), max_size=1),
            serviceSelectors=SELECTORS,
        )
    )
    return made.advertisement(draw(st.sampled_from(NAMES)), spec=spec)


FAMILIES: tuple[dict[str, Any], ...] = (
    {},
    {"ipFamilyPolicy": "PreferDualStack"},
    {"ipFamilyPolicy": "RequireDualStack"},
    {"ipFamilies": ["IPv6"]},
)
REQUESTS: tuple[dict[str, str], ...] = (
    {},
    {},
    {},
    *({"metallb.io/loadBalancerIPs": each} for each in (*ADDRESSES[:5], "192.0.2.3,2001:db8::2", "?")),
)
POOLS: tuple[dict[str, str], ...] = ({}, {}, {"lbprovider.io/address-pool": "a"}, {"lbprovider.io/address-pool": "b"})
KEYS: tuple[dict[str, str], ...] = ({}, {"lbprovider.io/allow-shared-ip": "k"}, {"lbprovider.io/allow-shared-ip": "l"})


@st.composite
def services(draw: st.DrawFn) -> Manifest:
    spec = draw(
        some(
            externalTrafficPolicy=st.sampled_from(("Cluster", "Local")),
            loadBalancerClass=st.sampled_from(("lbprovider.io/l2", "lbprovider.io/l2", "other/class")),
            type=st.sampled_from(("LoadBalancer", "LoadBalancer", "ClusterIP")),
            selector=LABELS,
        )
    )
    annotations = {each: value for of in (REQUESTS, POOLS, KEYS) for each, value in draw(st.sampled_from(of)).items()}
    shown = draw(st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True))
    name, namespace = draw(st.sampled_from(NAMES)), draw(st.sampled_from(("one", "two")))
    return made.service(
        name,
        *draw(st.lists(st.sampled_from((80, 443)), min_size=1, max_size=2, unique=True)),
        namespace=namespace,
        spec={**spec, **draw(st.sampled_from(FAMILIES))},
        labels=draw(LABELS),
        annotations=annotations,
        metadata={"uid": f"uid-{namespace}/{name}"} if draw(st.booleans()) else {},
        status=made.shows(*shown),
    )


@st.composite
def allocations(draw: st.DrawFn) -> Manifest:
    keys = draw(st.lists(st.sampled_from([f"{ns}/{name}" for ns in ("one", "two") for name in NAMES]), max_size=2))
    claims = [(key, draw(st.sampled_from((key, f"uid-{key}", f"gone-{key}")))) for key in dict.fromkeys(keys)]
    spec = {"sharingKey": "k"} if len(claims) > 1 else {}
    if not claims and draw(st.booleans()):
        spec = {"releasedAt": "2027-01-15T07:55:00Z"}  # five minutes before
    written = made.allocation(
        str(ip_address(draw(st.sampled_from(ADDRESSES)))), draw(st.sampled_from(NAMES)), *claims, **spec
    )
    answered: bool = draw(st.booleans())
    if claims and answered:
        written["status"] = {
            "conflictMAC": "02:00:00:00:00:99",
            "conditions": [
                {
                    "type": "Conflict", "status": "True", "reason": "ProbeAnswered", "message": "",
                    "lastTransitionTime": "2027-01-15T07:55:00Z",
                }
            ],
        }  # fmt: skip
    return written


def nodes() -> st.SearchStrategy[Manifest]:
    return st.builds(lambda name, labels: made.node(name, labels=labels), st.sampled_from(("n1", "n2", "n3")), LABELS)


def slices() -> st.SearchStrategy[Manifest]:
    where = st.lists(st.sampled_from(("n1", "n2")), max_size=2)
    return st.builds(
        lambda of, nodes, ready: made.endpoints(of, *nodes, namespace="one", ready=ready),
        st.sampled_from(NAMES), where, st.booleans(),
    )  # fmt: skip


def leases() -> st.SearchStrategy[Manifest]:
    return st.builds(
        lambda node, interface: made.lease(node, made.attachment(interface)),
        st.sampled_from(("n1", "n2", "n3")), st.sampled_from(("eth0", "eth1")),
    )  # fmt: skip


def inputs() -> st.SearchStrategy[list[Manifest]]:
    some_of = (
        st.lists(pools(), max_size=4),
        st.lists(services(), max_size=8),
        st.lists(allocations(), max_size=5),
        st.lists(st.one_of(advertisements(), nodes(), slices(), leases()), max_size=6),
    )
    return st.tuples(*some_of).flatmap(lambda parts: st.permutations([one for part in parts for one in part]))


@settings(max_examples=100)
@given(inputs())
def test_a_plan_of_what_a_plan_wrote_is_the_same_plan(given: list[Manifest]) -> None:
    first = made.planned(*given)
    second = made.again(first)

    assert second.result.services == first.result.services
    assert second.result.allocations == first.result.allocations
    assert second.result.announcements == first.result.announcements
    assert second.result.pools == first.result.pools


def test_a_service_stays_who_it_is_where_no_ipallocation_names_it_any_more() -> None:
    """It had to leave its address, and the IPAllocation knows it by a uid that the file doesn't say."""
    answered = made.allocation("192.0.2.0", "a", ("default/d", "uid-d"))
    said = {"type": "Conflict", "status": "True", "reason": "ProbeAnswered", "message": "", "lastTransitionTime": ""}
    answered["status"] = {"conflictMAC": "02:00:00:00:00:99", "conditions": [said]}

    first = made.planned(made.pool("a", "192.0.2.0"), made.service("d"), answered)

    assert "It had to leave 192.0.2.0" in first.result.services[0].message
    assert made.again(first).result == first.result


def test_who_is_not_ours_any_more_shows_what_others_wrote_and_nothing_of_ours() -> None:
    mine = {"type": "lbprovider.io/AddressesAssigned", "status": "True", "reason": "Assigned", "message": ""}
    theirs = {"type": "example.com/Ready", "status": "True", "reason": "Ready", "message": ""}
    gone = made.service(
        "a",
        spec={"type": "ClusterIP"},
        status={**made.shows("192.0.2.1", "198.51.100.1"), "conditions": [mine, theirs]},
    )
    first = made.planned(made.pool("a", "192.0.2.0/30"), gone, made.allocation("192.0.2.1", "a", ("default/a", "u")))

    (written,) = (one for one in manifests(first, made.NOW) if one["kind"] == "Service")

    assert written["status"] == {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}, "conditions": [theirs]}


@settings(max_examples=100)
@given(inputs(), st.randoms(use_true_random=False))
def test_the_same_objects_are_the_same_plan_in_whatever_order_what_is_held_comes(
    given: list[Manifest], random: Any
) -> None:
    """The order of Services decides among those that hold nothing; of everything else no order matters."""
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in given]
    once = [one for at, one in enumerate(given) if names.index(names[at]) == at]
    others = [one for one in once if one["kind"] != "Service"]
    random.shuffle(others)
    shuffled = [*others, *(one for one in once if one["kind"] == "Service")]

    one, other = made.result(*once), made.result(*shuffled)

    assert one.services == other.services
    assert one.announcements == other.announcements

"""SEMANTICS 'Addresses and pools' and 'Pinning': which pools count, what they cover, and whom they let in."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import permutations
from typing import Any

import msgspec
import pytest

from lbprovider.api.meta import LabelExpression, LabelSelector
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, ServiceAllocation
from lbprovider.errors import InvalidObject
from lbprovider.ipam.pools import PoolSet, duration
from lbprovider.ipam.reasons import MEANING, Reason, some
from tests.unit.ipam.builders import FOUR, LAN, pool

A = LabelSelector(match_labels={"app": "a"})
B = LabelSelector(match_labels={"app": "b"})


def expression(key: str, operator: Any, *values: str) -> LabelSelector:
    return LabelSelector(match_expressions=(LabelExpression(key=key, operator=operator, values=values),))


def problems(*pools: IPAddressPool) -> dict[str, list[str]]:
    return {name: [problem.reason for problem in found] for name, found in PoolSet.of(pools).refused.items()}


def test_defaults_are_auto_assign_on_and_buggy_addresses_in() -> None:
    lan = PoolSet.of([pool("lan", "192.0.2.0/24")]).pools["lan"]
    assert (lan.auto_assign, lan.careful, lan.reuse_after, lan.across_namespaces, lan.forced) == (
        True, False, 0, False, False,
    )  # fmt: skip
    assert lan.size("IPv4") == 256
    assert lan.size("IPv6") == 0


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        (pool("lan"), "InvalidEntry", "spec.addresses: is empty"),
        (pool("lan", "192.0.2.0/33"), "InvalidEntry", 'spec.addresses[0]: "192.0.2.0/33" is none of'),
        (pool("lan", "192.0.2.1", "x"), "InvalidEntry", 'spec.addresses[1]: "x" is none of'),
        (
            pool("lan", "192.0.2.1", exclude_addresses=("y",)),
            "InvalidEntry",
            'spec.excludeAddresses[0]: "y" is none of',
        ),
        (pool("", "192.0.2.1"), "InvalidSpec", "no metadata.name"),
        (pool("lan", "192.0.2.0/24", "192.0.2.9"), "Overlapping", "192.0.2.0-192.0.2.255 and 192.0.2.9 overlap"),
        (pool("lan", "192.0.2.1-192.0.2.9", "192.0.2.8/29"), "Overlapping", "overlap"),
        (pool("lan", "2001:db8::/64", "2001:db8::1-2001:db8::2"), "Overlapping", "overlap"),
        (pool("lan", "192.0.2.1", "192.0.2.1"), "Overlapping", "192.0.2.1 and 192.0.2.1 overlap"),
        (pool("lan", "192.0.2.1", reuse_after="soon"), "InvalidSpec", 'spec.reuseAfter: "soon" is no duration'),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(namespaces=("a", "b", "a"))),
            "InvalidSpec",
            "spec.serviceAllocation.namespaces[2]: is there twice",
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(namespaces=("a", "Shop"))),
            "InvalidSpec",
            'spec.serviceAllocation.namespaces[1]: "Shop" is no name of a namespace',
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(service_selectors=(A, B, A))),
            "InvalidSpec",
            "serviceSelectors[2]: is there twice",
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(namespace_selectors=(A, A))),
            "InvalidSpec",
            "namespaceSelectors[1]: is there twice",
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(service_selectors=(expression("k", "In", "x", "x"),))),
            "InvalidSpec",
            "serviceSelectors[0].matchExpressions[0].values[1]: is there twice",
        ),
        (
            pool(
                "lan",
                "192.0.2.1",
                pin=ServiceAllocation(
                    service_selectors=(
                        LabelSelector(match_expressions=expression("k", "Exists").match_expressions * 2),
                    )
                ),
            ),
            "InvalidSpec",
            "matchExpressions[1]: is there twice",
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(service_selectors=(expression("k", "Near", "x"),))),
            "InvalidSpec",
            "operator 'Near' is unknown; use one of In, NotIn, Exists, DoesNotExist",
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(service_selectors=(expression("k", "In"),))),
            "InvalidSpec",
            'operator In on "k" needs values',
        ),
        (
            pool("lan", "192.0.2.1", pin=ServiceAllocation(service_selectors=(expression("k", "Exists", "x"),))),
            "InvalidSpec",
            'operator Exists on "k" takes no values',
        ),
    ],
)
def test_a_bad_pool_is_refused_and_the_others_count(bad: IPAddressPool, reason: str, said: str) -> None:
    found = PoolSet.of([bad, pool("good", "198.51.100.0/24")])
    assert list(found.pools) == ["good"]
    (problem,) = found.refused[bad.metadata.name]
    assert problem.reason == reason
    assert said in problem.message
    assert problem.message.endswith(".")


def test_all_that_is_wrong_with_a_pool_is_said_at_once() -> None:
    pinned = ServiceAllocation(namespaces=("Shop",))
    assert problems(pool("lan", "x", "y", exclude_addresses=("z",), reuse_after="?", pin=pinned)) == {
        "lan": ["InvalidEntry", "InvalidEntry", "InvalidEntry", "InvalidSpec", "InvalidSpec"]
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.0/24", "192.0.2.128/25"),
        ("192.0.2.0/24", "192.0.2.255-192.0.3.4"),
        ("192.0.2.1-192.0.2.9", "192.0.2.9-192.0.2.20"),
        ("2001:db8::/64", "2001:db8::5"),
    ],
)
def test_of_two_overlapping_pools_the_older_counts(one: str, other: str) -> None:
    young = pool("a", one, created="2026-01-02T00:00:00Z")
    old = pool("b", other, created="2026-01-01T00:00:00Z")
    third = pool("c", "198.51.100.0/24", created="2026-01-03T00:00:00Z")
    for order in permutations([young, old, third]):
        found = PoolSet.of(order)
        assert list(found.pools) == ["b", "c"]
        (problem,) = found.refused["a"]
        assert problem.reason == Reason.OVERLAPPING
        assert "IPAddressPool b" in problem.message


def test_equally_old_overlapping_pools_go_by_name_and_one_not_created_yet_is_last() -> None:
    assert problems(pool("b", "192.0.2.0/24"), pool("a", "192.0.2.0/24")) == {"b": ["Overlapping"]}
    assert problems(pool("b", "192.0.2.0/24"), pool("a", "192.0.2.0/24", created="")) == {"a": ["Overlapping"]}


def test_a_refused_pool_takes_nothing_from_those_behind_it() -> None:
    first = pool("a", "192.0.2.0/25", created="2026-01-01T00:00:00Z")
    middle = pool("b", "192.0.2.0/24", created="2026-01-02T00:00:00Z")
    last = pool("c", "192.0.2.128/25", created="2026-01-03T00:00:00Z")
    found = PoolSet.of([last, middle, first])
    assert (list(found.pools), list(found.refused)) == (["a", "c"], ["b"])


def test_excludes_make_room_for_another_pool() -> None:
    whole = pool("a", "192.0.2.0/24", exclude_addresses=("192.0.2.128/25",))
    assert problems(whole, pool("b", "192.0.2.128/25")) == {}


def test_one_name_twice_counts_once() -> None:
    found = PoolSet.of([pool("lan", "192.0.2.1"), pool("lan", "192.0.2.2", created="2026-01-02T00:00:00Z")])
    assert found.covering(ip_address("192.0.2.1"))
    assert not found.covering(ip_address("192.0.2.2"))
    assert [problem.reason for problem in found.refused["lan"]] == [Reason.DUPLICATE_NAME]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1", None),
        ("192.0.2.0", "BuggyAddress"),
        ("192.0.2.255", "BuggyAddress"),
        ("192.0.2.20", "ExcludedAddress"),
        ("192.0.2.31", None),
        ("192.0.3.0", "OutsidePools"),
        ("192.0.1.255", "OutsidePools"),
        ("2001:db8::", None),
        ("2001:db8::ff", None),
        ("2001:db8::100", "OutsidePools"),
        ("198.51.100.0", None),
    ],
)
def test_what_a_pool_covers(address: str, reason: str | None) -> None:
    found = PoolSet.of(
        [
            pool(
                "lan",
                "192.0.2.0/24",
                "2001:db8::/120",
                avoid_buggy_ips=True,
                exclude_addresses=("192.0.2.10-192.0.2.30",),
            ),
            pool("other", "198.51.100.0/24"),
        ]
    )
    covering = found.covering(ip_address(address))
    assert (covering is None) == (reason is not None)
    if reason is not None:
        why, message = found.uncovered(ip_address(address))
        assert why == reason
        assert address in message
    assert found.pools["lan"].size("IPv4") == 256 - 21 - 2
    assert found.pools["lan"].size("IPv6") == 256


def test_an_address_of_a_refused_pool_is_said_to_be_so() -> None:
    found = PoolSet.of([pool("lan", "192.0.2.0/24", "x")])
    assert "refused: lan" in found.uncovered(ip_address("192.0.2.1"))[1]


@pytest.mark.parametrize(
    ("pin", "lets_in"),
    [
        (None, {"prod/a", "prod/b", "dev/a"}),
        (ServiceAllocation(priority=5), {"prod/a", "prod/b", "dev/a"}),
        (ServiceAllocation(namespaces=("prod",)), {"prod/a", "prod/b"}),
        (ServiceAllocation(namespace_selectors=(LabelSelector(match_labels={"env": "dev"}),)), {"dev/a"}),
        (
            ServiceAllocation(namespaces=("prod",), namespace_selectors=(LabelSelector(match_labels={"env": "dev"}),)),
            {"prod/a", "prod/b", "dev/a"},
        ),
        (ServiceAllocation(service_selectors=(A,)), {"prod/a", "dev/a"}),
        (ServiceAllocation(service_selectors=(A, B)), {"prod/a", "prod/b", "dev/a"}),
        (ServiceAllocation(namespaces=("prod",), service_selectors=(A,)), {"prod/a"}),
        (ServiceAllocation(namespace_selectors=(LabelSelector(match_labels={"env": "none"}),)), set()),
        (ServiceAllocation(service_selectors=(LabelSelector(),)), {"prod/a", "prod/b", "dev/a"}),
        (ServiceAllocation(service_selectors=(expression("app", "NotIn", "a"),)), {"prod/b"}),
    ],
)
def test_whom_a_pool_lets_in(pin: ServiceAllocation | None, lets_in: set[str]) -> None:
    lan = PoolSet.of([pool("lan", "192.0.2.0/24", pin=pin)]).pools["lan"]
    seen = {
        f"{namespace}/{app}"
        for namespace, app in (("prod", "a"), ("prod", "b"), ("dev", "a"))
        if lan.open_to(namespace, {"env": namespace}, {"app": app})
    }
    assert seen == lets_in


def test_the_order_is_pinned_by_priority_then_pinned_without_then_general_by_name() -> None:
    pools = [
        pool("z-first", "10.0.0.1", pin=ServiceAllocation(priority=1)),
        pool("y-second", "10.0.0.2", pin=ServiceAllocation(priority=2)),
        pool("a-none", "10.0.0.3", pin=ServiceAllocation()),
        pool("b-none", "10.0.0.4", pin=ServiceAllocation(priority=0)),
        pool("a-general", "10.0.0.5"),
        pool("b-general", "10.0.0.6", auto_assign=False),
    ]
    for order in (pools, pools[::-1]):
        assert list(PoolSet.of(order).pools) == [
            "z-first", "y-second", "a-none", "b-none", "a-general", "b-general",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("1.5\u00b5s", 1.5e-6),
    ],
)
def test_durations_are_those_of_kubernetes(text: str, seconds: float) -> None:
    assert duration(text, "here") == int(seconds * 10**9)


@pytest.mark.parametrize("text", ["", "5", "-5m", "10 m", " 2m", "2m\n", "1d", "m", "1h-2m", "٣s", "9" * 5000 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidObject, match="is no duration"):
        duration(text, "here")


def test_force_is_an_annotation_that_can_be_switched_off() -> None:
    def forced(value: str) -> bool:
        return PoolSet.of([pool("lan", "192.0.2.1", annotations={"lbprovider.io/force": value})]).pools["lan"].forced

    assert [forced(value) for value in ("true", "", "false")] == [True, True, False]


def test_no_field_of_a_pool_is_ignored() -> None:
    """A field accepted and ignored would hand out wrong addresses: whoever adds one comes by here."""
    assert set(msgspec.structs.asdict(IPAddressPoolSpec())) == {
        "addresses", "exclude_addresses", "auto_assign", "avoid_buggy_ips", "service_allocation", "reuse_after",
        "allow_sharing_across_namespaces",
    }  # fmt: skip


def test_every_reason_has_a_sentence() -> None:
    assert set(MEANING) == set(Reason)
    assert all(sentence.endswith(".") for sentence in MEANING.values())


def test_a_message_names_five_and_counts_the_rest() -> None:
    assert some("abc") == "a, b, c"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"


def test_the_caller_can_repool_with_an_equal_set() -> None:
    assert PoolSet.of([LAN, FOUR]) == PoolSet.of([FOUR, LAN])

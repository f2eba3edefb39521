"""Order of arrival: it decides nothing at a start, and in a burst it leaves nobody without."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.pool import IPAddressPool
from lbprovider.ipam.assign import Assigned, start_order
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.request import Request
from tests.unit.ipam.builders import DUAL, PREFER, REQUIRE, V4, V6, World, pinned, pool, request

POOLS = [
    pool("old", "10.0.0.0/30", "2001:db8::/127"),
    pool("young", "10.0.0.2-10.0.0.5", created="2026-01-02T00:00:00Z"),
    pool("other", "10.1.0.0/31", "2001:db8:1::/127"),
    pool("twin", "10.1.0.0/30"),
    pinned("pin", "10.2.0.0", namespaces=("dev",), priority=1),
]
ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.0.5", "10.1.0.0", "10.2.0.0", "10.9.0.0", "2001:db8::", "2001:db8:1::"]
SERVICES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(["web", "dev"]),
        "created": st.sampled_from(["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]),
        "families": st.sampled_from([V4, V6, DUAL]),
        "policy": st.sampled_from(["PreferDualStack", "RequireDualStack"]),
        "ports": st.sampled_from([(80,), (443,)]),
        "key": st.sampled_from(["", "", "k"]),
        "ips": st.sampled_from(["", "", "10.0.0.1"]),
        "named": st.sampled_from(["", "", "other"]),
        "status": st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple),
    }
)


@st.composite
def starts(draw: st.DrawFn) -> tuple[list[Request], list[IPAllocationSpec]]:
    """Services as a controller finds them, and the IPAllocations of some."""
    given = [(name, draw(SERVICES)) for name in draw(st.sets(st.sampled_from("abcdefgh"), min_size=2))]
    wishes = [
        request(name, **fields)
        for name, fields in given
        if not (fields["ips"] and fields["families"] != V4)  # such a request is refused by itself
    ]
    held: dict[str, IPAllocationSpec] = {}
    for wish, address in zip(wishes, draw(st.permutations(ADDRESSES)), strict=False):
        if draw(st.booleans()):
            held[address] = IPAllocationSpec(
                address=address, pool="old", services=(wish.claim,), sharing_key=wish.sharing_key
            )
    return wishes, list(held.values())


def adopt(wishes: list[Request], held: list[IPAllocationSpec], pools: list[IPAddressPool]) -> dict[str, object]:
    world = World()
    world.ledger = Ledger(PoolSet.of(pools), held)
    got: dict[str, object] = {}
    for wish in start_order(wishes, world.ledger):
        decision = world.carry_out(wish)
        got[wish.key] = decision if isinstance(decision, Assigned) else (decision.reason, decision.message)
    return got | {str(address): {claim.key for claim in world.ledger[address].services} for address in world.ledger}


@given(starts(), st.randoms(use_true_random=False))
def test_a_start_comes_to_the_same_whatever_the_order_of_the_lists(
    there: tuple[list[Request], list[IPAllocationSpec]], random: Random
) -> None:
    wishes, held = there
    expected = adopt(wishes, held, POOLS)
    for _ in range(3):
        shuffled = [random.sample(one, len(one)) for one in (wishes, held, POOLS)]
        assert adopt(*shuffled) == expected  # type: ignore[arg-type]


DNS = [{"key": "dns", "ports": (port,)} for port in ("TCP/53", "UDP/53")]
BURSTS: dict[str, tuple[list[IPAddressPool], list[dict[str, Any]]]] = {
    "one pool": ([pool("lan", "10.0.0.0/24", "10.1.0.0/24", "10.2.0.0-10.2.1.231")], [{}] * 1000),
    "two pools of half the size": ([pool("a", "10.0.0.0-10.0.1.243"), pool("b", "10.1.0.0-10.1.1.243")], [{}] * 1000),
    "two pools, one of them pinned to half of the Services": (
        [pinned("a", "10.0.0.0-10.0.1.243", namespaces=("dev",)), pool("b", "10.1.0.0-10.1.1.243")],
        [{"namespace": "dev"}, {"namespace": "web"}] * 500,
    ),
    "both families required, of one pool": ([pool("lan", "10.0.0.0-10.0.3.231", "2001:db8::-2001:db8::3e7")],
                                            [REQUIRE] * 1000),
    "both families required, of two pools": ([pool("four", "10.0.0.0-10.0.3.231"),
                                              pool("six", "2001:db8::-2001:db8::3e7")], [REQUIRE] * 1000),
    "some of one family, some of the other, some of both": (
        [pool("both", "10.0.0.0-10.0.1.243", "2001:db8::-2001:db8::1f3"), pool("four", "10.1.0.0-10.1.0.99"),
         pool("six", "2001:db8:1::-2001:db8:1::63")],
        [*[PREFER] * 200, *[REQUIRE] * 200, *[{}] * 200, *[{"families": V6}] * 200],
    ),
    "two on each address": ([pool("lan", "10.0.0.0-10.0.1.243")], DNS * 500),
    "two on each address of both families": ([pool("lan", "10.0.0.0-10.0.0.249", "2001:db8::-2001:db8::f9")],
                                             [{**REQUIRE, **one} for one in DNS] * 250),
    "buggy addresses left out": ([pool("lan", "10.0.0.0-10.0.3.238", avoid_buggy_ips=True)], [{}] * 1000),
}  # fmt: skip


@pytest.mark.parametrize("burst", BURSTS)
@given(random=st.randoms(use_true_random=False))
@settings(max_examples=3)
def test_a_burst_for_which_there_is_enough_leaves_nobody_without(burst: str, random: Random) -> None:
    pools, services = BURSTS[burst]
    world = World(*pools)
    for number in random.sample(range(len(services)), len(services)):
        decision = world.decide(f"s{number}", **services[number])
        assert isinstance(decision, Assigned), (number, decision)
        assert not decision.notes, (number, decision)
    left = [count.available for each in pools for count in world.ledger.counts(each.metadata.name).values()]
    assert not any(left), left
    assert world.get("late") == "Exhausted"


def test_a_burst_takes_what_cools_down_when_nothing_else_is_left() -> None:
    world = World(pool("lan", "10.0.0.0/22", reuse_after="1h"))
    for number in range(24, 1024):
        since = f"2026-01-01T12:{number % 60:02}:00Z"
        world.ledger.put(
            IPAllocationSpec(address=f"10.0.{number >> 8}.{number & 255}", pool="lan", released_at=since)
        )  # fmt: skip
    got = [world.get(f"s{number}") for number in range(1024)]
    assert len(set(got)) == 1024
    assert got[:24] == [f"10.0.0.{number}" for number in range(24)]
    assert world.get("late") == "Exhausted"

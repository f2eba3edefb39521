"""SEMANTICS 'Counters' and cool-down; the ledger and its set of addresses against naive ones."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.errors import InvalidObject
from lbprovider.ipam.addressset import AddressSet
from lbprovider.ipam.ledger import SATURATED, Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import Family
from lbprovider.ipam.request import Request
from tests.unit.ipam.builders import World, pool, request

SECOND = 10**9
NOON = 1767268800 * SECOND  # 2026-01-01T12:00:00Z


def held(address: str, *names: str, pool: str = "lan", key: str = "", released_at: str = "") -> IPAllocationSpec:
    services = tuple(
        ServiceClaim(namespace="web", name=name, uid=f"uid-{name}", ports=(ServicePort(port=80 + n),))
        for n, name in enumerate(names)
    )
    return IPAllocationSpec(address=address, pool=pool, services=services, sharing_key=key, released_at=released_at)


def counts(ledger: Ledger, name: str) -> dict[str, tuple[int, int, int]]:
    return {family: (c.total, c.assigned, c.available) for family, c in ledger.counts(name).items()}


def test_a_shared_address_counts_once_and_the_sum_is_the_size() -> None:
    ledger = Ledger(PoolSet.of([pool("lan", "10.0.0.0/28", "2001:db8::/126")]))
    ledger.put(held("10.0.0.1", "a", "b", key="k"))
    ledger.put(held("2001:db8::1", "a"))
    assert counts(ledger, "lan") == {"IPv4": (16, 1, 15), "IPv6": (4, 1, 3)}
    ledger.put(held("10.0.0.1", "a", key="k"))
    assert counts(ledger, "lan")["IPv4"] == (16, 1, 15)
    ledger.drop(ip_address("10.0.0.1"))
    ledger.drop(ip_address("10.0.0.1"))
    assert counts(ledger, "lan")["IPv4"] == (16, 0, 16)


def test_an_address_in_conflict_is_assigned_and_one_that_cools_down_available() -> None:
    ledger = Ledger(PoolSet.of([pool("lan", "10.0.0.0/28", reuse_after="1h")]))
    ledger.put(held("10.0.0.1"))
    ledger.put(held("10.0.0.2", released_at="2026-01-01T12:00:00Z"))
    assert counts(ledger, "lan") == {"IPv4": (16, 1, 15)}


@pytest.mark.parametrize(
    ("addresses", "buggy", "sizes"),
    [
        (("192.0.2.0/32",), True, {"IPv4": (0, 0, 0)}),
        (("192.0.2.0/24",), True, {"IPv4": (254, 0, 254)}),
        (("64.0.0.0/3",), False, {"IPv4": (2**29, 0, 2**29)}),
        (("2001:db8::/32",), False, {"IPv6": (SATURATED, 0, SATURATED)}),
        (("2001:db8::/65",), False, {"IPv6": (SATURATED, 0, SATURATED)}),
        (("2001:db8::/66",), True, {"IPv6": (2**62, 0, 2**62)}),
    ],
)
def test_counters_are_exact_and_saturate(
    addresses: tuple[str, ...],
    buggy: bool,  # noqa: FBT001
    sizes: dict[str, tuple[int, int, int]],
) -> None:
    assert counts(Ledger(PoolSet.of([pool("lan", *addresses, avoid_buggy_ips=buggy)])), "lan") == sizes


def test_pools_that_go_lose_their_counters_and_addresses_go_to_the_pool_that_covers_them() -> None:
    world = World(pool("lan", "10.0.0.0/28"))
    for name in "abc":
        world.decide(name)
    world.edit(pool("left", "10.0.0.0-10.0.0.1"), pool("right", "10.0.0.2/31"))
    ledger = world.ledger
    assert counts(ledger, "lan") == {}
    assert counts(ledger, "left") == {"IPv4": (2, 2, 0)}
    assert counts(ledger, "right") == {"IPv4": (2, 1, 1)}
    world.edit(pool("left", "10.0.0.0"))
    assert counts(ledger, "left") == {"IPv4": (1, 1, 0)}
    assert [str(address) for address in ledger.stranded("lan")] == ["10.0.0.1", "10.0.0.2"]
    world.leave("uid-b", "10.0.0.1")
    assert [str(address) for address in ledger.stranded("lan")] == ["10.0.0.2"]
    assert ledger.stranded("left") == ()
    ledger.put(held("10.9.0.1"))
    ledger.put(held("10.9.0.2", released_at="2026-01-01T12:00:00Z"))
    assert [str(address) for address in ledger.stranded("lan")] == ["10.0.0.2"]


def test_a_refused_pool_has_no_counters() -> None:
    assert counts(Ledger(PoolSet.of([pool("lan", "x")])), "lan") == {}


def test_cool_down_is_over_when_the_pool_says_so() -> None:
    ledger = Ledger(
        PoolSet.of([pool("lan", "10.0.0.0/28", "2001:db8::/64", reuse_after="1m"), pool("now", "10.1.0.0/28")])
    )
    for spec in (
        held("10.0.0.1", released_at="2026-01-01T12:00:00Z"),
        held("10.0.0.2", released_at="2026-01-01T12:00:30.5Z"),
        held("2001:db8::1", released_at="2026-01-01T13:00:00+01:00"),
        held("10.1.0.1", released_at="2026-01-01T12:00:00Z"),
        held("10.9.0.1", released_at="2026-01-01T12:00:00Z"),
        held("10.0.0.3", released_at="yesterday"),
        held("10.0.0.4", "a"),
        held("10.0.0.5"),
    ):
        ledger.put(spec)
    assert [str(a) for a in ledger.lapsed(NOON)] == ["10.0.0.3", "10.1.0.1", "10.9.0.1"]
    assert "10.0.0.1" not in map(str, ledger.lapsed(NOON + 60 * SECOND - 1))
    assert [str(a) for a in ledger.lapsed(NOON + 60 * SECOND)] == [
        "10.0.0.1", "10.0.0.3", "10.1.0.1", "10.9.0.1", "2001:db8::1",
    ]  # fmt: skip
    assert "10.0.0.2" in map(str, ledger.lapsed(NOON + 90 * SECOND + SECOND // 2))


def test_who_holds_what() -> None:
    ledger = Ledger(PoolSet.of([]), [held("2001:db8::1", "a"), held("10.0.0.9", "a", "b"), held("10.0.0.10", "a")])
    assert [str(a) for a in ledger.held_by("uid-a")] == ["10.0.0.9", "10.0.0.10", "2001:db8::1"]
    assert [str(a) for a in ledger.held_by("uid-b")] == ["10.0.0.9"]
    assert ledger.held_by("uid-c") == ()
    assert len(ledger) == len(list(ledger)) == 3
    assert ledger.get(ip_address("10.0.0.9")) == held("10.0.0.9", "a", "b")
    assert ledger.get(ip_address("10.0.0.8")) is None


def test_an_allocation_of_no_address_is_refused_by_name() -> None:
    with pytest.raises(InvalidObject, match=r"'10.0.0' is not an IP address"):
        Ledger(PoolSet.of([])).put(held("10.0.0", "a"))


@given(st.sets(st.integers(0, 1100)), st.integers(0, 1100), st.booleans(), st.sampled_from(["IPv4", "IPv6"]))
def test_the_lowest_absent_address_is_the_one_that_counting_finds(
    taken: set[int],
    start: int,
    careful: bool,  # noqa: FBT001
    family: Family,
) -> None:
    found = AddressSet(family, careful=careful)
    for number in taken:
        found.add(number)
    expected = start
    while expected in taken or (careful and family == "IPv4" and expected % 256 in (0, 255)):
        expected += 1
    assert found.lowest_absent(start) == expected


@pytest.mark.parametrize("careful", [False, True])
def test_full_blocks_are_climbed_over_and_opened_again(careful: bool) -> None:  # noqa: FBT001
    found = AddressSet("IPv4", careful=careful)
    for number in range(3 * 65536):
        found.add(number)
    assert found.lowest_absent(0) == 3 * 65536 + careful
    found.remove(65536 + 7)
    assert found.lowest_absent(0) == 65536 + 7
    assert found.lowest_absent(65536 + 8) == 3 * 65536 + careful
    found.add(65536 + 7)
    assert found.lowest_absent(0) == 3 * 65536 + careful
    for number in range(3 * 65536):
        found.remove(number)
    assert found.lowest_absent(0) == int(careful)
    assert not any(found._levels)


def test_the_end_of_the_address_space_is_no_address() -> None:
    for family, bits in (("IPv4", 32), ("IPv6", 128)):
        found = AddressSet(family)  # type: ignore[arg-type]
        for number in range(2**bits - 300, 2**bits):
            found.add(number)
        assert found.lowest_absent(2**bits - 300) >= 2**bits


ADDRESSES = [f"10.0.0.{n}" for n in range(10)] + [f"2001:db8::{n}" for n in range(1, 4)]
POOLS = [
    (pool("lan", "10.0.0.0/29", "2001:db8::/126"),),
    (pool("a", "10.0.0.0/30", avoid_buggy_ips=True), pool("b", "10.0.0.4/30", "2001:db8::2/127")),
    (pool("lan", "10.0.0.6-10.0.0.9", exclude_addresses=("10.0.0.7",), reuse_after="1h"),),
    (),
]
# "held" without a Service is in conflict, or cools down.
SPECS = st.builds(
    held,
    st.sampled_from(ADDRESSES),
    pool=st.sampled_from(["lan", "a"]),
    key=st.sampled_from(["", "k"]),
    released_at=st.sampled_from(["", "2026-01-01T12:00:00Z", "2026-01-01T12:30:00Z"]),
) | st.builds(held, st.sampled_from(ADDRESSES), st.sampled_from("abc"), st.sampled_from("de"), key=st.just("k"))


class LedgerMachine(RuleBasedStateMachine):
    """However a ledger came about, it answers like one that was made at once of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = PoolSet.of(POOLS[0])
        self.ledger = Ledger(self.pools)
        self.there: dict[str, IPAllocationSpec] = {}

    @rule(spec=SPECS)
    def put(self, spec: IPAllocationSpec) -> None:
        self.ledger.put(spec)
        self.there[spec.address] = spec

    @rule(address=st.sampled_from(ADDRESSES))
    def drop(self, address: str) -> None:
        self.ledger.drop(ip_address(address))
        self.there.pop(address, None)

    @rule(pools=st.sampled_from(POOLS))
    def edit(self, pools: tuple[()]) -> None:
        self.pools = PoolSet.of(pools)
        self.ledger.repool(self.pools)

    @invariant()
    def equals_a_fresh_one(self) -> None:
        fresh = Ledger(self.pools, reversed(self.there.values()))
        for ledger in (self.ledger, fresh):
            assert {str(address): ledger[address] for address in ledger} == self.there
        for name in ("lan", "a", "b"):
            assert self.ledger.counts(name) == fresh.counts(name)
            assert self.ledger.stranded(name) == fresh.stranded(name)
        for uid in (f"uid-{name}" for name in "abcde"):
            naive = {s.address for s in self.there.values() if uid in {c.uid for c in s.services}}
            assert {str(address) for address in self.ledger.held_by(uid)} == naive
        for minutes in (0, 45, 75, 120):
            now = NOON + minutes * 60 * SECOND
            assert self.ledger.lapsed(now) == fresh.lapsed(now)

    @invariant()
    def counts_by_hand(self) -> None:
        for name, each in self.pools.pools.items():
            for family, count in self.ledger.counts(name).items():
                mine = [ip_address(a) for a, s in self.there.items() if s.services or not s.released_at]
                assigned = sum(self.pools.covering(a) is each for a in mine if f"IPv{a.version}" == family)
                assert (count.assigned, count.available + count.assigned) == (assigned, each.size(family))

    @invariant()
    def free_is_the_lowest_that_nobody_holds_or_that_can_be_joined(self) -> None:
        for wish in (request("x", ports=(81,)), request("x", ports=(443,), key="k"), request("x", key="k")):
            for each in self.pools.pools.values():
                fit = [
                    a for a in map(ip_address, ADDRESSES) if self.pools.covering(a) is each and self.fits(wish, str(a))
                ]
                assert self.ledger.free(wish, each, "IPv4") == next((a for a in fit if a.version == 4), None)

    def fits(self, wish: Request, address: str) -> bool:
        spec = self.there.get(address)
        if spec is None:
            return True
        ports = {port.port for claim in spec.services for port in claim.ports}
        return bool(
            wish.sharing_key
            and spec.services
            and spec.sharing_key == wish.sharing_key
            and ports.isdisjoint(port.port for port in wish.ports)
        )


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestLedger = LedgerMachine.TestCase

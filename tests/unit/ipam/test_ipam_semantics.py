"""SEMANTICS section 1, what is kept of MetalLB: each row is one rule, told as what happens to Services and pools."""

from __future__ import annotations

import pytest

from lbprovider.api.meta import LabelSelector
from lbprovider.api.pool import ServiceAllocation
from tests.unit.ipam.builders import FOUR, LAN, PREFER, REQUIRE, SIX, V6, pinned, pool
from tests.unit.ipam.stories import Story, asks, edits, goes, holds, play, says

BOTH = pool("z-both", "10.5.0.0/31", "2001:db8:5::/127")
GOLD = LabelSelector(match_labels={"tier": "gold"})
LOCAL = {"external_traffic_policy": "Local", "selector": {"app": "a"}}
UDP = ("UDP/53",)
TCP = ("TCP/53",)

DUAL_STACK: dict[str, Story] = {
    "a Service of one family gets an address of that": (
        FOUR, SIX, asks("a", "10.0.0.0"), asks("b", "2001:db8::", families=V6),
    ),
    "both families come from two pools where none has both": (
        FOUR, SIX, asks("a", "10.0.0.0 2001:db8::", **PREFER), asks("b", "10.0.0.1 2001:db8::1", **REQUIRE),
    ),
    "a pool with both families goes before two with one each": (
        FOUR, SIX, BOTH, asks("a", "10.5.0.0 2001:db8:5::", **PREFER), asks("b", "10.5.0.1 2001:db8:5::1", **REQUIRE),
    ),
    "a pool with both families wins over the rank of one with one": (
        pinned("pin", "10.7.0.0", priority=1), BOTH, asks("a", "10.5.0.0 2001:db8:5::", **PREFER),
    ),
    "of several pools with both families the first by rank": (
        BOTH, pinned("pin", "10.7.0.0", "2001:db8:7::", priority=1), asks("a", "10.7.0.0 2001:db8:7::", **REQUIRE),
    ),
    "RequireDualStack is all or nothing": (
        FOUR, asks("a", "NoPoolOfFamily", **REQUIRE), holds(),
    ),
    "RequireDualStack without a free address of one family takes none of the other": (
        FOUR, pool("six", "2001:db8::"),
        asks("first", "2001:db8::", families=V6), asks("a", "Exhausted", **REQUIRE), holds("2001:db8::"),
        says("a", "No free IPv6 address: six 1 of 1 in use", **REQUIRE), asks("b", "10.0.0.0"),
    ),
    "PreferDualStack takes the first family where that is all there is": (
        FOUR, asks("a", "10.0.0.0 SingleFamilyOnly", **PREFER),
    ),
    "PreferDualStack takes the other family where that is all there is": (
        SIX, asks("a", "2001:db8:: SingleFamilyOnly", **PREFER),
    ),
    "a degraded Service keeps what it has, says so, and has the other family as soon as there is one": (
        FOUR, asks("a", "10.0.0.0 SingleFamilyOnly", **PREFER), edits(FOUR, SIX, BOTH),
        asks("a", "10.0.0.0 2001:db8::", **PREFER),
    ),
    "a degraded Service gets the other family from the pool of the address that it has, if that has one": (
        pool("z-both", "10.5.0.0/31", "2001:db8:5::"), asks("first", "2001:db8:5::", families=V6),
        asks("a", "10.5.0.0 SingleFamilyOnly", **PREFER), goes("first"),
        edits(pool("a-six", "2001:db8:1::/127"), pool("z-both", "10.5.0.0/31", "2001:db8:5::")),
        asks("a", "10.5.0.0 2001:db8:5::", **PREFER),
    ),
    "a Service that becomes dual-stack keeps its address, and one that ceases to be lets the other go": (
        FOUR, SIX, asks("a", "10.0.0.0"), asks("a", "10.0.0.0 2001:db8::", **PREFER),
        asks("a", "10.0.0.0"), holds("10.0.0.0"), asks("a", "10.0.0.0 2001:db8::", **REQUIRE),
    ),
    "a Service that becomes dual-stack takes the address of the pool that it is in": (
        pool("a-six", "2001:db8::/127"), BOTH, asks("a", "10.5.0.0"), asks("a", "10.5.0.0 2001:db8:5::", **PREFER),
    ),
    "a Service that changes its family gets an address of the new one": (
        FOUR, SIX, asks("a", "10.0.0.0"), asks("a", "2001:db8::", families=V6), holds("2001:db8::"),
    ),
    "an address of a family no longer wanted is let go even where none of the other is free": (
        FOUR, asks("a", "10.0.0.0"), asks("a", "NoPoolOfFamily", families=V6), holds(),
    ),
    "a live Service that comes to require both families keeps what it has": (
        FOUR, asks("a", "10.0.0.0"), asks("a", "10.0.0.0 RequestUnsatisfiable", **REQUIRE),
    ),
}  # fmt: skip

SHARING: dict[str, Story] = {
    "both families of two Services are shared, in two pools too": (
        FOUR, SIX, asks("tcp", "10.0.0.0 2001:db8::", key="dns", ports=TCP, **REQUIRE),
        asks("udp", "10.0.0.0 2001:db8::", key="dns", ports=UDP, **REQUIRE), holds("10.0.0.0", "2001:db8::"),
    ),
    "one family of a dual-stack Service is shared by a Service of that family": (
        FOUR, SIX, asks("tcp", "10.0.0.0 2001:db8::", key="dns", ports=TCP, **REQUIRE),
        asks("udp", "2001:db8::", key="dns", ports=UDP, families=V6),
    ),
    "automatic and named-pool allocation join a shared address where it fits, else go on to the next": (
        LAN, asks("other", "10.0.0.0"), asks("tcp", "10.0.0.1", key="dns", ports=TCP),
        asks("udp", "10.0.0.1", key="dns", ports=UDP), asks("tcp2", "10.0.0.2", key="dns", ports=TCP, named="lan"),
        asks("udp2", "10.0.0.2", key="dns", ports=UDP, named="lan"), asks("web", "10.0.0.1", key="dns"),
    ),
    "a lower address that is free goes before one that could be shared": (
        LAN, asks("low", "10.0.0.0"), asks("tcp", "10.0.0.1", key="dns", ports=TCP), goes("low"),
        asks("udp", "10.0.0.0", key="dns", ports=UDP),
    ),
    "a full pool can still be joined": (
        pool("lan", "10.0.0.0"), asks("tcp", "10.0.0.0", key="dns", ports=TCP),
        asks("tcp2", "Exhausted", key="dns", ports=TCP), asks("udp", "10.0.0.0", key="dns", ports=UDP),
    ),
    "an address that the pool leaves out by now is not joined": (
        LAN, asks("tcp", "10.0.0.0", key="dns", ports=TCP), edits(pool("lan", "10.0.0.0/29", avoid_buggy_ips=True)),
        asks("udp", "10.0.0.1", key="dns", ports=UDP),
    ),
    "the only holder changes key, ports and traffic policy in place": (
        LAN, asks("a", "10.0.0.0", key="k"), asks("a", "10.0.0.0", key="j", ports=(443,)),
        asks("a", "10.0.0.0", key="j", **LOCAL), asks("a", "10.0.0.0"),
    ),
    "a key that is taken away while others are on the address moves the Service": (
        LAN, asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        asks("a", "10.0.0.1"), asks("b", "10.0.0.0", key="k", ports=(443,)),
    ),
    "a key that is taken away without another address to move to is said, and the address kept": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        asks("a", "10.0.0.0 RequestUnsatisfiable"), asks("c", "10.0.0.0", key="k", ports=(22,)),
        asks("c", "Exhausted", key="k", ports=(80,)),
    ),
    "with others on the address a changed key moves the Service": (
        LAN, asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        asks("b", "10.0.0.1", key="j", ports=(443,)),
    ),
    "a Service that comes to be Local leaves those that are Cluster, even without another address": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        asks("b", "Exhausted", key="k", ports=(443,), **LOCAL), asks("a", "10.0.0.0", key="k"),
    ),
    "a Service that comes to want the port of another leaves, even without another address": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        asks("b", "Exhausted", key="k", ports=(80, 443)), asks("a", "10.0.0.0", key="k"),
    ),
    "the address stays bound to the key until the last holder leaves": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.0", key="k", ports=(443,)),
        goes("a"), asks("c", "Exhausted", key="j"), goes("b"), asks("c", "10.0.0.0", key="j"),
    ),
    "a port that one Service gives up another can have": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0", key="k", ports=(80, 443)),
        asks("b", "PortTaken", key="k", ports=(443,), ips="10.0.0.0"), asks("a", "10.0.0.0", key="k"),
        asks("b", "10.0.0.0", key="k", ports=(443,), ips="10.0.0.0"),
    ),
}  # fmt: skip

REQUESTS: dict[str, Story] = {
    "a changed address moves the Service in one pass": (
        LAN, asks("a", "10.0.0.0"), asks("a", "10.0.0.5", ips="10.0.0.5"), holds("10.0.0.5"),
    ),
    "a changed pool moves the Service in one pass": (
        LAN, pool("outer", "10.1.0.0/29"), asks("a", "10.0.0.0"), asks("a", "10.1.0.0", named="outer"),
        asks("a", "10.1.0.3", named="outer", ips="10.1.0.3"), holds("10.1.0.3"),
    ),
    "a request withdrawn moves nothing": (
        LAN, pool("outer", "10.1.0.0/29", auto_assign=False), asks("a", "10.1.0.5", ips="10.1.0.5"),
        asks("a", "10.1.0.5"),
    ),
    "of two Services that want one address the first has it, and the other when that goes": (
        LAN, asks("a", "10.0.0.5", ips="10.0.0.5"), asks("b", "AddressTaken", ips="10.0.0.5"), goes("a"),
        asks("b", "10.0.0.5", ips="10.0.0.5"),
    ),
    "an address that cools down is given to who asks for it": (
        pool("lan", "10.0.0.0/29", reuse_after="1h"), asks("a", "10.0.0.0"), goes("a", cools="2026-01-01T12:00:00Z"),
        asks("b", "10.0.0.1"), asks("c", "10.0.0.0", ips="10.0.0.0"),
    ),
    "an address of a pool pinned away is not given to who asks for it, and is once the pool lets him in": (
        pinned("gold", "10.0.0.0/29", service_selectors=(GOLD,)), asks("a", "PinnedAway", ips="10.0.0.5"),
        asks("a", "10.0.0.5", ips="10.0.0.5", labels={"tier": "gold"}),
    ),
    "the other family of a requested address comes from the same pool, if that has one": (
        pool("a-four", "10.0.0.0/29"), BOTH, asks("a", "10.5.0.0 2001:db8:5::1", **PREFER, ips="2001:db8:5::1"),
    ),
    "the other family of a requested address is none of a pool with autoAssign off": (
        pool("four", "10.0.0.0/29"), pool("manual", "10.5.0.0", "2001:db8:5::", auto_assign=False),
        asks("a", "10.0.0.0 2001:db8:5::", **PREFER, ips="2001:db8:5::"),
    ),
    "requested addresses are had all or none": (
        pool("lan", "10.0.0.0/29", "2001:db8::/64"), asks("other", "10.0.0.5", ips="10.0.0.5"),
        asks("a", "AddressTaken", **PREFER, ips="10.0.0.5,2001:db8::5"), asks("b", "10.0.0.0 2001:db8::", **PREFER),
        asks("b", "10.0.0.0 2001:db8:: RequestUnsatisfiable", **PREFER, ips="10.0.0.5,2001:db8::5"),
    ),
    "a requested second address that can't be had is said to be so": (
        FOUR, SIX, asks("other", "2001:db8::1", ips="2001:db8::1", families=V6), asks("a", "10.0.0.1", ips="10.0.0.1"),
        asks("a", "10.0.0.1 RequestUnsatisfiable", **PREFER, ips="10.0.0.1,2001:db8::1"),
    ),
}  # fmt: skip

POOL_EDITS: dict[str, Story] = {
    "the older of two overlapping pools is deleted, and the younger has its live addresses": (
        pool("old", "10.0.0.0/29"), pool("young", "10.0.0.0/28", created="2026-01-02T00:00:00Z"),
        asks("a", "10.0.0.0"), asks("b", "PoolRefused", named="young"),
        edits(pool("young", "10.0.0.0/28", created="2026-01-02T00:00:00Z")), asks("a", "10.0.0.0"),
        asks("b", "10.0.0.1", named="young"),
    ),
    "a pool that comes to overlap an older one strands only what that one hasn't": (
        pool("old", "10.1.0.0/29", auto_assign=False), pool("young", "10.0.0.0/29", created="2026-01-02T00:00:00Z"),
        asks("a", "10.0.0.0"), asks("b", "10.0.0.1"),
        edits(
            pool("old", "10.1.0.0/29", "10.0.0.1", auto_assign=False),
            pool("young", "10.0.0.0/29", created="2026-01-02T00:00:00Z"),
        ),
        asks("a", "10.0.0.0 Stranded"), asks("b", "10.0.0.1"),
    ),
    "a pool that grows serves those who wait": (
        pool("lan", "10.0.0.0"), asks("a", "10.0.0.0"), asks("b", "Exhausted"), edits(LAN), asks("b", "10.0.0.1"),
    ),
    "a pool that is given back ends what was stranded": (
        LAN, asks("a", "10.0.0.0"), edits(), asks("a", "10.0.0.0 Stranded"), edits(LAN), asks("a", "10.0.0.0"),
    ),
    "autoAssign switched off leaves live addresses, and gives no more unasked": (
        LAN, asks("a", "10.0.0.0"), edits(pool("lan", "10.0.0.0/29", auto_assign=False)), asks("a", "10.0.0.0"),
        asks("b", "NoPoolForService"), asks("b", "10.0.0.1", named="lan"),
    ),
    "a renamed pool keeps whoever named the old one, and says why": (
        LAN, asks("a", "10.0.0.0", named="lan"), edits(pool("renamed", "10.0.0.0/29")),
        asks("a", "10.0.0.0 Stranded", named="lan"),
        says("a", "pool renamed has it now, and the Service names lan", named="lan"), asks("a", "10.0.0.0"),
    ),
    "who names another pool leaves a stranded address": (
        LAN, asks("a", "10.0.0.0"), edits(pool("spare", "10.5.0.0/29")), asks("a", "10.0.0.0 Stranded"),
        asks("a", "10.5.0.0", named="spare"), holds("10.5.0.0"),
    ),
    "a family that a pool loses is stranded, and the other is not": (
        BOTH, asks("a", "10.5.0.0 2001:db8:5::", **REQUIRE), edits(pool("z-both", "10.5.0.0/31")),
        asks("a", "10.5.0.0 2001:db8:5:: Stranded", **REQUIRE),
    ),
    "the pool's namespace selector moves to others, and the addresses stay": (
        pool("lan", "10.0.0.0/29", pin=ServiceAllocation(namespace_selectors=(GOLD,))),
        asks("a", "10.0.0.0", namespace_labels={"tier": "gold"}), asks("a", "10.0.0.0 Stranded"),
        asks("b", "NoPoolForService"), asks("a", "10.0.0.0", namespace_labels={"tier": "gold"}),
    ),
}  # fmt: skip

COOL_DOWN: dict[str, Story] = {
    "a pool whose addresses all cool down is passed over while another has free ones": (
        pool("a", "10.0.0.0", reuse_after="1h"), pool("b", "10.1.0.0"), asks("old", "10.0.0.0"),
        goes("old", cools="2026-01-01T12:00:00Z"), asks("x", "10.1.0.0"), asks("y", "10.0.0.0"),
    ),
    "both families from two pools go before both from one where they cool down": (
        pool("a", "10.5.0.0", "2001:db8:5::", reuse_after="1h"), FOUR, SIX,
        asks("old", "10.5.0.0 2001:db8:5::", **REQUIRE), goes("old", cools="2026-01-01T12:00:00Z"),
        asks("x", "10.0.0.0 2001:db8::", **REQUIRE),
    ),
}  # fmt: skip

RULES = {**DUAL_STACK, **SHARING, **REQUESTS, **POOL_EDITS, **COOL_DOWN}


@pytest.mark.parametrize("rule", RULES)
def test_as_metallb(rule: str) -> None:
    play(RULES[rule])

"""SEMANTICS section 2, where we decide otherwise than MetalLB: each row is one line of it that is about allocation."""

from __future__ import annotations

import pytest

from lbprovider.api.meta import LabelSelector
from tests.unit.ipam.builders import FOUR, LAN, PREFER, REQUIRE, SIX, V6, pinned, pool
from tests.unit.ipam.stories import Story, asks, edits, goes, holds, play, says

NOBODY = LabelSelector(match_labels={"no": "body"})
FORCE = {"lbprovider.io/force": "true"}
BARE_LOCAL = {"external_traffic_policy": "Local", "selector": {}}

RULES: dict[str, Story] = {
    "an infeasible request on a live Service leaves it the working address, and says so": (
        LAN, asks("b", "10.0.0.0"), asks("a", "10.0.0.1"), asks("a", "10.0.0.1 RequestUnsatisfiable", ips="10.0.0.0"),
        says("a", "The Service keeps what it has.", "10.0.0.0 is held by Service web/b", ips="10.0.0.0"),
        goes("b"), asks("a", "10.0.0.0", ips="10.0.0.0"), holds("10.0.0.0"),
    ),
    "a pool edit that uncovers a live address keeps it while the Service lives": (
        LAN, asks("a", "10.0.0.0"), edits(pool("lan", "10.0.0.4/30")), asks("a", "10.0.0.0 Stranded"),
        goes("a"), asks("b", "10.0.0.4"),
    ),
    "lbprovider.io/force on the pool lets go": (
        LAN, asks("a", "10.0.0.0"), edits(pool("lan", "10.0.0.4/30", annotations=FORCE)), asks("a", "10.0.0.4"),
        holds("10.0.0.4"),
    ),
    "a pool that is gone can't be forced any more, and the Service is told what can be done": (
        LAN, asks("a", "10.0.0.0"), edits(pool("spare", "10.5.0.0")), asks("a", "10.0.0.0 Stranded"),
        says("a", "by deleting the Service or by naming another pool"), asks("a", "10.5.0.0", named="spare"),
    ),
    "a pinned pool's selector edit keeps live addresses too": (
        pinned("lan", "10.0.0.0/29", namespaces=("web",)), asks("a", "10.0.0.0"),
        edits(pinned("lan", "10.0.0.0/29", namespaces=("other",))), asks("a", "10.0.0.0 Stranded"),
        says("a", "pool lan has it now and doesn't serve this Service"),
    ),
    "namespaceSelectors that match nothing open the pool to nobody, explicit requests included": (
        pinned("lan", "10.0.0.0/29", namespace_selectors=(NOBODY,)), asks("a", "NoPoolForService"),
        asks("b", "PinnedAway", ips="10.0.0.1"), asks("c", "PinnedAway", named="lan"),
    ),
    "serviceSelectors that match nothing open the pool to nobody, explicit requests included": (
        pinned("lan", "10.0.0.0/29", service_selectors=(NOBODY,)), asks("a", "NoPoolForService"),
        asks("b", "PinnedAway", ips="10.0.0.1"), asks("c", "PinnedAway", named="lan"),
    ),
    "between pools of equal rank the first by name": (
        pinned("b", "10.1.0.0", priority=5), pinned("a", "10.0.0.0", priority=5), pool("d", "10.3.0.0"),
        pool("c", "10.2.0.0"), asks("1", "10.0.0.0"), asks("2", "10.1.0.0"), asks("3", "10.2.0.0"),
        asks("4", "10.3.0.0"),
    ),
    "a guessed key shares nothing across namespaces": (
        LAN, asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.1", key="k", ports=(443,), namespace="other"),
        asks("c", "OtherNamespace", key="k", ports=(443,), namespace="third", ips="10.0.0.0"),
    ),
    "the pool may allow sharing across namespaces": (
        pool("lan", "10.0.0.0/29", allow_sharing_across_namespaces=True), asks("a", "10.0.0.0", key="k"),
        asks("b", "10.0.0.0", key="k", ports=(443,), namespace="other"),
        asks("c", "10.0.0.0", key="k", ports=(444,), namespace="third", ips="10.0.0.0"),
        edits(LAN), asks("b", "10.0.0.0", key="k", ports=(443,), namespace="other"),
        asks("d", "10.0.0.1", key="k", ports=(445,)),
    ),
    "Local Services without a selector share with nobody": (
        LAN, asks("a", "10.0.0.0", key="k"), asks("b", "10.0.0.1", key="k", ports=(443,), **BARE_LOCAL),
        asks("c", "10.0.0.2", key="k", ports=(444,), **BARE_LOCAL),
    ),
    "addresses are in the order of the Service's ipFamilies, and stay so": (
        FOUR, SIX, asks("a", "2001:db8:: 10.0.0.0", families=("IPv6", "IPv4"), policy="PreferDualStack"),
        asks("b", "10.0.0.1 2001:db8::1", **REQUIRE),
    ),
    "ipFamilies in the other order change the order, and no address": (
        FOUR, SIX, asks("a", "10.0.0.0 2001:db8::", **PREFER),
        asks("a", "2001:db8:: 10.0.0.0", families=("IPv6", "IPv4"), policy="PreferDualStack"),
    ),
    "two requested addresses may come from two pools": (
        LAN, pool("six", "2001:db8::/64"), asks("a", "10.0.0.5 2001:db8::5", **REQUIRE, ips="2001:db8::5,10.0.0.5"),
    ),
    "a single requested address of a PreferDualStack Service is taken, and the other family allocated": (
        LAN, pool("six", "2001:db8::/64"), asks("a", "10.0.0.0 2001:db8::5", **PREFER, ips="2001:db8::5"),
    ),
    "a single requested address that is taken leaves a PreferDualStack Service without": (
        LAN, pool("six", "2001:db8::/64"), asks("b", "2001:db8::5", families=V6, ips="2001:db8::5"),
        asks("a", "AddressTaken", **PREFER, ips="2001:db8::5"), holds("2001:db8::5"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_unlike_metallb(rule: str) -> None:
    play(RULES[rule])

"""Whatever stands where in a manifest: it is planned, or said with its document; nothing ends in a traceback."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbprovider.documents import reading, written
from lbprovider.planning import gather, manifests, plan
from tests.unit.planning import planning_input as made
from tests.unit.planning.planning_input import NOW, OPTIONS, Manifest

METALLB = {"apiVersion": "metallb.io/v1beta1"}
WEIGHTS = [{"weight": 1, "preference": {"matchLabels": {"x": "1"}}}]
WHOLE: tuple[Manifest, ...] = (
    made.pool("a", "192.0.2.0/30", "2001:db8::/64", labels={"x": "1"}, spec={
        "excludeAddresses": ["192.0.2.1"], "reuseAfter": "10m", "autoAssign": True,
        "serviceAllocation": {"priority": 1, "namespaces": ["default"],
                              "serviceSelectors": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]},
    }),
    {**made.pool("b", "192.0.2.8/30"), **METALLB},
    made.advertisement("a", spec={"ipAddressPools": ["a"], "nodeSelectors": [{"matchLabels": {"x": "1"}}]}),
    {**made.advertisement("b", spec={"preferredNodeSelectors": WEIGHTS}), **METALLB},
    made.service("a", labels={"x": "1"}, annotations={"lbprovider.io/allow-shared-ip": "k"}, spec={
        "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"], "clusterIPs": ["10.0.0.1"],
        "externalTrafficPolicy": "Local", "selector": {"app": "a"}, "loadBalancerIP": "192.0.2.2",
    }, status={**made.shows("192.0.2.3"), "conditions": [
        {"type": "lbprovider.io/AddressesAssigned", "status": "True", "reason": "Assigned", "message": ""}]}),
    made.service("a", spec={"ipFamilyPolicy": "RequireDualStack"}),
    made.namespace("default", x="1"),
    made.node("n1", labels={"x": "1"}, spec={"taints": [{"key": "t"}]},
              status={"conditions": [{"type": "Ready", "status": "True"}]}),
    made.endpoints("a", "n1", ready=True),
    made.lease("n1", made.attachment("eth0")),
    made.allocation("192.0.2.3", "a", ("default/a", "u")),
    {**METALLB, "kind": "BGPPeer", "metadata": {"name": "p"}},
    {"apiVersion": "v1", "kind": "List", "items": [made.service("in-a-list")]},
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(("", "a", "-1", "%", "192.0.2.1", "a\nb", "IPv4", "\u2028", "x" * 300)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("a", "", "name")), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a manifest, by their keys."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, each in inner for place in ((*path, key), *places(each, (*path, key)))]


@st.composite
def manifests_with_a_slip(draw: st.DrawFn) -> list[Manifest]:
    given = copy.deepcopy(list(WHOLE))
    for _ in range(draw(st.integers(1, 2))):
        whole = draw(st.sampled_from(given))
        place = draw(st.sampled_from(places(whole)))
        for key in place[:-1]:
            whole = whole[key]
        whole[place[-1]] = draw(JUNK)
    return given


@settings(max_examples=300)
@given(manifests_with_a_slip())
def test_a_slip_anywhere_is_said_or_planned(given: list[Manifest]) -> None:
    read = reading(["-"], io.StringIO("\n".join(f"---\n{json.dumps(one)}" for one in given)))
    objects, refused = gather(read.documents, OPTIONS, made.schemas())

    unusable = (*read.problems, *refused)
    assert all(str(each).startswith("standard input, document ") and each.what for each in unusable)
    if not unusable:
        assert written(manifests(plan(objects, OPTIONS, NOW), NOW)).startswith("---\n")

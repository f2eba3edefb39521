"""A whole manifest as an API server would judge it: metadata, unknown fields, schema, rules, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from lbprovider import shipped
from lbprovider.admission.manifests import judged
from lbprovider.api.names import API_VERSION

SCHEMAS: Final = shipped.schemas()


def pool(spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "IPAddressPool", "metadata": {"name": "lan", **metadata}, "spec": spec}


def wrong(raw: Mapping[str, Any], *, namespaced: bool = True) -> dict[str, str]:
    """By field, what is said."""
    stored, found = judged(raw, SCHEMAS[raw["kind"]], namespaced=namespaced)
    assert (stored is None) is bool(found)
    return {each.field: str(each).removeprefix(f"{each.field}: ") for each in found}


def test_what_is_right_is_given_back_as_it_would_be_stored() -> None:
    raw = {**pool({"addresses": ["192.0.2.0/24"], "reuseAfter": None}), "status": {"ipv4": "lost"}}
    stored, found = judged(raw, SCHEMAS["IPAddressPool"], namespaced=True)
    assert (stored, found) == (
        pool({"addresses": ["192.0.2.0/24"], "autoAssign": True, "avoidBuggyIPs": False, "reuseAfter": "0s",
              "allowSharingAcrossNamespaces": False}), ()
    )  # fmt: skip


def test_everything_is_said_at_once() -> None:
    raw = pool({"addresses": ["192.0.2.5/24"], "autoasign": True, "reuseAfter": "soon"}, labels={"a b": "c"}, nmae="x")
    assert wrong(raw) == {
        "metadata.labels": wrong(raw)["metadata.labels"],
        "metadata.nmae": "is no field of an IPAddressPool",
        "spec.autoasign": "is no field of an IPAddressPool",
        "spec.addresses[0]": '"192.0.2.5/24" has bits set behind its prefix length: write the network (as '
        "192.0.2.0/24), or the address alone if one address is meant; the network is 192.0.2.0/24, its rest from there "
        "192.0.2.5-192.0.2.255",
        "spec.reuseAfter": '"soon" is no duration: write one as 90s, 10m or 1h30m',
    }
    assert wrong(raw)["metadata.labels"].startswith('Invalid value: "a b": ')


@pytest.mark.parametrize(
    ("raw", "field", "said"),
    [
        (pool({"addresses": []}), "spec.addresses", "should have at least 1 items"),
        (pool({}), "spec.addresses", "Required value"),
        (pool(None), "spec", "Required value"),
        (pool({"addresses": ["192.0.2.1"], "autoAssign": "yes"}), "spec.autoAssign", "must be of type boolean"),
        (pool({"addresses": ["192.0.2.1"]}, name="Lan"), "metadata.name", "a lowercase RFC 1123 subdomain"),
        (pool({"addresses": ["192.0.2.1"]}, name=None), "metadata.name", "name or generateName is required"),
        (pool({"addresses": ["192.0.2.1"]}, name=5), "metadata", "can't be read: json: cannot unmarshal number"),
        ({**pool({"addresses": ["192.0.2.1"]}), "metadata": "lan"}, "metadata", "can't be read: json: cannot unmar"),
        ({**pool({"addresses": ["192.0.2.1"]}), "spce": 1}, "spce", "is no field of an IPAddressPool"),
    ],
)
def test_one_thing_wrong_is_said_of_its_field(raw: dict[str, Any], field: str, said: str) -> None:
    found = wrong(raw)
    assert list(found) == [field]
    assert said in found[field]


def test_rules_are_not_tried_on_what_is_too_wrong_for_them() -> None:
    found = wrong(pool({"addresses": ["192.0.2.5/24"], "autoAssign": "yes"}))
    assert list(found) == ["spec.autoAssign"], "a kube-apiserver evaluates no CEL rule then"


def test_a_kind_of_the_whole_cluster_is_in_no_namespace() -> None:
    raw = {
        "apiVersion": API_VERSION,
        "kind": "IPAllocation",
        "metadata": {"name": "192.0.2.10", "namespace": "shop"},
        "spec": {"address": "192.0.2.10", "pool": "lan"},
    }
    assert list(wrong(raw, namespaced=False)) == ["metadata.namespace"]
    assert not wrong({**raw, "metadata": {"name": "192.0.2.10"}}, namespaced=False)


def test_a_name_may_be_left_to_the_api_server() -> None:
    assert not wrong(pool({"addresses": ["192.0.2.1"]}, name=None, generateName="lan-"))

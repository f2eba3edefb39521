"""One truth: admission, the controller's own reading of pools, and the CRDs refuse the same in the same words."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.admission import refusals
from lbprovider.api.names import object_name
from lbprovider.api.pool import IPAddressPool
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from lbprovider.errors import InvalidObject
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import parse
from lbprovider.ipam.reasons import Reason
from tests.fakes.bytecodes import bytecodes
from tests.unit.admission.admission_specs import ALLOCATION, LAN, SLIPS, Object, made, said

CRD: Final = Path(__file__).parents[3] / "config" / "crd"
KINDS: Final[tuple[Resource[Any], ...]] = (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)

# The controller -----------------------------------------------------------------------------------------------------


PART: Final = st.sampled_from(
    ["192.0.2.1", "192.0.2.255", "10.0.0.0", "2001:db8::", "2001:DB8::ff", "::1", "fe80::1", "127.0.0.1", "0.1.2.3",
     "1.2.3", "192.0.2.01", "::ffff:1.2.3.4", "1::2%e", "-", "-", "/", "/24", "/64", "/0", "/33", " ", "\t", "\u00a0",
     "\v", "x", "20", "", "255.255.255.255", "ff02::1", "1:2:3:4:5:6:7::", "1:2:3:4::5:6:7:8", "::1.2.3.4", "٣"]
)  # fmt: skip
ENTRY: Final = st.lists(PART, max_size=5).map("".join) | st.text(max_size=90)


@given(ENTRY)
def test_admission_takes_exactly_the_entries_that_the_controller_takes(entry: str) -> None:
    expected = {}
    try:
        parse(entry, "spec.addresses[0]")
    except InvalidObject as error:
        advice = f"; {error.advice}" if error.advice else ""
        expected = {"spec.addresses[0]": (entry, f"{error.what}{advice}")}
    assert said(POOLS, {"addresses": [entry]}) == expected


@given(st.lists(ENTRY, min_size=1, max_size=3), st.sampled_from(["0s", "1h", "", "5", "1.5m", " 1s"]))
def test_admission_refuses_exactly_the_pools_that_the_controller_refuses_for_themselves(
    entries: list[str], reuse_after: str
) -> None:
    pool = msgspec.convert(
        made({"addresses": entries, "excludeAddresses": entries[1:], "reuseAfter": reuse_after}), IPAddressPool
    )
    # That entries overlap is seen by nobody but the controller.
    mine = [
        each.message
        for each in PoolSet.of([pool]).refused.get("x", ())
        if each.reason in {Reason.INVALID_ENTRY, Reason.INVALID_SPEC}
    ]
    found = refusals("IPAddressPool", msgspec.to_builtins(pool, builtin_types=()), None)
    assert len(mine) == len(found)
    for condition, refusal in zip(mine, found, strict=True):
        assert condition.startswith(f"IPAddressPool x {refusal.field}: ")
        assert condition.endswith(f" {refusal.message}.")


@given(*[st.integers(int(IPv6Address("2000::")), int(IPv6Address("3fff::")))] * 2)
def test_ipv6_ranges_are_in_order_whatever_their_form(a: int, b: int) -> None:
    first, last = IPv6Address(min(a, b)), IPv6Address(max(a, b))
    assert said(POOLS, {"addresses": [f"{first}-{last}"]}) == {}
    if first != last:
        (refusal,) = said(POOLS, {"addresses": [f"{last.exploded}-{first}"]}).values()
        assert refusal[1] == f"ends before it starts: write {first}-{last.exploded}"


@given(st.ip_addresses())
def test_every_address_has_a_name_that_fits(address: Any) -> None:
    if getattr(address, "ipv4_mapped", None) is None:
        assert said(ALLOCATIONS, {"address": str(address), "pool": "p"}, name=object_name(address)) == {}


# The CRDs -----------------------------------------------------------------------------------------------------------


def schema(kind: Resource[Any]) -> Object:
    found = yaml.safe_load((CRD / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    whole: Object = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return whole


def rules(part: Object) -> Iterator[Object]:
    """All CEL rules of a schema and what is below it."""
    yield from part.get("x-kubernetes-validations", ())
    for below in (*part.get("properties", {}).values(), *filter(None, (part.get("items"),))):
        yield from rules(below)


def sentence(rule: Object) -> str:
    """What the rule says; of an expression that is evaluated, its longest words."""
    said_: str = rule.get("message") or max(re.findall(r"'([^']*)'", rule["messageExpression"]), key=len)
    return said_


REFUSED_BY: Final[Mapping[str, tuple[tuple[Object, Object | None, str], ...]]] = {
    "IPAddressPool": (
        (
            {
                "addresses": ["x", "192.0.2.5/24", "192.0.2.1-::2", "192.0.2.2-192.0.2.1", "::1"],
                "reuseAfter": "?",
                "serviceAllocation": {"namespaces": ["A"], "serviceSelectors": [SLIPS]},
            },
            None,
            "x",
        ),
    ),
    "L2Advertisement": (({"interfaces": [":"], "nodeSelectors": [SLIPS]}, None, "x"),),
    "Segment": (
        ({"subnets": []}, None, "x"),
        ({"subnets": ["x"], "version": 1, "lists": [{"members": ["a"], "need": 2}]}, LAN, "x"),
        ({**LAN, "lists": []}, LAN, "x"),
    ),
    "IPAllocation": (({"address": "x", "pool": "p"}, ALLOCATION, "x"),),
}
"""By kind: specs, what they were before, and names, that break every rule there is."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_sentences_are_those_of_the_crd_all_of_them_and_no_other(kind: Resource[Any]) -> None:
    mine = {
        each.message
        for spec, old, name in REFUSED_BY[kind.kind]
        for each in refusals(kind.kind, made(spec, name), None if old is None else made(old, name))
    }
    theirs = {sentence(rule) for rule in rules(schema(kind))}
    assert {wanted for wanted in theirs if not any(wanted in each for each in mine)} == set()
    assert {each for each in mine if not any(wanted in each for wanted in theirs)} == set()


def values(part: Object) -> st.SearchStrategy[Any]:
    """Whatever passes a schema."""
    match part["type"]:
        case "object" if "additionalProperties" in part:
            return st.dictionaries(st.text(max_size=5), values(part["additionalProperties"]), max_size=2)
        case "object":
            needed = set(part.get("required", ()))
            fields = {name: values(below) for name, below in part["properties"].items()}
            return st.fixed_dictionaries(
                {name: each for name, each in fields.items() if name in needed},
                optional={name: each for name, each in fields.items() if name not in needed},
            )
        case "array":
            return st.lists(values(part["items"]), min_size=part.get("minItems", 0), max_size=2)
        case "integer":
            return st.integers(part.get("minimum", -(2**31)), part.get("maximum", 2**31 - 1))
        case "boolean":
            return st.booleans()
        case _:
            longest = part.get("maxLength", 20)
            free = ENTRY.map(lambda text: text[:longest].ljust(part.get("minLength", 0), "x"))
            return st.sampled_from(part["enum"]) if "enum" in part else free


ANY_OBJECT: Final = {
    kind.kind: st.fixed_dictionaries(
        {"metadata": st.fixed_dictionaries({"name": ENTRY}), "spec": values(schema(kind)["properties"]["spec"])}
    )
    for kind in KINDS
}


@given(
    st.sampled_from(sorted(ANY_OBJECT)).flatmap(
        lambda kind: st.tuples(st.just(kind), ANY_OBJECT[kind], ANY_OBJECT[kind])
    )
)
def test_whatever_passes_the_schema_is_answered_and_left_as_it_is(given_: tuple[str, Object, Object]) -> None:
    kind, new, old = given_
    before = copy.deepcopy((new, old))
    answers = [refusals(kind, new, earlier) for earlier in (None, old, new)]
    assert (new, old) == before
    for refusal in (each for answer in answers for each in answer):
        assert refusal.field.startswith(("spec", "metadata.name"))
        assert refusal.message
    # What did not change is refused for nothing.
    assert answers[2] == ()


def test_a_pool_of_four_times_the_entries_takes_four_times_as_much_to_check() -> None:
    few, all_that_there_may_be = _work(128), _work(512)
    # A comparison of each entry with each would take sixteen times as much.
    assert 2 * few < all_that_there_may_be < 8 * few


def _work(entries: int) -> int:
    """What a pool with so many ranges, and so many exclusions, takes to check."""
    ranges = [f" 2001:db8:{i:x}:aaaa:aaaa:aaaa::1 - 2001:db8:{i:x}:aaaa:aaaa:aaaa::ffff " for i in range(entries)]
    spec = {"addresses": ranges, "excludeAddresses": ranges}
    assert said(POOLS, spec) == {}
    return bytecodes(lambda: said(POOLS, spec))

"""What an object of our kinds may not say by itself, beyond what its schema holds.

The CEL rules of ``config/crd`` are the same rules for a real API server; here they stand in for those that have none
(the lab's API server) or that CEL can't see. The sentences are the CRDs', word for word; where a field of a pool is
read by ``ipam``, the sentence is the one that the pool's condition would have, and may go on with advice.

Promises: every object that has passed its kind's schema and got its defaults is answered, whatever it says, with all
that is wrong at once. Nothing that the CEL rules take is refused, except what CEL can't see: IPv6 ranges that end
before they start, and entries that reach across addresses that no Service can have. Never says anything about several
objects together (that is ``together``'s) or about what is allowed and odd.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from lbprovider.api.meta import LabelExpression
from lbprovider.api.names import object_name
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS
from lbprovider.errors import InvalidObject
from lbprovider.ipam import ranges
from lbprovider.ipam.pools import check_expression, check_namespace, duration


class Omitted(Enum):
    """The one value that is not shown: the field holds an object or a list, or another field is named with it."""

    OMITTED = ""


OMITTED: Final = Omitted.OMITTED


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong.

    Args:
        field: its path, as ``spec.addresses[1]``.
        message: what is wrong and what to do, without field and value; begins with a verb.
        value: what the field holds, ``OMITTED`` where a kube-apiserver doesn't show it.
    """

    field: str
    message: str
    value: Any = OMITTED

    def __str__(self) -> str:
        """``field: "value" message``, as an InvalidObject has it."""
        shown = "" if self.value is OMITTED else f"{json.dumps(self.value, ensure_ascii=False)} "
        return f"{self.field}: {shown}{self.message}"


Fields = Mapping[str, Any]
Check = Callable[[Any, str], Iterator[Refusal]]
"""What is wrong with the value of a field, which is at that path."""


def refusals(kind: str, new: Fields, old: Fields | None) -> tuple[Refusal, ...]:
    """All that an object may not say, in the order of its fields.

    What an update leaves as it was is not refused (CRD ratcheting, KEP-4008): whoever tightens a rule must not make the
    finalizers or the status of older objects unwritable.

    Args:
        kind: as in manifests; of a kind that isn't ours nothing is refused.
        new: the object as it would be stored: it has passed its schema and got its defaults.
        old: the object as it is stored, None when it is created.
    """
    found: list[Refusal] = []
    for path, check in _RULES.get(kind, ()):
        value = _at(new, path)
        if value is not None and (old is None or value != _at(old, path)):
            found.extend(check(value, path))
    if old is not None and kind in _TRANSITIONS:
        found.extend(_TRANSITIONS[kind](new.get("spec", {}), old.get("spec", {})))
    return tuple(found)


def _at(obj: Fields, path: str) -> Any:
    """What the object holds at a path of names; None where there is nothing. An empty path is the object itself."""
    found: Any = obj
    for name in path.split(".") if path else ():
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _said(error: InvalidObject) -> Refusal:
    """What the code that reads the field says of it."""
    message = f"{error.what}; {error.advice}" if error.advice else error.what
    return Refusal(error.where, message, OMITTED if error.value is None else error.value)


def _each(reader: Callable[[Any, str], object]) -> Check:
    """Each item of a list must be one that can be read."""

    def check(items: Sequence[Any], path: str) -> Iterator[Refusal]:
        for index, item in enumerate(items):
            yield from _one(reader)(item, f"{path}[{index}]")

    return check


def _one(reader: Callable[[Any, str], object]) -> Check:
    """The value must be one that can be read."""

    def check(value: Any, path: str) -> Iterator[Refusal]:
        try:
            reader(value, path)
        except InvalidObject as error:
            yield _said(error)

    return check


# --- label selectors


def _expression(expression: Fields, path: str) -> None:
    check_expression(
        LabelExpression(
            key=expression["key"], operator=expression["operator"], values=tuple(expression.get("values", ()))
        ),
        path,
    )


def _selector(selector: Fields, path: str) -> Iterator[Refusal]:
    return _each(_expression)(selector.get("matchExpressions", ()), f"{path}.matchExpressions")


def _selectors(selectors: Sequence[Fields], path: str) -> Iterator[Refusal]:
    for index, selector in enumerate(selectors):
        yield from _selector(selector, f"{path}[{index}]")


def _preferences(preferences: Sequence[Fields], path: str) -> Iterator[Refusal]:
    for index, preference in enumerate(preferences):
        yield from _selector(preference["nodeSelector"], f"{path}[{index}].nodeSelector")


# --- L2Advertisement

_NOT_IN_AN_INTERFACE: Final = re.compile(r"[/: \t\n\v\f\r]")
"""What Linux refuses in the name of an interface (dev_valid_name)."""


def _interface(name: str, path: str) -> None:
    if _NOT_IN_AN_INTERFACE.search(name):
        raise InvalidObject(path, "is no name of an interface: no blank, slash or colon", value=name)


# --- Segment


def _subnet(text: str, path: str) -> None:
    found = ranges.strict_cidr(text)
    if found is None or int(found[0]) != found[1].first:
        advice = "is no subnet: write its network address and prefix length, as 192.0.2.0/24"
        raise InvalidObject(path, advice, value=text)


def _lan(spec: Fields, path: str) -> Iterator[Refusal]:
    if not spec.get("subnets") and not spec.get("interface"):
        yield Refusal(path, "names no LAN, give subnets, or interface where the LAN has none")


def _needs(lists: Sequence[Fields], path: str) -> Iterator[Refusal]:
    for index, each in enumerate(lists):
        if each["need"] > len(each["members"]):
            yield Refusal(
                f"{path}[{index}].need", "is more than the list has members, so no quorum could ever be reached"
            )


def _segment_goes_on(new: Fields, old: Fields) -> Iterator[Refusal]:
    """ELECTION.md rules 15–18: a Segment is always the same LAN, and whoever read it can tell that it has changed."""
    version, before = new.get("version", 0), old.get("version", 0)
    if _identity(new) != _identity(old):
        yield Refusal("spec", "subnets and interface say which LAN it is and never change, delete the Segment instead")
    if version <= before and _lists(new) != _lists(old):
        yield Refusal(
            "spec.version", "lists changed and version did not, write it one higher than the one that was read"
        )
    if old.get("lists") and not new.get("lists"):
        yield Refusal("spec", "lists can't become empty again, the last member in force stays in them")
    if version < before:
        yield Refusal("spec.version", "is lower than the version in force, read the Segment again", version)


def _identity(spec: Fields) -> object:
    """What says which LAN it is; subnets are a set, whose order means nothing to the API server."""
    return (frozenset(spec.get("subnets", ())), spec.get("interface", ""))


def _lists(spec: Fields) -> object:
    """The member lists; the order of the lists means something, that of the members within one does not."""
    return [{**each, "members": frozenset(each["members"])} for each in spec.get("lists", ())]


# --- IPAllocation


def _named_after_its_address(allocation: Fields, _: str) -> Iterator[Refusal]:
    name, text = allocation["metadata"].get("name", ""), allocation["spec"]["address"]
    address = ranges.strict_address(text)
    # With a dot it is compared as it is written: whether that is an address at all is the next rule's matter.
    fits = name == text if "." in name else address is not None and name == object_name(address)
    if not fits:
        yield Refusal(
            "metadata.name",
            f'"{name}" is not the name of address {text}: IPv4 as it is, IPv6 written out with dashes, '
            f"as 2001-db8-0-0-0-0-0-5",
        )


def _short_address(text: str, path: str) -> None:
    address = ranges.strict_address(text)
    if address is None or str(address) != text:
        raise InvalidObject(path, "is no address in its short form, as 192.0.2.10 or 2001:db8::5", value=text)


def _address_stays(new: Fields, old: Fields) -> Iterator[Refusal]:
    if new["address"] != old["address"]:
        what = f"the address is {old['address']} and never changes: another one is another IPAllocation"
        yield Refusal("spec.address", what, new["address"])


_RULES: Final[Mapping[str, tuple[tuple[str, Check], ...]]] = MappingProxyType(
    {
        POOLS.kind: (
            ("spec.addresses", _each(ranges.parse)),
            ("spec.excludeAddresses", _each(ranges.parse)),
            ("spec.reuseAfter", _one(duration)),
            ("spec.serviceAllocation.namespaces", _each(check_namespace)),
            ("spec.serviceAllocation.namespaceSelectors", _selectors),
            ("spec.serviceAllocation.serviceSelectors", _selectors),
        ),
        ADVERTISEMENTS.kind: (
            ("spec.ipAddressPoolSelectors", _selectors),
            ("spec.nodeSelectors", _selectors),
            ("spec.interfaces", _each(_interface)),
            ("spec.serviceSelectors", _selectors),
            ("spec.preferredNodeSelectors", _preferences),
        ),
        SEGMENTS.kind: (
            ("spec", _lan),
            ("spec.subnets", _each(_subnet)),
            ("spec.lists", _needs),
        ),
        ALLOCATIONS.kind: (
            ("", _named_after_its_address),
            ("spec.address", _one(_short_address)),
        ),
    }
)
"""By kind: fields, and what is wrong with what they hold."""

_TRANSITIONS: Final[Mapping[str, Callable[[Fields, Fields], Iterator[Refusal]]]] = MappingProxyType(
    {SEGMENTS.kind: _segment_goes_on, ALLOCATIONS.kind: _address_stays}
)
"""By kind: what is wrong with a new spec after the old one."""

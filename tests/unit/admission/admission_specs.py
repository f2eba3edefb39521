"""Specs for the tests of admission, and what is said of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lbprovider.admission import OMITTED, refusals
from lbprovider.api.resources import Resource

Object = dict[str, Any]

THREE: Final[Object] = {"members": ["a", "b", "c"], "need": 2}
LAN: Final = {"subnets": ["192.0.2.0/24", "2001:db8::/64"], "interface": "", "version": 3, "lists": [THREE]}
ALLOCATION: Final = {"address": "192.0.2.10", "pool": "lan"}


def made(spec: Mapping[str, Any], name: str = "x") -> Object:
    return {"metadata": {"name": name}, "spec": spec}


def said(kind: Resource[Any], spec: Mapping[str, Any], old: Mapping[str, Any] | None = None, name: str = "x") -> Object:
    """By field: the value that is shown, or nothing where none is, and the sentence."""
    found = refusals(kind.kind, made(spec, name), None if old is None else made(old, name))
    return {each.field: (*(() if each.value is OMITTED else (each.value,)), each.message) for each in found}


SLIPS: Final[Object] = {
    "matchExpressions": [
        {"key": "a", "operator": "In"},
        {"key": "b", "operator": "NotIn", "values": []},
        {"key": "c", "operator": "Exists", "values": ["x"]},
        {"key": "d", "operator": "DoesNotExist", "values": ["x"]},
    ]
}

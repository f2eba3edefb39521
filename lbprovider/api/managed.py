"""Who wrote which field of a Service: ``metadata.managedFields``, as server-side apply keeps them for every writer.

They are often longer than the rest of the object, so they are no part of ``ObjectMeta``: whoever needs them asks for
one Service as ``MANAGED_SERVICES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from lbprovider.api.core import Service
from lbprovider.api.meta import ObjectMeta, Struct
from lbprovider.api.resources import Resource


class ManagedFields(Struct, frozen=True):
    """One entry of ``metadata.managedFields``: the fields that a manager was the last to change, as a tree of sets."""

    manager: str = ""
    subresource: str = ""
    time: str = ""
    fields_v1: Mapping[str, Any] = msgspec.field(name="fieldsV1", default={})


class ManagedMeta(ObjectMeta, frozen=True):
    """``metadata`` with its managed fields."""

    managed_fields: tuple[ManagedFields, ...] = ()


class ManagedService(Service, frozen=True):
    """A Service that says who wrote it."""

    metadata: ManagedMeta = ManagedMeta()


MANAGED_SERVICES: Final = Resource("v1", "Service", "services", namespaced=True, type=ManagedService)


def load_balancer_managers(service: ManagedService) -> tuple[str, ...]:
    """The field managers of ``status.loadBalancer``, whoever wrote last first; empty where it was cleared.

    Nobody manages a field that isn't there: who clears one leaves no name.
    """
    return _latest_first(
        entry
        for entry in service.metadata.managed_fields
        if "f:ingress" in _within(_within(entry.fields_v1, "f:status"), "f:loadBalancer")
    )


def status_managers(service: ManagedService) -> tuple[str, ...]:
    """All field managers of the status, whoever wrote last first."""
    return _latest_first(entry for entry in service.metadata.managed_fields if "f:status" in entry.fields_v1)


def _latest_first(entries: Iterable[ManagedFields]) -> tuple[str, ...]:
    found = sorted(entries, key=lambda entry: entry.time, reverse=True)
    return tuple(dict.fromkeys(entry.manager for entry in found))


def _within(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = fields.get(name)
    return inner if isinstance(inner, Mapping) else {}

"""Bodies of status patches; None where the API server has it like that already, so that nothing is written.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from lbprovider.api.core import LoadBalancerIngress, Service
from lbprovider.api.meta import Condition, Object, Struct, to_builtins, with_condition
from lbprovider.api.names import IPAddress

VIP: Final = "VIP"
"""KEP-1860: packets reach the node with the address still in them. The API server fills it in where ``ip`` is alone."""

_EMPTY: Final[tuple[Any, ...]] = ("", None, ())


def service_status(
    service: Service, addresses: Sequence[IPAddress], condition: Condition | None, now: str
) -> Mapping[str, Any] | None:
    """Strategic merge patch for a Service's ``/status``: its addresses, and one condition by its type.

    Args:
        service: as last seen; its uid is a precondition, so that a later Service of the name is never touched.
        addresses: all that it is to have, in order; none clears ``loadBalancer.ingress``.
        condition: set (``lastTransitionTime`` is taken care of); None leaves conditions alone.
        now: RFC 3339, UTC, whole seconds.
    """
    body: dict[str, Any] = {}
    if not shows(service, addresses):
        # ingress is atomic: it is replaced as a whole, and null takes it away.
        body["loadBalancer"] = {"ingress": [to_builtins(entry) for entry in _ingress(addresses)] or None}
    if condition is not None and (said := condition_only(service, condition, now)) is not None:
        body |= said["status"]
    return {"metadata": {"uid": service.metadata.uid}, "status": body} if body else None


def shows(service: Service, addresses: Sequence[IPAddress]) -> bool:
    """Whether the Service's status has these addresses, in this order, and nothing else."""
    return _ingress(addresses) == tuple(map(_as_stored, service.status.load_balancer.ingress))


def condition_only(service: Service, condition: Condition, now: str) -> Mapping[str, Any] | None:
    """The same as ``service_status``, whatever the addresses are: they are left as they are."""
    new = with_condition(service.status.conditions, condition, now)
    if new == service.status.conditions:
        return None
    written = [_written(one) for one in new if one.type == condition.type]
    return {"metadata": {"uid": service.metadata.uid}, "status": {"conditions": written}}


def status(obj: Object, new: Struct) -> Mapping[str, Any] | None:
    """JSON merge patch for the ``/status`` of one of our kinds: makes the whole status ``new``.

    The resourceVersion of ``obj`` is a precondition: a status is never based on something else than what was seen.

    Args:
        obj: as last seen.
        new: its status to be, of the type of ``obj.status``; ``meta.with_condition`` helps with conditions.
    """
    if new == getattr(obj, "status", None):
        return None
    body = {field.encode_name: _field(getattr(new, field.name)) for field in msgspec.structs.fields(new)}
    return {"metadata": {"resourceVersion": obj.metadata.resource_version}, "status": body}


def _ingress(addresses: Sequence[IPAddress]) -> tuple[LoadBalancerIngress, ...]:
    return tuple(LoadBalancerIngress(ip=str(address), ip_mode=VIP) for address in addresses)


def _as_stored(entry: LoadBalancerIngress) -> LoadBalancerIngress:
    """An API server before 1.29 drops ``ipMode``: what it stores without one is VIP, not a difference to mend."""
    return msgspec.structs.replace(entry, ip_mode=entry.ip_mode or VIP) if entry.ip else entry


def _field(value: Any) -> Any:
    """What a merge patch says of a field: null removes it (RFC 7396), and lists are replaced as a whole."""
    if value in _EMPTY:
        return None
    if isinstance(value, tuple):
        return [_written(entry) if isinstance(entry, Condition) else to_builtins(entry) for entry in value]
    return to_builtins(value)


def _written(condition: Condition) -> Mapping[str, Any]:
    """With an empty message too: the field is required in the standard form, and a merge would keep the old one."""
    return {"message": condition.message, **to_builtins(condition)}

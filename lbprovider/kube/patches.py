"""Bodies of status patches; None where the API server has it like that already, so that nothing is written.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lbprovider.api.core import Service
from lbprovider.api.meta import Condition, Object, Struct
from lbprovider.api.names import IPAddress


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
    raise NotImplementedError


def status(obj: Object, new: Struct) -> Mapping[str, Any] | None:
    """JSON merge patch for the ``/status`` of one of our kinds: makes the whole status ``new``.

    The resourceVersion of ``obj`` is a precondition: a status is never based on something else than what was seen.

    Args:
        obj: as last seen.
        new: its status to be, of the type of ``obj.status``; ``meta.with_condition`` helps with conditions.
    """
    raise NotImplementedError

"""Kubernetes Events: what ``kubectl describe`` shows beneath an object."""

from __future__ import annotations

from typing import Literal, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.kube.ports import Api

T = TypeVar("T", bound=Object)


class Recorder:
    """Writes Events, best effort: it never blocks, fails or slows down whoever reports.

    Args:
        api: the API server.
        component: ``lbprovider-controller`` or ``lbprovider-speaker``.
        instance: the Pod or node.
    """

    def __init__(self, api: Api, *, component: str, instance: str) -> None:
        raise NotImplementedError

    def event(
        self, resource: Resource[T], obj: T, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Reports something that happened to an object; the same again within a minute is only counted."""
        raise NotImplementedError

    async def run(self) -> None:
        """Writes what was reported, until cancelled."""
        raise NotImplementedError

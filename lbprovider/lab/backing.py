"""EndpointSlices for the lab's Services, in kube-controller-manager's place: every node's web server is an endpoint.

Each Service gets its slices once, whoever made it; what somebody does to them afterwards stays as it is. Without slices
no node may announce the Service's address.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from lbprovider.api.core import Service
from lbprovider.api.meta import Object
from lbprovider.api.resources import SERVICES
from lbprovider.errors import ClusterError, Conflict, NotFound
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.ports import Api, Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.lab import objects
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import LanNode

_LANES: Final = 8
"""Services at a time."""
_Lane = asyncio.Queue[tuple[Service, bool]]
"""Services, each with whether its slices are to be there."""


class Backing:
    """Makes them, and takes them away with their Service; a reflector's sink.

    Args:
        api: the API server.
        nodes: those whose web servers are endpoints.
    """

    def __init__(self, api: Api, nodes: Sequence[LanNode]) -> None:
        self._api = api
        self._servers: Mapping[objects.Family, Mapping[str, Address]] = {
            "IPv4": {node.name: node.pods4[1] for node in nodes},
            "IPv6": {node.name: node.pods6[1] for node in nodes},
        }
        self._known: dict[str, Service] = {}
        self._lanes: tuple[_Lane, ...] = tuple(asyncio.Queue() for _ in range(_LANES))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Reflector(self._api, SERVICES, rand=lambda: 0.0).run(self))
            for lane in self._lanes:
                tasks.create_task(self._work(lane))

    def replaced(self, objects: Sequence[Service], unreadable: Sequence[Unreadable]) -> None:
        """See ``kube.ports.Sink``."""
        there = {one.key for one in objects} | {one.key for one in unreadable}
        for key in [key for key in self._known if key not in there]:
            self._gone(key)
        for one in objects:
            self.changed(one)

    def changed(self, obj: Service) -> None:
        """See ``kube.ports.Sink``."""
        before = self._known.get(obj.key)
        if obj.spec.type == "LoadBalancer" and (before is None or before.metadata.uid != obj.metadata.uid):
            self._known[obj.key] = obj
            self._lane(obj.key).put_nowait((obj, True))

    def deleted(self, obj: Object) -> None:
        """See ``kube.ports.Sink``."""
        self._gone(obj.key)

    def unreadable(self, unreadable: Unreadable) -> None:
        """It has its slices, or is none of ours."""

    def _gone(self, key: str) -> None:
        before = self._known.pop(key, None)
        if before is not None:
            self._lane(key).put_nowait((before, False))

    def _lane(self, key: str) -> _Lane:
        """The same for all that becomes of one name, so that one thing comes after the other."""
        return self._lanes[hash(key) % _LANES]

    async def _work(self, lane: _Lane) -> None:
        while True:
            service, wanted = await lane.get()
            backoff = Backoff(random.random)
            while not wanted or self._known.get(service.key) is service:
                try:
                    await (self._make(service) if wanted else self._remove(service))
                except ClusterError as error:
                    await asyncio.sleep(backoff.pause(error))
                else:
                    break

    async def _make(self, service: Service) -> None:
        meta = service.metadata
        for family in service.spec.ip_families or ("IPv4",):
            one = objects.endpoint_slice(meta.namespace, meta.name, family, self._servers[family])
            try:
                await self._api.create(*objects.read(one))
            except Conflict:
                continue  # made before the API server lost what we know of it, or by hand

    async def _remove(self, service: Service) -> None:
        meta = service.metadata
        for family in service.spec.ip_families or ("IPv4",):
            name = objects.endpoint_slice(meta.namespace, meta.name, family, {})["metadata"]["name"]
            try:
                await self._api.delete(objects.ENDPOINT_SLICES, name, namespace=meta.namespace)
            except NotFound:
                continue

"""What is known of the cluster: the API server feeds it, and a snapshot keeps it for when there is no API server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from lbprovider.api import names
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, ENDPOINT_SLICES, LEASES, NODES, SECRETS, SEGMENTS
from lbprovider.election import segment as election
from lbprovider.errors import ClusterError
from lbprovider.kube.ports import Api
from lbprovider.kube.reflector import Reflector
from lbprovider.speaker.keys import Keyring
from lbprovider.speaker.lan import Identity
from lbprovider.speaker.segments import Segments
from lbprovider.speaker.snapshot import Backed, Snapshot, Speaker
from lbprovider.speaker.view import View

_LOOK: Final = 0.25
"""Seconds between two looks at what a reflector waits for."""


class Knowledge:
    """Segments, heartbeat keys, and the view of everything else.

    Args:
        api: the API server.
        namespace: where the speakers run.
        segments: fed with Segments.
        keyring: fed with the heartbeat key.
        view: fed with the rest.
    """

    def __init__(self, api: Api, namespace: str, *, segments: Segments, keyring: Keyring, view: View) -> None:
        self.segments = segments
        self.keyring = keyring
        self.view = view
        one = f"metadata.name={names.HEARTBEAT_SECRET}"
        leases = Reflector(api, LEASES, namespace=namespace, label_selector=names.SPEAKER_LABEL)
        slices = Reflector(api, ENDPOINT_SLICES, label_selector=f"!{names.HEADLESS_LABEL}")
        self._fed: tuple[tuple[Reflector[Any], Any, Callable[[Snapshot], Sequence[Any]]], ...] = (
            (Reflector(api, SEGMENTS), segments.sink, lambda stored: [one.segment for one in stored.segments]),
            (Reflector(api, NODES), view.nodes, lambda stored: stored.nodes),
            (leases, view.leases, lambda stored: stored.leases()),
            (Reflector(api, ADVERTISEMENTS, namespace=namespace), view.advertisements, lambda s: s.advertisements),
            (Reflector(api, ALLOCATIONS), view.allocations, lambda stored: stored.allocations),
            (slices, view.endpoints, lambda stored: stored.slices()),
            (
                Reflector(api, SECRETS, namespace=namespace, field_selector=one),
                keyring.sink,
                lambda stored: [stored.secret()] if stored.keys else [],
            ),
        )

    def watching(self) -> list[Coroutine[Any, Any, None]]:
        """What feeds it, until cancelled."""
        return [reflector.run(sink) for reflector, sink, _ in self._fed]

    async def first_lists(self, hopeless: tuple[type[ClusterError], ...], wait: Callable[[str], None]) -> None:
        """Until all of it has come from the API server once.

        Args:
            hopeless: errors that waiting doesn't mend.
            wait: told what it waits for.

        Raises:
            ClusterError: one of ``hopeless``.
        """
        for reflector, _, _ in self._fed:
            while not reflector.synced:
                if isinstance(reflector.error, hopeless):
                    raise reflector.error
                wait(str(reflector.error or "waits for the API server's first lists"))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await reflector.wait_synced()

    def restore(self, stored: Snapshot) -> None:
        """Takes from the snapshot what has not come from the API server; what comes from there later replaces it."""
        for reflector, sink, content in self._fed:
            if not reflector.synced:
                sink.replaced(content(stored), ())

    def snapshot(self, identity: Identity, members: Mapping[str, tuple[election.Segment, int]]) -> Snapshot:
        """What to keep.

        Args:
            identity: who this speaker is.
            members: see ``Segments.kept``.
        """
        speakers = self.view.registrations().items()
        return Snapshot(
            cluster=identity.cluster,
            node=identity.node,
            incarnation=identity.incarnation,
            segments=self.segments.kept(members),
            keys=self.keyring.keys(),
            nodes=self.view.nodes_known(),
            speakers=tuple(Speaker(node=node, registration=what) for node, what in speakers),
            advertisements=self.view.advertisements_known(),
            allocations=self.view.allocations_known(),
            backed=tuple(
                Backed(
                    namespace=service.partition("/")[0],
                    name=service.partition("/")[2],
                    family=family,
                    ready=tuple(sorted(one.ready)),
                    leaving=tuple(sorted(one.leaving)),
                )
                for (service, family), one in self.view.endpoints_known().items()
            ),
        )

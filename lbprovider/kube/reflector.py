"""Keeps somebody's view of a collection up to date: list in pages, watch, and again, for as long as it takes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.errors import ClusterError
from lbprovider.kube.ports import Api, Sink

T = TypeVar("T", bound=Object)


class Reflector(Generic[T]):
    """Feeds a sink with a collection.

    Attributes:
        synced: the sink has had a full list.
        stale_since: by ``clock``, since when the sink may be behind; None while the watch is up.
        error: the last failure, None while the watch is up.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.synced = False
        self.stale_since: float | None = clock()
        self.error: ClusterError | None = None
        raise NotImplementedError

    async def run(self, sink: Sink[T]) -> None:
        """Feeds the sink until cancelled; no answer of the API server ends it."""
        raise NotImplementedError

    async def wait_synced(self) -> None:
        """Until the sink has had a full list."""
        raise NotImplementedError

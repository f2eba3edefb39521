"""Who leads among the controller's replicas: one Lease."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import LEASES
from lbprovider.errors import ClusterError, Conflict, LeaseLost, NotFound
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.clocks import boottime, rfc3339_micro
from lbprovider.kube.ports import Api

DURATION: Final = 15.0
"""Seconds without a change after which another may take the Lease."""
RENEW_DEADLINE: Final = 10.0
"""Seconds after the start of the last good renewal for which the leader goes on."""
PERIOD: Final = 2.0
"""Seconds between renewals, and between two looks at another's Lease."""
RETRY_CAP: Final = 2 * PERIOD
"""Seconds that a pause may last while the API server is down: on average as often as a leader renews. Services wait for
whoever leads first, and there are two replicas, not a thousand."""
RELEASE_TIMEOUT: Final = 2.0
"""Seconds that giving up may take: the process is about to end."""

_log = structlog.get_logger(__name__)


class LeaderLease:
    """Leadership by a Lease: ``acquire``, then ``keep`` beside the work, then stop the work, then ``release``.

    The leader stops ``renew_deadline`` after the *start* of its last good renewal; another takes the Lease ``duration``
    after it last *saw* it change, which is later. Each counts by its own clock; the times in the Lease are for people.
    Two processes of one name are told apart by a random suffix.

    Args:
        api: the API server.
        namespace: of the Lease.
        name: of the Lease.
        identity: who we are, as the Lease shows it.
        duration: seconds.
        renew_deadline: seconds, less than ``duration``.
        period: seconds, less than ``renew_deadline``.
        clock: seconds since boot.
        wall: seconds since 1970.
        rand: uniform in [0, 1).
    """

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = DURATION,
        renew_deadline: float = RENEW_DEADLINE,
        period: float = PERIOD,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        if not period < renew_deadline < duration:
            raise ValueError(f"needs period {period} < renew_deadline {renew_deadline} < duration {duration}")
        self.identity = f"{identity}_{secrets.token_hex(4)}"
        self._api = api
        self._namespace = namespace
        self._name = name
        self._duration = duration
        self._renew_deadline = renew_deadline
        self._period = period
        self._clock = clock
        self._wall = wall
        self._rand = rand
        self._stored = Lease(metadata=ObjectMeta(name=name, namespace=namespace))
        self._changed_at = clock()  # when we saw the stored one change
        self._renewed_at = -math.inf  # the start of our last good write; never: not ours

    @property
    def held(self) -> bool:
        """Whether nobody else can hold it now; writers ask before each write."""
        return self._clock() < self._deadline

    @property
    def _deadline(self) -> float:
        return self._renewed_at + self._renew_deadline

    async def acquire(self) -> None:
        """Until the Lease is ours; outlives an API server that is down."""
        backoff = Backoff(self._rand, cap=RETRY_CAP)
        said: type[ClusterError] | None = None
        while True:
            failure: ClusterError | None = None
            try:
                if await self._take():
                    _log.info("leading", reason="Leading", lease=self._name, identity=self.identity)
                    return
                backoff.reset()
            except Conflict:
                # Another was faster.
                backoff.reset()
            except ClusterError as error:
                failure = error
                if type(error) is not said:  # once for each kind of failure, however long it lasts
                    said = type(error)
                    _log.warning(f"can't become leader: {error}", reason=said.__name__)
            await asyncio.sleep(backoff.pause(failure) if failure else self._period * (0.5 + self._rand()))

    async def keep(self) -> None:
        """Renews until cancelled.

        Raises:
            LeaseLost: not renewed in time, or another's.
        """
        pause = self._period
        while True:
            await asyncio.sleep(min(pause, max(0.0, self._deadline - self._clock())))
            left = self._deadline - self._clock()
            if left <= 0:
                raise self._lost(f"could not be renewed for {self._renew_deadline:g} s")
            try:
                # So that a connection that hangs leaves time for another.
                async with asyncio.timeout(min(left, self._renew_deadline / 3)):
                    await self._renew()
            except (ClusterError, TimeoutError) as error:
                if isinstance(error, LeaseLost):
                    raise
                _log.warning(f"the Lease is not renewed: {str(error) or 'no answer in time'}", reason="LeaseNotRenewed")
                pause = self._period / 4
            else:
                pause = self._period

    async def release(self) -> None:
        """Gives it up, so that another can take it at once; never raises, as the process is about to end."""
        if not self.held:
            return
        self._renewed_at = -math.inf
        given_up = msgspec.structs.replace(self._stored.spec, holder_identity="")
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT):
                await self._api.replace(LEASES, msgspec.structs.replace(self._stored, spec=given_up))
        except (ClusterError, TimeoutError) as error:
            # It runs out by itself.
            _log.info(f"the Lease is not given up: {str(error) or 'no answer in time'}", reason="LeaseNotReleased")

    async def _take(self) -> bool:
        lease = await self._read()
        if lease is None:
            await self._write(Lease(metadata=ObjectMeta(name=self._name, namespace=self._namespace)))
            return True
        holder = lease.spec.holder_identity or ""
        patience = max(self._duration, lease.spec.lease_duration_seconds or 0)
        if holder not in ("", self.identity) and self._clock() - self._changed_at < patience:
            return False
        await self._write(lease)
        return True

    async def _renew(self) -> None:
        try:
            await self._write(self._stored)
        except (Conflict, NotFound):
            # Somebody edited or deleted it, or it is our own write whose answer was lost, or another's.
            lease = await self._read()
            if lease is None:
                raise self._lost("was deleted") from None
            if lease.spec.holder_identity != self.identity:
                raise self._lost(f"is held by {lease.spec.holder_identity or 'nobody'}") from None
            await self._write(lease)

    async def _read(self) -> Lease | None:
        try:
            lease = await self._api.get(LEASES, self._name, namespace=self._namespace)
        except NotFound:
            return None
        if lease.metadata.resource_version != self._stored.metadata.resource_version:
            self._changed_at = self._clock()
        self._stored = lease
        return lease

    async def _write(self, lease: Lease) -> None:
        began, now = self._clock(), rfc3339_micro(self._wall())
        ours = lease.spec.holder_identity == self.identity
        spec = LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=math.ceil(self._duration),
            acquire_time=lease.spec.acquire_time if ours else now,
            renew_time=now,
            lease_transitions=(lease.spec.lease_transitions or 0) + (0 if ours else 1),
        )
        wanted = msgspec.structs.replace(lease, spec=spec)
        if lease.metadata.resource_version:
            self._stored = await self._api.replace(LEASES, wanted)
        else:
            self._stored = await self._api.create(LEASES, wanted)
        self._changed_at = self._clock()
        self._renewed_at = began

    def _lost(self, why: str) -> LeaseLost:
        self._renewed_at = -math.inf
        return LeaseLost(f"the Lease {self._namespace}/{self._name} {why}: no longer the leader")

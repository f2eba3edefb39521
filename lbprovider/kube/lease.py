"""Leases: who leads among controllers, and that a speaker is there."""

from __future__ import annotations

from collections.abc import Callable

from lbprovider.api.registration import Attachment
from lbprovider.kube.ports import Api


class LeaderLease:
    """Leadership by a Lease: ``acquire``, then ``keep`` beside the work, then stop the work, then ``release``.

    Times are seconds of the own boot-time clock. The leader stops ``renew_deadline`` after the start of its last good
    renewal; another takes the Lease ``duration`` after it last saw it change: always later.
    """

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = 15,
        renew_deadline: float = 10,
        period: float = 2,
        clock: Callable[[], float],
    ) -> None:
        raise NotImplementedError

    @property
    def held(self) -> bool:
        """Whether nobody else can hold it now; writers ask before each write."""
        raise NotImplementedError

    async def acquire(self) -> None:
        """Until the Lease is ours; outlives an API server that is down."""
        raise NotImplementedError

    async def keep(self) -> None:
        """Renews until cancelled.

        Raises:
            LeaseLost: not renewed in time, or another's.
        """
        raise NotImplementedError

    async def release(self) -> None:
        """Gives it up, so that another can take it at once; never raises, as the process is about to end."""
        raise NotImplementedError


class NodeLease:
    """A speaker's own Lease: takes the next incarnation at start, then says that it is there and what it sees.

    ELECTION.md C2 and C3.
    """

    def __init__(self, api: Api, *, namespace: str, node: str, clock: Callable[[], float]) -> None:
        raise NotImplementedError

    async def start(self, at_least: int = 0) -> int:
        """Takes and returns the next incarnation: max(the Lease's, ``at_least``) + 1, by compare-and-swap.

        Raises:
            ClusterError: the API server didn't answer (the caller retries), or has no such Node.
        """
        raise NotImplementedError

    def register(self, attachments: tuple[Attachment, ...]) -> None:
        """Says what there is now; ``run`` writes it soon, several in one write."""
        raise NotImplementedError

    async def run(self) -> None:
        """Renews until cancelled; outlives an API server that is down.

        Raises:
            LeaseLost: a later incarnation of this node's speaker has started; this one must end.
        """
        raise NotImplementedError

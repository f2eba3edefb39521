"""What a Lan tells of its steps, and what becomes of it when one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from lbprovider.election.outcome import Lost, ProposeSwap, Won
from lbprovider.errors import HostError, LbproviderError
from lbprovider.speaker.news import ConflictKind

L_contra = TypeVar("L_contra", contravariant=True)
P = ParamSpec("P")


class Upstairs(Protocol[L_contra]):
    """Who is told what came of the steps on a LAN. Called within a step, so it must not block, nor step the Lan."""

    def changed(self, lan: L_contra, changes: Sequence[Won | Lost]) -> None:
        """Addresses are ours and answered, and nobody else was found to have them; or no longer ours, nor answered."""
        ...

    def conflict(self, lan: L_contra, address: bytes, mac: bytes, kind: ConflictKind) -> None:
        """A host that is no member uses an address of ours; said once until it is over."""
        ...

    def conflict_over(self, lan: L_contra, address: bytes) -> None:
        """It does no longer, as far as anybody can see."""
        ...

    def swap(self, lan: L_contra, swap: ProposeSwap) -> None:
        """The Segment should change, by compare-and-swap."""
        ...

    def seen(self, lan: L_contra) -> None:
        """Whom we hear, or the Segment that we are in, has changed."""
        ...

    def trouble(self, lan: L_contra, error: HostError) -> None:
        """The kernel has no room for all that we listen to; the rest works."""
        ...

    def broken(self, lan: L_contra, error: Exception) -> None:
        """A bug of ours, in the midst of a step: the Lan is closed, for its Member may no longer keep the rules."""
        ...


class Stops(Protocol):
    """What can be ended by a bug."""

    def stop(self, error: Exception) -> None:
        """Ends it, and tells of the error."""
        ...


S = TypeVar("S", bound=Stops)


def fail_stop(step: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Ends what a step raises in that it never should: silence is safe, half a step is not."""

    @wraps(step)
    def guarded(it: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            step(it, *args, **kwargs)
        except LbproviderError:
            raise
        except Exception as error:  # noqa: BLE001  (told upstairs, which ends the process with it)
            it.stop(error)

    return guarded

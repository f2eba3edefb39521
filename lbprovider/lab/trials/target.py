"""What a client may see of a fault: DESIGN section 5, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lbprovider.lab.eyes.judge import MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is good enough.

    The longest silence is ``holds`` times the voters' promise and ``extra`` (ns) besides. Where both are 0 nothing may
    be lost: every request of the prober is answered, and no new connection fails.
    """

    holds: float = 0.0
    extra: int = 0
    planned: bool = False
    """Whether an owner hands the address on: then both answer for a moment, for two holds at most (ELECTION.md 14)."""
    moves: int | None = None
    """How often the address may change hands, where that is limited."""
    ends_silent: bool = False
    """Whether nobody may answer from some time after the fault until it is healed."""

    @property
    def lossless(self) -> bool:
        """Whether nothing may be lost."""
        return not self.holds and not self.extra and not self.ends_silent

    def silence(self, hold: int) -> int:
        """The longest silence that is good enough, in nanoseconds, with promises for ``hold``."""
        return round(self.holds * hold) + self.extra

    def __str__(self) -> str:
        """As in the table: ``≤ 1.2·hold``."""
        if self.ends_silent:
            return "silent"
        if self.lossless:
            return "0 lost"
        parts = [f"{self.holds:g}·hold"] if self.holds else []
        parts += [f"{self.extra / MS:.0f} ms"] if self.extra else []
        return "≤ " + " + ".join(parts)


NOTHING: Final = Target(moves=0)
"""Faults that don't concern the owner: nobody notices."""
DEFENDED: Final = Target(extra=100 * MS, moves=0)
"""Somebody else claims the address: caches that believed it are put right by the owner's own claim (RFC 5227)."""
PLANNED: Final = Target(planned=True, moves=1)
"""Handed on by an owner that lives."""
CRASH: Final = Target(holds=1.2, moves=1)
"""The owner is gone, or cut off, and a majority of the others lives."""
WITNESS: Final = Target(extra=1000 * MS, moves=1)
"""Exactly half is left, and the API server decides (ELECTION.md 18)."""
RESTART: Final = Target(extra=2500 * MS, moves=1)
"""All speakers died at once: what it takes to start one, and to wait until no promise of before is left."""
REBORN: Final = Target(extra=3000 * MS, moves=1)
"""The Segment is made anew, and all its members begin again (ELECTION.md C1)."""
UNSERVED: Final = Target(ends_silent=True, moves=1)
"""Exactly half is left, and nobody there to decide: silent, as ELECTION.md 19 has it without the API server."""

"""Everything that looks at one address of the LAN: the client's prober, and the capture on the switch beside it."""

import time

from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS, Contest, Reply, Verdict, interleaved, judge
from lbprovider.lab.lan import Lan
from lbprovider.lab.waiting import PATIENCE, until


class Eyes:
    """They look from construction to :meth:`close`, or to the end of the LAN.

    Args:
        lan: where.
        address: what they look at.
    """

    def __init__(self, lan: Lan, address: Address) -> None:
        self.address = address
        self.capture = lan.capture()
        until(lambda: self.capture.started, "the capture listens")
        self.prober = lan.probe(address)
        until(lambda: self.prober.samples().sent, "the prober asks")

    def answered(
        self, *, since: int = 0, by: str | None = None, other_than: str = "", within: float = PATIENCE
    ) -> Reply:
        """Wait for the first reply since an instant, by a MAC or by any but one; ``within`` seconds."""

        def first() -> Reply | None:
            replies = (each for each in self.prober.samples().replies if each.at > since)
            return next((each for each in replies if by in {None, each.mac} and each.mac != other_than), None)

        who = by or (f"another than {other_than}" if other_than else "anybody")
        return until(first, f"{self.address} is answered by {who}", within=within)

    def look_on(self, milliseconds: int) -> None:
        """Until the prober has asked for that much longer."""
        end = time.monotonic_ns() + milliseconds * MS
        until(lambda: self.prober.samples().sent[-1].at > end, f"{milliseconds} ms more of {self.address}")

    def verdict(self, since: int | None = None) -> Verdict:
        """What the client saw from an instant on, or from the first reply on when None."""
        samples = self.prober.samples()
        begin = since if since is not None else samples.replies[0].at
        return judge(samples.between(begin, time.monotonic_ns()))

    def contests(self) -> tuple[Contest, ...]:
        """When two claimed the address at once, as the switch saw it: answers to anybody, not to the prober alone."""
        return interleaved(self.capture.replies(self.address))

    def close(self) -> None:
        """End both; what they saw stays."""
        self.prober.stop()
        self.capture.stop()

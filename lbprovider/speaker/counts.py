"""What a LAN's hot path counts in plain integers, published once a second."""

from __future__ import annotations

from typing import Final

from lbprovider import telemetry
from lbprovider.announce.responder import Drop, Responder
from lbprovider.wire import arp

_EVERY: Final = 1_000_000_000


class Counts:
    """Answers by family and questions without an answer by reason.

    Args:
        responder: counts the latter.
    """

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._answers = {"IPv4": 0, "IPv6": 0}
        self._dropped = dict.fromkeys(Drop, 0)
        self._next = 0

    def answered(self, reply: bytes) -> None:
        """One answer was given."""
        self._answers["IPv4" if len(reply) == arp.FRAME.size else "IPv6"] += 1

    def due(self, now: int) -> bool:
        """Whether it is time to publish."""
        return now >= self._next

    def publish(self, now: int) -> None:
        """Adds what was counted since the last time to the metrics."""
        self._next = now + _EVERY
        for family, count in self._answers.items():
            telemetry.ANSWERS.labels(family=family).inc(count)
            self._answers[family] = 0
        for reason, count in self._responder.dropped.items():
            telemetry.QUESTIONS_DROPPED.labels(reason=reason.value).inc(count - self._dropped[reason])
            self._dropped[reason] = count

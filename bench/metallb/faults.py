"""Two faults, each striking both providers at one instant, and what a client saw of an address of each."""

import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.metallb.rig import PROVIDERS, Both
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Kind
from lbprovider.lab.eyes.judge import MS, Contest, judge
from lbprovider.lab.process import Process
from tests.e2e.rig.waiting import eventually

_BEFORE: Final = 300
"""Milliseconds that are watched before a fault."""
_AFTER: Final = 1000
"""Milliseconds that are watched once another node answers."""
_TAKEN_OVER: Final = 40.0
"""Seconds for another node to answer: MetalLB's worst was 7."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one fault was for one provider, in milliseconds."""

    silence: float
    """The longest, from the fault until it was mended."""
    contested: float
    """Two hardware addresses answered, until it was mended."""
    healed_silence: float
    healed_contested: float
    """The same two from then on: in all, and from the first to the last of it."""
    lateness: float
    """The most that the prober itself was late."""
    frames: int
    """Gratuitous ARP frames for the address, from the fault to the end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a node, and how it is mended."""

    name: str
    strike: Callable[[Both, str], None]
    mend: Callable[[Both, str], None]
    watched: int
    """Milliseconds that are watched once it is mended."""


def _kill(both: Both, node: str) -> None:
    doomed: Sequence[Process] = (both.metallb.speakers.pop(node), both.speakers.pop(node))
    for each in doomed:
        each.send(signal.SIGKILL)
    for each in doomed:
        each.wait()


def _start(both: Both, node: str) -> None:
    both.metallb.start(node)
    both.start(node)


SIGKILL: Final = Fault("SIGKILL", _kill, _start, 15_000)
CUT: Final = Fault(
    "cable cut behind the bridge",
    lambda both, node: both.cluster.lan.cut_cable(node),
    lambda both, node: both.cluster.lan.heal(node),
    75_000,
)


def sample(both: Both, fault: Fault) -> Mapping[str, Sample]:
    """One fault, by provider; all is mended after it.

    Raises:
        AssertionError: an address had no other owner in time, or a speaker didn't come back.
    """
    both.settle()
    node, addresses = both.pair()
    mac = both.cluster.lan.nodes[node].mac
    with contextlib.ExitStack() as undo:
        eyes: dict[str, Eyes] = {}
        for provider in PROVIDERS:
            eyes[provider] = undo.enter_context(contextlib.closing(Eyes(both.cluster.lan, addresses[provider])))
            eyes[provider].answered(by=mac)
        _look_on(eyes, _BEFORE)
        struck = time.monotonic_ns()
        fault.strike(both, node)
        for provider, each in eyes.items():
            eventually(
                lambda each=each: _another(each, struck, mac),  # type: ignore[misc]
                f"{provider}: another node answers for {each.address}",
                within=_TAKEN_OVER,
            )
        _look_on(eyes, _AFTER)
        healed = time.monotonic_ns()
        fault.mend(both, node)
        _look_on(eyes, fault.watched)
        return {provider: _figures(each, struck, healed) for provider, each in eyes.items()}


def _look_on(eyes: Mapping[str, Eyes], milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)
    for each in eyes.values():
        each.look_on(0)


def _another(eyes: Eyes, since: int, mac: str) -> bool:
    return any(each.at > since and each.mac != mac for each in eyes.prober.samples().replies[-50:])


def _figures(eyes: Eyes, struck: int, healed: int) -> Sample:
    samples = eyes.prober.samples()
    during = judge(samples.between(struck - _BEFORE * MS, healed))
    after = judge(samples.between(healed, time.monotonic_ns()))
    claims = eyes.capture.claims(eyes.address)
    return Sample(
        silence=during.silence.length / MS,
        contested=_length(during.contests),
        healed_silence=after.silence.length / MS,
        healed_contested=_length(after.contests),
        lateness=max(during.lateness, after.lateness) / MS,
        frames=sum(each.claim.kind is Kind.GRATUITOUS and each.at > struck for each in claims),
    )


def _length(contests: Sequence[Contest]) -> float:
    """From the first to the last of them: while caches may be led to either."""
    return (contests[-1].end - contests[0].start) / MS if contests else 0.0

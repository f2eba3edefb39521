"""Samples that a busy machine has spoilt are taken again, and said."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from lbprovider.lab.eyes.calls import Verdict
from tests.e2e.rig.report import Report

_TRIES: Final = 3


class Sample(Protocol):
    """What was measured."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]: ...


S = TypeVar("S", bound=Sample)


def sampled(measure: Callable[[], S], report: Report) -> S:
    """The first sample without a void verdict, or the last one of few."""
    for _ in range(_TRIES - 1):
        sample = measure()
        void = [verdict for verdict in sample.verdicts if verdict.void]
        if not void:
            return sample
        for verdict in void:
            report(f"void, and measured again: {verdict}")
    return measure()

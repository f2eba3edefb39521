"""Runs trials in labs that they share as long as nothing is broken, each as often as was asked for."""

from __future__ import annotations

import itertools
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from lbprovider.errors import LbproviderError
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.story.arrival import Arrival
from lbprovider.lab.trials import verdicts
from lbprovider.lab.trials.figures import figures
from lbprovider.lab.trials.stage import Stage, settle
from lbprovider.lab.trials.table import Trial, nodes_of
from lbprovider.lab.trials.verdicts import Sample, Verdict
from lbprovider.settings import LabSettings, TrialSettings

AGAIN: Final = 2
"""How many more samples than were asked for are taken of a trial where some were void."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one trial."""

    trial: Trial
    nodes: int
    addresses: int
    family: str
    samples: tuple[Sample, ...]
    verdict: Verdict


@dataclass(slots=True)
class _Place:
    """A lab that trials share, and what it is like."""

    lab: Lab
    kind: tuple[int, int]
    addresses: tuple[Address, ...]
    watched: Address


class Bounds:
    """How many samples are taken of each trial.

    Args:
        repeat: good ones that were asked for.
        trials: how many there are.
    """

    def __init__(self, repeat: int, trials: int) -> None:
        self._repeat = repeat
        self._wanted = repeat * trials
        self._void = 0

    def took(self, sample: Sample) -> None:
        """One more was taken."""
        self._void += sample.verdict is Verdict.VOID

    def more(self, samples: Sequence[Sample]) -> bool:
        """Whether one more is taken of a trial; none in the place of void ones once the run is void whatever comes."""
        taken = sum(each.verdict is not Verdict.VOID for each in samples)
        hopeless = verdicts.too_many(self._void, self._wanted + self._void)
        return taken < self._repeat and len(samples) < self._repeat + (0 if hopeless else AGAIN)


class Runner:
    """The labs of a run; a context manager.

    Args:
        settings: what was asked for.
        directory: for the labs' files, a folder each.
        say: told what happens.
    """

    def __init__(self, settings: TrialSettings, directory: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._directory = directory
        self._say = say
        self._numbers = itertools.count(1)
        self._place: _Place | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def run(self, trials: Iterable[Trial]) -> Iterator[Result]:
        """Each trial's result, as it comes; trials that share a lab come one after the other."""
        wanted = sorted(trials, key=lambda each: (self._kind(each), each.breaks))
        bounds = Bounds(self._settings.repeat, len(wanted))
        for trial in wanted:
            samples: list[Sample] = []
            while bounds.more(samples):
                samples.append(self._sample(trial, len(samples) + 1))
                bounds.took(samples[-1])
            verdict = verdicts.of_trial(samples, self._settings.repeat)
            yield Result(
                trial,
                nodes_of(trial, self._settings.nodes),
                self._settings.addresses,
                "IPv6" if self._settings.ipv6 else "IPv4",
                tuple(samples),
                verdict,
            )

    def _kind(self, trial: Trial) -> tuple[int, int]:
        return nodes_of(trial, self._settings.nodes), trial.spares

    # --- one sample

    def _sample(self, trial: Trial, number: int) -> Sample:
        try:
            place = self._enter(self._kind(trial))
            stage = Stage(place.lab, place.watched)
        except (OSError, RuntimeError, LbproviderError) as error:  # RuntimeError: one of the eyes has failed
            self._leave()
            return _broken(number, f"the lab is not as it should be: {error}")
        problem = ""
        with stage:
            try:
                trial.act(stage)
            except (OSError, LbproviderError) as error:
                problem = str(error)
            except Exception:  # noqa: BLE001 - a bug of this trial's; the others are run
                problem = traceback.format_exc()
            sample = self._judged(trial, number, stage, problem)
        if not trial.breaks and not problem:
            try:
                settle(place.lab, place.addresses)
            except (OSError, LbproviderError) as error:
                sample = replace(sample, problem=f"afterwards all is not as before: {error}")
        if trial.breaks or sample.problem:
            self._leave()
        return sample

    def _judged(self, trial: Trial, number: int, stage: Stage, problem: str) -> Sample:
        try:
            seen = stage.seen()
            found = figures(seen, stage.hold)
        except (OSError, ValueError, RuntimeError, LbproviderError) as error:
            return _broken(number, problem or f"nothing was seen: {error}")
        return Sample(
            number=number,
            figures=found,
            hold=stage.hold,
            still=verdicts.still(trial.target, stage.hold),
            cause="; ".join([stage.cause(), *stage.notes]),
            load=os.getloadavg()[0],
            problem=problem,
            misses=verdicts.misses(found, trial.target, stage.hold, self._settings.addresses),
        )

    # --- labs

    def _enter(self, kind: tuple[int, int]) -> _Place:
        """A lab of that kind in which all is well: the present one, or a fresh one."""
        if self._place is None or self._place.kind != kind:
            self._leave()
            self._place = self._build(kind)
        return self._place

    def _build(self, kind: tuple[int, int]) -> _Place:
        nodes, spares = kind
        settings = LabSettings(nodes=nodes, addresses=self._settings.addresses, ipv6=self._settings.ipv6)
        directory = self._directory / f"lab-{next(self._numbers)}"
        directory.mkdir()
        lab = Lab(settings, directory, spares=spares)
        try:
            arrival = Arrival(lab, lambda _: None)
            arrival.tell("the lab")
            addresses = tuple(each for given in arrival.services.values() for each in given.addresses)
            watched = next(each for each in addresses if each.version == (6 if self._settings.ipv6 else 4))
            settle(lab, addresses)
        except BaseException:
            lab.close()
            raise
        self._say(f"a lab of {nodes} nodes: {directory}")
        return _Place(lab, kind, addresses, watched)

    def _leave(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.lab.close()


def _broken(number: int, problem: str) -> Sample:
    load = os.getloadavg()[0]
    return Sample(number=number, figures=None, hold=0, still=0, cause="", load=load, problem=problem, misses=())

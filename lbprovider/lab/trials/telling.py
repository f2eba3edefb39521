"""How trials are told: a line as each comes to its end, a table or JSON at the end of all. Pure but for the console."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.story.findings import milliseconds
from lbprovider.lab.trials import verdicts
from lbprovider.lab.trials.figures import Figures
from lbprovider.lab.trials.runner import Result
from lbprovider.lab.trials.table import TRIALS
from lbprovider.lab.trials.verdicts import Sample, Verdict

_STATUS: Final = {Verdict.OK: 0, Verdict.FAILED: 1, Verdict.VOID: 3}
"""2 is a wrong command line."""

WIDTH: Final = 180
"""Columns of the table where there is no terminal to fit it to."""

_COLUMNS: Final[tuple[tuple[str, Callable[[Figures], int], bool], ...]] = (
    # title, figure, whether it is a time
    ("silence", lambda each: each.silence.length, True),
    ("lost", lambda each: each.lost, False),
    ("two MACs", lambda each: each.contested, True),
    ("healed", lambda each: each.contested_after, True),
    ("misled", lambda each: each.misled, True),
    ("no TCP", lambda each: each.unconnected.length, True),
    ("refused", lambda each: each.refused, False),
    ("frames", lambda each: each.gratuitous, False),
    ("late", lambda each: each.late, True),
)
"""Of each the worst sample's."""


def line(result: Result) -> str:
    """One trial in a line, with what it misses."""
    said = f"{result.trial.name}, {result.nodes} nodes: {result.verdict}, target {result.trial.target}"
    found = [each.figures for each in result.samples if each.figures is not None]
    if found:
        shown = (f"{title} {_worst(found, of, is_time=is_time)}" for title, of, is_time in _COLUMNS)
        said += f" ({', '.join(shown)}; {_causes(result)})"
    return " | ".join([said, *_wrong(result)])


def _worst(found: Sequence[Figures], of: Callable[[Figures], int], *, is_time: bool) -> str:
    worst = max(map(of, found))
    return milliseconds(worst) if is_time else str(worst)


def _causes(result: Result) -> str:
    return " / ".join(dict.fromkeys(each.cause for each in result.samples if each.cause)) or "no cause"


def _wrong(result: Result) -> Iterator[str]:
    """What was wrong, sample by sample."""
    for each in result.samples:
        told = each.problem.splitlines()  # a program's last words, say: the JSON has all of them
        parts = [*dict.fromkeys([*told[:1], *told[-1:]]), *map(str, each.misses)]
        if each.void:
            parts.append("the prober was late by " + milliseconds(each.figures.late if each.figures else 0))
        if parts:
            yield f"sample {each.number} {each.verdict}: {'; '.join(parts)}"


def table(results: Sequence[Result], console: Console) -> None:
    """All of them, the worst sample of each."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("trial", "nodes", *(title for title, _, _ in _COLUMNS), "target", "", "cause"):
        shown.add_column(title, overflow="fold", no_wrap=title != "cause")
    for each in results:
        found = [sample.figures for sample in each.samples if sample.figures is not None]
        cells = [_worst(found, of, is_time=is_time) if found else "–" for _, of, is_time in _COLUMNS]
        row = (each.trial.name, str(each.nodes), *cells, str(each.trial.target), str(each.verdict), _causes(each))
        # As Text: a string would be read as markup, and lose what stands in brackets.
        shown.add_row(*map(Text, row), style=None if each.verdict is Verdict.OK else "bold red")
    console.print(shown)


def document(results: Sequence[Result]) -> str:
    """All of them as JSON; times in milliseconds."""
    samples = [sample for each in results for sample in each.samples]
    return json.dumps(
        {
            "verdict": verdicts.of_run([each.verdict for each in results], samples),
            "trials": [_trial(each) for each in results],
        },
        indent=2,
    )


def _trial(result: Result) -> dict[str, Any]:
    return {
        "name": result.trial.name,
        "nodes": result.nodes,
        "addresses": result.addresses,
        "family": result.family,
        "target": str(result.trial.target),
        "verdict": result.verdict,
        "line": line(result),
        "samples": [_sample(each) for each in result.samples],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    said: dict[str, Any] = {"verdict": sample.verdict, "problem": sample.problem, "cause": sample.cause}
    said |= {"misses": list(map(str, sample.misses)), "holdMs": sample.hold / MS, "load": round(sample.load, 2)}
    seen = sample.figures
    if seen is not None:
        said |= {
            "silenceMs": seen.silence.length / MS,
            "silenceLateMs": seen.silence.lateness / MS,
            "lost": seen.lost,
            "twoMacsMs": seen.contested / MS,
            "twoMacsAfterHealingMs": seen.contested_after / MS,
            "misledMs": seen.misled / MS,
            "noTcpMs": seen.unconnected.length / MS,
            "refused": seen.refused,
            "cut": seen.cut,
            "gratuitous": seen.gratuitous,
            "announcedMs": seen.announced / MS,
            "moves": seen.moves,
            "lateMs": seen.late / MS,
        }
    return said


def closing(results: Sequence[Result]) -> Iterator[str]:
    """Sentences for the end: what failed, and whether the run says anything."""
    for verdict in (Verdict.FAILED, Verdict.VOID):
        names = [each.trial.name for each in results if each.verdict is verdict]
        if names:
            yield f"{verdict}: {', '.join(names)}"
    samples = [sample for each in results for sample in each.samples]
    void = sum(each.void for each in samples)
    if void:
        yield f"{void} of {len(samples)} samples are void: the prober itself was too late to tell"
    if status(results) == _STATUS[Verdict.VOID]:
        yield "the run is void: it says nothing of lbprovider; run it on a machine that has time for it"


def status(results: Sequence[Result]) -> int:
    """The exit status: 0 all met, 1 one missed its target, 3 the machine was too busy to tell."""
    samples = [sample for each in results for sample in each.samples]
    return _STATUS[verdicts.of_run([each.verdict for each in results], samples)]


def listing(console: Console) -> None:
    """All trials there are."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("trial", "nodes", "target", "what it does"):
        shown.add_column(title, overflow="fold")
    for each in TRIALS:
        shown.add_row(*map(Text, (each.name, each.nodes, str(each.target), each.does)))
    console.print(shown)

"""The real ``lbprovider lab``, ended by whatever ends programs, wherever it is: nothing of it may be left.

Four run at a time, for a lab mostly waits, and each as long as it takes to get where it is to be ended.
"""

import concurrent.futures
import itertools
import os
import random
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from lbprovider.lab.provider import command
from lbprovider.lab.waiting import Late, until
from tests.e2e.rig.report import Report
from tests.fakes.sandboxes import Run, machine, sandboxed

pytestmark = pytest.mark.usefixtures("sandbox")

LAB: Final = [str(command()), "lab"]
AT_A_TIME: Final = 4
MOMENTS: Final = 20
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE: Final = 120.0
"""Seconds for a story that takes 25 on a quiet machine of two cores."""
INSIDE: Final = "lbp-2-"
"""How the names of a lab's network namespaces begin: after the inner process, which is the second of its PID namespace.
On the machine itself that pid is the kernel's."""
LAST: Final = "\na Service deleted\n"
"""What stands above the story's last chapter."""
_TELLS: Final = re.compile(r" *\d+\.\d s  ")


@pytest.fixture(scope="module", autouse=True)
def _machine() -> Iterator[None]:
    before = machine()
    yield
    after = machine()
    assert after["interfaces"] == before["interfaces"]
    assert not [name for name in after["names"] if name.startswith(INSIDE)]


@dataclass(frozen=True, slots=True)
class Told:
    """A story that nobody interrupted."""

    lines: tuple[str, ...]
    """Up to the table at its end."""
    length: float
    """Seconds."""

    @property
    def chapters(self) -> list[int]:
        """The numbers of the lines, from 1, that are a chapter's title."""
        return [number for number, line in enumerate(self.lines, 1) if not _TELLS.match(line)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    began = time.monotonic()
    with Run(LAB, tmp_path_factory.mktemp("whole")) as made:
        made.says(LAST, PATIENCE)
        made.wait(PATIENCE)
        length = time.monotonic() - began
        assert not made.left()
        lines = itertools.takewhile(lambda line: not line.startswith("chapter "), made.text.splitlines())
        return Told(tuple(lines), length)


# --- when, and how


@dataclass(frozen=True, slots=True)
class End:
    """One way to end a lab."""

    what: str
    due: Callable[[Run, float], bool]
    """Whether it is time; given the run, and seconds since its start."""
    act: Callable[[Run], None]
    wanted: Callable[[int], bool]
    """Whether the status is right, of a lab that had not ended before."""
    argv: Sequence[str] = tuple(LAB)
    keeps: bool = False
    """Whether its directory may be left: it failed, or nobody was left to take it away."""


def _lines(number: int) -> Callable[[Run, float], bool]:
    return lambda made, _: made.text.count("\n") >= number


def _later(seconds: float) -> Callable[[Run, float], bool]:
    return lambda _, now: now >= seconds


def _sent(what: str, due: Callable[[Run, float], bool], number: signal.Signals) -> End:
    # Before it has its handlers, a signal ends it as it ends any program.
    return End(f"{number.name} {what}", due, lambda made: made.send(number), lambda got: got in {128 + number, -number})


def _try(end: End, directory: Path) -> str:
    """What was wrong with it, nothing when all was well."""
    directory.mkdir()
    began = time.monotonic()
    with Run(end.argv, directory) as made:

        def due() -> bool:
            return made.process.poll() is not None or end.due(made, time.monotonic() - began)

        until(due, end.what, within=PATIENCE)
        made.pin()
        ran = made.process.poll() is None
        if ran:
            end.act(made)
        status = made.wait(PATIENCE)
        wrong = [f"status {status}"] if ran and not end.wanted(status) else []
        try:
            until(lambda: not made.left(), "nothing of it runs", within=10)
        except Late:
            wrong += [f"left: {made.running()}"]
        wrong += ["it ended by itself, too soon"] if not ran and LAST not in made.text else []
        wrong += ["it was not ended in order"] if "is killed" in made.text else []
        wrong += ["a traceback"] if "Traceback" in made.text and made.pinned else []
        wrong += ["its directory is left"] if ran and not end.keeps and made.directories() else []
        return f"{end.what}: {', '.join(wrong)}\n{made.text}" if wrong else ""


def _all(ends: Sequence[End], directory: Path) -> list[str]:
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        tried = [pool.submit(_try, end, directory / str(number)) for number, end in enumerate(ends)]
        try:
            return [wrong for each in tried if (wrong := each.result())]
        finally:
            pool.shutdown(cancel_futures=True)


# --- the tests


def test_it_ends_in_order_at_each_stage(told: Told, tmp_path: Path, report: Report) -> None:
    build, _, *faults = told.chapters
    # Each step until the first fault; of a fault its title, which comes before it, and the line that it is done.
    stages = [*range(build, faults[0]), *(number + later for number in faults for later in (0, 1))]
    ends = [
        _sent(f"after {told.lines[number - 1].strip()!r}", _lines(number), by)
        for number, by in zip(stages, itertools.cycle(SIGNALS), strict=False)
    ]
    wrong = _all(ends, tmp_path)
    assert not wrong, "\n".join(wrong)
    report(f"{len(ends)} stages of a story of {told.length:.1f} s")


def test_it_ends_in_order_at_any_moment(told: Told, tmp_path: Path, report: Report) -> None:
    seed = int(os.environ.get("LBPROVIDER_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - no secret
    moments = [(number + chance.random()) / MOMENTS * told.length for number in range(MOMENTS)]
    ends = [
        _sent(f"after {at:.3f} s", _later(at), by) for at, by in zip(moments, itertools.cycle(SIGNALS), strict=False)
    ]
    wrong = _all(ends, tmp_path)
    assert not wrong, "\n".join([f"LBPROVIDER_SEED={seed}", *wrong])
    report(f"{MOMENTS} moments of a story of {told.length:.1f} s, LBPROVIDER_SEED={seed}")


def _kill_first(made: Run) -> None:
    made.process.kill()


def _kill(level: int) -> Callable[[Run], None]:
    return lambda made: os.kill(made.below(level), signal.SIGKILL)


def test_nothing_survives_sigkill_of_any_part(told: Told, tmp_path: Path, report: Report) -> None:
    _, _, *faults = told.chapters
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"demo:\n\t@{shlex.join(LAB)}\n", encoding="utf-8")
    # Where these tests run below a make themselves, this one says so, before the lab says anything.
    make = ("make", "--no-print-directory", "-f", str(makefile), "demo")

    def killed(status: int) -> bool:
        return status == -signal.SIGKILL

    ends = [
        *(
            End(f"SIGKILL of the outer process after {at} s", _later(at), _kill_first, killed, keeps=True)
            for at in (0.2, 0.5, 1.0)
        ),
        *(
            End(f"SIGKILL of the outer process after line {number}", _lines(number), _kill_first, killed, keeps=True)
            for number in (2, 4, faults[0] + 1, faults[1] + 1)
        ),
        *(
            End(f"SIGKILL of make after line {number}", _lines(number), _kill_first, killed, make)
            for number in (1, 3, 8)
        ),
        *(
            End(f"SIGKILL of the {what} after line {number}", _lines(number), _kill(level), bool, keeps=True)
            for level, what in ((1, "unshare"), (2, "first process inside"), (3, "inner process"))
            for number in (1, 8)
        ),
    ]
    wrong = _all(ends, tmp_path)
    assert not wrong, "\n".join(wrong)
    report(f"{len(ends)} times SIGKILL")
    left = tmp_path / "0"
    with Run(sandboxed("exit", "0"), left) as made:
        assert made.wait() == 0
    assert not made.directories(), "what a killed one has left is not swept"

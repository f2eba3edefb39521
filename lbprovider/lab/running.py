"""Which labs run on this machine, where each keeps its files, and how to get into one.

A lab has a directory of its own among the temporary files, named after the process that supervises it: user, PID
namespace, pid, start time. So a lab that was killed is known by its name alone, and the next one sweeps it. Of labs
that failed the last few directories stay, for their logs. Pure files and command lines; it starts nothing.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lbprovider.errors import HostError, UsageError
from lbprovider.lab.process import started

KEPT: Final = 3
"""How many directories of failed labs stay for their logs."""

_NAME: Final = re.compile(r"lbprovider-lab-(?P<uid>\d+)-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)")
_SANDBOX: Final = "sandbox.json"
"""What the outer process says: the pid of ``unshare``, as the machine sees it."""
_LAB: Final = "lab.json"
"""What the inner process says, once the lab can be entered."""
_FAILED: Final = "failed"
"""Marks a directory that stays for its logs."""


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that can be entered."""

    directory: Path
    pid: int
    """Of ``unshare``, as the machine sees it: it is in all of the sandbox's namespaces but that of the pids."""
    places: Mapping[str, str]
    """The lab's network namespaces by what one calls them: ``client``, ``control``, ``node1``…"""
    kubeconfig: Path
    """For programs inside the lab; an ordinary kubectl outside has another."""


def temporary() -> Path:
    """Where labs have their directories: ``$TMPDIR``, or what stands in for it."""
    return Path(tempfile.gettempdir())


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


# --- directories


def make(parent: Path) -> Path:
    """Make the directory of the lab that this process supervises, for its user alone; HostError if that can't be."""
    pid = os.getpid()
    path = parent / f"lbprovider-lab-{os.getuid()}-{_pid_namespace()}-{pid}-{started(pid)}"
    try:
        path.mkdir(mode=0o700)
    except OSError as error:
        raise HostError(
            f"the lab can't make its directory {path}: {error.strerror}; name another place with TMPDIR"
        ) from error
    return path


def fail(directory: Path) -> None:
    """Say that a lab has failed: its directory stays, until :data:`KEPT` later ones have failed too."""
    (directory / _FAILED).touch()


def remove(directory: Path) -> None:
    """Take a directory away; what resists (somebody looks into it) is left to the next sweep."""
    shutil.rmtree(directory, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Take away what labs of this user have left that run no more, but for the last that failed."""
    left = [path for path in _ours(parent) if not _runs(path)]
    failed = sorted((path for path in left if (path / _FAILED).exists()), key=lambda path: path.stat().st_mtime_ns)
    for path in set(left) - set(failed[-KEPT:]):
        remove(path)


def _ours(parent: Path) -> list[Path]:
    """This user's labs of this PID namespace: of another's processes nobody can tell here whether they run."""
    ours = (str(os.getuid()), str(_pid_namespace()))
    found = ((path, _NAME.fullmatch(path.name)) for path in parent.glob("lbprovider-lab-*"))
    # /tmp is everybody's: a directory that another user has given such a name is not ours.
    return [
        path
        for path, name in found
        if name and name.group("uid", "namespace") == ours and path.lstat().st_uid == os.getuid() and path.is_dir()
    ]


def _runs(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    return name is not None and started(int(name["pid"])) == int(name["start"])


# --- what a lab says of itself


def record(directory: Path, pid: int) -> None:
    """Say, from outside, which process holds the sandbox's namespaces."""
    _write(directory / _SANDBOX, {"pid": pid})


def publish(directory: Path, places: Mapping[str, str], kubeconfig: Path) -> None:
    """Say, from inside, that the lab can be entered: see :class:`RunningLab`."""
    _write(directory / _LAB, {"places": dict(places), "kubeconfig": str(kubeconfig)})


def _write(path: Path, value: Mapping[str, object]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value), encoding="utf-8")
    fresh.replace(path)


def labs(parent: Path) -> tuple[RunningLab, ...]:
    """The labs of this user that can be entered, the newest first."""
    found = (_read(path) for path in sorted(filter(_runs, _ours(parent)), key=_start, reverse=True))
    return tuple(each for each in found if each is not None)


def _start(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _read(directory: Path) -> RunningLab | None:
    try:
        outside, inside = (_load(directory / name) for name in (_SANDBOX, _LAB))
    except FileNotFoundError:  # it starts, or it has just ended
        return None
    return RunningLab(directory, outside["pid"], inside["places"], Path(inside["kubeconfig"]))


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- getting in


def find(parent: Path, environment: Mapping[str, str]) -> RunningLab:
    """The lab whose kubeconfig ``$KUBECONFIG`` names, else the newest; UsageError when none runs."""
    running = labs(parent)
    if not running:
        raise UsageError("no lab of yours is running: start one with `lbprovider lab --keep`")
    named = Path(environment.get("KUBECONFIG", ""))
    return next((lab for lab in running if named.is_relative_to(lab.directory)), running[0])


def command(lab: RunningLab, place: str, argv: Sequence[str], directory: Path) -> list[str]:
    """The command line that runs a program in one of a lab's network namespaces; UsageError for an unknown place.

    Args:
        lab: where.
        place: one of its ``places``.
        argv: the program and its arguments.
        directory: the working directory that it gets.
    """
    if place not in lab.places:
        raise UsageError(f"the lab has no {place!r}: enter one of {', '.join(sorted(lab.places))}")
    namespaces = Path(f"/proc/{lab.pid}/ns")
    # The pids' last: unshare(1) itself is not in that namespace, only its children are.
    flags = [f"--{kind}={namespaces / name}" for kind, name in _NAMESPACES]
    into = ["nsenter", "--preserve-credentials", *flags, "--"]
    return [*into, "nsenter", f"--net=/run/netns/{lab.places[place]}", f"--wd={directory}", "--", *argv]


_NAMESPACES: Final = (("user", "user"), ("mount", "mnt"), ("pid", "pid_for_children"))


def environment(lab: RunningLab, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that enters a lab: ours, with a kubeconfig that works there."""
    return {**ours, "KUBECONFIG": str(lab.kubeconfig)}

"""The programs that all is done with: whether they are there, run to their end, and what is said when one fails."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 180.0
"""Seconds that anything may take on a busy laptop which has no time of its own."""
_SLOW: Final = 1800.0
"""Seconds for what may have to fetch an image over a slow line first."""
_EVERY: Final = 0.2


class ProgramError(RuntimeError):
    """Something is missing or failed: one sentence on what, and on what to do where that is known."""


_INSTALL: Final = {
    "docker": "install it from https://docs.docker.com/engine/install/",
    "kind": "install it from https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "install it from https://kubernetes.io/docs/tasks/tools/",
}
_STOPPED: Final = "docker is not running: sudo systemctl start docker, or start Docker Desktop"
_DOCKER: Final = (
    ("permission denied while trying to connect", "you may not use docker: run this as root, or join its group"),
    ("Cannot connect", _STOPPED),
    ("failed to connect", _STOPPED),  # newer clients' words
)
"""What docker's client says when its engine can't be had, and what that means; the first that fits."""


def check() -> None:
    """Whether docker, kind and kubectl are here and docker's engine answers.

    Raises:
        ProgramError: one is missing, all of which are named, or the engine doesn't answer.
    """
    missing = [name for name in _INSTALL if shutil.which(name) is None]
    if missing:
        raise ProgramError("; ".join(f"{name} is not installed: {_INSTALL[name]}" for name in missing))
    try:
        run("docker", "version", "--format", "{{.Server.Version}}")
    except ProgramError as error:
        known = (advice for words, advice in _DOCKER if words in str(error))
        raise ProgramError(next(known, str(error))) from error


def run(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end.

    Args:
        argv: the program and its arguments.
        environment: variables that it gets besides ours.

    Returns:
        What it wrote to its standard output, without white space at the end.

    Raises:
        ProgramError: it is not there, it failed, with what it said, or it took half an hour.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SLOW,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise ProgramError(f"{argv[0]} is not installed: {_INSTALL.get(argv[0], 'and it is needed')}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{' '.join(argv)}: no end after {_SLOW:g} s") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise ProgramError(f"{' '.join(argv)}: {said}")
    return done.stdout.rstrip()


def eventually(condition: Callable[[], T | None], what: str, within: float = PATIENCE) -> T:
    """The condition's first true value; a program that fails counts as not yet.

    Args:
        condition: asked again and again.
        what: what is waited for, for the message.
        within: seconds.

    Raises:
        ProgramError: it never came true; with what the program said last.
    """
    end = time.monotonic() + within
    while True:
        said = ""
        try:
            value = condition()
        except ProgramError as error:
            value, said = None, f": {error}"
        if value:
            return value
        if time.monotonic() > end:
            raise ProgramError(f"not within {within:g} s: {what}{said}")
        time.sleep(_EVERY)

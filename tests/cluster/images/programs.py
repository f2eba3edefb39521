"""Other people's programs: what to install for them, and what they said when they failed."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_LINES: Final = 25
"""How many of a failed program's last lines are shown."""
_GRACE: Final = 10
"""Seconds that an interrupted program has to clean up after itself."""
_INSTALL: Final = {
    "apt-config": "these images are made on Debian or a descendant of it",
    "apt-get": "these images are made on Debian or a descendant of it",
    "buildah": "on Debian and Ubuntu 'apt install buildah'",
    "debootstrap": "on Debian and Ubuntu 'apt install debootstrap'",
    "go": "on Debian and Ubuntu 'apt install golang-go'",
    "tar": "on Debian and Ubuntu 'apt install tar'",
    "unshare": "on Debian and Ubuntu 'apt install util-linux'",
}


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Its standard output. Interrupted, it ends with all that it started.

    Args:
        command: the program, looked up in PATH, and its arguments.
        cwd: the folder to run it in; ours by default.
        env: variables beside ours.

    Raises:
        RuntimeError: it is not installed, or it failed; the message ends with its own last lines.
    """
    name, *arguments = map(str, command)
    program = installed(name)
    with subprocess.Popen(
        [program, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # so that it can be ended with its children, and an interrupt reaches us first
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        said = [line for line in f"{out}\n{err}".splitlines() if line.strip()][-_LINES:]
        raise RuntimeError("\n".join([f"{' '.join([name, *arguments[:2]])} … failed:", *said]))
    return out


def installed(name: str) -> str:
    """Where a program is.

    Raises:
        RuntimeError: nowhere in PATH; the message says what to install.
    """
    program = shutil.which(name)
    if program is None:
        raise RuntimeError(f"{name} is not installed: {_INSTALL.get(name, 'it is needed to make container images')}")
    return program


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed
            process.wait(_GRACE)

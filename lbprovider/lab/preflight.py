"""Whether this machine can run a lab, and what to do where it can't: one sentence, found out rather than guessed.

What decides is a trial: a sandbox of the lab's own kind in which the first steps are taken. Only when that fails is
the machine looked at, and the first row of a table that fits is the reason.

Sources: user_namespaces(7), proc_sys_user(5); Ubuntu's restriction since 23.10 (a process that makes a user namespace
is moved to AppArmor's profile ``unprivileged_userns``, which denies every capability; root is exempt); Docker's
default seccomp profile (no ``unshare`` without CAP_SYS_ADMIN) and its masked /proc (which forbids a fresh one).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from lbprovider.errors import HostError

SANDBOX: Final = (
    # unshare dies with who started it, its child dies with unshare, and the kernel ends all others with that child,
    # which is the first process of their PID namespace.
    "setpriv", "--pdeathsig=KILL", "--",
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
)  # fmt: skip
"""What goes before a program to run it in a sandbox; without any privilege, and as root in the same way."""

_TRIAL: Final = (*SANDBOX, sys.executable, "-m", "lbprovider.net.userns")
_TRIAL_TIMEOUT: Final = 30.0
_LABEL: Final = ("unshare", "--user", "--", "cat", "/proc/self/attr/current")
"""Prints AppArmor's label of a process that is in a user namespace of its own."""

_ELSEWHERE: Final = {
    "darwin": "run it in a Linux virtual machine, as Lima (`limactl start`) or Multipass make one",
    "win32": "run it in WSL 2 (`wsl --install`)",
}
_PROGRAMS: Final = ("unshare", "nsenter", "setpriv")
_CONTAINER_MARKS: Final = (".dockerenv", "run/.containerenv", "run/systemd/container")
"""What Docker, Podman and systemd put into a container."""
_UNREADABLE: Final = "?"
"""AppArmor's sysctls are there for everybody, but only root may read them."""


def check() -> None:
    """HostError with one sentence on what to do, when this machine can't run a lab."""
    reason = foreign(sys.platform) or lacking_programs(shutil.which) or lacking_libraries(_requirements(), _installed)
    if reason is None:
        words = _trial()
        reason = None if words is None else why(look(words, _label()))
    if reason is not None:
        raise HostError(reason)


# --- what is told without a trial


def foreign(platform: str) -> str | None:
    """Why not on this ``sys.platform``; None on Linux."""
    if platform == "linux":
        return None
    advice = _ELSEWHERE.get(platform, "run it in a Linux virtual machine")
    return f"the lab is made of Linux network namespaces, and this is {platform}: {advice}"


def lacking_programs(which: Callable[[str], str | None]) -> str | None:
    """Which of the programs that make namespaces is not there; None when all are."""
    missing = [name for name in _PROGRAMS if which(name) is None]
    return f"the lab needs {' and '.join(missing)}: install the package util-linux" if missing else None


def lacking_libraries(requirements: Iterable[str], installed: Callable[[str], bool]) -> str | None:
    """Which library of the extra ``lab`` is not installed; None when all are.

    Args:
        requirements: all of lbprovider's, as in its metadata (``name>=1; extra == 'lab'``).
        installed: whether there is a distribution of that name.
    """
    named = (found["name"] for each in requirements if (found := _OF_THE_LAB.match(each)))
    missing = [name for name in named if not installed(name)]
    return f"the lab needs {', '.join(missing)}: pip install 'lbprovider[lab]'" if missing else None


_OF_THE_LAB: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"]lab['\"]")


def _requirements() -> list[str]:
    try:
        return metadata.requires("lbprovider") or []
    except metadata.PackageNotFoundError:  # run from a bare checkout, which promises no libraries
        return []


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


# --- the trial


def _trial() -> str | None:
    """Take the first steps in a sandbox; what forbade them, in the words of who said so, None when nothing did."""
    try:
        done = _run(_TRIAL)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TRIAL_TIMEOUT:g} s"
    said = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")


def _label() -> str:
    try:
        return _run(_LABEL).stdout.strip()
    except subprocess.TimeoutExpired:
        return ""


def _run(argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    # A session of its own: Ctrl-C during the trial ends the lab, not the trial with words of its own.
    return subprocess.run(  # noqa: S603 - our own command lines
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TRIAL_TIMEOUT,
        check=False,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )


# --- why it failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What tells why a trial failed."""

    words: str
    """What ended the trial."""
    label: str = ""
    """AppArmor's label of a process in a user namespace of its own; empty without AppArmor, or without one."""
    root: bool = False
    user_namespaces: bool = True
    """Whether the kernel knows them at all."""
    container: bool = False
    maximum: str = ""
    """``user.max_user_namespaces``; empty where there is no such sysctl."""
    clone: str = ""
    """``kernel.unprivileged_userns_clone``: Debian's and Arch's own; the same."""
    apparmor: str = ""
    """``kernel.apparmor_restrict_unprivileged_userns``; the same."""


def look(words: str, label: str, top: Path = Path("/")) -> Facts:
    """Gather the facts.

    Args:
        words: what ended the trial.
        label: AppArmor's label inside.
        top: the root directory.
    """
    sysctls = top / "proc/sys"
    return Facts(
        words=words,
        label=label,
        root=os.geteuid() == 0,
        user_namespaces=(top / "proc/self/ns/user").exists(),
        container=any((top / mark).exists() for mark in _CONTAINER_MARKS),
        maximum=_read(sysctls / "user/max_user_namespaces"),
        clone=_read(sysctls / "kernel/unprivileged_userns_clone"),
        apparmor=_read(sysctls / "kernel/apparmor_restrict_unprivileged_userns"),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except OSError:
        return _UNREADABLE


_AS_ROOT: Final = ", or run it as root"
_KERNEL: Final = "this kernel has no user namespaces, which the lab is made of: run one with CONFIG_USER_NS"
_OLD: Final = "the lab needs unshare, nsenter and setpriv of util-linux 2.33 or newer: install the package util-linux"
_NFTABLES: Final = (
    "this kernel lacks nf_tables, which leads the lab's Services to their Pods: "
    "sudo modprobe nf_tables, or run a kernel with CONFIG_NF_TABLES"
)
_NONE: Final = (
    "this machine allows no user namespaces, and the lab needs one: sudo sysctl -w user.max_user_namespaces=28633"
)
_LIMIT: Final = (
    "a limit of this machine is reached, and the lab needs namespaces: "
    "raise what is lowest of `sysctl -a --pattern 'user.max_.*_namespaces'`"
)
_DEBIAN: Final = (
    "only root may make user namespaces here, and the lab needs one: "
    f"sudo sysctl -w kernel.unprivileged_userns_clone=1{_AS_ROOT}"
)
_UNSHARE: Final = (
    "AppArmor's profile for unshare takes the rights away that the lab needs in its own user namespace: "
    "sudo apparmor_parser -R /etc/apparmor.d/unshare-userns-restrict"
)
_UBUNTU: Final = (
    "AppArmor takes the rights away that the lab needs in its own user namespace (Ubuntu's default): "
    f"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0{_AS_ROOT}"
)
_CONTAINER: Final = (
    "this container may not make the namespaces that the lab needs: start it with --privileged, or with "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
)

_WHY: Final[tuple[tuple[Callable[[Facts], bool], str], ...]] = (
    (lambda facts: not facts.user_namespaces, _KERNEL),
    (lambda facts: "unrecognized option" in facts.words or "invalid option" in facts.words, _OLD),
    (lambda facts: facts.words.startswith("nf_tables"), _NFTABLES),
    (lambda facts: facts.maximum == "0", _NONE),
    (lambda facts: "No space left on device" in facts.words, _LIMIT),
    (lambda facts: facts.clone == "0" and not facts.root, _DEBIAN),
    (lambda facts: "unshare" in facts.label, _UNSHARE),
    (lambda facts: "unprivileged_userns" in facts.label, _UBUNTU),
    (lambda facts: facts.container, _CONTAINER),
    (lambda facts: facts.apparmor in {"1", _UNREADABLE} and not facts.root, _UBUNTU),
)
"""The first that fits is the reason. What AppArmor itself says of a process comes before what a machine looks like: a
container sees the sysctls of its host."""


def why(facts: Facts) -> str:
    """The reason in one sentence with what to do, and the trial's own words; those alone where no reason fits."""
    fitting = (sentence for fits, sentence in _WHY if fits(facts))
    sentence = next(fitting, "this machine doesn't let the lab make its namespaces")
    return f"{sentence} ({facts.words})"

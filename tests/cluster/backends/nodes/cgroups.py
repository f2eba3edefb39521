"""A node's own part of the machine's cgroup tree (cgroup v1): the machine's stays as it is.

Each node has a group of its own in every hierarchy, below the one that this process is in. Inside the node a cgroup
namespace makes that group the root, so that its kubelet and runc see a tree of their own.
"""

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lbprovider.net import namespaces
from tests.e2e.rig.waiting import eventually

_INHERITED: Final = ("cpuset.cpus", "cpuset.mems")
"""Empty in a new group, which can then hold no process (cgroup-v1/cpusets)."""


class Unsupported(RuntimeError):
    """This machine's cgroups are not of the kind that nodes are made of."""


def hierarchies() -> Mapping[str, Path]:
    """The group that this process is in, for each hierarchy of cgroup v1 by its controllers.

    Raises:
        Unsupported: there is none, as on a machine with cgroup v2 alone.
    """
    ours = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        ours[controllers] = path.lstrip("/")
    found = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, target, kind, options, *_ = line.split()
        mounted = _named(options, ours) if kind == "cgroup" else None
        if mounted is not None:
            found[mounted] = Path(target) / ours[mounted]
    if "memory" not in found:
        raise Unsupported(
            "nodes are made on machines with cgroup v1; on this one use docker and kind: E2E_BACKEND=kind"
        )
    return found


def _named(options: str, known: Mapping[str, str]) -> str | None:
    given = set(options.split(","))
    return next((each for each in known if each and set(each.split(",")) <= given), None)


def sweep() -> None:
    """Take away what runs that were killed have left: groups called as a network namespace that is gone."""
    alive = set(namespaces.names())
    for path in hierarchies().values():
        for each in path.glob("lbp-*"):
            if each.name not in alive:
                _remove_below(each)
                _remove(each)


class Groups:
    """The groups of one node, from construction to :meth:`close`.

    Args:
        name: of the group, in each hierarchy.
    """

    def __init__(self, name: str) -> None:
        self.paths: Mapping[str, Path] = {key: path / name for key, path in hierarchies().items()}
        for path in self.paths.values():
            path.mkdir()
            for each in _INHERITED:
                if (path / each).exists():
                    (path / each).write_text((path.parent / each).read_text(encoding="ascii"), encoding="ascii")

    def processes(self) -> frozenset[int]:
        """Every process in them and below."""
        found: set[int] = set()
        for path in self.paths.values():
            for each in [path, *path.rglob("*/")]:
                with contextlib.suppress(FileNotFoundError):
                    found.update(int(line) for line in (each / "cgroup.procs").read_text(encoding="ascii").split())
        return frozenset(found)

    def clear(self, *, within: float = 30) -> None:
        """End whatever is in them and take away what was made below; ``within`` in seconds."""

        def empty() -> bool:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.processes()

        eventually(empty, "the node's processes are gone", within=within)
        for path in self.paths.values():
            _remove_below(path)

    def close(self) -> None:
        """Take them away, with whatever is in them."""
        self.clear()
        for path in self.paths.values():
            _remove(path)


def _remove_below(group: Path) -> None:
    for each in sorted(group.rglob("*/"), reverse=True):
        _remove(each)


def _remove(group: Path) -> None:
    def gone() -> bool:
        with contextlib.suppress(FileNotFoundError):
            group.rmdir()
        return True

    # The kernel lets go of a group a moment after its last process has ended: EBUSY until then.
    eventually(gone, f"{group} is gone", within=10)

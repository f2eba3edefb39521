"""Process 1 of a node: makes the node's own view of the machine, starts its programs, and buries orphans.

``python -m tests.cluster.backends.nodes.init PLAN``, in new mount, pid, uts, ipc and cgroup namespaces and in the
node's network. The plan is JSON: see :class:`Plan`. It ends when one of its programs does, and says which: on a real
machine a service manager would start that one again, here it is a finding.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

_PATIENCE: Final = 30
"""Seconds for a program to have its socket."""
_EXPECTED: Final[Mapping[str, int]] = {
    "kernel/keys/root_maxbytes": 25_000_000,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
}
"""What kubelet sets where it differs (pkg/kubelet/cm): these are the machine's, so a node sees files with these values
in their place."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one node is made of."""

    name: str
    disk: str
    """The folder that stays when the node is without power: its ``/var``."""
    hierarchies: Sequence[str]
    """The hierarchies of cgroup v1, by their controllers."""
    logs: str
    """The folder, on the disk, for what its programs say; a file ``up`` is made there once all have started."""
    programs: Mapping[str, Sequence[str]]
    """By name, in the order of their start."""
    sockets: Mapping[str, str]
    """For some of them the socket that is there once they serve, which the next one needs."""

    def write(self, path: Path) -> Path:
        """Into a file, whose path is given back."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def main() -> None:
    """Entry point of the program."""
    plan = Plan.read(Path(sys.argv[1]))
    _look(plan)
    os.environ.update(HOME="/root", TMPDIR="/run/tmp")
    running: dict[int, str] = {}
    for name in plan.programs:
        running[_start(plan, name)] = name
        _await_socket(plan, name)
    Path(plan.logs, "up").touch()
    while True:
        pid, status = os.wait()
        if pid in running:
            sys.exit(f"{plan.name}: {running[pid]} ended with {os.waitstatus_to_exitcode(status)}")


def _start(plan: Plan, name: str) -> int:
    with Path(plan.logs, f"{name}.log").open("ab") as output:
        program = subprocess.Popen(plan.programs[name], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    program.returncode = 0  # it is waited for with the orphans
    return program.pid


def _await_socket(plan: Plan, name: str) -> None:
    end = time.monotonic() + _PATIENCE
    while name in plan.sockets and not Path(plan.sockets[name]).exists():
        if time.monotonic() > end:
            sys.exit(f"{plan.name}: {name} has no socket after {_PATIENCE} s")
        time.sleep(0.02)


def _look(plan: Plan) -> None:
    """The machine as this node sees it."""
    _mount("--make-rprivate", "/")
    _mount("--types", "proc", "proc", "/proc")
    _mount("--bind", f"{plan.disk}/var", "/var")
    _mount("--types", "tmpfs", "tmpfs", "/run")
    Path("/run/tmp").mkdir()
    subprocess.run(["umount", "--recursive", "--lazy", "/sys"], check=True)
    _mount("--types", "sysfs", "sysfs", "/sys")
    _mount("--types", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    for controllers in plan.hierarchies:
        target = Path("/sys/fs/cgroup", controllers.removeprefix("name="))
        target.mkdir()
        _mount("--types", "cgroup", "--options", controllers, "cgroup", str(target))
    _keep_sysctls()
    # Containers get what they mount from here; without it no volume can be passed on.
    _mount("--make-rshared", "/")
    socket.sethostname(plan.name)
    # What a boot forgets, and a network namespace that outlives its node does not.
    subprocess.run(["nft", "flush", "ruleset"], check=True)


def _keep_sysctls() -> None:
    """Leave the machine's settings alone: those of the node's own network can be written, the others only read."""
    _mount("--bind", "/proc/sys", "/proc/sys")
    _mount("--bind", "/proc/sys/net", "/proc/sys/net")
    _mount("--options", "remount,bind,ro", "/proc/sys")
    folder = Path("/run/sysctl")
    folder.mkdir()
    for key, value in _EXPECTED.items():
        if Path("/proc/sys", key).exists():
            file = folder / key.replace("/", ".")
            file.write_text(f"{value}\n", encoding="ascii")
            _mount("--bind", str(file), f"/proc/sys/{key}")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main()

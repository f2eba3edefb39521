"""One node: its disk, its configuration, its power."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lbprovider.lab.lan import PODS4, LanNode
from lbprovider.lab.process import Process
from tests.cluster.backends.nodes import configuration, init
from tests.cluster.backends.nodes.cgroups import Groups
from tests.cluster.backends.nodes.disk import Disk
from tests.e2e.rig import nodes
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.controlplane import ControlPlane
from tests.e2e.rig.waiting import eventually

_ETC: Final = Path("var/lib/node")
"""Where on its disk a node has its configuration. The disk is the node's ``/var``, so within the path is the same."""
_LOGS: Final = Path("var/log/node")
_JOIN: Final = 'for group in "$@"; do [ "$group" = -- ] && break; echo $$ > "$group/cgroup.procs"; shift; done; shift'
_NAMESPACES: Final = ("--mount", "--uts", "--ipc", "--pid", "--cgroup")


class Node:
    """A node, from construction to :meth:`close`; it has no power yet.

    Args:
        plane: the cluster that it joins.
        place: its place in the LAN.
        binaries: kubelet and kube-proxy.
        directory: an empty folder for its disk; its logs stay there.
    """

    def __init__(self, plane: ControlPlane, place: LanNode, binaries: Binaries, directory: Path) -> None:
        self.name = place.name
        self._lan = plane.lan
        self._place = place
        self._directory = directory
        self._disk = Disk(plane.lan, place.name, directory / "disk")
        self._power: Process | None = None
        self._groups = Groups(place.namespace.name)
        self._write_disk(plane)
        self._plan = init.Plan(
            name=self.name,
            disk=str(self._disk.path),
            hierarchies=tuple(self._groups.paths),
            logs=f"/{_LOGS}",
            programs={
                "containerd": ("containerd", "--config", f"/{_ETC}/containerd.toml"),
                "kubelet": (str(binaries.kubelet), *configuration.kubelet_flags(self.name, place.management, _etc())),
                "kube-proxy": (str(binaries.proxy), f"--config=/{_ETC}/kube-proxy.json"),
            },
            sockets={"containerd": configuration.SOCKET},
        ).write(directory / "plan.json")

    def close(self) -> None:
        """End whatever runs, and take the disk away; the logs stay."""
        self.kill()
        self._groups.close()
        shutil.copytree(self._disk.seen / _LOGS, self._directory / "logs")
        self._disk.close()

    def _write_disk(self, plane: ControlPlane) -> None:
        disk = self._disk.seen
        etc, networks = disk / _ETC, disk / configuration.NETWORKS.relative_to("/")
        for folder in (etc, networks, disk / _LOGS, disk / "var/tmp"):
            folder.mkdir(parents=True)
        (disk / "var/run").symlink_to("/run")
        shutil.copyfile(plane.authority, etc / "ca.crt")
        for program, user in (("kubelet", f"system:node:{self.name}"), ("kube-proxy", "system:kube-proxy")):
            made = plane.kubeconfig_of(f"{program}-{self.name}", plane.token_for(user))
            shutil.move(made, etc / f"{program}.kubeconfig")
        proxy = nodes.proxy_configuration(self.name, _etc() / "kube-proxy.kubeconfig", str(PODS4))
        for path, content in (
            (etc / "containerd.toml", configuration.containerd()),
            (etc / "kubelet.json", configuration.kubelet(_etc())),
            (etc / "kube-proxy.json", configuration.json_of(proxy)),
            (etc / "resolv.conf", ""),
            (networks / "10-pods.conflist", configuration.network(self._place.pods4)),
        ):
            path.write_text(content, encoding="utf-8")

    # --- power

    def start(self) -> None:
        """Give it power. Its containerd answers on return; its kubelet comes up by itself."""
        if self._power is not None:
            raise RuntimeError(f"{self.name} has power")
        self._lan.heal(self.name)
        groups = [str(path) for path in self._groups.paths.values()]
        inside = [
            "nsenter",
            f"--mount={self._disk.namespace}",
            "--",
            "unshare",
            *_NAMESPACES,
            "--fork",
            "--kill-child=KILL",
            "--",
            sys.executable,
            init.__file__,
        ]
        script = f'{_JOIN}; exec "$@"'
        up = self._disk.seen / _LOGS / "up"
        up.unlink(missing_ok=True)
        argv = ["sh", "-c", script, "sh", *groups, "--", *inside, str(self._plan)]
        self._power = self._lan.spawn(self.name, self._place.namespace, argv)

        def is_up() -> bool:
            self.check()
            return up.exists()

        eventually(is_up, f"{self.name} is up", within=60)

    def check(self) -> None:
        """Nothing, while it has power and all of its programs run.

        Raises:
            AssertionError: not so; with what its first process said.
        """
        if self._power is None or not self._power.running:
            said = "it has no power" if self._power is None else self._power.tail()
            raise AssertionError(f"{self.name} is down: {said}")

    def kill(self) -> None:
        """Take its power: the carriers first, as its kernel would go on forwarding, then every process."""
        self._lan.power_off(self.name)
        self._groups.clear()
        self._power = None

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs a program on the node, as root.

        Raises:
            RuntimeError: it has no power.
        """
        if self._power is None:
            raise RuntimeError(f"{self.name} has no power")
        children = Path(f"/proc/{self._power.pid}/task/{self._power.pid}/children").read_text(encoding="ascii").split()
        return ["nsenter", f"--target={children[0]}", *_NAMESPACES, "--net", "--", *argv]

    def run(self, *argv: str) -> str:
        """Run a program on the node and give its output.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        result = subprocess.run(self.command(argv), capture_output=True, text=True, check=False, timeout=300)
        if result.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: {result.stderr or result.stdout}")
        return result.stdout


def _etc() -> Path:
    return Path("/", _ETC)

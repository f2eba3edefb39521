"""kubectl as a user runs it, on an API server and in words that can be compared with another's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.rig.waiting import eventually

_PATIENCE: Final = 60
"""Seconds for one command."""

_NEVER_THE_SAME: Final = (
    (re.compile(r"\b10\.96\.\d+\.\d+\b"), "10.96.x.x"),
    (re.compile(r"(?<=[:\s])3[0-2]\d{3}\b"), "3xxxx"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d [\d:]+ \+0000"), "<time>"),
    (re.compile(r'((?i:resource ?version)"?: +)"?\d+"?'), r"\1<version>"),
    (re.compile(r"(?<=\s)(\d+[smhd])+(?=\s|$)"), "<age>"),
    (re.compile(r"/\S*kubectl-edit-\S+"), "<file>"),
    # A real cluster's controllers make EndpointSlices; what kubectl itself logs depends on when a watch ended.
    (re.compile(r"^Endpoints: .*$", re.MULTILINE), "Endpoints:"),
    (re.compile(r"^[IWE]\d{4} [\d:.]+ .*\n", re.MULTILINE), ""),
    (re.compile(r" {2,}"), "  "),  # a column is as wide as the widest of what was just replaced
    (re.compile(r" +$", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to: its exit status, and all that it said."""

    code: int
    text: str

    def comparable(self) -> Said:
        """Without what is never the same."""
        return Said(self.code, comparable(self.text))


def comparable(text: str) -> str:
    """A text with addresses, ports, ages, uids and versions replaced."""
    for pattern, instead in _NEVER_THE_SAME:
        text = pattern.sub(instead, text)
    return text.strip()


class Kubectl:
    """kubectl on one server.

    Args:
        server: what to call it.
        kubeconfig: says where it is, and who asks.
        inside: the command line that runs another where the server can be reached.
    """

    def __init__(self, server: str, kubeconfig: Path, inside: Callable[[Sequence[str]], list[str]]) -> None:
        self.server = server
        self._kubeconfig = kubeconfig
        self._inside = inside

    def run(self, program: Path, arguments: Sequence[str], stdin: str | None, editor: str) -> Said:
        """Run a command to its end."""
        result = subprocess.run(
            self._inside([str(program), *arguments]),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env=self._environment(program, editor),
        )
        return Said(result.returncode, result.stdout)

    def start(self, program: Path, arguments: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Run a command that goes on until it is ended, and let it write to a file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                self._inside([str(program), *arguments]), stdout=file, stderr=file, env=self._environment(program, "")
            )

    def _environment(self, program: Path, editor: str) -> Mapping[str, str]:
        # What it keeps of a server's kinds is its own for each program and server.
        home = self._kubeconfig.parent / f"home-{self.server}-{program.parent.name}"
        home.mkdir(exist_ok=True)
        # kubectl diff calls diff(1).
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        return {**kept, "KUBECONFIG": str(self._kubeconfig), "HOME": str(home), "KUBE_EDITOR": editor}


class Both:
    """kubectl on both servers.

    Args:
        servers: the lab's and the real one.
        program: which kubectl.
        namespace: one of the test's own, on each.
        directory: for files.
    """

    def __init__(self, servers: tuple[Kubectl, Kubectl], program: Path, namespace: str, directory: Path) -> None:
        self._servers = servers
        self._program = program
        self._directory = directory
        self.namespace = namespace

    def __call__(
        self, *arguments: str, stdin: object = None, code: int = 0, editor: str = "false", everywhere: bool = False
    ) -> str:
        """Run a command on both, in the test's namespace.

        Args:
            arguments: of kubectl.
            stdin: an object, or several, for ``-f -``.
            code: the exit status that it has to have.
            editor: for ``kubectl edit``.
            everywhere: whether the objects say their namespaces themselves.

        Returns:
            What both said.
        """
        text = None if stdin is None else json.dumps(stdin)
        given = [*([] if everywhere else ["--namespace", self.namespace]), *arguments]
        lab, real = (server.run(self._program, given, text, editor).comparable() for server in self._servers)
        assert lab == real
        assert lab.code == code, lab.text
        return lab.text

    def happened(self, kind: str, name: str) -> None:
        """Make an Event about an object, with its uid, which each server has made up itself."""
        where = ["--namespace", self.namespace]
        for server in self._servers:
            found = server.run(self._program, [*where, "get", kind, name, "-o", "json"], None, "")
            about = json.loads(found.text)
            reference = {key: about["metadata"][key] for key in ("namespace", "name", "uid")}
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{name}.1"},
                "involvedObject": {"kind": about["kind"], "apiVersion": about["apiVersion"], **reference},
                "type": "Normal",
                "reason": "Assigned",
                "message": "got 192.0.2.7",
                "source": {"component": "lbprovider"},
                "firstTimestamp": about["metadata"]["creationTimestamp"],
                "lastTimestamp": about["metadata"]["creationTimestamp"],
                "count": 1,
            }
            made = server.run(self._program, [*where, "create", "-f", "-"], json.dumps(event), "")
            assert made.code == 0, made.text

    def watched(self, change: Callable[[], object], lines: int, *arguments: str) -> str:
        """Run a command that watches on both, make a change once both have begun, and give what they wrote.

        Args:
            change: does it.
            lines: of how many lines of what they write the last comes from the change.
            arguments: of kubectl.
        """
        files = [self._directory / f"watch-{server.server}" for server in self._servers]
        given = ["--namespace", self.namespace, *arguments]
        running = [server.start(self._program, given, file) for server, file in zip(self._servers, files, strict=True)]
        try:
            for file in files:
                eventually(lambda file=file: file.read_text(encoding="utf-8"), "the watch has begun")  # type: ignore[misc]
            change()
            written = [
                eventually(lambda file=file: _lines(file, lines), f"{lines} lines are there")  # type: ignore[misc]
                for file in files
            ]
        finally:
            for each in running:
                each.kill()
                each.wait()
        assert written[0] == written[1]
        return written[0]


def _lines(file: Path, count: int) -> str | None:
    text = file.read_text(encoding="utf-8")
    return comparable(text) if text.count("\n") >= count else None

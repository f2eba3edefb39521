"""A PATH with fakes of docker, kind and kubectl on it, and what became of them."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("docker", "kind", "kubectl")


@dataclass(frozen=True, slots=True)
class World:
    state: Path
    monkeypatch: pytest.MonkeyPatch

    def fail(self, words: str) -> None:
        """Each call that begins with these words fails from now on; none when empty."""
        self.monkeypatch.setenv("FAKE_FAIL", words)

    def calls(self) -> list[list[str]]:
        log = self.state / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def called(self, *words: str) -> list[list[str]]:
        """The calls that begin with these words."""
        return [call for call in self.calls() if call[: len(words)] == list(words)]

    def clusters(self) -> set[str]:
        return {each.name for each in (self.state / "clusters").iterdir()}

    def containers(self) -> set[str]:
        return {each.name for each in (self.state / "containers").iterdir()}


def make(directory: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    programs, state = directory / "bin", directory / "state"
    for each in (programs, state / "clusters", state / "containers"):
        each.mkdir(parents=True)
    (state / "pools").write_text('{"items": []}')
    source = Path(__file__).with_name("kind_programs.py").read_text(encoding="utf-8")
    for name in PROGRAMS:
        # -I: nothing of the test's own environment, which makes it start in half the time.
        (programs / name).write_text(f"#!{sys.executable} -IS\n{source}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=None)
    monkeypatch.setenv("FAKE_STATE", str(state))
    monkeypatch.delenv("FAKE_FAIL", raising=False)
    assert os.environ["PATH"] == str(programs)
    return World(state, monkeypatch)

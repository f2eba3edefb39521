import sys
from pathlib import Path

import pytest

from examples.kind import __main__ as command
from examples.kind import programs
from examples.kind.programs import ProgramError, check, eventually, run
from tests.unit.cluster import kind_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kind_world.World:
    return kind_world.make(tmp_path, monkeypatch)


def refuse(world: kind_world.World, words: str) -> None:
    """Let docker say this, as its client does where the engine can't be had."""
    docker = world.state.parent / "bin" / "docker"
    docker.write_text(f"#!/bin/sh\necho {words!r} >&2\nexit 1\n")


def test_all_there(world: kind_world.World) -> None:
    check()

    assert [call[0] for call in world.calls()] == ["docker"]


@pytest.mark.parametrize("missing", [["docker"], ["kind"], ["kubectl"], ["docker", "kind", "kubectl"]])
def test_what_is_missing_is_named_at_once(world: kind_world.World, missing: list[str]) -> None:
    for name in missing:
        (world.state.parent / "bin" / name).unlink()

    with pytest.raises(ProgramError) as raised:
        check()

    said = str(raised.value).split("; ")
    assert [sentence.split(": install it from https://")[0] for sentence in said] == [
        f"{name} is not installed" for name in missing
    ]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        # Docker 20.10 and 28; 29 says the third.
        (
            "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
            "docker is not running",
        ),
        (
            "Got permission denied while trying to connect to the Docker daemon socket at unix:///x.sock",
            "you may not use",
        ),
        (
            "failed to connect to the docker API at unix:///x.sock; check if the path is correct",
            "docker is not running",
        ),
        # Not about the engine.
        (
            "WARNING: Error loading config file: permission denied\nCannot connect to the Docker daemon",
            "docker is not running",
        ),
        ("something new", "docker version --format {{.Server.Version}}: something new"),
    ],
)
def test_an_engine_that_can_not_be_had_is_explained(world: kind_world.World, words: str, advice: str) -> None:
    refuse(world, words)

    with pytest.raises(ProgramError, match=f"^{advice}"):
        check()


def test_a_program_that_fails_is_quoted(world: kind_world.World) -> None:
    world.fail("kind get clusters")

    with pytest.raises(ProgramError, match=r"^kind get clusters: kind get clusters: no, said the fake$"):
        run("kind", "get", "clusters")


def test_a_program_that_says_nothing_has_its_status_named() -> None:
    with pytest.raises(ProgramError, match=r"exit status 3$"):
        run(sys.executable, "-c", "raise SystemExit(3)")


def test_a_program_gets_variables_besides_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "1")
    script = "import os; print(os.environ['MINE'], os.environ['YOURS'])"

    assert run(sys.executable, "-c", script, environment={"YOURS": "2"}) == "1 2"


def test_waiting_ends_with_what_was_said_last() -> None:
    def failing() -> None:
        raise ProgramError("kubectl get: no such host")

    with pytest.raises(ProgramError, match=r"^not within 0 s: it is there: kubectl get: no such host$"):
        eventually(failing, "it is there", within=0)


def test_waiting_takes_a_failure_for_not_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_EVERY", 0)
    outcomes = iter(["failed", "", "here"])

    def next_one() -> str:
        found = next(outcomes)
        if found == "failed":
            raise ProgramError(found)
        return found

    assert eventually(next_one, "it is there") == "here"


@pytest.mark.parametrize("what", ["up", "down"])
def test_the_command_says_one_sentence_and_fails(
    world: kind_world.World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (world.state.parent / "bin" / "kind").unlink()
    monkeypatch.setattr(sys, "argv", ["examples.kind", what])

    with pytest.raises(SystemExit, match=r"^kind is not installed: install it from https://kind\.sigs\.k8s\.io/\S+$"):
        command.main()
    assert world.calls() == []

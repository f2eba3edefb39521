"""The lab's sandbox around a stand-in for the lab: how it ends, whoever ends it, and that nothing is left."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lbprovider.lab import running
from lbprovider.lab.waiting import until
from tests.fakes.sandboxes import Run, machine, sandboxed

pytestmark = pytest.mark.usefixtures("sandbox")

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OWN_NAMESPACES = 4
"""User, network, mount and PID namespace."""


@contextlib.contextmanager
def run(temporary: Path, argv: Sequence[str], stdin: int = subprocess.DEVNULL) -> Iterator[Run]:
    """A run of which nothing may be left when it has ended but, at most, its directory."""
    before = machine()
    with Run(argv, temporary, stdin) as made:
        yield made
        made.wait()
        until(lambda: not made.left(), "none of its processes is left")
    assert machine()["interfaces"] == before["interfaces"]


@pytest.mark.parametrize("status", [0, 3])
def test_the_inner_programs_exit_status_is_passed_on(tmp_path: Path, status: int) -> None:
    with run(tmp_path, sandboxed("exit", str(status))) as made:
        assert made.wait() == status
    assert bool(made.directories()) == bool(status)
    assert ("its logs are in" in made.text) == bool(status)


def test_logs_of_a_failed_lab_stay_and_are_named(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("exit", "1")) as made:
        made.wait()
    (directory,) = made.directories()
    assert made.text == f"lbprovider: the lab failed, and its logs are in {directory}\n"


def test_the_inside_is_a_place_to_live_in(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("facts", "--", "--nodes", "5")) as made:
        assert made.wait() == 0
    facts = json.loads(made.text)
    assert facts["arguments"] == ["--nodes", "5"]
    assert (facts["user"], facts["parent"]) == (0, 1)
    assert facts["names"] == []
    assert {each.name for each in Path("/run").iterdir()} <= set(facts["run"])
    assert facts["stdin"] == ""
    assert "00000000000000000000000000000001" in facts["lo"], "lo is up and has ::1"
    assert facts["mode"] == "0o700"
    assert not made.directories()


@pytest.mark.parametrize("number", INTERRUPTS)
def test_a_signal_lets_it_end_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with run(tmp_path, sandboxed("wait")) as made:
        made.says("up")
        assert made.pinned == OWN_NAMESPACES
        assert len(made.left()) == 3, "unshare, pid 1 and the inner program"
        made.send(number)
        made.says("interrupted")
        made.send(number)  # the same keypress, passed on by a wrapper; or timeout(1), which sends two
        assert made.wait() == 128 + number
        assert not made.left(), "it came back before all had ended"
    assert "ended in order" in made.text
    assert not made.directories()


def test_impatience_ends_it_at_once(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("stubborn", same_keypress=0)) as made:
        made.says("up")
        made.send(signal.SIGINT)
        made.says("no")
        made.send(signal.SIGINT)
        assert made.wait() == 130
        assert not made.left()
    assert not made.directories()


def test_only_a_second_sigint_is_impatience(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("wait", same_keypress=0)) as made:
        made.says("up")
        made.send(signal.SIGTERM)
        made.says("interrupted")
        made.send(signal.SIGTERM)
        made.send(signal.SIGHUP)
        assert made.wait() == 143
    assert "ended in order" in made.text


def test_what_does_not_end_in_order_is_killed_in_time(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("stubborn", grace=1)) as made:  # long enough for its "no" on any machine
        made.says("up")
        made.send(signal.SIGTERM)
        assert made.wait() == 143
        assert not made.left()
    assert "no\n" in made.text
    assert "the lab has not ended within 1 s, and is killed" in made.text


def test_an_inner_program_that_is_deaf_to_its_interruption_ends_all_the_same(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("deaf")) as made:
        made.says("up")
        made.send(signal.SIGTERM)
        assert made.wait() == 143
        assert not made.left()
    assert "no\n" in made.text
    assert "is killed" not in made.text


def test_what_a_signal_has_ended_is_said(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("die")) as made:
        assert made.wait() == 137
    assert "lbprovider: SIGKILL has ended the lab\n" in made.text


@pytest.mark.parametrize("level", [1, 2, 3], ids=["unshare", "pid 1", "inner"])
def test_nothing_survives_a_part_that_is_killed(tmp_path: Path, level: int) -> None:
    with run(tmp_path, sandboxed("lan")) as made:
        made.says("up")
        assert len(made.left()) > 5
        os.kill(made.below(level), signal.SIGKILL)
        status = made.wait()
        assert not made.left(), "it came back before all had ended"
    if level == 2:  # of which unshare makes a status of its own
        assert status > 0
    else:
        assert status == 137
        assert "SIGKILL has ended the lab" in made.text


@pytest.mark.parametrize("verb", ["lan", "stubborn"])
def test_nothing_but_the_directory_survives_the_outer_process_and_the_next_run_sweeps_that(
    tmp_path: Path, verb: str
) -> None:
    with run(tmp_path, sandboxed(verb)) as made:
        made.says("up")
        made.process.kill()
    assert len(made.directories()) == 1
    with run(tmp_path, sandboxed("exit", "0")) as made:
        assert made.wait() == 0
    assert not made.directories()


def test_pid_1_passes_sigterm_on(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("wait")) as made:
        made.says("up")
        os.kill(made.below(2), signal.SIGTERM)
        assert made.wait() == 0
    assert "ended in order" in made.text


def test_pid_1_buries_orphans(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("orphan")) as made:
        assert made.wait() == 0
    assert made.text == "buried\n"


def _below_a_shell(argv: Sequence[str]) -> list[str]:
    return ["sh", "-c", f"{shlex.join(argv)} & wait"]


def test_it_ends_when_who_started_it_is_killed(tmp_path: Path) -> None:
    with run(tmp_path, _below_a_shell(sandboxed("wait"))) as made:
        made.says("up")
        made.process.kill()
        until(lambda: not made.left(), "the lab has ended, too")
    assert "ended in order" in made.text
    assert not made.directories()


def test_it_does_not_begin_when_who_started_it_has_died_meanwhile(tmp_path: Path) -> None:
    with run(tmp_path, _below_a_shell(sandboxed("orphaned"))) as made:
        assert made.wait() == -signal.SIGKILL
        until(lambda: not made.left(), "it ends")
    assert (tmp_path / "status").read_text(encoding="ascii") == "143"
    assert not made.directories()
    assert not made.text


def test_one_that_is_to_stay_outlives_who_started_it(tmp_path: Path) -> None:
    with run(tmp_path, _below_a_shell(sandboxed("wait", stays=True))) as made:
        made.says("up")
        outer = made.outer()
        made.process.kill()
        made.process.wait()
        os.kill(outer, signal.SIGHUP)
        until(lambda: not made.left(), "the lab has ended")
    assert "ended in order" in made.text
    assert (tmp_path / "status").read_text(encoding="ascii") == "129", "not 143, of a parent's death"


def test_the_machines_own_kubectl_reaches_what_listens_inside(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("serve")) as made:
        made.says("up")
        port = int((made.directories()[0] / "port").read_text(encoding="ascii"))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert connection.recv(100) == b"from inside"
        assert made.wait() == 0


def test_closed_standard_streams_are_no_harm(tmp_path: Path) -> None:
    with run(tmp_path, ["sh", "-c", f"exec {shlex.join(sandboxed('lan'))} <&-"]) as made:
        made.says("up")
        made.send(signal.SIGTERM)
        assert made.wait() == 143
    assert "ended in order" in made.text


def test_it_waits_for_no_child_that_a_shell_has_left_it(tmp_path: Path) -> None:
    until_it_has_ended = 'while [ ! -e "$TMPDIR/status" ]; do sleep 0.05; done'
    with run(tmp_path, ["sh", "-c", f"({until_it_has_ended}) & exec {shlex.join(sandboxed('exit', '0'))}"]) as made:
        assert made.wait() == 0


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    with run(tmp_path, ["sh", "-c", f"trap '' INT HUP; exec {shlex.join(sandboxed('wait'))}"]) as made:
        made.says("up")
        made.send(signal.SIGHUP)
        made.send(signal.SIGINT)
        made.send(signal.SIGTERM)
        assert made.wait() == 143
    assert "ended in order" in made.text


def test_at_a_terminal_it_writes_whatever_tostop_says_and_ctrl_c_reaches_the_outer_process_alone(
    tmp_path: Path,
) -> None:
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    shell = ["sh", "-c", f"stty tostop; exec {shlex.join(sandboxed('wait'))}"]
    with run(tmp_path, [sys.executable, "-c", terminal, *shell], stdin=subprocess.PIPE) as made:
        made.says("up")
        assert made.process.stdin
        made.process.stdin.write(b"\x03")
        made.process.stdin.flush()
        assert made.wait() == 130
    assert "ended in order" in made.text
    assert "Traceback" not in made.text


def test_who_enters_is_in_the_labs_network_and_ends_with_it(tmp_path: Path) -> None:
    with run(tmp_path, sandboxed("lan")) as made:
        made.says("up")
        (lab,) = until(lambda: running.labs(tmp_path), "the lab can be entered")
        command = running.command(lab, "client", ["sh", "-c", "pwd; id -u; cat /proc/net/dev"], tmp_path)
        shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.splitlines()
        assert shown[:2] == [str(tmp_path), "0"]
        assert {line.partition(":")[0].strip() for line in shown[4:]} == {"lo", "eth0"}
        waits = ["sh", "-c", "echo in; exec sleep 1000"]
        with subprocess.Popen(running.command(lab, "client", waits, tmp_path), stdout=subprocess.PIPE) as inside:
            assert inside.stdout
            assert inside.stdout.readline() == b"in\n"
            made.send(signal.SIGTERM)
            assert made.wait() == 143
            assert inside.wait(20) != 0
    assert running.labs(tmp_path) == ()

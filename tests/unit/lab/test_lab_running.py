"""The registry of labs: directories named after processes, swept when those are gone, and the way into a lab."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lbprovider.errors import HostError, UsageError
from lbprovider.lab import running
from lbprovider.lab.process import started

PLACES = {"client": "lbp-1-2-1-client", "node1": "lbp-1-2-1-node1"}


def _name(pid: int, start: int, *, user: int | None = None, namespace: int | None = None) -> str:
    here = Path("/proc/self/ns/pid").stat().st_ino
    return f"lbprovider-lab-{os.getuid() if user is None else user}-{namespace or here}-{pid}-{start}"


def _dead() -> int:
    """A pid that nobody has any more."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def _left(parent: Path, start: int, *, failed: bool = False, **others: int) -> Path:
    path = parent / _name(_dead(), start, **others)
    (path / "logs").mkdir(parents=True)
    if failed:
        running.fail(path)
        os.utime(path, (start, start))
    return path


def test_a_labs_directory_is_its_users_alone_and_named_after_its_process(tmp_path: Path) -> None:
    made = running.make(tmp_path)
    assert made.name == _name(os.getpid(), started(os.getpid()) or 0)
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match=r"can't make its directory .*No such file or directory; name another .* TMPDIR"
    ):
        running.make(tmp_path / "missing")
    running.make(tmp_path)
    with pytest.raises(HostError, match="File exists"):
        running.make(tmp_path)


def test_the_sweep_takes_what_the_dead_have_left_and_nothing_else(tmp_path: Path) -> None:
    lives = running.make(tmp_path)
    killed = _left(tmp_path, 1)
    reused = tmp_path / _name(os.getpid(), 1)  # our pid, but another process had it
    reused.mkdir()
    elsewhere = _left(tmp_path, 2, namespace=1)
    another = _left(tmp_path, 3, user=os.getuid() + 1)
    stranger = tmp_path / "lbprovider-lab-notes"
    stranger.mkdir()
    link = tmp_path / _name(_dead(), 4)
    link.symlink_to(stranger)
    running.sweep(tmp_path)
    assert not killed.exists()
    assert not reused.exists()
    assert all(each.exists() for each in (lives, elsewhere, another, stranger))


def test_the_last_that_failed_stay_for_their_logs(tmp_path: Path) -> None:
    failed = [_left(tmp_path, start, failed=True) for start in range(1, running.KEPT + 3)]
    running.sweep(tmp_path)
    assert [each.exists() for each in failed] == [False] * 2 + [True] * running.KEPT


def _running(parent: Path, process: "subprocess.Popen[bytes]") -> Path:
    start = started(process.pid)
    assert start is not None
    path = parent / _name(process.pid, start)
    path.mkdir()
    running.record(path, process.pid)
    running.publish(path, PLACES, path / "inside.kubeconfig")
    return path


def test_a_lab_can_be_entered_once_it_has_said_everything_and_while_it_lives(tmp_path: Path) -> None:
    mine = running.make(tmp_path)
    assert running.labs(tmp_path) == ()
    running.record(mine, 42)
    assert running.labs(tmp_path) == ()
    running.publish(mine, PLACES, mine / "inside.kubeconfig")
    assert running.labs(tmp_path) == (running.RunningLab(mine, 42, PLACES, mine / "inside.kubeconfig"),)
    dead = tmp_path / _name(_dead(), 1)
    dead.mkdir()
    running.record(dead, 43)
    running.publish(dead, PLACES, dead / "inside.kubeconfig")
    assert [each.directory for each in running.labs(tmp_path)] == [mine]


def test_the_newest_lab_is_meant_but_for_a_kubeconfig_that_names_another(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lbprovider lab --keep"):
        running.find(tmp_path, {})
    mine = running.make(tmp_path)
    running.record(mine, 42)
    running.publish(mine, PLACES, mine / "inside.kubeconfig")
    with subprocess.Popen(["sleep", "1000"]) as process:
        newer = tmp_path / _name(process.pid, started(process.pid) or 0)
        newer.mkdir()
        running.record(newer, process.pid)
        running.publish(newer, PLACES, newer / "inside.kubeconfig")
        try:
            assert [each.directory for each in running.labs(tmp_path)] == [newer, mine]
            assert running.find(tmp_path, {}).directory == newer
            assert running.find(tmp_path, {"KUBECONFIG": "/somebody/elses"}).directory == newer
            assert running.find(tmp_path, {"KUBECONFIG": str(mine / "kubeconfig")}).directory == mine
        finally:
            process.kill()


def test_who_enters_gets_a_kubeconfig_that_works_inside(tmp_path: Path) -> None:
    lab = running.RunningLab(tmp_path, 42, PLACES, tmp_path / "inside.kubeconfig")
    assert running.environment(lab, {"HOME": "/h", "KUBECONFIG": "/outside"}) == {
        "HOME": "/h",
        "KUBECONFIG": str(tmp_path / "inside.kubeconfig"),
    }


def test_an_unknown_place_names_those_that_there_are(tmp_path: Path) -> None:
    lab = running.RunningLab(tmp_path, 42, PLACES, tmp_path / "inside.kubeconfig")
    with pytest.raises(UsageError, match=re.escape("the lab has no 'node9': enter one of client, node1")):
        running.command(lab, "node9", ["true"], tmp_path)

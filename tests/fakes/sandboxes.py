"""The lab's sandbox as a test starts it, interrupts it, and looks whether anything of it is left."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from lbprovider.lab.waiting import until

INNER: Final = Path(__file__).with_name("sandbox_inner.py")
_RUN: Final = """
import os, pathlib, signal, sys
from lbprovider.lab import sandbox
inner, grace, same, stays, *arguments = sys.argv[1:]
if arguments[0] == "orphaned":
    def check(parent=os.getppid()):
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:
            os.sched_yield()
    sandbox.check = check
sandbox.GRACE, sandbox.SAME_KEYPRESS = float(grace), float(same)
status = sandbox.run(arguments, outlive=stays == "stays", program=(sys.executable, inner))
pathlib.Path(os.environ["TMPDIR"], "status").write_text(str(status))
sys.exit(status)
"""
_MARK: Final = "LBPROVIDER_TEST_RUN"
_NAMESPACES: Final = ("user", "net", "mnt", "pid")
PATIENCE: Final = 20.0


def sandboxed(*arguments: str, grace: float = 100, same_keypress: float = 100, stays: bool = False) -> list[str]:
    """The command line of the stand-in for ``lbprovider lab``; its verbs are in ``sandbox_inner.py``."""
    how = [str(grace), str(same_keypress), "stays" if stays else "leaves"]
    return [sys.executable, "-c", _RUN, str(INNER), *how, *arguments]


class Run:
    """A program that makes a sandbox; a context manager that ends it, whatever became of the test.

    Args:
        argv: its command line.
        temporary: its ``TMPDIR``.
        stdin: its standard input.
    """

    def __init__(self, argv: Sequence[str], temporary: Path, stdin: int = subprocess.DEVNULL) -> None:
        self._mark = f"{_MARK}={secrets.token_hex(8)}".encode()
        name, _, value = self._mark.decode().partition("=")
        self._pinned: dict[tuple[int, int], int] = {}
        self.output = temporary / f"output-{value}"
        self.temporary = temporary
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, name: value, "TMPDIR": str(temporary)},
                process_group=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (self.process.pid, *self.left()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        while self._pinned:
            os.close(self._pinned.popitem()[1])

    # --- what it does

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def says(self, words: str, within: float = PATIENCE) -> None:
        """Wait for these words; AssertionError when it ends without."""

        def said() -> bool:
            # Asked in this order, or the last words could be missed.
            ended = self.process.poll() is not None
            found = words in self.text
            assert found or not ended, f"ended with {self.process.returncode} without {words!r}:\n{self.text}"
            return found

        until(said, f"it says {words!r}", within=within)
        self.pin()

    def wait(self, within: float = PATIENCE) -> int:
        return self.process.wait(within)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    # --- what is in it

    def pin(self) -> None:
        """Hold on to the namespaces that its processes are in, so that their numbers mean nothing else meanwhile."""
        for pid in self._marked():
            for kind in _NAMESPACES:
                link = Path(f"/proc/{pid}/ns/{kind}")
                with contextlib.suppress(OSError):  # it has just ended
                    key = _inode(link)
                    if key not in self._pinned and key != _inode(Path(f"/proc/self/ns/{kind}")):
                        self._pinned[key] = os.open(link, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def pinned(self) -> int:
        """How many namespaces of its own it has been seen in."""
        return len(self._pinned)

    def left(self) -> list[int]:
        """The processes that it has started or that are in its namespaces, other than itself."""
        found = set(self._marked())
        for pid in _pids():
            for kind in _NAMESPACES:
                with contextlib.suppress(OSError):  # it has just ended, or is another user's
                    if _inode(Path(f"/proc/{pid}/ns/{kind}")) in self._pinned:
                        found.add(pid)
        return sorted(found - {self.process.pid})

    def running(self) -> list[str]:
        """The command lines of what is left."""
        found = []
        for pid in self.left():
            with contextlib.suppress(OSError):  # it has just ended
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def _marked(self) -> Iterator[int]:
        for pid in _pids():
            with contextlib.suppress(OSError):  # the same
                if self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    yield pid

    def outer(self) -> int:
        """The process that supervises the sandbox, by the name of its directory."""
        (directory,) = self.directories()
        return int(directory.name.split("-")[4])

    def below(self, levels: int) -> int:
        """The process so many levels below the outer one: 1 is unshare, 2 is pid 1 of the sandbox, 3 is the inner."""
        pid = self.outer()
        for _ in range(levels):
            (pid,) = _children(pid)
        return pid

    def directories(self) -> list[Path]:
        return sorted(self.temporary.glob("lbprovider-lab-*"))


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _pids() -> list[int]:
    """Every process that has not ended: a zombie has, and waits for the machine's init."""
    found = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    return [pid for pid in found if _status(pid)[:1] not in ([], ["Z"], ["X"])]


def _children(pid: int) -> list[int]:
    return [each for each in _pids() if _status(each)[1:2] == [str(pid)]]


def _status(pid: int) -> list[str]:
    """State, parent, and what else proc(5) has behind the name; empty when it has just ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def machine() -> Mapping[str, frozenset[str]]:
    """What a lab could leave on the machine itself: interfaces, and names of network namespaces."""
    names = Path("/run/netns")
    return {
        "interfaces": frozenset(each.name for each in Path("/sys/class/net").iterdir()),
        "names": frozenset(each.name for each in names.iterdir()) if names.is_dir() else frozenset(),
    }

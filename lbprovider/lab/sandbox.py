"""The lab's sandbox: user, network, mount and PID namespaces of its own, and nothing of it left when it ends.

::

    lbprovider lab        the outer process: the user's; takes the signals, holds the lifeline
      └─ unshare          makes the namespaces
           └─ pid 1       inside: takes in orphans and buries them
                └─ inner  the lab itself, and its programs below it

Without any privilege and as root this is one path. The inner process has a session of its own: neither Ctrl-C nor
Ctrl-Z nor the terminal's job control reaches it, only the end of the lifeline does, a pipe that the outer process
holds open. (After Ctrl-Z the lab goes on, and only the terminal is given back.) Whoever of the first three gets
SIGKILL, the kernel ends all below, for each dies with its parent and pid 1 takes its PID namespace along.

This module is imported on every system, so that :func:`check` can say what to do there.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, Self

from lbprovider.lab import running
from lbprovider.lab.preflight import SANDBOX, check
from lbprovider.net import userns
from lbprovider.net.listeners import listen_on_loopback

__all__ = ["check", "run", "settle"]

GRACE: Final = 15.0
"""Seconds that the inner process has to end in order."""

LAST: Final = 5.0
"""Seconds after its interruption that the inner process has of itself: an interrupt comes anywhere, also where somebody
swallows it or is left waiting for ever."""

_INNER: Final = (sys.executable, "-m", "lbprovider.lab")
SAME_KEYPRESS: Final = 0.5
"""Seconds in which a second SIGINT is the first one again, passed on by a wrapper that got it from the terminal too."""
_BY_SIGNAL: Final = 128
"""A shell's exit status of what a signal ended is this plus the signal's number."""
_STREAMS: Final = 3


# --- outside


def run(arguments: Sequence[str], *, outlive: bool = False, program: Sequence[str] = _INNER) -> int:
    """Run the lab in a sandbox; the inner program's exit status, 128 + n when signal n ended either of us.

    It is the calling process's last act: signals and orphans are its own from here on. A first SIGINT, SIGTERM or
    SIGHUP lets the lab end in order, a second SIGINT or :data:`GRACE` seconds end it at once.

    Args:
        arguments: of the inner program, after ``--directory``, ``--listen-fd`` (a TCP socket that listens on the
            machine's 127.0.0.1) and ``--lifeline-fd`` (for :func:`settle`).
        outlive: whether the lab goes on when the thread that started this process has ended.
        program: the inner program.

    Raises:
        HostError: this machine can't; one sentence says what to do.
    """
    parent = os.getppid()
    try:
        check()
    except KeyboardInterrupt:  # Ctrl-C at once: there is nothing to end yet
        return _BY_SIGNAL + signal.SIGINT
    _open_standard_streams()
    with _Ending() as ending:
        if not outlive:
            userns.die_with_parent(signal.SIGTERM)
            if os.getppid() != parent:  # it has died before that could be said
                return _BY_SIGNAL + signal.SIGTERM
        userns.adopt_orphans()
        running.sweep(running.temporary())
        directory = running.make(running.temporary())
        try:
            status = _supervise([*SANDBOX, *program], arguments, directory, ending)
        except BaseException:
            running.remove(directory)
            raise
        if status == 0 or ending.received is not None:
            running.remove(directory)
        else:
            running.fail(directory)
            _say(f"the lab failed, and its logs are in {directory}")
    return status if ending.received is None else _BY_SIGNAL + ending.received


def _supervise(sandbox: list[str], arguments: Sequence[str], directory: Path, ending: "_Ending") -> int:
    """Start the sandbox, and come back with its status once nothing of it is left."""
    with listen_on_loopback() as listener:
        ours = ["--directory", str(directory), "--listen-fd", str(listener.fileno())]
        ours += ["--lifeline-fd", str(ending.lifeline)]
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [*sandbox, *ours, *arguments],
            stdin=subprocess.DEVNULL,
            pass_fds=(listener.fileno(), ending.lifeline),
            start_new_session=True,
        )
    ending.watch(process.pid)
    running.record(directory, process.pid)
    status = process.wait()
    ending.let_go()
    # Whoever killed unshare has left us its child, whose end is that of the whole PID namespace. It is told by its
    # process group: before it became us, this process may have been a shell with children of its own.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-process.pid, 0)
    number = -status if status < 0 else status - _BY_SIGNAL
    if number > 0 and ending.received is None:
        _say(f"{_name(number)} has ended the lab")
    return _BY_SIGNAL + number if status < 0 else status


class _Ending:
    """How the sandbox is ended: in order by the end of its lifeline, or by SIGKILL; a context manager of signals."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        """The first signal that asked for the end."""
        self.lifeline, self._ours = os.pipe()
        """What the inner process reads until its end."""
        self._since = 0.0
        self._process: int | None = None
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for number in _endings():
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1), or a shell's job in the background
                self._undo.callback(signal.signal, number, signal.signal(number, self._asked))
        self._undo.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, self._late))
        self._undo.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        self._undo.callback(os.close, self.lifeline)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._undo.close()

    def watch(self, pid: int) -> None:
        """Say which process SIGKILL goes to; the number stays its own even when the pid is another's."""
        self._process = os.pidfd_open(pid)
        self._undo.callback(os.close, self._process)

    def let_go(self) -> None:
        """End the lifeline."""
        ours, self._ours = self._ours, -1
        if ours >= 0:
            os.close(ours)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = signal.Signals(number), now
            self.let_go()
            signal.setitimer(signal.ITIMER_REAL, GRACE)
        elif number == signal.SIGINT and now - self._since > SAME_KEYPRESS:
            self._kill()

    def _late(self, _number: int, _frame: FrameType | None) -> None:
        _say(f"the lab has not ended within {GRACE:g} s, and is killed")
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                signal.pidfd_send_signal(self._process, signal.SIGKILL)


def _open_standard_streams() -> None:
    """Open what of 0, 1 and 2 the caller has closed, or the next pipe gets such a number and is taken for a stream."""
    for number in range(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        sys.stderr.write(f"lbprovider: {sentence}\n")
        sys.stderr.flush()


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


# --- inside


def settle(lifeline: int) -> None:
    """Make the sandbox a place to live in, as the inner process's first act, before any thread of its own.

    From here on ``/run/netns`` is the sandbox's own, ``lo`` is up, and the end of the lifeline, SIGTERM and SIGHUP
    are the same KeyboardInterrupt in the main thread as SIGINT; :data:`LAST` seconds after the end of the lifeline the
    process ends in any case. It returns in a child: the process that called it is
    pid 1, whose duties (taking in orphans, which no program that waits for its own children may do by the way) are
    all that is left to it; it ends with the child's exit status.

    Args:
        lifeline: the number that came with ``--lifeline-fd``.

    Raises:
        OSError: the kernel forbids it; :func:`check` has tried before.
    """
    userns.own_names()
    userns.loopback_up()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        _bury_until(child)
    for number in _endings():
        # SIGINT too: Python leaves it alone where it was ignored at the start, as in a shell's background jobs.
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_interrupt_at_end, args=(lifeline, threading.get_ident()), daemon=True).start()


def _interrupt_at_end(lifeline: int, main_thread: int) -> None:
    while os.read(lifeline, 1):
        pass  # nobody writes into it
    signal.pthread_kill(main_thread, signal.SIGINT)  # unlike _thread.interrupt_main, it wakes a system call
    time.sleep(LAST)
    os._exit(_BY_SIGNAL + signal.SIGINT)  # and the kernel ends all that it has started


def _bury_until(child: int) -> NoReturn:
    """Be pid 1: wait for whoever ends, pass signals on, and end with the child."""
    for number in _endings():  # the kernel drops what pid 1 has no handler for
        signal.signal(number, lambda number, _: os.kill(child, number))
    ended = 0
    code = 0
    while ended != child:
        ended, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else _BY_SIGNAL - code)


# --- both


def _endings() -> tuple[signal.Signals, ...]:
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP  # asked for where it is Linux: Windows has no SIGHUP

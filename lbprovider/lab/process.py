"""A program of the lab: started with its output in a file, and ended for certain."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


class Process:
    """A running program; it is ours alone, so its pid is safe to signal until :meth:`stop` or :meth:`kill`.

    Args:
        name: what to call it in messages.
        argv: the program and its arguments.
        log: the file that takes its output, appended to.
        env: its whole environment; ours when None.
        descriptors: open files that it inherits under the same numbers.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            # A session of its own: Ctrl-C at the terminal ends the test, and the test ends its programs in order. And
            # where the kernel shares processors by session (CONFIG_SCHED_AUTOGROUP), the programs of a lab have
            # a share each, as Pods have, not one for the whole lab beside whatever else the machine does.
            self._popen = subprocess.Popen(  # noqa: S603 - the lab's own programs
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                pass_fds=descriptors,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing when it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a crash: returns once it is gone."""
        self._popen.kill()
        self._popen.wait()

    def pause(self) -> None:
        """SIGSTOP: returns once the kernel has stopped it."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def wait(self, timeout: float = GRACE) -> int:
        """Wait until it ends by itself, in seconds; TimeoutError with the end of its log when it does not."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout:g} s:\n{self.tail()}") from None

    def stop(self, grace: float = GRACE) -> int:
        """SIGTERM, and SIGKILL after ``grace`` seconds; the exit status."""
        if self.running:
            self.resume()  # a paused program doesn't hear SIGTERM
            self.send(signal.SIGTERM)
            try:
                return self._popen.wait(grace)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        return self._popen.wait()

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def started(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None when there is none. With the pid it names one."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[19])  # proc(5): field 22, counted behind the command's name

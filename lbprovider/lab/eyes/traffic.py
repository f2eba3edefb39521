"""A client that opens new connections all the while, as clients do: what fails or waits is seen as they see it.

The program (``caller``) needs nothing but Python, so the client may be a namespace, a container or another machine.
"""

import itertools
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from lbprovider.lab.eyes import caller
from lbprovider.lab.eyes.calls import Call, Verdict, judge
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.waiting import until

SOURCE: Final = Path(caller.__file__).read_text(encoding="utf-8")
PERIOD: Final = 20 * MS
"""Between two connections."""
PATIENCE: Final = 900 * MS
"""A connection that takes longer has failed. Below a second: TCP sends a lost SYN again only then, so whatever was lost
counts (RFC 6298)."""
_LAST: Final = 10.0
"""Seconds for the last connections to come to their end: many times what each of them may take."""
_SECOND: Final = 1_000_000_000
_numbers = itertools.count(1)


class Traffic:
    """New connections, one a period, from construction to :meth:`end`; a context manager.

    Args:
        command: the command line that runs a program on the client.
        address: whom to call.
        port: likewise.
        directory: for its output.
    """

    def __init__(self, command: Callable[..., list[str]], address: Address, port: int, directory: Path) -> None:
        self.address = address
        self._output = directory / f"traffic-{next(_numbers)}-{address}.jsonl"
        argv = command("python3", "-c", SOURCE, str(address), str(port), str(PERIOD / _SECOND), str(PATIENCE / _SECOND))
        self._read, self._records = 0, list[dict[str, Any]]()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the client's own program
                argv, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self.answered(20)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def calls(self) -> tuple[Call, ...]:
        """The connections that have come to their end, in the order of their openings."""
        return tuple(sorted(map(_call, self._seen()), key=lambda call: call.at))

    def answered(self, count: int, *, within: float = 60) -> None:
        """Wait until so many more have been answered, from now on, in ``within`` seconds."""
        before = self._good()
        until(
            lambda: self._good() >= before + count,
            f"{count} more connections to {self.address} are answered",
            within=within,
        )

    def end(self) -> Verdict:
        """Let the last connection come to its end, and judge all of them."""
        self._close()
        return judge(self.calls(), PERIOD)

    def _good(self) -> int:
        return sum("node" in each for each in self._seen())

    def _seen(self) -> list[dict[str, Any]]:
        """All that it wrote; each line is read once, as whoever looks often shares the machine with the client."""
        with self._output.open("rb") as output:
            output.seek(self._read)
            whole, newline, _ = output.read().rpartition(b"\n")
        try:
            self._records += [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            raise RuntimeError(f"the client's program failed:\n{whole[-2000:].decode()}") from None
        self._read += len(whole) + len(newline)
        return self._records

    def _close(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(_LAST)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the client's program goes on {_LAST:g} s after it was told to end") from None
        finally:
            self._process.kill()
            self._process.wait()


def _call(read: Mapping[str, Any]) -> Call:
    return Call(read["at"], read.get("opened", 0), read["ended"], read.get("node", ""), read.get("error", ""))

"""Clients that ask an address a few times, from wherever a command line leads."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from tests.cluster.rig.kubectl import run

SOURCE: Final = Path(__file__).with_name("asker.py").read_text(encoding="utf-8")
PORT: Final = 80
"""Of every Service here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server behind a Service said."""

    node: str
    pod: str
    client: str
    """The address that it saw the client at."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client is."""

    name: str
    command: Callable[..., list[str]]
    """The command line that runs a program there."""
    python: str = "python3"

    def ask(self, address: IPv4Address, times: int = 6, *, patience: float = 3) -> tuple[Answer, ...]:
        """One request after another, each over a new connection, and each with ``patience`` seconds.

        Raises:
            RuntimeError: one of them failed; with what came of each.
        """
        argv = self.command(self.python, "-c", SOURCE, str(address), str(PORT), str(times), str(patience))
        said = run(argv, f"asking {address} from {self.name}", timeout=30 + times * patience)
        records = [json.loads(line) for line in said.splitlines()]
        if len(records) < times or any("error" in each for each in records):
            raise RuntimeError(f"asking {address} {times} times from {self.name} came to:\n{said}")
        return tuple(Answer(**each) for each in records)

"""kubectl as the cluster's admin: commands, objects, and what changes while a test looks elsewhere."""

import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.e2e.rig.waiting import eventually

Object = dict[str, Any]

_PATIENCE: Final = 60
"""Seconds for a command that waits for nothing."""


class Kubectl:
    """Runs kubectl.

    Args:
        command: gives the command line for some arguments.
        directory: where watches write.
    """

    def __init__(self, command: Callable[..., list[str]], directory: Path) -> None:
        self.command = command
        self._directory = directory

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = _PATIENCE) -> str:
        """Run a command and give its output; ``timeout`` in seconds.

        Raises:
            RuntimeError: it failed or took too long; with what it said.
        """
        return run(self.command(*arguments), f"kubectl {' '.join(arguments)}", stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> Object:
        """An object, or a list of them."""
        found: Object = json.loads(self("get", *arguments, "--output=json"))
        return found

    def items(self, *arguments: str) -> list[Object]:
        found: list[Object] = self.get(*arguments)["items"]
        return found

    def apply(self, *objects: Object) -> None:
        """Apply objects as they are; they say their namespaces themselves."""
        self("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def rolled_out(self, namespace: str, *names: str, within: float = 300) -> None:
        """Wait until these, as ``daemonset/web``, are rolled out; ``within`` in seconds."""
        for name in names:
            self("rollout", "status", f"--namespace={namespace}", name, f"--timeout={within:g}s", timeout=within + 10)

    def watch(self, *arguments: str) -> "Watch":
        """Follow objects from now on."""
        number = len(list(self._directory.glob("watch-*.json"))) + 1
        argv = self.command("get", *arguments, "--watch", "--output-watch-events", "--output=json")
        return Watch(argv, self._directory / f"watch-{number}.json")


@dataclass(frozen=True, slots=True)
class Event:
    """What a watch saw."""

    type: str
    object: Object


class Watch:
    """A watch, a context manager; it has begun, with what is there, once the constructor returns.

    Args:
        argv: the command line of a ``kubectl get`` that watches.
        output: a file for what it writes.
    """

    def __init__(self, argv: Sequence[str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            eventually(self.events, f"the watch has begun: {' '.join(argv)}")
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()

    def events(self) -> list[Event]:
        """What it has seen so far, in order."""
        text, decoder, found = self._output.read_text(encoding="utf-8"), json.JSONDecoder(), list[Event]()
        while text := text.lstrip():
            try:
                event, end = decoder.raw_decode(text)
            except ValueError:  # the last one is still being written
                break
            found.append(Event(event["type"], event["object"]))
            text = text[end:]
        return found


def run(argv: Sequence[str], name: str, *, stdin: str | None = None, timeout: float = _PATIENCE) -> str:
    """Run a program of a backend and give its output; ``name`` is for messages, ``timeout`` in seconds.

    Raises:
        RuntimeError: it failed or took too long; with what it said.
    """
    try:
        result = subprocess.run(argv, input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or error.stdout or b"").decode(errors="replace")
        raise RuntimeError(f"{name}: not done after {timeout:g} s: {said}") from None
    if result.returncode != 0:
        raise RuntimeError(f"{name}: {result.stderr or result.stdout}")
    return result.stdout

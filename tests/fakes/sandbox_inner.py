"""A stand-in for the lab inside its sandbox; its first argument says what it does."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from lbprovider.lab import running, sandbox


class Inner:
    """The verbs."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.directory: Path = arguments.directory
        self.listener: int = arguments.listen_fd
        self.words: list[str] = arguments.words

    def exit(self) -> None:
        sys.exit(int(self.words[1]))

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wait(self) -> None:
        """Until interrupted; and then in order, which takes a moment."""
        try:
            _say("up")
            threading.Event().wait()
        except KeyboardInterrupt:
            _say("interrupted")
            time.sleep(0.2)
            _say("ended in order")

    def stubborn(self) -> None:
        _say("up")
        while True:
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                _say("no")

    def deaf(self) -> None:
        self.stubborn()

    def facts(self) -> None:
        facts = {
            "arguments": self.words[1:],
            "pid": os.getpid(),
            "parent": os.getppid(),
            "user": os.getuid(),
            "names": [each.name for each in Path("/run/netns").iterdir()],
            "run": [each.name for each in Path("/run").iterdir()],
            "stdin": os.read(0, 1).decode(),
            "lo": Path("/proc/net/if_inet6").read_text(encoding="ascii"),
            "mode": oct(self.directory.stat().st_mode & 0o777),
        }
        _say(json.dumps(facts))

    def orphan(self) -> None:
        """Leave a grandchild without a parent, and see pid 1 bury it."""
        made = subprocess.run(["sh", "-c", "(exit 7) & echo $!"], stdout=subprocess.PIPE, check=True)
        grandchild = Path(f"/proc/{int(made.stdout)}")
        while grandchild.exists():
            os.sched_yield()
        _say("buried")

    def serve(self) -> None:
        """Answer one connection to the machine's 127.0.0.1."""
        with socket.socket(fileno=self.listener) as listener:
            (self.directory / "port").write_text(str(listener.getsockname()[1]), encoding="ascii")
            _say("up")
            listener.accept()[0].sendall(b"from inside")

    def lan(self) -> None:
        """What a lab is made of: three nodes with a program each, until interrupted."""
        from lbprovider.lab.lan import Lan  # noqa: PLC0415 - the other verbs start without pyroute2

        with Lan(3, self.directory) as lan:
            for node in lan.nodes.values():
                lan.spawn(node.name, node.namespace, ["sleep", "1000"])
            running.publish(self.directory, {"client": lan.client.name}, self.directory / "inside.kubeconfig")
            try:
                _say("up")
                threading.Event().wait()
            except KeyboardInterrupt:
                _say("ended in order")


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--listen-fd", type=int)
    parser.add_argument("--lifeline-fd", type=int)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    if arguments.words[0] == "deaf":
        sandbox.LAST = 1.0  # type: ignore[misc]  # as a test of that bound needs it, which hears its "no" before
    sandbox.settle(arguments.lifeline_fd)
    getattr(Inner(arguments), arguments.words[0])()


if __name__ == "__main__":
    main()

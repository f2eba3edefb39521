"""The inner process of ``lbprovider lab``, in its sandbox: builds the lab, and tells its story or keeps it."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from lbprovider.errors import LbproviderError
from lbprovider.lab import running, sandbox
from lbprovider.lab.cluster import Lab
from lbprovider.lab.keep import keep
from lbprovider.lab.story.chapters import Story
from lbprovider.lab.story.telling import Teller, console
from lbprovider.settings import LabSettings
from lbprovider.telemetry import configure_logging

_INTERRUPTED: Final = 130
"""What a shell says of a program that SIGINT ended."""


def _run(settings: LabSettings, directory: Path, listen: int) -> int:
    teller = Teller(console())
    teller.chapter(f"A cluster on this machine, in namespaces of its own; its logs: {directory}")
    with Lab(settings, directory, listen, teller.say) as lab:
        places = {"client": lab.lan.client, "control": lab.lan.control}
        places |= {name: node.namespace for name, node in lab.lan.nodes.items()}
        running.publish(directory, {name: each.name for name, each in places.items()}, lab.inside)
        if settings.keep:
            keep(lab, teller)
        return Story(lab, teller).tell()


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="The lab inside its sandbox; started by `lbprovider lab`.")
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("--listen-fd", required=True, type=int)
    parser.add_argument("--lifeline-fd", required=True, type=int)
    parser.add_argument("--nodes", required=True, type=int)
    parser.add_argument("--addresses", required=True, type=int)
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    status = 1
    try:
        sandbox.settle(given.lifeline_fd)
        # What the lab's own client says of an API server that it killed itself is no news.
        configure_logging("ERROR")
        settings = LabSettings(nodes=given.nodes, addresses=given.addresses, ipv6=given.ipv6, keep=given.keep)
        status = _run(settings, given.directory, given.listen_fd)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except LbproviderError as error:
        sys.stderr.write(f"lbprovider: {error}\n")
    except OSError as error:
        sys.stderr.write(f"lbprovider: this machine refuses what the lab needs: {error}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: that waits for threads, and an interrupt may have left one behind that nobody ends any more.
    os._exit(status)


if __name__ == "__main__":
    main()

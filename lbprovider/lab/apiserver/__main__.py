"""``python -m lbprovider.lab.apiserver``: the API server as a program of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from lbprovider.errors import LbproviderError
from lbprovider.lab.apiserver.home import Home
from lbprovider.lab.apiserver.server import serve
from lbprovider.telemetry import configure_logging


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lbprovider.lab.apiserver")
    parser.add_argument("--directory", type=Path, required=True, help="made by home.prepare")
    parser.add_argument("--listen", type=_address, action="append", default=[], metavar="HOST:PORT")
    parser.add_argument("--listen-fd", type=int, action="append", default=[], metavar="N")
    options = parser.parse_args()
    if not options.listen and not options.listen_fd:
        parser.error("name at least one --listen or --listen-fd")
    configure_logging()
    try:
        asyncio.run(serve(Home(options.directory), options.listen, options.listen_fd))
    except LbproviderError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

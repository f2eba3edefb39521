"""What every inner process of the sandbox does first and last, whatever it does in between."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from lbprovider.errors import LbproviderError
from lbprovider.lab import sandbox
from lbprovider.telemetry import configure_logging

_INTERRUPTED: Final = 130
"""What a shell says of a program that SIGINT ended."""


def inside(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> NoReturn:
    """Settle in the sandbox, run, and end with that status.

    Args:
        parser: of the program's own arguments; those of the sandbox (``sandbox.run``) are added.
        run: the program; what the user or the machine did wrong becomes one sentence.
    """
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("--listen-fd", required=True, type=int)
    parser.add_argument("--lifeline-fd", required=True, type=int)
    given = parser.parse_args()
    status = 1
    try:
        sandbox.settle(given.lifeline_fd)
        # What the lab's own client says of an API server that it killed itself is no news.
        configure_logging("ERROR")
        status = run(given)
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

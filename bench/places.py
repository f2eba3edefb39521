"""Where a bench runs: in the lab's sandbox, as ``lbprovider lab`` does, so that it needs no root."""

import argparse
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from lbprovider.errors import LbproviderError
from lbprovider.lab import sandbox
from lbprovider.lab.inner import inside

_INSIDE: Final = "--lifeline-fd"
"""An argument that only the sandbox gives."""


def run(module: str, parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], int]) -> NoReturn:
    """Run the work in a sandbox, and end with its status.

    Args:
        module: started anew there, with the same arguments.
        parser: of its arguments.
        work: its ``directory`` argument is a folder for logs.
    """
    if _INSIDE in sys.argv:
        inside(parser, work)
    parser.parse_args()
    try:
        status = sandbox.run(sys.argv[1:], program=(sys.executable, "-m", module))
    except LbproviderError as error:
        sys.exit(f"{module}: {error}")
    sys.exit(status)

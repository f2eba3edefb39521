"""How the rig starts programs in Python: with this interpreter, wherever they are started from."""

import sys
from pathlib import Path

RIG = Path(__file__).parent
ROOT = RIG.parents[2]


def program(name: str, *arguments: str) -> list[str]:
    """The command line of a program of the rig, by its file's name without the ending."""
    # -P: the rig's own modules must not stand before Python's.
    return [sys.executable, "-P", str(RIG / f"{name}.py"), *arguments]

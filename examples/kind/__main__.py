"""``python3 -m examples.kind up`` or ``down``, in the work tree."""

import argparse
import sys

from examples.kind.demo import down, up
from examples.kind.programs import ProgramError, check


def main() -> None:
    """Entry point; the exit status is 0 when all was shown."""
    parser = argparse.ArgumentParser(prog="python3 -m examples.kind", description="lbprovider on a cluster of kind's.")
    parser.add_argument("what", choices=["up", "down"], help="make what is missing and show it; or take it all down")
    parser.add_argument("--base", help="image to build ours on, with python3 and its venv; default: the Dockerfile's")
    given = parser.parse_args()
    try:
        check()
        if given.what == "up":
            up(given.base)
        else:
            down()
    except ProgramError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: make kind-demo goes on where it can, make kind-demo-down takes it all down")


if __name__ == "__main__":
    main()

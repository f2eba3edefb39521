"""Make every image ahead of the tests, and say where each is, how big, and how long it took."""

import sys
import time
from collections.abc import Callable

from lbprovider import __version__
from tests.cluster import images

_MB = 1_000_000


def main() -> None:
    wanted: list[Callable[[], images.Image]] = [
        images.pause,
        lambda: images.ours(f"docker.io/library/lbprovider:{__version__}"),
    ]
    for make in wanted:
        began = time.monotonic()
        try:
            image = make()
        except RuntimeError as error:
            sys.exit(str(error))
        took = time.monotonic() - began
        layers = " + ".join(f"{each / _MB:.1f}" for each in image.layers)
        print(f"{image.name}: {image.size / _MB:.1f} MB ({layers}), {took:.2f} s: {image.archive}", flush=True)  # noqa: T201 - the answer


main()

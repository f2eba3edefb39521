"""Make every image ahead of the tests, and say where each is, how big, and how long it took."""

import sys
import time
from collections.abc import Callable

from tests.cluster import images
from tests.cluster.rig.provider import IMAGE

_MB = 1_000_000


def main() -> None:
    wanted: list[Callable[[], images.Image]] = [images.pause, lambda: images.ours(IMAGE)]
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

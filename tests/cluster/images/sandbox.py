"""The image that kubelets hold a Pod's namespaces with, of a program of our own."""

import shutil
from pathlib import Path
from typing import Final

from tests.cluster.images.archive import Image
from tests.cluster.images.cache import Storage, archived, digest
from tests.cluster.images.programs import run

PAUSE: Final = "registry.k8s.io/pause:3.10.1"
"""The name that Kubernetes 1.35 expects."""
_SOURCE: Final = Path(__file__).parent / "pause"
_FILES: Final = ("Dockerfile", "go.mod", "main.go")
_IMAGE: Final = "localhost/pause:built"


def pause() -> Image:
    """The sandbox image.

    Raises:
        RuntimeError: a program is missing or failed; says which, and what it said.
    """
    return archived("pause", PAUSE, digest(*((_SOURCE / each).read_bytes() for each in _FILES)), _build)


def _build(store: Storage) -> str:
    with store.scratch() as scratch:
        program = Path(scratch, "pause")
        flags = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
        run("go", "build", *flags, "-o", program, ".", cwd=_SOURCE, env={"CGO_ENABLED": "0"})
        shutil.copyfile(_SOURCE / "Dockerfile", Path(scratch, "Dockerfile"))
        store.build(Path(scratch), _IMAGE)
    return _IMAGE

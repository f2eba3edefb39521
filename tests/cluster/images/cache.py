"""Where images are kept between runs, and buildah's storage with them."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.cluster.images.archive import Image, read
from tests.cluster.images.programs import run

_KEPT: Final = 4
"""Archives of one kind: what two work trees need with two tags each. Ours are some 300 MB apiece."""


def digest(*parts: bytes) -> str:
    """A name for what these make; where one part ends and the next begins counts."""
    summary = hashlib.sha256()
    for part in parts:
        summary.update(len(part).to_bytes(8) + part)
    return summary.hexdigest()[:16]


def folder() -> Path:
    """Where everything is, outside the work tree."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lbprovider" / "images"


def archived(kind: str, name: str, made_of: str, build: Callable[["Storage"], str]) -> Image:
    """The image from the cache, built if need be.

    Args:
        kind: what it is one of: few of each kind are kept.
        name: what it is to be called.
        made_of: the digest of all that goes into it, its name aside.
        build: makes it, and says what the storage knows it by.

    Raises:
        RuntimeError: it can't be built; says why.
    """
    archives = folder() / kind
    archive = archives / f"{re.sub('[^A-Za-z0-9.]+', '-', name)}-{digest(name.encode(), made_of.encode())}.tar"
    if not archive.exists():
        with storage() as store:
            if not archive.exists():  # somebody may have built it while we waited for the lock
                archives.mkdir(exist_ok=True)
                store.export(build(store), name, archive)
                forget(archives, _KEPT)
    os.utime(archive)  # used last, forgotten last
    return read(name, archive)


def forget(archives: Path, kept: int) -> None:
    """Remove all but those used last."""
    for each in sorted(archives.glob("*.tar"), key=lambda each: each.stat().st_mtime_ns, reverse=True)[kept:]:
        each.unlink()


@contextlib.contextmanager
def storage() -> Iterator["Storage"]:
    """buildah's storage, for one at a time; nothing that was begun in it is left in it."""
    if os.geteuid() != 0:
        raise RuntimeError("only root can make container images here: run it as root")
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = Storage(folder() / "storage")
        for each in (*folder().glob("*/build-*"), *folder().glob("*/export-*")):  # of somebody who was killed
            shutil.rmtree(each)
        store.tidy()
        try:
            yield store
        finally:
            store.tidy()


class Storage:
    """buildah, with a storage of our own."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._buildah = ("buildah", "--root", where / "root", "--runroot", where / "run")

    def scratch(self) -> contextlib.AbstractContextManager[str]:
        """A folder to prepare a build in, on the storage's own disk; gone after."""
        return tempfile.TemporaryDirectory(prefix="build-", dir=self._where)

    def names(self) -> set[str]:
        """Of every image that has one."""
        listed = self._run("images", "--format", "{{.Name}}:{{.Tag}}").split()
        return {each for each in listed if "<none>" not in each}

    def build(self, context: Path, name: str, *flags: str | Path) -> None:
        """Build a folder's Dockerfile; each of its steps is cached while what is built by it has a name."""
        common = ("--isolation", "chroot", "--pull-never", "--layers", "--force-rm", "--tag", name)
        self._run("build", *common, *flags, context)

    def remove(self, name: str) -> None:
        """Take away an image's name; what no other image needs goes with it."""
        self._run("rmi", "--force", name)

    def export(self, image: str, name: str, archive: Path) -> None:
        """Write an image under another name into a file, whole or not at all."""
        number = self._run("images", "--quiet", image).strip()  # by its name, that would be written too
        with tempfile.TemporaryDirectory(prefix="export-", dir=archive.parent) as scratch:
            whole = Path(scratch, "image.tar")
            self._run("push", "--quiet", number, f"docker-archive:{whole}:{name}")
            whole.rename(archive)

    def tidy(self) -> None:
        """Remove containers of builds, and the steps of what has been built anew since."""
        self._where.mkdir(exist_ok=True)
        self._run("rm", "--all")
        self._run("rmi", "--prune", "--force")

    def _run(self, *arguments: str | Path) -> str:
        return run(*self._buildah, *arguments)

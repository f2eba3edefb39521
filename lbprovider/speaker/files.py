"""The snapshot's file: replaced as a whole or not at all, readable by us alone, and trusted only if it always was."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lbprovider.errors import HostError
from lbprovider.speaker import snapshot
from lbprovider.speaker.snapshot import MAX_BYTES, Snapshot

NAME: Final = "snapshot"
_BUFFER: Final = 1 << 16


class SnapshotFile:
    """One file in a directory of its own. Every call blocks until the disk has done it: call it off the loop, in order.

    Args:
        directory: made, for us alone, if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._temporary = directory / f".{NAME}.new"

    def load(self) -> Snapshot | None:
        """What is there; None where nothing is.

        Raises:
            HostError: it can't be read, or must not be trusted.
        """
        with self._said("read"):
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with open(descriptor, "rb", buffering=_BUFFER) as file:  # noqa: PTH123  (no path knows O_NOFOLLOW)
                self._check(os.fstat(descriptor))
                try:
                    return snapshot.read(file)
                except HostError as error:
                    raise HostError(f"the snapshot {self._path} {error}") from error

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise HostError(f"the snapshot {self._path} is no regular file")
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise HostError(
                f"the snapshot {self._path} has mode {stat.S_IMODE(status.st_mode):04o} and owner {status.st_uid}: "
                f"others may have read its keys, or written it; it should be 0600 of {os.geteuid()}"
            )
        if status.st_size > MAX_BYTES:
            raise HostError(f"the snapshot {self._path} is larger than {MAX_BYTES >> 20} MiB")

    def save(self, what: Snapshot) -> None:
        """Replaces the file: once this returns, the new one is there whatever happens; before, the old one or the new.

        Raises:
            HostError: which of the two is there isn't known.
        """
        with self._said("write"):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            # Left by a crash, and of whatever mode.
            self._temporary.unlink(missing_ok=True)
            try:
                self._write(what)
                self._temporary.replace(self._path)
            except OSError:
                with suppress(OSError):  # the first error is the one to tell of
                    self._temporary.unlink(missing_ok=True)
                raise
            self._sync_directory()

    def _write(self, what: Snapshot) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(self._temporary, flags, 0o600), "wb", buffering=_BUFFER) as file:  # noqa: PTH123  (as above)
            file.writelines(snapshot.write(what))
            if file.tell() > MAX_BYTES:
                raise OSError(f"it would be larger than {MAX_BYTES >> 20} MiB")
            file.flush()
            os.fsync(file.fileno())

    def erase(self) -> None:
        """Once this returns, no later process finds a snapshot here, whatever happens.

        Raises:
            HostError: one may be found.
        """
        with self._said("remove"), suppress(FileNotFoundError, NotADirectoryError):
            self._path.unlink(missing_ok=True)
            self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HostError(f"can't {verb} the snapshot {self._path}: {error.strerror or error}") from error

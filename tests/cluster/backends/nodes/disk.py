"""A node's disk: in memory, and there for as long as the rig is, whether the node has power or not."""

from pathlib import Path
from typing import Final

from lbprovider.lab.lan import Lan
from tests.e2e.rig.waiting import eventually

_HOLD: Final = 'mount --types tmpfs --options mode=755 tmpfs "$1" && touch "$1/mounted" && exec sleep infinity'


class Disk:
    """A file system in a mount namespace of its own, from construction to :meth:`close`.

    The machine itself doesn't have it mounted, so it is gone with the process that holds it, however that ends. In
    memory, because three nodes that unpack an image at once would else wait for the machine's disk for longer than for
    anything else.

    Args:
        lan: whose end is its end too.
        name: of the node.
        path: an empty folder; what is mounted there only the holder sees.
    """

    def __init__(self, lan: Lan, name: str, path: Path) -> None:
        path.mkdir()
        argv = ["unshare", "--mount", "--", "sh", "-c", _HOLD, "sh", str(path)]
        # Not in the node's network, where nothing is left when its power goes.
        self._holder = lan.spawn(f"{name}-disk", lan.switch, argv)
        self.path = path
        """Where it is for whoever is in :attr:`namespace`."""
        eventually((self.seen / "mounted").exists, f"{name} has a disk")

    @property
    def namespace(self) -> Path:
        """The mount namespace that has it."""
        return Path(f"/proc/{self._holder.pid}/ns/mnt")

    @property
    def seen(self) -> Path:
        """Where it is for us."""
        return Path(f"/proc/{self._holder.pid}/root", self.path.relative_to("/"))

    def close(self) -> None:
        """Gone, with all that is on it, once nobody uses it any more."""
        self._holder.kill()

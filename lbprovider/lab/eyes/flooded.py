"""What the eyes don't look at: frames of a host that floods the LAN for a trial; they would see nothing else."""

from typing import Final

SOURCE: Final = bytes.fromhex("02f100d0000f")
"""The hardware address that it sends from, locally administered."""

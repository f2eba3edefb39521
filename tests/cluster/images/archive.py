"""What is handed over: an image in a file, as ``docker save`` would write it."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Image:
    """An image that ``ctr images import`` reads from a file.

    Args:
        name: what it is called once it is imported.
        archive: the file, a docker-archive.
        layers: the unpacked bytes of each layer, the base's first.
    """

    name: str
    archive: Path
    layers: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its unpacked bytes."""
        return sum(self.layers)


def read(name: str, archive: Path) -> Image:
    """The image in an archive, whose layers are not compressed."""
    with tarfile.open(archive, "r:") as tar:
        manifest = tar.extractfile("manifest.json")
        if manifest is None:
            raise RuntimeError(f"{archive} is no docker-archive: its manifest.json is no file; remove it")
        (image,) = json.load(manifest)
        return Image(name, archive, tuple(tar.getmember(each).size for each in image["Layers"]))

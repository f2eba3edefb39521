"""Container images for the cluster suite, made on this machine: no registry, no container engine.

A Debian root file system comes from debootstrap, ours from the Dockerfile as it is shipped, by buildah, and Pods'
sandboxes run a pause of our own. What is had is an archive that ``ctr images import`` reads.

Everything is cached outside the work tree under a name made from what went into it, so that a second call costs
milliseconds; few old archives are kept. buildah has a storage of its own there: the machine's is neither read nor
written. What Python packages were resolved stays as it is until ``pyproject.toml`` or the base changes; removing the
cache's folder is how one asks for newer ones.

Needs root; debootstrap, buildah and Go where something is to be built; and the network, which is reached as the
machine's own apt and pip reach it.
"""

from tests.cluster.images.archive import Image
from tests.cluster.images.debian import base
from tests.cluster.images.dockerfile import ours
from tests.cluster.images.sandbox import PAUSE, pause

__all__ = ["PAUSE", "Image", "base", "ours", "pause"]

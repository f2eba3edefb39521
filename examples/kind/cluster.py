"""One cluster of kind's, by its name and with a kubeconfig of its own."""

import json
import os
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from examples.kind.programs import PATIENCE, ProgramError, run

ROOT: Final = Path(__file__).resolve().parents[2]
"""The work tree: where the Dockerfile is."""
IMAGE: Final = "lbprovider"
"""The name of our image in all manifests, whatever its tag."""


class KindCluster:
    """One cluster of kind's, whether it is there or not.

    Args:
        name: of the cluster: the prefix of its nodes' names too.
        kubeconfig: the file that says how to reach it; nobody else's.
    """

    def __init__(self, name: str, kubeconfig: Path) -> None:
        self.name = name
        self._kubeconfig = kubeconfig

    def exists(self) -> bool:
        """Whether there is anything of it, running or not."""
        return self.name in run("kind", "get", "clusters").splitlines()

    def create(self, config: Path) -> None:
        """Make it, and wait until all nodes are ready; on failure, kind removes what it made.

        Raises:
            ProgramError: kind or docker failed.
        """
        run("kind", "create", "cluster", "--name", self.name, "--config", str(config), *self._own())
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={PATIENCE:g}s")

    def resume(self, nodes: int) -> None:
        """Go on with one that is there: start what is stopped of it, and see that it is whole.

        Args:
            nodes: how many it has to have.

        Raises:
            ProgramError: it isn't whole; says how to begin anew.
        """
        try:
            run("docker", "start", *self.nodes())  # nothing for those that run
            run("kind", "export", "kubeconfig", "--name", self.name, *self._own())
            self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={PATIENCE:g}s")
            found = len(self.kubectl("get", "nodes", "--output", "name").splitlines())
        except ProgramError as error:
            # kubectl says it once more each second; the last line is enough.
            raise ProgramError(self._half_made(str(error).splitlines()[-1])) from error
        if found != nodes:
            raise ProgramError(self._half_made(f"{found} nodes of {nodes}"))

    def _half_made(self, why: str) -> str:
        return f"the cluster {self.name} is there, but half made: make kind-demo-down, and once more ({why})"

    def delete(self) -> None:
        """Remove all of it, and the kubeconfig; nothing where there is nothing.

        Raises:
            ProgramError: kind or docker failed.
        """
        run("kind", "delete", "cluster", "--name", self.name, *self._own())
        self._kubeconfig.unlink(missing_ok=True)

    def nodes(self) -> Sequence[str]:
        """The names of its nodes, which are the names of their containers."""
        return sorted(run("kind", "get", "nodes", "--name", self.name).split())

    def load(self, image: str) -> None:
        """Copy an image from docker into every node, unless it is there already.

        Raises:
            ProgramError: kind or docker failed.
        """
        run("kind", "load", "docker-image", image, "--name", self.name)

    def command(self, *arguments: str) -> list[str]:
        """The command line of kubectl as the cluster's admin."""
        return ["kubectl", *self._own(), *arguments]

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl; what it wrote.

        Raises:
            ProgramError: it failed.
        """
        return run(*self.command(*arguments))

    def apply(self, folder: Path, tag: str, addresses: Sequence[IPv4Address] = ()) -> None:
        """Apply a folder of manifests by way of an :func:`overlay`.

        Raises:
            ProgramError: kubectl failed.
        """
        with TemporaryDirectory() as directory:
            overlay(Path(directory), folder, tag, addresses)
            self.kubectl("apply", "--kustomize", directory)

    def _own(self) -> tuple[str, str]:
        return "--kubeconfig", str(self._kubeconfig)


def build(image: str, base: str | None = None) -> str:
    """Build our image from the Dockerfile under this name.

    Args:
        image: the name, with its tag.
        base: an image with Python to build it on; None for the Dockerfile's own.

    Returns:
        Its ID, which is another one only when what went into it is.

    Raises:
        ProgramError: docker failed.
    """
    given = () if base is None else ("--build-arg", f"BASE={base}")
    # Newer builders attach a description of each build, its time included: every build would be another image.
    plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    return run("docker", "build", "--quiet", "--tag", image, *given, str(ROOT), environment=plain)


def overlay(directory: Path, folder: Path, tag: str, addresses: Sequence[IPv4Address] = ()) -> None:
    """Write what ``kubectl apply --kustomize`` of a directory needs to apply a folder of manifests as they are.

    Args:
        directory: an empty one.
        folder: of the manifests, with a kustomization.
        tag: of our image: all that is changed, but for
        addresses: of the IPAddressPool, in order and without a gap; none where there is no pool.
    """
    here = directory.resolve()
    lines = [
        # kustomize takes a folder by a relative path only; and JSON is YAML.
        f"resources: [{json.dumps(os.path.relpath(folder.resolve(), here))}]",
        f"images: [{{name: {IMAGE}, newTag: {json.dumps(tag)}}}]",
    ]
    if addresses:
        pool = [{"op": "replace", "path": "/spec/addresses", "value": [f"{addresses[0]}-{addresses[-1]}"]}]
        lines += [f"patches: [{{target: {{kind: IPAddressPool}}, patch: {json.dumps(json.dumps(pool))}}}]"]
    (here / "kustomization.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

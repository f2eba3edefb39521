"""A base with Python, in the place of the official Python image that can't be pulled: Debian, by debootstrap."""

import json
from pathlib import Path
from typing import Final

from tests.cluster.images.cache import Storage, digest, storage
from tests.cluster.images.programs import installed, run

RELEASE: Final = "trixie"
"""Its Python is 3.13, as that of the Dockerfile's own base: so Pods here run the wheels that users run."""
_PACKAGES: Final = ("python3", "python3-venv")
_LEFT_OUT: Final = (
    "dev/*",  # the runtime's own
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/share/doc/*",  # as the official slim images
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
)
_DOCKERFILE: Final = "FROM scratch\nADD rootfs.tar /\n"
_REPOSITORY: Final = "localhost/lbprovider-base"


def name() -> str:
    """What the storage knows it by; another one as soon as the recipe is another."""
    return f"{_REPOSITORY}:{RELEASE}-{digest(json.dumps([_PACKAGES, _LEFT_OUT, _DOCKERFILE]).encode())}"


def base() -> str:
    """The name of the base, for the Dockerfile's BASE; bootstrapped if need be.

    Raises:
        RuntimeError: a program is missing or failed; says which, and what it said.
    """
    with storage() as store:
        return ensured(store)


def ensured(store: Storage) -> str:
    """The same, for who holds the storage already."""
    wanted, there = name(), store.names()
    if wanted not in there:
        _bootstrap(store, wanted)
        for each in sorted(there):
            if each.startswith(f"{_REPOSITORY}:"):
                store.remove(each)
    return wanted


def _bootstrap(store: Storage, wanted: str) -> None:
    print(f"bootstrapping Debian {RELEASE}: a minute, this once", flush=True)  # noqa: T201 - else it looks stuck
    with store.scratch() as scratch:
        root, context = Path(scratch, "root"), Path(scratch, "context")
        context.mkdir()
        # In a mount namespace of its own, as it mounts /proc and /sys in there: killed, it leaves none behind.
        debootstrap = (
            installed("debootstrap"),
            "--force-check-gpg",
            "--variant=minbase",
            f"--include={','.join(_PACKAGES)}",
        )
        run("unshare", "--mount", "--propagation", "private", *debootstrap, RELEASE, root, *_mirror(), env=_proxy())
        left_out = [f"--exclude=./{each}" for each in _LEFT_OUT]
        run("tar", "--numeric-owner", *left_out, "--create", "--file", context / "rootfs.tar", "--directory", root, ".")
        (context / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        store.build(context, wanted)


def _mirror() -> list[str]:
    """Where this machine's apt has Debian from; empty for debootstrap's own default."""
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages")
    return debian_mirrors(targets)[:1]


def debian_mirrors(targets: str) -> list[str]:
    """Those that have Debian itself – no derivative, no security updates – of lines ``URI|origin|label``."""
    found = (line.split("|") for line in targets.splitlines())
    return [uri for uri, *of in found if of == ["Debian", "Debian"] and uri.startswith(("http://", "https://"))]


def _proxy() -> dict[str, str]:
    """debootstrap asks apt for a proxy that is detected, but not for one that is named."""
    named = run("apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy").strip()
    return {"http_proxy": named} if named else {}

"""Our image: the Dockerfile as it is shipped, on a base of this machine."""

import ast
import os
import shutil
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.cluster.images import debian
from tests.cluster.images.archive import Image
from tests.cluster.images.cache import Storage, archived, digest
from tests.cluster.images.programs import run

_ROOT: Final = Path(__file__).parents[3]
_STAGES: Final = {"dependencies": "localhost/lbprovider-dependencies:built"}
"""Kept by a name: else an edit of our code would install what we depend on anew."""
_IMAGE: Final = "localhost/lbprovider:built"
_NETWORK: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "cert")
"""pip's settings that say how the package index is reached."""


def ours(name: str) -> Image:
    """Our image under a name, built if anything that goes into it has changed.

    Raises:
        RuntimeError: a program is missing or failed; says which, and what it said.
    """
    ignore = (_ROOT / ".dockerignore").read_text(encoding="utf-8")
    files = {each: (_ROOT / each).read_bytes() for each in context(_ROOT, ignore.splitlines())}
    files |= {Path(each): (_ROOT / each).read_bytes() for each in ("Dockerfile", ".dockerignore")}
    parts = (part for path in sorted(files) for part in (str(path).encode(), files[path]))
    return archived("ours", name, digest(debian.name().encode(), *parts), lambda store: _build(store, files))


def context(root: Path, ignore: Sequence[str]) -> Iterator[Path]:
    """The files that reach the builder, relative to the root.

    Args:
        root: the folder of the Dockerfile.
        ignore: the lines of its .dockerignore: ``*``, then ``!path`` for what is let in, then ``**/name`` for what
            stays out of that. This much of the format is enough here.

    Raises:
        RuntimeError: there is a line of another form.
    """
    lines = [line for line in ignore if line and not line.startswith("#")]
    wanted = [line.removeprefix("!") for line in lines if line.startswith("!")]
    unwanted = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    understood = ["*", *(f"!{each}" for each in wanted), *(f"**/{each}" for each in unwanted)]
    if lines != understood or any("/" in each for each in unwanted):
        raise RuntimeError(".dockerignore: only '*', then '!path', then '**/name' are understood here")
    for each in wanted:
        for path in [root / each] if (root / each).is_file() else (root / each).rglob("*"):
            relative = path.relative_to(root)
            if path.is_file() and not set(unwanted) & set(relative.parts):
                yield relative


def _build(store: Storage, files: Mapping[Path, bytes]) -> str:
    base = debian.ensured(store)
    print("building our image: a minute the first time", flush=True)  # noqa: T201 - else it looks stuck
    with store.scratch() as scratch:
        # A copy: what is built is what the digest was made from, whoever edits the work tree meanwhile.
        copy, home = Path(scratch, "context"), Path(scratch, "home")
        for path, content in files.items():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(content)
        _index(home)
        # Over root's home, where pip looks for its settings: every base has that folder, so the mount leaves no trace.
        flags = ("--build-arg", f"BASE={base}", "--volume", f"{home}:/root:ro")
        for stage, name in _STAGES.items():
            store.build(copy, name, "--target", stage, *flags)
        store.build(copy, _IMAGE, *flags)
    return _IMAGE


def _index(home: Path) -> None:
    """A home folder whose pip reaches the package index as the pip of this machine does."""
    settings = network_settings(run(sys.executable, "-m", "pip", "config", "list"))
    folder = home / ".config" / "pip"
    folder.mkdir(parents=True)
    authorities = _authorities(settings)
    if authorities is not None:
        shutil.copyfile(authorities, home / "authorities.crt")
        settings["cert"] = "~/authorities.crt"
    lines = [f"{key} = {value.strip()}".replace("\n", "\n    ") for key, value in settings.items()]
    (folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")


def network_settings(listing: str) -> dict[str, str]:
    """What matters to the network of ``pip config list``; pip's own order of precedence.

    Args:
        listing: lines ``section.key='value'``, the environment's in a section ``:env:``.
    """
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        where, _, value = line.partition("=")
        section, _, key = where.rpartition(".")
        if section in found and key in _NETWORK:
            found[section][key] = ast.literal_eval(value)
    return found["global"] | found["install"] | found[":env:"]


def _authorities(settings: Mapping[str, str]) -> Path | None:
    """Whom the machine's pip trusts: a machine behind a proxy that re-encrypts has authorities that no image knows."""
    paths = ssl.get_default_verify_paths()
    named = [settings.get("cert"), os.environ.get("REQUESTS_CA_BUNDLE"), os.environ.get("CURL_CA_BUNDLE"), paths.cafile]
    debians = Path(paths.capath or paths.openssl_capath, "ca-certificates.crt")
    return next((each for each in [*map(Path, filter(None, named)), debians] if each.is_file()), None)

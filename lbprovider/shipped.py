"""The manifests that are shipped, CRDs and RBAC of config/: the lab applies them, ``plan`` and ``validate`` read them.

Read they are when asked for, from the package's own files; nothing is kept.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from lbprovider.errors import HostError
from lbprovider.schema import Schema

_PACKAGE: Final = Path(__file__).parent
_PLACES: Final = (_PACKAGE / "config", _PACKAGE.parent / "config")
"""Inside the package where a wheel was installed (``force-include`` in pyproject.toml); beside it in a checkout."""
_FOLDERS: Final = ("crd", "rbac")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, where PyYAML has it: a tenth of the time, which whoever types a command waits for."""


def manifests(places: Sequence[Path] = _PLACES) -> tuple[dict[str, Any], ...]:
    """Every object that has to be there before the controller and the speakers start, in the order to create them.

    Args:
        places: where ``crd`` and ``rbac`` may be; the first that has them counts.

    Raises:
        HostError: none has.
    """
    place = _place(places)
    return tuple(document for folder in _FOLDERS for document in _folder(place / folder))


def schemas(places: Sequence[Path] = _PLACES) -> dict[str, Schema]:
    """What objects of our kinds may look like, by kind.

    Args:
        places: as of ``manifests``.

    Raises:
        HostError: as of ``manifests``.
    """
    found = (each["spec"] for each in _folder(_place(places) / "crd"))
    return {spec["names"]["kind"]: Schema(spec["versions"][0]["schema"]["openAPIV3Schema"]) for spec in found}


def _place(places: Sequence[Path]) -> Path:
    for each in places:
        if (each / "crd" / "kustomization.yaml").is_file():
            return each
    looked = " nor ".join(str(each) for each in places)
    raise HostError(f"the shipped manifests are neither in {looked}: install lbprovider anew")


def _folder(folder: Path) -> Iterator[dict[str, Any]]:
    """The documents of a kustomization that only lists files, in its order."""
    text = (folder / "kustomization.yaml").read_text(encoding="utf-8")
    listed = yaml.load(text, _LOADER)  # noqa: S506  (a safe one)
    for name in listed["resources"]:
        yield from yaml.load_all((folder / name).read_text(encoding="utf-8"), _LOADER)

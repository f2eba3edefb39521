"""The manifests that are shipped, as the lab applies them: the CRDs and the RBAC of config/."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from lbprovider.errors import HostError

_PACKAGE: Final = Path(__file__).parents[1]
_PLACES: Final = (_PACKAGE / "config", _PACKAGE.parent / "config")
"""Inside the package where a wheel was installed (``force-include`` in pyproject.toml); beside it in a checkout."""
_FOLDERS: Final = ("crd", "rbac")


def manifests(places: Sequence[Path] = _PLACES) -> tuple[dict[str, Any], ...]:
    """Every object that has to be there before the controller and the speakers start, in the order to create them.

    Args:
        places: where ``crd`` and ``rbac`` may be; the first that has them counts.

    Raises:
        HostError: none has.
    """
    place = next((each for each in places if (each / "crd" / "kustomization.yaml").is_file()), None)
    if place is None:
        looked = " nor ".join(str(each) for each in places)
        raise HostError(f"the shipped manifests are neither in {looked}: install lbprovider anew")
    return tuple(document for folder in _FOLDERS for document in _folder(place / folder))


def _folder(folder: Path) -> Iterator[dict[str, Any]]:
    """The documents of a kustomization that only lists files, in its order."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in listed["resources"]:
        yield from yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))

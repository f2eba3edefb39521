"""Objects to YAML that every reader takes for the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

_Base: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]
    """PyYAML's, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether what comes twice is written twice: always."""
        del data
        return True


# YAML 1.1 knows them as booleans, and kubectl's reader does; PyYAML's doesn't, and would leave the quotes out.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]$"), list("yYnN"))


def written(objects: Iterable[Mapping[str, Any]]) -> str:
    """A document for each object, its fields in the order in which they are given."""
    return "".join(
        "---\n" + str(yaml.dump(_plain(one), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000))
        for one in objects
    )


def _plain(value: Any) -> Any:
    """Dicts and lists, as PyYAML wants them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value

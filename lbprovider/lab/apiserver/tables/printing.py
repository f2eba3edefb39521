"""Server-side tables: what kubectl prints of objects (meta/v1 Table). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.tables import builtin as built_in
from lbprovider.lab.apiserver.tables import custom as custom_columns
from lbprovider.lab.apiserver.tables.builtin import Column

API_VERSION: Final = "meta.k8s.io/v1"

Object = Mapping[str, Any]


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The columns of a kind; worth keeping, for those of a custom one are read anew each time."""
    if not kind.custom:
        return tuple(built_in.BUILT_IN.get(kind, (built_in.NAME, built_in.CREATED)))
    return (built_in.NAME, *(custom_columns.described(kind.columns) if kind.columns else [built_in.CUSTOM_AGE]))


def table(
    columns: Sequence[Column],
    objects: Iterable[Object],
    now: float,
    metadata: Object,
    *,
    include: str = "Metadata",
    definitions: bool = True,
) -> dict[str, Any]:
    """A Table.

    Args:
        columns: of :func:`columns_of`.
        objects: a row each.
        now: seconds since 1970.
        metadata: the list's: resourceVersion, continue, remainingItemCount; of one object its resourceVersion alone.
        include: what of each object goes with its row: ``Metadata`` (also for ""), ``Object`` or ``None``.
        definitions: whether the columns are described; in a watch the first event's are.

    Raises:
        Refusal: 400: ``include`` is none of these.
    """
    included = _INCLUDED.get(include)
    if included is None:
        message = (
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": must be '
            "'Metadata', 'Object', 'None', or empty"
        )
        raise Refusal(400, "BadRequest", message)
    return {
        "kind": "Table",
        "apiVersion": API_VERSION,
        "metadata": {key: value for key, value in metadata.items() if value != ""},
        "columnDefinitions": [column.definition() for column in columns] if definitions else None,
        "rows": [{"cells": [column.cell(obj, now) for column in columns], "object": included(obj)} for obj in objects],
    }


def partial(obj: Object) -> dict[str, Any]:
    """A PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": obj["metadata"]}


_INCLUDED: Final[Mapping[str, Callable[[Object], Any]]] = {
    "": partial,
    "Metadata": partial,
    "Object": dict,
    "None": lambda _: None,
}

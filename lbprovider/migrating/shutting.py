"""An L2Advertisement that waits: one that selects no node announces nothing, and goes on selecting its pools.

Both MetalLB's and ours are shut and opened so, by one write, and remember in an annotation what they said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lbprovider.api.meta import Object, to_builtins
from lbprovider.api.names import GROUP
from lbprovider.api.pool import L2Advertisement
from lbprovider.migrating.kinds import Foreign

SAID: Final = f"{GROUP}/migrate-node-selectors"
"""Annotation: what ``spec.nodeSelectors`` was, as JSON; it is there while the advertisement waits."""
_NOBODY: Final = ({"matchLabels": {f"{GROUP}/migrate": "waits"}},)
_FIELD: Final = "nodeSelectors"


def is_shut(obj: Object) -> bool:
    """Whether it waits."""
    return SAID in obj.metadata.annotations


def shutting(obj: Foreign | L2Advertisement) -> Mapping[str, Any]:
    """Merge patch that makes it wait; of one that does already it leaves what it said before."""
    said = obj.metadata.annotations.get(SAID) or msgspec.json.encode(_selectors(obj)).decode()
    return {"metadata": {"annotations": {SAID: said}}, "spec": {_FIELD: list(_NOBODY)}}


def opening(obj: Foreign | L2Advertisement) -> Mapping[str, Any]:
    """Merge patch that makes it say again what it said."""
    return {"metadata": {"annotations": {SAID: None}}, "spec": {_FIELD: _said(obj) or None}}


def shut(obj: L2Advertisement) -> L2Advertisement:
    """The same, waiting: as it is created."""
    fields = to_builtins(obj)
    body = shutting(obj)
    annotations = {**obj.metadata.annotations, **body["metadata"]["annotations"]}
    return msgspec.convert(
        {
            **fields,
            "metadata": {**fields.get("metadata", {}), "annotations": annotations},
            "spec": {**fields.get("spec", {}), **body["spec"]},
        },
        type=L2Advertisement,
    )


def restored(obj: L2Advertisement) -> L2Advertisement:
    """As it is when it doesn't wait."""
    if not is_shut(obj):
        return obj
    fields = to_builtins(obj)
    return msgspec.convert(
        {**fields, "spec": {**fields.get("spec", {}), _FIELD: _said(obj)}}, type=L2Advertisement
    )  # fmt: skip


def restored_foreign(obj: Foreign) -> Foreign:
    """The same of one of MetalLB's."""
    if not is_shut(obj):
        return obj
    return msgspec.structs.replace(obj, spec={**obj.spec, _FIELD: _said(obj)})


def _selectors(obj: Foreign | L2Advertisement) -> Any:
    if isinstance(obj, Foreign):
        return obj.spec.get(_FIELD) or []
    return to_builtins(obj.spec).get(_FIELD, [])


def _said(obj: Foreign | L2Advertisement) -> Any:
    said = obj.metadata.annotations.get(SAID)
    return _selectors(obj) if said is None else msgspec.json.decode(said)

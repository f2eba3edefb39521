"""MetalLB's spelling of what is ours: IPAddressPool and L2Advertisement of ``metallb.io/v1beta1``.

Their fields are ours by name and meaning, but one: a preference has its selector in ``preference`` there, and in
``nodeSelector`` here (MetalLB, api/v1beta1/l2advertisement_types.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lbprovider.api.names import API_VERSION
from lbprovider.api.resources import ADVERTISEMENTS, POOLS

GROUP: Final = "metallb.io"
METALLB: Final = f"{GROUP}/v1beta1"
"""The apiVersion of their pools and advertisements."""

_KEPT: Final = ("name", "namespace", "labels", "annotations", "creationTimestamp")
"""Of metadata: the rest belongs to that object and to whoever keeps it."""
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def carried(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """An object of MetalLB as ours, its status left out; None where we have nothing like it.

    Whatever its fields hold: what is wrong there is said of ours. Its namespace is still MetalLB's.
    """
    kind = raw.get("kind")
    if raw.get("apiVersion") != METALLB or kind not in (POOLS.kind, ADVERTISEMENTS.kind):
        return None
    found = {**raw, "apiVersion": API_VERSION}
    found.pop("status", None)
    if isinstance(metadata := raw.get("metadata"), Mapping):
        found["metadata"] = _metadata(metadata)
    spec = raw.get("spec")
    if isinstance(spec, Mapping) and isinstance(preferences := spec.get("preferredNodeSelectors"), list):
        found["spec"] = {**spec, "preferredNodeSelectors": [_preference(each) for each in preferences]}
    return found


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: metadata[name] for name in _KEPT if name in metadata}
    annotations = kept.get("annotations")
    if isinstance(annotations, Mapping) and _APPLIED in annotations:
        kept["annotations"] = {key: value for key, value in annotations.items() if key != _APPLIED}
    return kept


def _preference(each: Any) -> Any:
    if not isinstance(each, Mapping):
        return each
    return {("nodeSelector" if name == "preference" else name): value for name, value in each.items()}

"""What is wrong with an object's metadata, whatever its kind: in the words of a kube-apiserver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.schema import syntax
from lbprovider.schema.causes import TOO_LONG, Cause, required, wrong

_ANNOTATIONS_BYTES: Final = 256 << 10
_FINALIZERS: Final = ("foregroundDeletion", "orphan", "kubernetes")
_UNQUALIFIED: Final = "name is neither a standard finalizer name nor is it fully qualified"


def causes(
    metadata: Mapping[str, Any], name_rule: Callable[[str], tuple[str, ...]] = syntax.subdomain, *, custom: bool = True
) -> tuple[Cause, ...]:
    """What is wrong with the metadata of an object, new or not.

    Args:
        metadata: as ``shapes.read_metadata`` leaves it.
        name_rule: what is wrong with a name of this kind.
        custom: whether a CRD adds the kind; the finalizers of built-in ones are looked at more closely.
    """
    name = metadata.get("name")
    found: list[Cause] = []
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    else:
        if prefix := metadata.get("generateName"):
            found += (wrong("metadata.generateName", prefix, why) for why in name_rule(_masked(prefix)))
        found += (wrong("metadata.name", name, why) for why in name_rule(name))
    found += _labels(metadata.get("labels") or {})
    found += _annotations(metadata.get("annotations") or {})
    found += _owners(metadata.get("ownerReferences") or ())
    finalizers = metadata.get("finalizers") or ()
    for finalizer in finalizers:
        found += (wrong("metadata.finalizers", finalizer, why) for why in syntax.qualified_name(finalizer))
    if not custom:
        found += (
            wrong(f"metadata.finalizers[{index}]", finalizer, _UNQUALIFIED)
            for index, finalizer in enumerate(finalizers)
            if "/" not in finalizer and finalizer not in _FINALIZERS
        )
    return tuple(found)


def _masked(prefix: str) -> str:
    """A prefix as it is checked: what follows it may make its last dash right."""
    return f"{prefix[:-1]}a" if prefix.endswith("-") and len(prefix) > 1 else prefix


def _labels(labels: Mapping[str, str]) -> Iterator[Cause]:
    for key, value in labels.items():
        yield from (wrong("metadata.labels", key, why) for why in syntax.qualified_name(key))
        yield from (wrong("metadata.labels", value, why) for why in syntax.label_value(value))


def _annotations(annotations: Mapping[str, str]) -> Iterator[Cause]:
    for key in annotations:
        yield from (wrong("metadata.annotations", key, why) for why in syntax.qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_BYTES:
        yield Cause("metadata.annotations", f"Too long: may not be more than {_ANNOTATIONS_BYTES} bytes", TOO_LONG)


def _owners(references: Sequence[Mapping[str, Any]]) -> Iterator[Cause]:
    for reference in references:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                said = "version must not be empty" if key == "apiVersion" else "must not be empty"
                yield wrong(f"metadata.ownerReferences.{key}", reference.get(key, ""), said)
    controllers = [each for each in references if each.get("controller")]
    if len(controllers) > 1:
        said = 'Only one reference can have Controller set to true. Found "true" in references for '
        yield wrong(
            "metadata.ownerReferences",
            list(references),
            said + " and ".join(f"{each.get('kind')}/{each.get('name')}" for each in controllers[:2]),
        )

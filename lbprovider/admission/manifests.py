"""What an API server would say of one manifest of our kinds: by its metadata, its schema and ``fields``, in that order.

Strict, as ``kubectl apply`` asks for it: a field that the kind doesn't have is a problem. The status is left out, as it
is when an object is made. Promises: whatever the manifest holds it is answered; of one with problems nothing is given
back that others could go on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lbprovider.admission.fields import Refusal, refusals
from lbprovider.schema import UNCHECKED, Schema, TypeMismatch, metadata, read_metadata

_RANDOM: Final = "x" * 5
_PREFIX: Final = 63 - len(_RANDOM)
"""Characters of ``generateName`` that are left in a name."""


def judged(
    raw: Mapping[str, Any], schema: Schema, *, namespaced: bool
) -> tuple[dict[str, Any] | None, tuple[Refusal, ...]]:
    """The object as it would be stored, None where it wouldn't; and all that is wrong with it.

    Args:
        raw: as it is written; apiVersion and kind are those of the schema.
        schema: of its kind.
        namespaced: whether objects of the kind live in namespaces.
    """
    problems: list[Refusal] = []
    try:
        about, unknown = read_metadata(raw.get("metadata") or {})
    except TypeMismatch as error:
        about, unknown = {}, ()
        problems.append(Refusal("metadata", f"can't be read: {error}"))
    else:
        about = named(about)
        problems += _metadata(about, namespaced=namespaced)
    head = {name: raw[name] for name in ("apiVersion", "kind")}
    pruned, more = schema.prune({**head, **{name: raw[name] for name in raw if name != "metadata"}})
    problems += (Refusal(field, f"is no field of {_a(str(raw['kind']))}") for field in (*unknown, *more))
    new = schema.default({**{name: pruned[name] for name in pruned if name != "status"}, "metadata": about})
    problems += _content(new, schema)
    return (None, tuple(problems)) if problems else (new, ())


def named(about: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with a name like the one that the API server makes of ``generateName``."""
    prefix = about.get("generateName")
    made = {"name": prefix[:_PREFIX] + _RANDOM} if isinstance(prefix, str) and prefix and not about.get("name") else {}
    return {**about, **made}


def _metadata(about: Mapping[str, Any], *, namespaced: bool) -> Iterator[Refusal]:
    for cause in metadata.causes(about):
        yield Refusal(cause.field, cause.message)
    if about.get("namespace") and not namespaced:
        yield Refusal("metadata.namespace", "is given, and objects of this kind are in no namespace: take it out")


def _content(new: Mapping[str, Any], schema: Schema) -> Iterator[Refusal]:
    causes = schema.causes(new)
    for cause in causes:
        if cause != UNCHECKED:
            yield Refusal(cause.field, cause.message)
    if UNCHECKED not in causes:
        yield from refusals(str(new["kind"]), new, None)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIOU" else f"a {kind}"

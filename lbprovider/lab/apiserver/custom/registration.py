"""Kinds that come and go: CustomResourceDefinitions, and what is served because of them.

A CRD is an object as any other. Once it is stored its kind is served, and its conditions say so in the words of a
kube-apiserver; of its versions there may be one only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.store import Event, Object, Store
from lbprovider.schema import Schema
from lbprovider.schema.causes import NOT_SUPPORTED, Cause, quoted, required, wrong

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that a CRD has while its objects are being deleted."""
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


class Served:
    """All kinds that are served now.

    Args:
        store: has the CRDs.

    Attributes:
        generation: grows whenever a kind comes, changes or goes.
    """

    def __init__(self, store: Store) -> None:
        self.generation = 0
        self._kinds = {(kind.group, kind.version, kind.plural): kind for kind in kinds.BUILT_IN}
        self._custom: dict[str, tuple[Kind, Schema]] = {}
        for entry in store.entries(kinds.CRD.resource):
            self._serve(entry.value)
        store.subscribe(kinds.CRD.resource, self._changed)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind at a place in the URL."""
        return self._kinds.get((group, version, plural))

    def resource(self, name: str) -> Kind:
        """The kind whose objects the store has under this name."""
        custom = self._custom.get(name)
        return custom[0] if custom else next(kind for kind in kinds.BUILT_IN if kind.resource == name)

    def has_group(self, group: str) -> bool:
        """Whether any kind of the group is served."""
        return any(each[0] == group for each in self._kinds)

    def all(self) -> tuple[Kind, ...]:
        """Built-in kinds first, then custom ones by group and plural."""
        custom = sorted((kind for kind, _ in self._custom.values()), key=lambda kind: (kind.group, kind.plural))
        return (*kinds.BUILT_IN, *custom)

    def schema(self, kind: Kind) -> Schema:
        """The structural schema of a custom kind."""
        return self._custom[kind.resource][1]

    def _changed(self, event: Event) -> None:
        name = event.entry.key.name
        old = self._custom.get(name)
        # Its status changes more often than what it says, and a kind that is the same stays the same object.
        if event.previous is not None and event.type == "MODIFIED" and _same_spec(event):
            return
        if old is not None:
            del self._custom[name]
            del self._kinds[old[0].group, old[0].version, old[0].plural]
        if event.type != "DELETED":
            self._serve(event.entry.value)
        self.generation += 1

    def _serve(self, crd: Mapping[str, Any]) -> None:
        kind = _kind(crd)
        self._custom[kind.resource] = kind, Schema(kind.openapi or {})
        self._kinds[kind.group, kind.version, kind.plural] = kind


def _same_spec(event: Event) -> bool:
    return event.previous is not None and bool(event.entry.value["spec"] == event.previous.value["spec"])


def _kind(crd: Mapping[str, Any]) -> Kind:
    spec = crd["spec"]
    names, version = spec["names"], spec["versions"][0]
    return Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names["singular"],
        namespaced=spec["scope"] == "Namespaced",
        list_kind=names["listKind"],
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        has_status="status" in (version.get("subresources") or {}),
        openapi=version["schema"]["openAPIV3Schema"],
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        custom=True,
    )


def prepared(crd: Object, old: Object | None, now: str) -> Object:
    """A CRD with its defaults, and with the conditions of one that is served."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    kind = names.get("kind") or ""
    names = {
        **names,
        "singular": names.get("singular") or kind.lower(),
        "listKind": names.get("listKind") or f"{kind}List",
    }
    spec = {"conversion": {"strategy": "None"}, **spec, "names": names}
    status = {
        "conditions": (old or {}).get("status", {}).get("conditions") or _conditions(now),
        "acceptedNames": names,
        "storedVersions": [version.get("name") for version in spec.get("versions", ())],
    }
    return {**crd, "spec": spec, "status": status}


def _conditions(now: str) -> list[Object]:
    told = (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    )
    return [
        {"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
        for kind, reason, message in told
    ]


def terminating(crd: Object, now: str) -> Object:
    """A CRD whose objects are being deleted."""
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionInProgress",
        "message": "CustomResource deletion is in progress",
    }
    status = {**crd["status"], "conditions": [*crd["status"]["conditions"], condition]}
    finalizers = sorted({*crd["metadata"].get("finalizers", ()), CLEANUP})
    return {**crd, "metadata": {**crd["metadata"], "finalizers": finalizers}, "status": status}


def causes(crd: Object, old: Object | None) -> Iterator[Cause]:
    """What is wrong with a CRD; its schema is taken as it comes."""
    spec = crd["spec"]
    names, group = spec["names"], spec.get("group")
    for field, value in (("group", group), ("names.plural", names.get("plural")), ("names.kind", names.get("kind"))):
        if not value or not isinstance(value, str):
            yield required(f"spec.{field}")
    name = crd["metadata"].get("name")
    if name != f"{names.get('plural')}.{group}":
        yield wrong("metadata.name", name or "", 'must be spec.names.plural+"."+spec.group')
    if spec.get("scope") not in _SCOPES:
        said = (
            f"Unsupported value: {quoted(spec.get('scope') or '')}: supported values: {', '.join(map(quoted, _SCOPES))}"
        )
        yield Cause("spec.scope", said, NOT_SUPPORTED)
    yield from _version_causes(spec.get("versions", []))
    if old is not None:
        for field in ("scope", "group"):
            if spec.get(field) != old["spec"][field]:
                yield wrong(f"spec.{field}", spec.get(field), "field is immutable")
        for field in ("plural", "kind"):
            if names.get(field) != old["spec"]["names"][field]:
                yield wrong(f"spec.names.{field}", names.get(field), "field is immutable")


def _version_causes(versions: list[Object]) -> Iterator[Cause]:
    if [bool(each.get("storage")) for each in versions].count(True) != 1:
        yield wrong("spec.versions", versions, "must have exactly one version marked as storage version")
        return
    if len(versions) > 1 or not versions[0].get("served"):
        yield wrong("spec.versions", [each.get("name") for each in versions], "the lab serves exactly one version")
    for index, version in enumerate(versions):
        schema = version.get("schema", {}).get("openAPIV3Schema")
        if not version.get("name"):
            yield required(f"spec.versions[{index}].name")
        if not isinstance(schema, dict):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
        elif why := _unreadable(schema):
            yield Cause(f"spec.versions[{index}].schema.openAPIV3Schema", f"Invalid value: is no schema: {why}")
        for number, column in enumerate(version.get("additionalPrinterColumns", ())):
            yield from _column_causes(column, f"spec.versions[{index}].additionalPrinterColumns[{number}]")


def _unreadable(schema: Object) -> str:
    """Why a schema can't be used, empty if it can: what is stored must never keep the server from its work."""
    try:
        Schema(schema).causes(Schema(schema).default({}))
    except (AttributeError, LookupError, TypeError, ValueError, re.error, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _column_causes(column: Object, field: str) -> Iterator[Cause]:
    for name in ("name", "type", "jsonPath"):
        if not column.get(name):
            yield required(f"{field}.{name}")
    kind = column.get("type")
    if kind and kind not in _COLUMN_TYPES:
        said = f"Unsupported value: {quoted(kind)}: supported values: {', '.join(map(quoted, _COLUMN_TYPES))}"
        yield Cause(f"{field}.type", said, NOT_SUPPORTED)

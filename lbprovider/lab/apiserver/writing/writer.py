"""Creating and changing objects: what a request becomes before it is stored.

Nothing here waits, so of two requests about one object one sees what the other has made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lbprovider.lab.apiserver import kinds, metadata, statuses
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.services.registry import Unacceptable
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Entry, Key, Object, Store
from lbprovider.lab.apiserver.writing import bodies, patches, strategic
from lbprovider.lab.apiserver.writing.bodies import Options
from lbprovider.lab.apiserver.writing.deleter import Deleter
from lbprovider.lab.apiserver.writing.rules import Rule, Rules
from lbprovider.schema.causes import Cause, quoted

_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
_MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"
_CREATES_BY_PUT: Final = (
    kinds.CLUSTER_ROLE,
    kinds.CLUSTER_ROLE_BINDING,
    kinds.ENDPOINTS,
    kinds.EVENT,
    kinds.LEASE,
    kinds.ROLE,
    kinds.ROLE_BINDING,
    kinds.SERVICE,
)
"""Kinds of which a PUT makes an object that isn't there: as a kube-apiserver's ``AllowCreateOnUpdate``."""
_CONDITIONAL: Final = (kinds.CRD, kinds.LEASE)
"""Built-in kinds that can't be replaced without saying which version; no custom one can."""


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes an object.

    Args:
        kind: its kind.
        key: which one; its name is empty where it is to be created.
        subresource: ``status``, or empty.
        payload: the body.
        content_type: what the body is.
        options: how it is asked for.
        now: RFC 3339.
    """

    kind: Kind
    key: Key
    subresource: str
    payload: bytes
    content_type: str
    options: Options
    now: str


class Writer:
    """Creates and changes objects.

    Args:
        store: has the objects.
        served: knows the kinds.
        rules: know what each kind asks of its objects.
        deleter: told of what was written: it may have to go, with its last finalizer or for want of an owner.
    """

    def __init__(self, store: Store, served: Served, rules: Rules, deleter: Deleter) -> None:
        self._store = store
        self._served = served
        self._rules = rules
        self._deleter = deleter

    def create(self, write: Write) -> Object:
        """POST: the object as it is stored.

        Raises:
            Refusal: 400, 403, 404, 409, 415, 422.
        """
        given = bodies.decoded(write.kind, self._served, write.payload, write.content_type, write.options)
        _check_namespace(given, write.key.namespace)
        if given["metadata"].get("resourceVersion"):
            # Whoever asks is at fault, yet this is how a kube-apiserver says it.
            raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
        return self._create(write, given)

    def _create(self, write: Write, given: Object) -> Object:
        kind, namespace = write.kind, write.key.namespace
        meta = metadata.for_creation(kind, given["metadata"], namespace, write.now)
        name = meta.get("name", "")
        self._check_place(kind, namespace, name)
        new = {**given, "metadata": meta}
        if kind.has_status and kind is not kinds.NODE:  # a kubelet registers its Node with a status
            new.pop("status", None)
        rule = self._rules.of(kind)
        new = rule.prepare(new, None, write.now)
        causes = [*metadata.causes(kind, new["metadata"]), *rule.judge(new, None)]
        if causes:
            raise statuses.invalid(kind.group, kind.kind, name, causes)
        if self._store.get(kind.resource, namespace, name) is not None:
            raise statuses.already_exists(kind, name)
        new = _completed(kind, rule, new, None)
        if write.options.dry_run:
            return new
        stored = self._store.put(Key(kind.resource, namespace, name), new)
        self._deleter.written(stored)
        return stored.value

    def _check_place(self, kind: Kind, namespace: str, name: str) -> None:
        if namespace:
            home = self._store.get(kinds.NAMESPACE.resource, "", namespace)
            if home is None:
                raise statuses.not_found(kinds.NAMESPACE, namespace)
            if "deletionTimestamp" in home.value["metadata"]:
                said = f"unable to create new content in namespace {namespace} because it is being terminated"
                cause = {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
                raise statuses.forbidden(kind, name, said, [cause])
        crd = self._store.get(kinds.CRD.resource, "", kind.resource) if kind.custom else None
        if crd is not None and "deletionTimestamp" in crd.value["metadata"]:
            said = "create not allowed while custom resource definition is terminating"
            raise statuses.forbidden(kind, name, said)

    def replace(self, write: Write) -> tuple[Object, bool]:
        """PUT: the object as it is stored, and whether it is a new one.

        Raises:
            Refusal: 400, 403, 404, 409, 415, 422.
        """
        kind, key = write.kind, write.key
        given = bodies.decoded(kind, self._served, write.payload, write.content_type, write.options)
        meta = given["metadata"]
        if not meta.get("name"):
            said = f"the name of the object ({key.name} based on URL) was undeterminable: name must be provided"
            raise statuses.bad_request(said)
        _check_address(given, key)
        entry = self._store.get(*key)
        makes = kind in _CREATES_BY_PUT and not write.subresource
        if entry is None and not makes:
            raise statuses.not_found(kind, key.name)
        _check_uid(kind, key, entry, meta)
        if entry is None:
            return self._create(write, given), True
        if not meta.get("resourceVersion") and (kind.custom or kind in _CONDITIONAL):
            cause = Cause("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise statuses.invalid(kind.group, kind.plural, key.name, [cause])
        _check_version(kind, entry, meta)
        return self._update(write, entry, given), False

    def patch(self, write: Write) -> Object:
        """PATCH: the object as it is stored.

        Raises:
            Refusal: 400, 403, 404, 409, 415, 422.
        """
        apply = _patcher(write.kind, write.content_type)
        entry = self._store.get(*write.key)
        if entry is None:
            raise statuses.not_found(write.kind, write.key.name)
        patched = apply(entry.value, patches.decode(write.payload))
        given = bodies.patched(write.kind, self._served, patched, write.options)
        _check_address(given, write.key)
        _check_version(write.kind, entry, given["metadata"])
        return self._update(write, entry, given)

    def _update(self, write: Write, entry: Entry, given: Object) -> Object:
        kind, old = write.kind, entry.value
        if write.subresource and kind.custom:
            # Of a custom object /status takes nothing but the status; of a built-in one labels and annotations too.
            meta = old["metadata"]
            refused = []
        else:
            meta = metadata.for_update(given["metadata"], old["metadata"])
            refused = metadata.update_causes(given["metadata"], old["metadata"])
        if refused:
            raise statuses.invalid(kind.group, kind.kind, entry.key.name, refused)
        rule = self._rules.of(kind)
        new = rule.prepare({**_parts(kind, given, old, write.subresource), "metadata": meta}, old, write.now)
        causes = [*metadata.causes(kind, new["metadata"]), *rule.judge(new, old)]
        if causes:
            raise statuses.invalid(kind.group, kind.kind, entry.key.name, causes)
        new = _completed(kind, rule, new, old)
        if "generation" in old["metadata"] and _content(kind, new) != _content(kind, old):
            new = {**new, "metadata": {**new["metadata"], "generation": old["metadata"]["generation"] + 1}}
        if write.options.dry_run or self._deleter.finished(entry, new):
            return new
        stored = self._store.put(entry.key, new)
        self._deleter.written(stored)
        return stored.value


def _completed(kind: Kind, rule: Rule, new: Object, old: Object | None) -> Object:
    try:
        return rule.complete(new, old)
    except Unacceptable as error:
        raise statuses.invalid(kind.group, kind.kind, new["metadata"]["name"], error.causes) from None


def _parts(kind: Kind, given: Object, old: Object, subresource: str) -> Object:
    """The object as it is to be: spec from one, status from the other."""
    if not kind.has_status:
        return given
    spec, status = (old, given) if subresource else (given, old)
    parts = {key: value for key, value in spec.items() if key != "status"}
    return {**parts, "status": status["status"]} if "status" in status else parts


def _content(kind: Kind, obj: Object) -> Object:
    outside = ("metadata", "status") if kind.has_status else ("metadata",)
    return {key: value for key, value in obj.items() if key not in outside}


def _patcher(kind: Kind, content_type: str) -> Callable[[Mapping[str, Any], Any], Any]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == _JSON_PATCH:
        return patches.json_patch
    if media_type == _MERGE_PATCH:
        return patches.merge
    if media_type == _STRATEGIC_PATCH and not kind.custom:
        return lambda obj, patch: strategic.merge(obj, patch, kind)
    read = (_JSON_PATCH, _MERGE_PATCH) if kind.custom else (_JSON_PATCH, _MERGE_PATCH, _STRATEGIC_PATCH)
    if media_type == _APPLY:
        said = "the lab's API server has no server-side apply: use kubectl apply without --server-side"
        raise Refusal(415, "UnsupportedMediaType", said)
    raise statuses.unsupported(read)


def _check_namespace(given: Object, namespace: str) -> None:
    said = given["metadata"].get("namespace")
    if said and said != namespace:
        raise statuses.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _check_address(given: Object, key: Key) -> None:
    name = given["metadata"].get("name")
    if name != key.name:
        raise statuses.bad_request(
            f"the name of the object ({name or ''}) does not match the name on the URL ({key.name})"
        )
    _check_namespace(given, key.namespace)


def _check_uid(kind: Kind, key: Key, entry: Entry | None, meta: Mapping[str, Any]) -> None:
    held = entry.value["metadata"]["uid"] if entry is not None else ""
    if meta.get("uid") and meta["uid"] != held:
        said = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {held}"
        raise statuses.conflict(kind, key.name, said)


def _check_version(kind: Kind, entry: Entry, meta: Mapping[str, Any]) -> None:
    version = meta.get("resourceVersion")
    if version and not version.isdecimal():
        raise Refusal(500, "", f"strconv.ParseUint: parsing {quoted(version)}: invalid syntax")
    if version and version != str(entry.version):
        raise statuses.conflict(kind, entry.key.name, _MODIFIED)

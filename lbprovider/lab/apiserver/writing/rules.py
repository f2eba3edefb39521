"""What each kind asks of its objects beyond their fields: defaults, and what is wrong with them.

A kind without a rule of its own has none.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbprovider import admission
from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.custom import registration
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.services import causes as service_causes
from lbprovider.lab.apiserver.services.registry import Registry, prepared
from lbprovider.lab.apiserver.store import Object
from lbprovider.schema import UNCHECKED
from lbprovider.schema.causes import INVALID, NOT_SUPPORTED, Cause, quoted, required, wrong

Prepare = Callable[[Object, Object | None, str], Object]
"""An object with its defaults, given what it was (None for a new one) and the time (RFC 3339)."""
Judge = Callable[[Object, Object | None], Iterable[Cause]]
"""What is wrong with an object, given what it was."""
Complete = Callable[[Object, Object | None], Object]
"""An object that is right, with what it gets from the cluster; raises ``services.Unacceptable``."""

_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind asks of its objects."""

    prepare: Prepare = lambda new, _old, _now: new
    judge: Judge = lambda _new, _old: ()
    complete: Complete = lambda new, _old: new


class Rules:
    """The rules of all kinds.

    Args:
        served: knows the schemas of custom kinds.
        registry: gives Services what they get from the cluster.
    """

    def __init__(self, served: Served, registry: Registry) -> None:
        self._served = served
        self._rules = {**_RULES, kinds.SERVICE: Rule(prepared, service_causes.causes, registry.completed)}

    def of(self, kind: Kind) -> Rule:
        """The rule of a kind."""
        return self._custom(kind) if kind.custom else self._rules.get(kind, _NONE)

    def _custom(self, kind: Kind) -> Rule:
        schema = self._served.schema(kind)

        def prepare(new: Object, _old: Object | None, _now: str) -> Object:
            return schema.default(new)

        def judge(new: Object, old: Object | None) -> Iterable[Cause]:
            found = schema.causes(new, old)
            # CEL rules, and those that stand in for them, aren't tried on what is too wrong to be read.
            more = () if UNCHECKED in found else admission.refusals(kind.kind, new, old)
            return (*found, *map(_cause, more))

        return Rule(prepare, judge)


def _cause(refusal: admission.Refusal) -> Cause:
    shown = "" if refusal.value is admission.OMITTED else f" {quoted(refusal.value)}:"
    return Cause(refusal.field, f"Invalid value:{shown} {refusal.message}", INVALID)


# --- namespaces and nodes


def _namespace(new: Object, old: Object | None, _now: str) -> Object:
    metadata = new["metadata"]
    labels = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    spec = {"finalizers": ["kubernetes"]} if old is None else old.get("spec", {})
    status = new.get("status") or {"phase": "Active"}
    return {**new, "metadata": {**metadata, "labels": labels}, "spec": spec, "status": status}


def _node(new: Object, _old: Object | None, _now: str) -> Object:
    return {**new, "spec": new.get("spec") or {}, "status": new.get("status") or {}}


# --- leases and events


def _lease(new: Object, _old: Object | None, _now: str) -> Object:
    return {**new, "spec": new.get("spec", {})}


def _lease_causes(new: Object, _old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec", {})
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield wrong("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _event(new: Object, _old: Object | None, _now: str) -> Object:
    times = dict.fromkeys(("firstTimestamp", "lastTimestamp", "eventTime"))
    empty = {"source": {}, "reportingComponent": "", "reportingInstance": ""}
    return {**new, **{key: new.get(key, value) for key, value in {**empty, **times}.items()}}


def _event_causes(new: Object, _old: Object | None) -> Iterator[Cause]:
    about = new.get("involvedObject", {}).get("namespace", "")
    # What is about a cluster-scoped object belongs into the namespace "default".
    if about != new["metadata"]["namespace"] and not (not about and new["metadata"]["namespace"] == "default"):
        yield wrong("involvedObject.namespace", about, "does not match event.namespace")


# --- secrets


def _secret(new: Object, _old: Object | None, _now: str) -> Object:
    plain = {key: base64.b64encode(value.encode()).decode() for key, value in new.get("stringData", {}).items()}
    stored = {key: value for key, value in new.items() if key not in ("stringData", "data", "type")}
    data = {**new.get("data", {}), **plain}
    return {**stored, **({"data": data} if data else {}), "type": new.get("type") or "Opaque"}


def _secret_causes(new: Object, old: Object | None) -> Iterator[Cause]:
    if old is not None and new["type"] != old["type"]:
        yield wrong("type", new["type"], "field is immutable")


# --- RBAC


def _binding(new: Object, _old: Object | None, _now: str) -> Object:
    subjects = [
        {**each, "apiGroup": each.get("apiGroup") or _RBAC} if each.get("kind") in ("User", "Group") else each
        for each in new.get("subjects", ())
    ]
    reference = new.get("roleRef", {})
    stored = {**new, "roleRef": {**reference, "apiGroup": reference.get("apiGroup") or _RBAC}}
    return {**stored, **({"subjects": subjects} if subjects else {})}


def _binding_causes(new: Object, old: Object | None) -> Iterator[Cause]:
    reference = new["roleRef"]
    allowed = ("ClusterRole",) if new["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if reference.get("kind") not in allowed:
        yield _not_supported("roleRef.kind", reference.get("kind", ""), allowed)
    if not reference.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(new.get("subjects", ())):
        yield from _subject(subject, f"subjects[{index}]")
    if old is not None and reference != old["roleRef"]:
        yield wrong("roleRef", reference, "cannot change roleRef")


def _subject(subject: Mapping[str, Any], field: str) -> Iterator[Cause]:
    allowed = ("ServiceAccount", "User", "Group")
    if not subject.get("name"):
        yield required(f"{field}.name")
    if subject.get("kind") not in allowed:
        yield _not_supported(f"{field}.kind", subject.get("kind", ""), allowed)
    if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
        yield required(f"{field}.namespace")


def _role(new: Object, _old: Object | None, _now: str) -> Object:
    return {**new, "rules": new.get("rules")}


def _role_causes(new: Object, _old: Object | None) -> Iterator[Cause]:
    for index, rule in enumerate(new["rules"] or ()):
        if not rule.get("verbs"):
            yield required(f"rules[{index}].verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            yield from _path_rule(new, rule, f"rules[{index}].nonResourceURLs")
            continue
        if not rule.get("apiGroups"):
            yield required(f"rules[{index}].apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"rules[{index}].resources", "resource rules must supply at least one resource")


def _path_rule(role: Object, rule: Mapping[str, Any], field: str) -> Iterator[Cause]:
    paths = rule["nonResourceURLs"]
    if role["kind"] == "Role":
        yield wrong(field, paths, "namespaced rules cannot apply to non-resource URLs")
    if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
        yield wrong(field, paths, "rules cannot apply to both regular resources and non-resource URLs")


def _not_supported(field: str, value: Any, allowed: Sequence[str]) -> Cause:
    said = f"Unsupported value: {quoted(value)}: supported values: {', '.join(map(quoted, allowed))}"
    return Cause(field, said, NOT_SUPPORTED)


_NONE: Final = Rule()
_RULES: Final[Mapping[Kind, Rule]] = {
    kinds.CRD: Rule(registration.prepared, registration.causes),
    kinds.CLUSTER_ROLE: Rule(_role, _role_causes),
    kinds.CLUSTER_ROLE_BINDING: Rule(_binding, _binding_causes),
    kinds.EVENT: Rule(_event, _event_causes),
    kinds.LEASE: Rule(_lease, _lease_causes),
    kinds.NAMESPACE: Rule(_namespace),
    kinds.NODE: Rule(_node),
    kinds.ROLE: Rule(_role, _role_causes),
    kinds.ROLE_BINDING: Rule(_binding, _binding_causes),
    kinds.SECRET: Rule(_secret, _secret_causes),
}

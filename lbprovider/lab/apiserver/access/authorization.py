"""Who may do what: RBAC, evaluated from the Roles, ClusterRoles and bindings that are stored.

``system:masters`` may do everything; all else is written in objects (rbac.authorization.k8s.io/v1), the first of which
``bootstrap`` makes. What a user's bindings come to is remembered until any of these objects changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.access.authentication import User
from lbprovider.lab.apiserver.asked import Asked
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Event, Store

MASTERS: Final = "system:masters"
_REMEMBERED: Final = 1000
"""Users and namespaces whose rules are kept ready; more than a lab has."""
_RBAC: Final = (kinds.ROLE, kinds.CLUSTER_ROLE, kinds.ROLE_BINDING, kinds.CLUSTER_ROLE_BINDING)

Rule = Mapping[str, Sequence[str]]


class Authorizer:
    """Decides by RBAC.

    Args:
        store: has the Roles and their bindings.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: dict[tuple[User, str], tuple[Rule, ...]] = {}
        for kind in _RBAC:
            store.subscribe(kind.resource, self._changed)

    def _changed(self, _: Event) -> None:
        self._rules.clear()

    def allowed(self, user: User, asked: Asked) -> bool:
        """Whether the user may do that."""
        if MASTERS in user.groups:
            return True
        fits = _fits_resource if asked.plural else _fits_path
        return any(fits(rule, asked) for rule in self._rules_of(user, asked.namespace))

    def check(self, user: User, asked: Asked) -> None:
        """Refuses what the user may not do.

        Raises:
            Refusal: 403.
        """
        if not self.allowed(user, asked):
            raise _refusal(user, asked)

    def _rules_of(self, user: User, namespace: str) -> tuple[Rule, ...]:
        known = self._rules.get((user, namespace))
        if known is None:
            if len(self._rules) >= _REMEMBERED:
                self._rules.clear()
            known = self._rules[user, namespace] = tuple(self._bound(user, namespace))
        return known

    def _bound(self, user: User, namespace: str) -> Iterator[Rule]:
        bindings = list(self._store.entries(kinds.CLUSTER_ROLE_BINDING.resource))
        if namespace:
            bindings += self._store.entries(kinds.ROLE_BINDING.resource, namespace)
        for binding in bindings:
            if any(_is(user, subject, binding.key.namespace) for subject in binding.value.get("subjects") or ()):
                yield from self._role(binding.value["roleRef"], binding.key.namespace)

    def _role(self, reference: Mapping[str, str], namespace: str) -> Sequence[Rule]:
        if reference["kind"] == kinds.CLUSTER_ROLE.kind:
            role = self._store.get(kinds.CLUSTER_ROLE.resource, "", reference["name"])
        else:
            role = self._store.get(kinds.ROLE.resource, namespace, reference["name"])
        # A binding may name a role that isn't there (yet): it grants nothing.
        return (role.value.get("rules") or ()) if role is not None else ()


def _is(user: User, subject: Mapping[str, Any], namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case _:
            where = subject.get("namespace") or namespace
            return user.name == f"system:serviceaccount:{where}:{subject['name']}"


def _fits_resource(rule: Rule, asked: Asked) -> bool:
    return (
        _has(rule.get("verbs"), asked.verb)
        and _has(rule.get("apiGroups"), asked.group)
        and _covers(rule.get("resources") or (), asked)
        and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
    )


def _covers(resources: Sequence[str], asked: Asked) -> bool:
    if not asked.subresource:
        return _has(resources, asked.plural)
    wanted = ("*", f"{asked.plural}/{asked.subresource}", f"*/{asked.subresource}")
    return any(each in resources for each in wanted)


def _fits_path(rule: Rule, asked: Asked) -> bool:
    paths = rule.get("nonResourceURLs") or ()
    return _has(rule.get("verbs"), asked.verb) and any(
        asked.path == path or (path.endswith("*") and asked.path.startswith(path[:-1])) for path in paths
    )


def _has(listed: Sequence[str] | None, wanted: str) -> bool:
    return listed is not None and (wanted in listed or "*" in listed)


def _refusal(user: User, asked: Asked) -> Refusal:
    if not asked.plural:
        message = f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"'
        return Refusal(403, "Forbidden", message, {})
    resource = f"{asked.plural}/{asked.subresource}" if asked.subresource else asked.plural
    what = f"{asked.plural}.{asked.group}" if asked.group else asked.plural
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    named = f' "{asked.name}"' if asked.name else ""
    message = (
        f'{what}{named} is forbidden: User "{user.name}" cannot {asked.verb} resource "{resource}" '
        f'in API group "{asked.group}" {where}'
    )
    details = {"name": asked.name, "group": asked.group, "kind": asked.plural}
    return Refusal(403, "Forbidden", message, {key: value for key, value in details.items() if value})

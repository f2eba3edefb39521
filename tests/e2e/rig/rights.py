"""What Roles grant, held against what an API server was asked for. Pure."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tests.e2e.rig.audit import Request

Manifest = dict[str, Any]

ANY: Final = "*"
FORBIDDEN: Final = 403


class Right(NamedTuple):
    """One verb on one resource, as a Role or a ClusterRole grants it to a ServiceAccount."""

    user: str
    """``system:serviceaccount:<namespace>:<name>``."""
    verb: str
    resource: str
    """As kubectl takes it: ``ipallocations.lbprovider.io/status``."""
    scope: str
    """The one namespace that it is granted in, or ``*``."""
    name: str
    """The one object that it is granted for, or ``*``."""

    def __str__(self) -> str:
        where = "in the whole cluster" if self.scope == ANY else f"in namespace {self.scope}"
        return f"{self.user.rpartition(':')[2]}: {self.verb} {self.resource} {self.name} {where}"


def granted(objects: Iterable[Manifest], user: str) -> frozenset[Right]:
    """All that is bound to a ServiceAccount by name, of Roles, ClusterRoles and their bindings among ``objects``.

    Raises:
        KeyError: a binding names a role that is not there.
    """
    known = list(objects)
    roles = {_key(each): each for each in known if each["kind"] in ("Role", "ClusterRole")}
    return frozenset(
        Right(user, verb, _resource(group, resource), binding["metadata"].get("namespace", ANY), name)
        for binding in known
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding") and user in map(_user, binding.get("subjects", ()))
        for rule in roles[_referred(binding)]["rules"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for name in rule.get("resourceNames", (ANY,))
        for verb in rule["verbs"]
    )


def unused(rights: Iterable[Right], requests: Iterable[Request]) -> frozenset[Right]:
    """The rights that no request needed.

    One that is granted in the whole cluster is needed by a request outside the ServiceAccount's own namespace only:
    for others, a Role would do.
    """
    asked = {
        (each.user, each.verb, _resource(each.group, _with(each.resource, each.subresource)), each.namespace, each.name)
        for each in requests
        if each.status != FORBIDDEN
    }
    return frozenset(right for right in rights if not any(_needs(right, one) for one in asked))


def _needs(right: Right, asked: tuple[str, str, str, str, str]) -> bool:
    user, verb, resource, namespace, name = asked
    home = right.user.split(":")[2]
    return (
        (user, verb, resource) == right[:3]
        and (namespace != home if right.scope == ANY else namespace == right.scope)
        and right.name in (ANY, name)
    )


def _key(role: Manifest) -> tuple[str, str, str]:
    return role["kind"], role["metadata"].get("namespace", ANY), role["metadata"]["name"]


def _referred(binding: Manifest) -> tuple[str, str, str]:
    kind = binding["roleRef"]["kind"]
    namespace = ANY if kind == "ClusterRole" else binding["metadata"]["namespace"]
    return kind, namespace, binding["roleRef"]["name"]


def _user(subject: Manifest) -> str:
    if subject["kind"] != "ServiceAccount":
        return str(subject["name"])
    return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"


def _with(resource: str, subresource: str) -> str:
    return f"{resource}/{subresource}" if subresource else resource


def _resource(group: str, resource: str) -> str:
    """``("lbprovider.io", "ipallocations/status")`` as ``ipallocations.lbprovider.io/status``."""
    plural, _, subresource = resource.partition("/")
    return _with(f"{plural}.{group}" if group else plural, subresource)

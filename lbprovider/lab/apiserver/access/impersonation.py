"""Who asks on whose behalf: ``kubectl --as`` (Impersonate-User, Impersonate-Group), for those whom RBAC lets do it.

Without this an admin who asks what somebody else may do would hear what he may do himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lbprovider.lab.apiserver.access.authentication import (
    ACCOUNT_PREFIX,
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
)
from lbprovider.lab.apiserver.asked import Asked
from lbprovider.lab.apiserver.statuses import bad_request

USER: Final = "impersonate-user"
GROUP: Final = "impersonate-group"
_OTHERS: Final = ("impersonate-uid", "impersonate-extra-")


def impersonated(user: User, headers: Iterable[tuple[str, str]], check: Callable[[User, Asked], None]) -> User:
    """Who a request is to be judged as.

    Args:
        user: who sends it.
        headers: of the request.
        check: refuses what a user may not do.

    Raises:
        Refusal: 400, or 403.
    """
    wanted = [(name.lower(), value) for name, value in headers if name.lower().startswith("impersonate-")]
    if any(name.startswith(_OTHERS) for name, _ in wanted):
        raise bad_request("the lab's API server impersonates users and groups, with no uid and nothing extra")
    name = next((value for header, value in wanted if header == USER and value), "")
    groups = tuple(value for header, value in wanted if header == GROUP)
    if groups and not name:
        raise bad_request(f"requested groups {', '.join(groups)} without impersonating a user")
    if not name:
        return user
    for asked in (_as_user(name), *(_asked("groups", each) for each in groups)):
        check(user, asked)
    return User(name, _groups(name, groups))


def _asked(plural: str, name: str, namespace: str = "") -> Asked:
    return Asked("impersonate", "", "", "v1", plural, namespace, name)


def _account(name: str) -> tuple[str, str] | None:
    """The namespace and name of a ServiceAccount that a user is."""
    namespace, colon, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, account) if name.startswith(ACCOUNT_PREFIX) and colon else None


def _as_user(name: str) -> Asked:
    account = _account(name)
    return _asked("serviceaccounts", account[1], account[0]) if account else _asked("users", name)


def _groups(name: str, asked_for: Sequence[str]) -> tuple[str, ...]:
    """The groups that a user is in besides those that are asked for."""
    if name == ANONYMOUS:
        return (*asked_for, UNAUTHENTICATED)
    account = _account(name)
    own = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}") if account and not asked_for else ()
    return (*asked_for, *own, AUTHENTICATED)

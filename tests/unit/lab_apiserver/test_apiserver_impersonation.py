"""Asking on somebody's behalf; codes and groups are a kube-apiserver 1.35's."""

import pytest

from lbprovider.lab.apiserver.access.authentication import User
from lbprovider.lab.apiserver.access.impersonation import impersonated
from lbprovider.lab.apiserver.asked import Asked
from lbprovider.lab.apiserver.statuses import Refusal

ADMIN = User("admin", ("system:masters", "system:authenticated"))


def allow(_: User, __: Asked) -> None:
    """Admins may do anything."""


def judged_as(*headers: tuple[str, str]) -> User:
    return impersonated(ADMIN, headers, allow)


def test_without_the_headers_everybody_is_himself() -> None:
    assert judged_as(("Authorization", "Bearer x"), ("Impersonate-User", "")) == ADMIN


@pytest.mark.parametrize(
    ("name", "groups", "after"),
    [
        ("bob", [], ("system:authenticated",)),
        ("bob", ["a", "b"], ("a", "b", "system:authenticated")),
        (
            "system:serviceaccount:kt:s",
            [],
            ("system:serviceaccounts", "system:serviceaccounts:kt", "system:authenticated"),
        ),
        ("system:serviceaccount:kt:s", ["a"], ("a", "system:authenticated")),
        ("system:anonymous", [], ("system:unauthenticated",)),
    ],
)
def test_who_a_request_is_judged_as(name: str, groups: list[str], after: tuple[str, ...]) -> None:
    asked = [("impersonate-user", name), *(("Impersonate-Group", each) for each in groups)]
    assert judged_as(*asked) == User(name, after)


def test_only_who_may_asks_for_others() -> None:
    seen: list[Asked] = []

    def check(user: User, asked: Asked) -> None:
        assert user == ADMIN
        seen.append(asked)
        if asked.plural == "groups":
            raise Refusal(403, "Forbidden", "no")

    with pytest.raises(Refusal, match=r"^no$"):
        impersonated(ADMIN, [("Impersonate-User", "system:serviceaccount:kt:s"), ("Impersonate-Group", "a")], check)
    assert [(each.verb, each.group, each.plural, each.namespace, each.name) for each in seen] == [
        ("impersonate", "", "serviceaccounts", "kt", "s"),
        ("impersonate", "", "groups", "", "a"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [("Impersonate-Group", "a")],
        [("Impersonate-User", "bob"), ("Impersonate-Uid", "1")],
        [("Impersonate-User", "bob"), ("Impersonate-Extra-a", "b")],
    ],
)
def test_what_makes_no_sense_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Refusal) as error:
        judged_as(*headers)
    assert error.value.code == 400

from pathlib import Path

import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.access.authentication import (
    ANONYMOUS,
    NOBODY,
    Account,
    Authenticator,
    User,
    read_users,
    sign,
)
from lbprovider.lab.apiserver.access.authorization import Authorizer
from lbprovider.lab.apiserver.asked import Asked, parse
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Object
from tests.unit.lab_apiserver.house import House

KEY = b"k" * 32
NOON = 1_800_000_000.0
BOB = User("bob", ("carpenters", "system:authenticated"))


@pytest.fixture
def account(house: House) -> Object:
    return house.create(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "robot"}})


@pytest.fixture
def authenticator(house: House) -> Authenticator:
    return Authenticator({"secret": BOB}, KEY, house.store)


def test_users_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text('t1,admin,0,"system:masters,other"\nt2,bob,1\n')
    users = read_users(path)
    assert users["t1"] == User("admin", ("system:masters", "other", "system:authenticated"), "0")
    assert users["t2"] == User("bob", ("system:authenticated",), "1")


def test_who_says_nothing_is_nobody_and_who_lies_is_refused(authenticator: Authenticator) -> None:
    assert authenticator.user("", NOON) is NOBODY
    assert NOBODY.name == ANONYMOUS
    assert authenticator.user("Bearer secret", NOON) is BOB
    for wrong in ("Bearer nonsense", "Bearer a.b.c", "Bearer é.é.é"):
        with pytest.raises(Refusal) as caught:
            authenticator.user(wrong, NOON)
        assert caught.value.code == 401


def test_an_accounts_token_is_good_for_its_time(authenticator: Authenticator, account: Object) -> None:
    token = f"Bearer {authenticator.token(account, NOON, 600, ['a'])}"
    user = authenticator.user(token, NOON + 599)
    assert user.name == "system:serviceaccount:default:robot"
    assert user.uid == account["metadata"]["uid"]
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    with pytest.raises(Refusal):
        authenticator.user(token, NOON + 600)


def test_an_accounts_token_is_worth_nothing_without_it(
    house: House, authenticator: Authenticator, account: Object
) -> None:
    token = f"Bearer {authenticator.token(account, NOON, 600, ['a'])}"
    by_name = f"Bearer {sign(KEY, Account('default', 'robot'), NOON, 600)}"
    house.delete(kinds.SERVICE_ACCOUNT, "robot")
    for each in (token, by_name):
        with pytest.raises(Refusal):
            authenticator.user(each, NOON)
    house.create(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "robot"}})
    with pytest.raises(Refusal):  # another of that name
        authenticator.user(token, NOON)
    assert authenticator.user(by_name, NOON).name == "system:serviceaccount:default:robot"


def test_a_token_signed_by_another_key_is_none(authenticator: Authenticator, account: Object) -> None:
    forged = sign(b"x" * 32, Account("default", "robot", account["metadata"]["uid"]), NOON, 600)
    with pytest.raises(Refusal):
        authenticator.user(f"Bearer {forged}", NOON)


# --- RBAC


@pytest.fixture
def authorizer(house: House) -> Authorizer:
    return Authorizer(house.store)


def allow(house: House, rules: list[Object], subject: Object, namespace: str = "") -> None:
    kind = "ClusterRole" if not namespace else "Role"
    role, binding = (
        (kinds.CLUSTER_ROLE, kinds.CLUSTER_ROLE_BINDING) if not namespace else (kinds.ROLE, kinds.ROLE_BINDING)
    )
    house.create(role, {"metadata": {"name": "r"}, "rules": rules}, namespace=namespace)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "r"}
    house.create(binding, {"metadata": {"name": "r"}, "roleRef": reference, "subjects": [subject]}, namespace=namespace)


def asked(line: str) -> Asked:
    method, _, path = line.partition(" ")
    return parse(method, path, {})


PODS: Object = {"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "list"]}


def test_masters_may_do_everything_and_nobody_next_to_nothing(authorizer: Authorizer) -> None:
    assert authorizer.allowed(User("x", ("system:masters",)), asked("DELETE /api/v1/nodes/n"))
    assert not authorizer.allowed(BOB, asked("GET /api/v1/nodes"))
    assert authorizer.allowed(BOB, asked("GET /apis/anything/v1"))
    assert authorizer.allowed(NOBODY, asked("GET /readyz"))
    assert not authorizer.allowed(NOBODY, asked("GET /apis"))


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "User", "name": "bob"},
        {"kind": "Group", "name": "carpenters"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "default"},
    ],
)
def test_each_kind_of_subject(house: House, authorizer: Authorizer, subject: Object) -> None:
    robot = User("system:serviceaccount:default:robot", ("system:authenticated",))
    user = robot if subject["kind"] == "ServiceAccount" else BOB
    assert not authorizer.allowed(user, asked("GET /api/v1/pods"))
    allow(house, [PODS], subject)
    assert authorizer.allowed(user, asked("GET /api/v1/pods"))
    assert authorizer.allowed(user, asked("GET /api/v1/namespaces/any/pods/p/status"))
    assert not authorizer.allowed(user, asked("GET /api/v1/namespaces/any/pods/p/log"))
    assert not authorizer.allowed(user, asked("DELETE /api/v1/namespaces/any/pods/p"))
    assert not authorizer.allowed(user, asked("GET /apis/g.io/v1/pods"))


def test_a_role_ends_at_its_namespace_and_its_names(house: House, authorizer: Authorizer) -> None:
    allow(house, [{**PODS, "resourceNames": ["mine"]}], {"kind": "User", "name": "bob"}, "default")
    assert authorizer.allowed(BOB, asked("GET /api/v1/namespaces/default/pods/mine"))
    assert not authorizer.allowed(BOB, asked("GET /api/v1/namespaces/default/pods/other"))
    assert not authorizer.allowed(BOB, asked("GET /api/v1/namespaces/default/pods"))
    assert not authorizer.allowed(BOB, asked("GET /api/v1/namespaces/kube-system/pods/mine"))
    named = parse("GET", "/api/v1/namespaces/default/pods", {"fieldSelector": "metadata.name=mine"})
    assert authorizer.allowed(BOB, named)


def test_stars_and_paths(house: House, authorizer: Authorizer) -> None:
    rules = [
        {"apiGroups": ["*"], "resources": ["*/status"], "verbs": ["patch"]},
        {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
    ]
    allow(house, rules, {"kind": "User", "name": "bob"})
    assert authorizer.allowed(BOB, asked("PATCH /apis/g.io/v1/things/t/status"))
    assert not authorizer.allowed(BOB, asked("PATCH /apis/g.io/v1/things/t"))
    assert authorizer.allowed(BOB, asked("GET /metrics"))
    assert authorizer.allowed(BOB, asked("GET /logs/today"))
    assert not authorizer.allowed(BOB, asked("GET /metrics/more"))


def test_rights_end_with_their_binding_and_a_missing_role_grants_none(house: House, authorizer: Authorizer) -> None:
    allow(house, [PODS], {"kind": "User", "name": "bob"})
    assert authorizer.allowed(BOB, asked("GET /api/v1/pods"))
    house.delete(kinds.CLUSTER_ROLE, "r")
    assert not authorizer.allowed(BOB, asked("GET /api/v1/pods"))
    house.create(kinds.CLUSTER_ROLE, {"metadata": {"name": "r"}, "rules": [PODS]})
    assert authorizer.allowed(BOB, asked("GET /api/v1/pods"))
    house.delete(kinds.CLUSTER_ROLE_BINDING, "r")
    assert not authorizer.allowed(BOB, asked("GET /api/v1/pods"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "GET /api/v1/pods",
            'pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster',
        ),
        ("GET /logs", 'forbidden: User "bob" cannot get path "/logs"'),
        (
            "PATCH /apis/g.io/v1/namespaces/a/things/t/status",
            'User "bob" cannot patch resource "things/status" in API group "g.io" in the namespace "a"',
        ),
    ],
)
def test_what_a_refusal_says(authorizer: Authorizer, line: str, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        authorizer.check(BOB, asked(line))
    assert caught.value.code == 403
    assert words in caught.value.message

"""What the shipped RBAC lets the controller and the speaker do."""

import http
from dataclasses import dataclass

import pytest

from lbprovider.api.resources import ALLOCATIONS
from lbprovider.lab.provider import CONTROLLER, NAMESPACE, SPEAKER
from tests.contract.kinds import DRY, Stored, body, path
from tests.contract.servers import Server
from tests.e2e.rig.api import Api, ApiError


@dataclass(frozen=True, slots=True)
class Wish:
    """A request of one of the ServiceAccounts; ``resource`` as ``group/plural/subresource``."""

    account: str
    verb: str
    resource: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.account} {self.verb} {self.resource} {self.name}{where}"


@pytest.fixture(scope="module")
def accounts(server: Server) -> dict[str, Api]:
    """The server as each of our two ServiceAccounts sees it."""
    return {account: server.api_as(server.token_of(account)) for account in (CONTROLLER, SPEAKER)}


def granted(accounts: dict[str, Api], wish: Wish) -> bool:
    """Whether the API server would let it through."""
    group, plural, subresource = wish.resource.split("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "verb": wish.verb,
                "group": group,
                "resource": plural,
                "subresource": subresource,
                "name": wish.name,
                "namespace": wish.namespace,
            },
        },
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    allowed: bool = accounts[wish.account].create(path, review)["status"]["allowed"]
    return allowed


ADMISSION = "admissionregistration.k8s.io"
MAY = [
    Wish(CONTROLLER, "patch", "/services/status", "web", "shop"),
    Wish(CONTROLLER, "create", "lbprovider.io/ipallocations/"),
    Wish(CONTROLLER, "patch", "lbprovider.io/ipallocations/status", "192.0.2.10"),
    Wish(CONTROLLER, "list", "lbprovider.io/ipaddresspools/", namespace=NAMESPACE),
    Wish(CONTROLLER, "get", "/secrets/", "lbprovider-heartbeat", NAMESPACE),
    Wish(CONTROLLER, "watch", "/secrets/", "lbprovider-webhook", NAMESPACE),
    Wish(CONTROLLER, "patch", "/secrets/", "lbprovider-webhook", NAMESPACE),
    Wish(CONTROLLER, "patch", f"{ADMISSION}/validatingwebhookconfigurations/", "lbprovider-webhook"),
    Wish(SPEAKER, "list", "lbprovider.io/ipallocations/"),
    Wish(SPEAKER, "patch", "lbprovider.io/ipallocations/status", "192.0.2.10"),
    Wish(SPEAKER, "create", "/events/", namespace="shop"),
    Wish(SPEAKER, "update", "lbprovider.io/segments/", "192.0.2.0-24"),
    Wish(SPEAKER, "get", "/namespaces/", "kube-system"),
    Wish(SPEAKER, "list", "discovery.k8s.io/endpointslices/"),
    Wish(SPEAKER, "watch", "discovery.k8s.io/endpointslices/", namespace="shop"),
    Wish(SPEAKER, "watch", "/secrets/", "lbprovider-heartbeat", NAMESPACE),
    Wish(SPEAKER, "update", "coordination.k8s.io/leases/", "n1", NAMESPACE),
]
MAY_NOT = [
    Wish(CONTROLLER, "update", "/services/", "web", "shop"),
    Wish(CONTROLLER, "patch", "/services/", "web", "shop"),
    Wish(CONTROLLER, "list", "lbprovider.io/ipaddresspools/"),
    Wish(CONTROLLER, "get", "/secrets/", "another", NAMESPACE),
    Wish(CONTROLLER, "list", "/secrets/", namespace=NAMESPACE),
    Wish(CONTROLLER, "patch", "/secrets/", "lbprovider-heartbeat", NAMESPACE),
    Wish(CONTROLLER, "patch", f"{ADMISSION}/validatingwebhookconfigurations/", "another"),
    Wish(CONTROLLER, "list", f"{ADMISSION}/validatingwebhookconfigurations/"),
    Wish(CONTROLLER, "delete", f"{ADMISSION}/validatingwebhookconfigurations/", "lbprovider-webhook"),
    Wish(SPEAKER, "get", "/secrets/", "lbprovider-webhook", NAMESPACE),
    Wish(CONTROLLER, "update", "coordination.k8s.io/leases/", "n1", NAMESPACE),
    Wish(SPEAKER, "create", "lbprovider.io/ipallocations/"),
    Wish(SPEAKER, "patch", "lbprovider.io/ipallocations/", "192.0.2.10"),
    Wish(SPEAKER, "delete", "lbprovider.io/segments/", "192.0.2.0-24"),
    Wish(SPEAKER, "list", "/services/"),
    Wish(SPEAKER, "list", "/namespaces/"),
    Wish(SPEAKER, "update", "discovery.k8s.io/endpointslices/", "web-1", "shop"),
    Wish(SPEAKER, "watch", "/secrets/", namespace=NAMESPACE),
    Wish(SPEAKER, "update", "coordination.k8s.io/leases/", "n1", "kube-node-lease"),
]


@pytest.mark.parametrize("wish", MAY, ids=str)
def test_each_may_do_its_own_work(accounts: dict[str, Api], wish: Wish) -> None:
    assert granted(accounts, wish)


@pytest.mark.parametrize("wish", MAY_NOT, ids=str)
def test_neither_may_do_more(accounts: dict[str, Api], wish: Wish) -> None:
    assert not granted(accounts, wish)


def test_a_speaker_can_allocate_nothing(accounts: dict[str, Api], api: Api, stored: Stored) -> None:
    stored(ALLOCATIONS, {"address": "192.0.2.10", "pool": "lan"}, "192.0.2.10")
    speaker = accounts[SPEAKER]
    with pytest.raises(ApiError) as error:
        speaker.create(
            path(ALLOCATIONS) + DRY, body(ALLOCATIONS, {"address": "192.0.2.11", "pool": "lan"}, "192.0.2.11")
        )
    assert error.value.status == http.HTTPStatus.FORBIDDEN
    with pytest.raises(ApiError) as error:
        speaker.patch(path(ALLOCATIONS, "192.0.2.10"), {"spec": {"nodes": ["n1"]}})
    assert error.value.status == http.HTTPStatus.FORBIDDEN
    written = speaker.patch(path(ALLOCATIONS, "192.0.2.10", "status"), {"status": {"leader": "n1"}})
    assert written["status"]["leader"] == "n1"
    assert api.get(path(ALLOCATIONS, "192.0.2.10"))["spec"] == written["spec"]

"""What the shipped RBAC lets the controller and the speaker do, asked of a real API server."""

import http
from dataclasses import dataclass

import pytest

from lbprovider.api.resources import ALLOCATIONS
from tests.e2e.kinds import DRY, Stored, body, path
from tests.e2e.rig import ours
from tests.e2e.rig.api import Api, ApiError
from tests.e2e.rig.cluster import NAMESPACE, Cluster

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])


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


def granted(api: Api, wish: Wish) -> bool:
    """Whether the API server would let it through."""
    group, plural, subresource = wish.resource.split("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:{wish.account}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
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
    allowed: bool = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]
    return allowed


MAY = [
    Wish(ours.CONTROLLER, "patch", "/services/status", "web", "shop"),
    Wish(ours.CONTROLLER, "create", "lbprovider.io/ipallocations/"),
    Wish(ours.CONTROLLER, "list", "lbprovider.io/ipaddresspools/", namespace=NAMESPACE),
    Wish(ours.CONTROLLER, "get", "/secrets/", "lbprovider-heartbeat", NAMESPACE),
    Wish(ours.SPEAKER, "list", "lbprovider.io/ipallocations/"),
    Wish(ours.SPEAKER, "patch", "lbprovider.io/ipallocations/status", "192.0.2.10"),
    Wish(ours.SPEAKER, "update", "lbprovider.io/segments/", "192.0.2.0-24"),
    Wish(ours.SPEAKER, "get", "/namespaces/", "kube-system"),
    Wish(ours.SPEAKER, "watch", "/secrets/", "lbprovider-heartbeat", NAMESPACE),
    Wish(ours.SPEAKER, "update", "coordination.k8s.io/leases/", "n1", NAMESPACE),
]
MAY_NOT = [
    Wish(ours.CONTROLLER, "update", "/services/", "web", "shop"),
    Wish(ours.CONTROLLER, "patch", "/services/", "web", "shop"),
    Wish(ours.CONTROLLER, "list", "lbprovider.io/ipaddresspools/"),
    Wish(ours.CONTROLLER, "get", "/secrets/", "another", NAMESPACE),
    Wish(ours.CONTROLLER, "list", "/secrets/", namespace=NAMESPACE),
    Wish(ours.CONTROLLER, "update", "coordination.k8s.io/leases/", "n1", NAMESPACE),
    Wish(ours.SPEAKER, "create", "lbprovider.io/ipallocations/"),
    Wish(ours.SPEAKER, "patch", "lbprovider.io/ipallocations/", "192.0.2.10"),
    Wish(ours.SPEAKER, "delete", "lbprovider.io/segments/", "192.0.2.0-24"),
    Wish(ours.SPEAKER, "list", "/services/"),
    Wish(ours.SPEAKER, "list", "/namespaces/"),
    Wish(ours.SPEAKER, "watch", "/secrets/", namespace=NAMESPACE),
    Wish(ours.SPEAKER, "update", "coordination.k8s.io/leases/", "n1", "kube-node-lease"),
]


@pytest.mark.parametrize("wish", MAY, ids=str)
def test_each_may_do_its_own_work(api: Api, wish: Wish) -> None:
    assert granted(api, wish)


@pytest.mark.parametrize("wish", MAY_NOT, ids=str)
def test_neither_may_do_more(api: Api, wish: Wish) -> None:
    assert not granted(api, wish)


def test_a_speaker_can_allocate_nothing(cluster: Cluster, api: Api, stored: Stored) -> None:
    stored(ALLOCATIONS, {"address": "192.0.2.10", "pool": "lan"}, "192.0.2.10")
    speaker = cluster.api_as(ours.SPEAKER)
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

"""The control plane that real kubelets register at: its programs' own rights, and what a kubelet may do."""

import contextlib
import datetime as dt
import functools
import http
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from lbprovider.lab import objects
from lbprovider.lab.lan import Lan, LanNode
from tests.e2e.rig import binaries as programs
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.controlplane import (
    CONTROLLER_MANAGER,
    KUBELET_CLIENT,
    SCHEDULER,
    WITH_KUBELETS,
    ControlPlane,
    node_user,
)
from tests.e2e.rig.waiting import eventually

KUBELET_PORT = 10250
MISSING_RIGHT = re.compile("forbidden|unauthorized|cannot [a-z]+ resource|missing content for CA", re.IGNORECASE)
"""How the programs log it."""
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def plane(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("controlplane")
    with Lan(3, directory) as lan, ControlPlane(binaries, lan, directory, WITH_KUBELETS) as made:
        yield made


def kubelet(plane: ControlPlane, name: str) -> Api:
    """The API server as a node's kubelet sees it."""
    return plane.api_as_token(plane.token_for(node_user(name)))


def status(place: LanNode) -> Object:
    return {
        **objects.node_status(place, dt.datetime.now(dt.UTC)),
        "addresses": [{"type": "InternalIP", "address": str(place.management)}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
    }


@pytest.fixture(scope="module")
def node1(plane: ControlPlane) -> LanNode:
    """A node whose kubelet has registered it, with no other right than a kubelet's."""
    place = plane.lan.nodes["node1"]
    itself = kubelet(plane, place.name)
    itself.create("/api/v1/nodes", objects.node(place))
    itself.patch(f"/api/v1/nodes/{place.name}/status", {"status": status(place)}, how="strategic")
    return place


def deployment(name: str) -> Object:
    labels = {"app": name}
    pod = {
        "containers": [{"name": "web", "image": "web:none"}],
        "volumes": [{"name": "own", "secret": {"secretName": "mounted"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def secret(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": "value"}}


def refused(request: functools.partial[Object]) -> str:
    """What the API server says to somebody who may not."""
    with pytest.raises(ApiError) as error:
        request()
    assert error.value.status == http.HTTPStatus.FORBIDDEN
    return str(error.value)


@pytest.fixture(scope="module")
def pod(plane: ControlPlane, node1: LanNode) -> Object:
    """A Deployment's Pod once it has a node."""
    for name in ("mounted", "another"):
        plane.api.create("/api/v1/namespaces/default/secrets", secret(name))
    plane.api.create("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    bound = functools.partial(plane.api.items, f"{PODS}?fieldSelector=spec.nodeName={node1.name}")
    return eventually(bound, "the Pod is bound")[0]


def test_a_deployment_becomes_a_pod_with_a_node_and_each_program_acts_as_itself(
    plane: ControlPlane, pod: Object
) -> None:
    assert pod["spec"]["nodeName"] == "node1"
    projected = [each for each in pod["spec"]["volumes"] if "projected" in each]
    assert projected, "the Pod gets no token of its ServiceAccount"
    made = {
        (each.user, each.resource, each.subresource)
        for each in plane.audit.requests(lambda each: each.verb == "create" and each.namespace == "default")
    }
    assert ("system:serviceaccount:kube-system:deployment-controller", "replicasets", "") in made
    assert ("system:serviceaccount:kube-system:replicaset-controller", "pods", "") in made
    assert (SCHEDULER, "pods", "binding") in made


@pytest.mark.usefixtures("pod")  # they have worked
def test_every_program_is_healthy_and_lacks_no_right(plane: ControlPlane) -> None:
    assert plane.kubectl("get", "--raw", "/readyz") == "ok"
    assert sorted(plane.processes) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert [each.name for each in plane.processes.values() if not each.running] == []
    own = re.compile(f"{CONTROLLER_MANAGER}|{SCHEDULER}|system:apiserver|system:serviceaccount:kube-system:.*")
    known = [each for each in plane.audit.requests() if own.fullmatch(each.user)]
    assert {CONTROLLER_MANAGER, SCHEDULER, "system:apiserver"} <= {each.user for each in known}
    assert [each for each in known if each.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)] == []
    for name in ("kube-controller-manager", "kube-scheduler"):
        lines = plane.processes[name].log.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if MISSING_RIGHT.search(line)] == []


@pytest.mark.usefixtures("pod")
def test_a_kubelet_may_touch_its_own_node_and_no_other(plane: ControlPlane, node1: LanNode) -> None:
    itself, node2 = kubelet(plane, node1.name), plane.lan.nodes["node2"]
    assert "not allowed" in refused(functools.partial(itself.create, "/api/v1/nodes", objects.node(node2)))
    plane.api.create("/api/v1/nodes", objects.node(node2))
    ready = functools.partial(itself.patch, how="strategic")
    assert "node2" in refused(functools.partial(ready, "/api/v1/nodes/node2/status", {"status": status(node2)}))
    restricted = {"metadata": {"labels": {"node-restriction.kubernetes.io/trusted": "yes"}}}
    assert "node-restriction" in refused(functools.partial(itself.patch, "/api/v1/nodes/node1", restricted))
    labelled = itself.patch("/api/v1/nodes/node1", {"metadata": {"labels": {"example.com/rack": "7"}}})
    assert labelled["metadata"]["labels"]["example.com/rack"] == "7"


def test_a_kubelet_reads_only_what_its_pods_use_and_gets_tokens_only_for_them(plane: ControlPlane, pod: Object) -> None:
    itself, other = kubelet(plane, "node1"), kubelet(plane, "node2")
    secrets = "/api/v1/namespaces/default/secrets"
    assert itself.get(f"{secrets}/mounted")["data"]
    assert "no relationship" in refused(functools.partial(itself.get, f"{secrets}/another"))
    assert "no relationship" in refused(functools.partial(other.get, f"{secrets}/mounted"))
    metadata = pod["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
    account = "/api/v1/namespaces/default/serviceaccounts/default/token"
    assert itself.create(account, body)["status"]["token"]
    refused(functools.partial(other.create, account, body))


class Kubelet:
    """Stands for a kubelet's port: takes no caller without a certificate of the cluster's, and tells who it was."""

    def __init__(self, plane: ControlPlane, place: LanNode) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(plane.authority))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(plane.directory / "pki" / "server.crt", plane.directory / "pki" / "server.key")
        address = (str(place.management), KUBELET_PORT)
        plain = place.namespace.run(lambda: socket.create_server(address))
        self._listener = context.wrap_socket(plain, server_side=True)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with contextlib.closing(connection):
            connection.recv(4096)
            certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
            body = certificate.subject.rfc4514_string().encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread where nobody called
        self._thread.join()
        self._listener.close()


def test_the_api_server_is_known_to_kubelets_and_may_do_all_that_it_asks_of_them(
    plane: ControlPlane, node1: LanNode
) -> None:
    with contextlib.closing(Kubelet(plane, node1)):
        assert plane.api.text("/api/v1/nodes/node1/proxy/pods") == f"CN={KUBELET_CLIENT}"
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    for subresource in ("proxy", "stats", "log", "metrics"):
        asked = {"resource": "nodes", "subresource": subresource, "verb": "create"}
        for user, may in ((KUBELET_CLIENT, True), (node_user("node1"), False)):
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": asked},
            }
            assert plane.api.create(reviews, review)["status"]["allowed"] is may, (user, subresource)


def test_what_an_assets_folder_lacks_is_built(
    binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):  # what envtest's archive has
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="nowhere, which is no folder"):
        programs.find()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = programs.find()
    assert {found.etcd, found.apiserver, found.kubectl} == {*tmp_path.iterdir()}
    if binaries.kubelet.parent.name.startswith("v"):  # else the user's folder has all of it
        assert (found.scheduler, found.kubelet) == (binaries.scheduler, binaries.kubelet)

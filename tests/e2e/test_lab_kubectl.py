"""An ordinary kubectl on the lab's API server and on a real one: the same columns, the same words.

Each command runs on both, and both have to say the same; what a user reads is written out where it matters. Run with
the kubectl that was built with the control plane, and with the one that is installed, where there is one.
"""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lbprovider.lab import provider
from lbprovider.lab.apiserver.home import Home
from tests.contract.lab_server import LabServer
from tests.e2e.rig import ours
from tests.e2e.rig.api import Object
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.kubectl import Both, Kubectl

EXAMPLES: Final = ours.CONFIG.parent / "examples"
_numbers: Final = itertools.count(1)


@pytest.fixture(scope="module")
def servers(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kubectl, Kubectl]]:
    """The lab's and the real one, both with our kinds."""
    directory = tmp_path_factory.mktemp("kubectl-")
    folder = directory / "lab"
    folder.mkdir()
    with Cluster(binaries, 1, tmp_path_factory.mktemp("real-")) as cluster:
        ours.install(cluster)
        real = Kubectl("real", cluster.kubeconfig, cluster.lan.control.command)
        server = LabServer(folder)
        try:
            lab = Kubectl("lab", kubeconfig(Home(folder / "home"), directory / "kubeconfig"), list)
            for shipped in ("crd", "rbac"):  # they are there, but not by kubectl apply, which would say so each time
                lab.run(binaries.kubectl, ["apply", "-k", str(ours.CONFIG / shipped)], None, "")
            yield lab, real
        finally:
            server.close()


def kubeconfig(home: Home, path: Path) -> Path:
    endpoints = home.endpoints()
    assert endpoints is not None
    return provider.write_kubeconfig(path, server=endpoints[0], authority=home.ca, user="admin", token=home.admin_token)


@pytest.fixture(params=["built", "installed"])
def kubectl(
    request: pytest.FixtureRequest, servers: tuple[Kubectl, Kubectl], binaries: Binaries, tmp_path: Path
) -> Both:
    installed = shutil.which("kubectl")
    if request.param == "installed" and installed is None:
        pytest.skip("no kubectl is installed")
    program = Path(installed) if request.param == "installed" and installed else binaries.kubectl
    both = Both(servers, program, f"kt-{next(_numbers)}", tmp_path)
    assert both("create", "namespace", both.namespace) == f"namespace/{both.namespace} created"
    return both


@pytest.fixture
def service(kubectl: Both) -> Both:
    """With a Service called web."""
    made = kubectl("create", "service", "loadbalancer", "web", "--tcp=80:8080", "--tcp=443:https")
    assert made == "service/web created"
    return kubectl


def ip_pool(name: str = "app", **spec: Any) -> Object:
    spec = {"addresses": ["192.0.2.0/28"], **spec}
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name},
        "spec": spec,
    }


def lb_service(*ports: int, **labels: str) -> Object:
    listed = [{"name": f"p{port}", "port": port} for port in ports]
    spec = {"type": "LoadBalancer", "selector": {"app": "app"}, "ports": listed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "labels": labels}, "spec": spec}


# --- seeing


def test_get_services(service: Both) -> None:
    assert service("get", "services") == (
        "NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE\n"
        "web  LoadBalancer  10.96.x.x  <pending>  80:3xxxx/TCP,443:3xxxx/TCP  <age>"
    )
    assert service("get", "svc", "-o", "wide").endswith("<age>  app=web")
    assert service("get", "svc", "-o", "name") == "service/web"
    assert service("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].targetPort}") == "8080 https"
    assert "externalTrafficPolicy: Cluster" in service("get", "svc", "web", "-o", "yaml")
    assert '"kind": "List"' in service("get", "svc", "-o", "json")
    assert "service/web" in service("get", "all")
    assert "app=web" in service("get", "svc", "--show-labels")
    assert "NAMESPACE" in service("get", "svc", "-A", "--field-selector", f"metadata.namespace={service.namespace}")


def test_get_what_is_selected(service: Both) -> None:
    assert service("get", "svc", "-l", "app in (web,db),!other", "-o", "name") == "service/web"
    assert service("get", "svc", "-l", "app!=web") == f"No resources found in {service.namespace} namespace."
    assert service("get", "svc", "--field-selector", "spec.type=LoadBalancer", "-o", "name") == "service/web"
    assert "found '', expected: ',' or ')'" in service("get", "svc", "-l", "app in (web", code=1)
    assert "field label not supported: spec.foo" in service("get", "svc", "--field-selector", "spec.foo=1", code=1)
    missing = 'Error from server (NotFound): services "nope" not found'
    assert service("get", "svc", "nope", code=1) == missing
    assert service("get", "nope", code=1) == 'error: the server doesn\'t have a resource type "nope"'


COLUMNS: Final = {
    "namespaces": "NAME STATUS AGE",
    "nodes": "NAME STATUS ROLES AGE VERSION +INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
    "configmaps": "NAME DATA AGE",
    "secrets": "NAME TYPE DATA AGE",
    "serviceaccounts": "NAME AGE",
    "leases": "NAME HOLDER AGE",
    "endpointslices": "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
    "roles": "NAME CREATED-AT",
    "rolebindings": "NAME ROLE AGE +USERS GROUPS SERVICEACCOUNTS",
    "ipaddresspools": (
        "NAME AUTO-ASSIGN V4-ASSIGNED V4-AVAILABLE V6-ASSIGNED V6-AVAILABLE READY AGE +V4-TOTAL V6-TOTAL ADDRESSES "
        "EXHAUSTED REASON"
    ),
}
"""The columns of each kind; behind the plus those of -o wide."""


def test_get_all_kinds(kubectl: Both) -> None:
    for each in objects(kubectl):
        kubectl("create", "-f", "-", stdin=each)
    for kind, columns in COLUMNS.items():
        chosen = kubectl.namespace if kind in ("namespaces", "nodes") else "chosen"
        header, row = kubectl("get", kind, chosen, "-o", "wide").splitlines()
        assert header.replace(" ", "-").replace("--", " ") == columns.replace("+", "")
        narrow = kubectl("get", kind, chosen).splitlines()
        assert narrow[0].replace(" ", "-").replace("--", " ") == columns.partition(" +")[0]
        assert row.startswith(chosen)


def objects(kubectl: Both) -> Iterator[Object]:
    """One of each kind, called "chosen" or after the namespace."""
    named = {"name": "chosen", "namespace": kubectl.namespace}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": named}
    yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": kubectl.namespace}, "spec": {"unschedulable": True}}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"a": "b"}}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": {"a": "b"}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}
    yield {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": named,
        "spec": {"holderIdentity": "me"},
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": named,
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": [f"10.244.1.{host}"]} for host in range(2, 7)],
    }
    yield {**rbac, "kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    yield {
        **rbac,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "chosen"},
        "subjects": [{"kind": "ServiceAccount", "name": "chosen", "namespace": kubectl.namespace}],
    }
    yield {**ip_pool("chosen"), "metadata": named}


def test_watch_addresses_arrive(service: Both) -> None:
    def change() -> None:
        service("create", "service", "loadbalancer", "new", "--tcp=80")
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"ip": "2001:db8::7"}]}}}
        service("patch", "svc", "new", "--subresource=status", "--type=merge", "-p", json.dumps(status))
        service("delete", "svc", "new")

    written = service.watched(change, 5, "get", "svc", "-w").splitlines()
    assert written == [
        "NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE",
        "web  LoadBalancer  10.96.x.x  <pending>  80:3xxxx/TCP,443:3xxxx/TCP  <age>",
        "new  LoadBalancer  10.96.x.x  <pending>  80:3xxxx/TCP  <age>",
        *["new  LoadBalancer  10.96.x.x  192.0.2.7,2001:db8::7  80:3xxxx/TCP  <age>"] * 2,
    ]


def test_describe_with_events(service: Both) -> None:
    assert service("describe", "svc", "web").endswith("Events:  <none>")
    service("create", "-f", "-", stdin=ip_pool())
    assert "Spec:\n  Addresses:\n  192.0.2.0/28\n" in service("describe", "ipp", "app")
    for kind, name in (("service", "web"), ("ipaddresspool", "app")):
        service.happened(kind, name)
        shown = service("describe", kind, name)
        assert shown.splitlines()[-1] == "  Normal  Assigned  <age>  lbprovider  got 192.0.2.7"
        assert (
            service("events", "--for", f"{kind}/{name}").splitlines()[0] == "LAST SEEN  TYPE  REASON  OBJECT  MESSAGE"
        )
    header, *rows = service("get", "events").splitlines()
    assert header == "LAST SEEN  TYPE  REASON  OBJECT  MESSAGE"
    assert sorted(rows) == [
        "<age>  Normal  Assigned  ipaddresspool/app  got 192.0.2.7",
        "<age>  Normal  Assigned  service/web  got 192.0.2.7",
    ]
    assert "1  web.1" in service("get", "events", "-o", "wide", "--field-selector", "involvedObject.name=web")


def test_explain_and_resources(kubectl: Both) -> None:
    text = " ".join(kubectl("explain", "ipp.spec.addresses").split())
    assert "each entry a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20) or a single address" in text
    assert "preferredNodeSelectors\t<[]Object>" in kubectl("explain", "l2adv.spec")
    listed = kubectl("api-resources", "--api-group=lbprovider.io")
    assert "ipaddresspools  ipp  lbprovider.io/v1beta1  true  IPAddressPool" in listed
    assert "segments  lbseg  lbprovider.io/v1beta1  false  Segment" in listed


# --- applying


def test_apply_what_is_shipped_and_the_examples(kubectl: Both) -> None:
    for folder, objects_in_it in (("crd", 4), ("rbac", 11)):
        applied = kubectl("apply", "-k", str(ours.CONFIG / folder), everywhere=True)
        assert applied.count(" unchanged") == objects_in_it
    # One after the other: each is for a cluster of its own, and has a pool of the same name.
    for example in sorted(EXAMPLES.glob("*.yaml")):
        assert " created" in kubectl("apply", "-f", str(example), everywhere=True)
        assert " unchanged" in kubectl("apply", "-f", str(example), everywhere=True)
        # Not their namespaces: how far the real one has come with what is in them when it is asked is a race.
        made = [each for each in yaml.safe_load_all(example.read_text(encoding="utf-8")) if each["kind"] != "Namespace"]
        items = {"apiVersion": "v1", "kind": "List", "items": made}
        assert " deleted" in kubectl("delete", "-f", "-", stdin=items, everywhere=True)


def test_apply_new_unchanged_and_changed(kubectl: Both) -> None:
    def manifest(*each: Object) -> Object:
        return {"apiVersion": "v1", "kind": "List", "items": list(each)}

    first = manifest(lb_service(80, 81, tier="web"), ip_pool())
    second = manifest(lb_service(80, 82, level="web"), ip_pool(autoAssign=False))
    dry = kubectl("apply", "--dry-run=server", "-f", "-", stdin=first)
    assert dry.splitlines() == [
        "service/app created (server dry run)",
        "ipaddresspool.lbprovider.io/app created (server dry run)",
    ]
    assert kubectl("get", "svc,ipp") == f"No resources found in {kubectl.namespace} namespace."
    created = kubectl("apply", "-f", "-", stdin=first)
    assert created.splitlines() == ["service/app created", "ipaddresspool.lbprovider.io/app created"]
    unchanged = kubectl("apply", "-f", "-", stdin=first)
    assert unchanged.splitlines() == ["service/app unchanged", "ipaddresspool.lbprovider.io/app unchanged"]
    configured = kubectl("apply", "-f", "-", stdin=second)
    assert configured.splitlines() == ["service/app configured", "ipaddresspool.lbprovider.io/app configured"]
    # Lists of a built-in kind are merged by their key, and what was applied before and isn't any more goes.
    assert kubectl("get", "svc", "app", "-o", "jsonpath={.spec.ports[*].port} {.metadata.labels}") == (
        '80 82 {"level":"web"}'
    )
    assert kubectl("get", "ipp", "app", "-o", "jsonpath={.spec.autoAssign} {.spec.avoidBuggyIPs}") == "false false"


def test_what_can_not_be_is_refused_in_the_same_words(kubectl: Both) -> None:
    assert kubectl("create", "-f", "-", stdin=ip_pool(autoassign=True), code=1) == (
        'Error from server (BadRequest): error when creating "STDIN": IPAddressPool in version "v1beta1" cannot be '
        'handled as a IPAddressPool: strict decoding error: unknown field "spec.autoassign"'
    )
    assert kubectl("create", "-f", "-", stdin=ip_pool(addresses=["192.0.2.20-192.0.2.10"]), code=1) == (
        'The IPAddressPool "app" is invalid: spec.addresses[0]: Invalid value: "192.0.2.20-192.0.2.10": ends before '
        "it starts: write 192.0.2.10-192.0.2.20"
    )
    assert "spec.reuseAfter: Invalid value: " in kubectl("create", "-f", "-", stdin=ip_pool(reuseAfter="1d"), code=1)
    assert "Required value" in kubectl("create", "-f", "-", stdin=ip_pool(addresses=None), code=1)
    kubectl("create", "-f", "-", stdin=ip_pool())
    already = kubectl("create", "-f", "-", stdin=ip_pool(), code=1)
    assert already.endswith('ipaddresspools.lbprovider.io "app" already exists')
    between = kubectl("create", "-f", "-", stdin=lb_service(70_000), code=1)
    assert "* spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive" in between


# --- changing


def test_label_annotate_and_patch(service: Both) -> None:
    assert service("label", "svc", "web", "a=b") == "service/web labeled"
    assert service("label", "svc", "web", "a=b") == "service/web not labeled"
    assert service("label", "svc", "web", "a=c", code=1).startswith("error: 'a' already has a value (b)")
    assert service("label", "svc", "--all", "a-") == "service/web unlabeled"
    assert service("annotate", "svc", "web", "a=b") == "service/web annotated"
    merged = ("patch", "svc", "web", "--type=merge", "-p", '{"metadata":{"labels":{"m":"1"}}}')
    assert service(*merged) == "service/web patched"
    assert service(*merged) == "service/web patched (no change)"
    ports = {"spec": {"ports": [{"port": 443, "targetPort": 8443}]}}
    assert service("patch", "svc", "web", "-p", json.dumps(ports)) == "service/web patched"
    assert service("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].targetPort}") == "8080 8443"
    tested = [{"op": "test", "path": "/metadata/labels/m", "value": "2"}]
    assert service("patch", "svc", "web", "--type=json", "-p", json.dumps(tested), code=1) == (
        "The request is invalid: the server rejected our request due to an error in our request"
    )
    replaced = [{"op": "replace", "path": "/metadata/labels/m", "value": "2"}]
    assert service("patch", "svc", "web", "--type=json", "-p", json.dumps(replaced)) == "service/web patched"
    assert service("get", "svc", "-L", "m").splitlines()[1].endswith("2")


def test_patch_and_wait_for_our_kinds(kubectl: Both) -> None:
    kubectl("create", "-f", "-", stdin=ip_pool())
    ready = [{"type": "Ready", "status": "True", "reason": "Accepted"}]
    status = {"status": {"ipv4": {"total": 16, "assigned": 1, "available": 15}, "conditions": ready}}
    kubectl("patch", "ipp", "app", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert kubectl("get", "ipp").splitlines()[1] == "app  true  1  15  True  <age>"
    assert kubectl("wait", "--for=condition=Ready", "ipp/app", "--timeout=10s") == (
        "ipaddresspool.lbprovider.io/app condition met"
    )
    assert kubectl("wait", "--for=jsonpath={.status.ipv4.total}=16", "ipp/app", "--timeout=10s").endswith("met")
    late = kubectl("wait", "--for=condition=Other", "ipp/app", "--timeout=1s", code=1)
    assert late == "error: timed out waiting for the condition on ipaddresspools/app"
    words = kubectl("patch", "ipp", "app", "--type=merge", "-p", '{"spec":{"autoAssign":"no"}}', code=1)
    assert 'spec.autoAssign: Invalid value: "string": spec.autoAssign in body must be of type boolean' in words
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=10s")


def test_edit(kubectl: Both) -> None:
    kubectl("create", "-f", "-", stdin=ip_pool())
    assert kubectl("edit", "ipp", "app", editor="true") == "Edit cancelled, no changes made."
    edited = kubectl("edit", "ipp", "app", editor="sed -i s,192.0.2.0/28,192.0.2.0/29,")
    assert edited == "ipaddresspool.lbprovider.io/app edited"
    assert kubectl("get", "ipp", "app", "-o", "jsonpath={.spec.addresses}") == '["192.0.2.0/29"]'
    refused = kubectl("edit", "ipp", "app", editor="sed -i s,192.0.2.0/29,192.0.2.0/33,", code=1)
    assert refused.startswith('error: ipaddresspools.lbprovider.io "app" is invalid\n')


def test_nodes(kubectl: Both) -> None:
    name = kubectl.namespace
    kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    assert kubectl("cordon", name) == f"node/{name} cordoned"
    assert kubectl("get", "node", name).splitlines()[1] == f"{name}  Unknown,SchedulingDisabled  <none>  <age>"
    assert kubectl("uncordon", name) == f"node/{name} uncordoned"
    assert kubectl("taint", "node", name, "a=b:NoSchedule") == f"node/{name} tainted"
    assert "Taints:  a=b:NoSchedule" in kubectl("describe", "node", name)
    assert kubectl("taint", "node", name, "a-") == f"node/{name} untainted"
    assert kubectl("drain", name, "--timeout=10s").endswith(f"node/{name} drained")
    assert kubectl("delete", "node", name).endswith(f'node "{name}" deleted')


# --- rights, and what kubectl makes by itself


def test_rights(kubectl: Both) -> None:
    namespace = kubectl.namespace
    assert kubectl("create", "serviceaccount", "who") == "serviceaccount/who created"
    made = kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,services")
    assert made == "role.rbac.authorization.k8s.io/reader created"
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:who")
    who = f"--as=system:serviceaccount:{namespace}:who"
    assert kubectl("auth", "can-i", "create", "services") == "yes"
    assert kubectl("auth", "can-i", "list", "services", who) == "yes"
    assert kubectl("auth", "can-i", "delete", "services", who, code=1) == "no"
    assert kubectl("get", "svc", who) == f"No resources found in {namespace} namespace."
    assert kubectl("get", "ipp", who, code=1) == (
        f"Error from server (Forbidden): ipaddresspools.lbprovider.io is forbidden: User "
        f'"system:serviceaccount:{namespace}:who" cannot list resource "ipaddresspools" in API group '
        f'"lbprovider.io" in the namespace "{namespace}"'
    )


def test_create_and_expose(service: Both) -> None:
    assert service("create", "configmap", "c", "--from-literal=a=b") == "configmap/c created"
    assert service("create", "secret", "generic", "s", "--from-literal=a=b") == "secret/s created"
    assert service("get", "cm/c", "secret/s", "-o", "jsonpath={.items[*].data}") == '{"a":"b"} {"a":"Yg=="}'
    assert service("expose", "svc", "web", "--name=other", "--port=80") == "service/other exposed"
    assert service("create", "service", "clusterip", "none", "--clusterip=None") == "service/none created"
    assert service("create", "service", "externalname", "far", "--external-name=example.com") == "service/far created"
    assert service("get", "svc", "far").splitlines()[1] == "far  ExternalName  <none>  example.com  <none>  <age>"
    assert 'pods "nothing" not found' in service("logs", "nothing", code=1)


# --- deleting


def test_delete(service: Both) -> None:
    namespace = service.namespace
    service("create", "-f", "-", stdin=ip_pool())
    assert 'service "web" deleted' in service("delete", "svc", "web")
    assert 'services "web" not found' in service("delete", "svc", "web", code=1)
    assert service("delete", "svc", "web", "--ignore-not-found") == ""
    assert 'ipaddresspool.lbprovider.io "app" deleted' in service("delete", "-f", "-", stdin=ip_pool())
    assert service("wait", "--for=delete", "ipp/app", "--timeout=10s") == ""
    for name in ("a", "b"):
        service("create", "service", "loadbalancer", name, "--tcp=80")
    assert service("delete", "svc", "-l", "app=nobody") == "No resources found"
    assert 'service "a" deleted' in service("delete", "svc", "-l", "app=a")
    assert 'service "b" deleted' in service("delete", "svc", "--all", "--wait")
    assert service("get", "svc") == f"No resources found in {namespace} namespace."
    assert f'namespace "{namespace}" deleted' in service("delete", "namespace", namespace)
    assert f'namespaces "{namespace}" not found' in service("get", "namespace", namespace, code=1)


def test_a_finalizer_is_waited_for(kubectl: Both) -> None:
    held = ip_pool()
    held["metadata"]["finalizers"] = ["example.com/held"]
    kubectl("create", "-f", "-", stdin=held)
    assert "deleted" in kubectl("delete", "ipp", "app", "--wait=false")
    late = kubectl("wait", "--for=delete", "ipp/app", "--timeout=1s", code=1)
    assert late == "error: timed out waiting for the condition on ipaddresspools/app"
    kubectl("patch", "ipp", "app", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
    assert kubectl("wait", "--for=delete", "ipp/app", "--timeout=10s") == ""

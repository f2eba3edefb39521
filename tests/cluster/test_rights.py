"""What each of our Pods may do, on its node and in the cluster, and that all of it is needed: last on a cluster."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

import pytest
import yaml

from lbprovider.api import names
from lbprovider.lab.provider import CONTROLLER, NAMESPACE, SPEAKER
from lbprovider.speaker import files
from tests.cluster.backends import Cluster
from tests.cluster.rig import provider as ours
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import Web
from tests.e2e.rig.audit import Audit, Request
from tests.e2e.rig.report import Report
from tests.e2e.rig.rights import ANY, FORBIDDEN, Manifest, Right, granted, unused
from tests.e2e.rig.waiting import eventually

USERS: Final = {name: f"system:serviceaccount:{NAMESPACE}:{name}" for name in (CONTROLLER, SPEAKER)}
SHARED: Final = ("rights-shared-1", "rights-shared-2")
NOWHERE: Final = "rights-nowhere"
RUBBISH: Final = "cnViYmlzaA=="

NET_RAW: Final = 1 << 13
"""Its bit in the masks of capabilities(7)."""
SNAPSHOT: Final = f"/var/lib/lbprovider/{files.NAME}"
FILTERED: Final = 2
"""SECCOMP_MODE_FILTER of seccomp(2)."""


# ---- on its node


@dataclass(frozen=True, slots=True)
class Process:
    """What the kernel lets a container's first process do, as /proc/1/status says (proc(5))."""

    uids: frozenset[int]
    gids: frozenset[int]
    capabilities: Mapping[str, int]
    no_new_privileges: bool
    seccomp: int

    @classmethod
    def read(cls, status: str) -> "Process":
        fields = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
        return cls(
            uids=frozenset(map(int, fields["Uid"])),
            gids=frozenset(map(int, fields["Gid"] + fields["Groups"])),
            capabilities={
                name: int(fields[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
            },
            no_new_privileges=fields["NoNewPrivs"] == ["1"],
            seccomp=int(fields["Seccomp"][0]),
        )


def process(user: int, capabilities: int) -> Process:
    """One of this user that can have no more than these capabilities, whatever it executes."""
    return Process(
        uids=frozenset({user}),
        gids=frozenset({user}),
        capabilities={
            "CapInh": 0,
            "CapPrm": capabilities,
            "CapEff": capabilities,
            "CapBnd": capabilities,
            "CapAmb": 0,
        },
        no_new_privileges=True,
        seccomp=FILTERED,
    )


@pytest.mark.parametrize(
    ("component", "expected"),
    [("controller", process(65534, 0)), ("speaker", process(0, NET_RAW))],
    ids=["controller", "speaker"],
)
def test_a_process_can_do_what_it_is_for_and_nothing_else(
    provider: Provider, kubectl: Kubectl, component: str, expected: Process
) -> None:
    found = {name: Process.read(inside(kubectl, name, "cat", "/proc/1/status")) for name in pods(provider, component)}
    assert found == dict.fromkeys(found, expected)
    assert len(found) >= 2


_WRITING: Final = """
import errno, sys
for folder in sys.argv[1:]:
    try:
        open(folder + "/written", "w")
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("written")
"""


@pytest.mark.parametrize("component", ["controller", "speaker"])
def test_nothing_can_be_written_where_the_program_is(provider: Provider, kubectl: Kubectl, component: str) -> None:
    folders = ("/", "/tmp", "/opt/lbprovider", "/var/lib")  # noqa: S108  (where others write)
    for name in pods(provider, component):
        said = inside(kubectl, name, workloads.PYTHON, "-c", _WRITING, *folders).split()
        assert said == ["EROFS"] * len(folders), name


@pytest.mark.usefixtures("web")
def test_the_snapshot_is_roots_alone(provider: Provider, kubectl: Kubectl) -> None:
    for name in pods(provider, "speaker"):
        said = inside(kubectl, name, "stat", "--format=%F, %U, %G, %a", SNAPSHOT)
        assert said.strip() == "regular file, root, root, 600", name


def pods(provider: Provider, component: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in provider.pods(component)]


def inside(kubectl: Kubectl, pod: str, *argv: str) -> str:
    return kubectl("exec", f"--namespace={NAMESPACE}", pod, "--", *argv)


# ---- in the cluster


@pytest.fixture(scope="module")
def bound(kubectl: Kubectl, provider: Provider) -> Mapping[str, frozenset[Right]]:
    """What each of our ServiceAccounts is granted by name, anywhere in the cluster."""
    assert provider.pods()
    objects = kubectl.items("roles,rolebindings,clusterroles,clusterrolebindings", "--all-namespaces")
    return {name: granted(objects, user) for name, user in USERS.items()}


@pytest.mark.parametrize("account", [CONTROLLER, SPEAKER])
def test_what_is_shipped_is_all_that_is_granted(bound: Mapping[str, frozenset[Right]], account: str) -> None:
    folder = ours.DEFAULT.parent / "rbac"
    shipped: list[Manifest] = [
        each for path in folder.glob("*.yaml") for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    assert bound[account] == granted([each for each in shipped if "metadata" in each], USERS[account]) != frozenset()


MUST_NOT: Final[Sequence[tuple[str, str, str, str]]] = [
    *((SPEAKER, verb, "ipallocations.lbprovider.io", "") for verb in ("create", "update", "patch", "delete")),
    (SPEAKER, "patch", "services/status", "web"),
    (SPEAKER, "get", "secrets", NAMESPACE),
    (SPEAKER, "list", "secrets", NAMESPACE),
    (SPEAKER, "get", "secrets", "kube-system"),
    (SPEAKER, "patch", "nodes", ""),
    (SPEAKER, "create", "pods", NAMESPACE),
    (SPEAKER, "create", "serviceaccounts/token", NAMESPACE),
    (CONTROLLER, "get", "secrets", NAMESPACE),
    (CONTROLLER, "list", "secrets", NAMESPACE),
    (CONTROLLER, "create", "secrets", "kube-system"),
    (CONTROLLER, "create", "validatingwebhookconfigurations.admissionregistration.k8s.io", ""),
    (CONTROLLER, "patch", "validatingwebhookconfigurations.admissionregistration.k8s.io", ""),
    (CONTROLLER, "update", "nodes", ""),
    (CONTROLLER, "patch", "nodes/status", ""),
    (CONTROLLER, "update", "services", "web"),
    (CONTROLLER, "patch", "services", "web"),
    (CONTROLLER, "delete", "segments.lbprovider.io", ""),
    (CONTROLLER, "patch", "ipaddresspools.lbprovider.io", NAMESPACE),
    (CONTROLLER, "create", "pods", NAMESPACE),
    (CONTROLLER, "create", "serviceaccounts/token", NAMESPACE),
]
"""Account, verb, resource, namespace; empty for what is in none."""


def test_neither_may_do_what_would_let_it_do_more(kubectl: Kubectl, provider: Provider) -> None:
    assert provider.pods()
    asked = [review(*each) for each in [*MUST_NOT, (CONTROLLER, "create", "ipallocations.lbprovider.io", "")]]
    said = kubectl(
        "create", "--filename=-", r'--output=jsonpath={.status.allowed}{"\n"}', stdin=json.dumps(as_list(asked))
    )
    *answers, of_one_that_may = said.split()
    assert dict(zip(MUST_NOT, answers, strict=True)) == dict.fromkeys(MUST_NOT, "false")
    assert of_one_that_may == "true", "an API server that refuses everything proves nothing"


def review(account: str, verb: str, resource: str, namespace: str) -> Manifest:
    """A SubjectAccessReview, which is what ``kubectl auth can-i --as`` comes to; of the groups, those that count."""
    plural, _, subresource = resource.partition("/")
    name, _, group = plural.partition(".")
    attributes = {"verb": verb, "resource": name, "group": group, "subresource": subresource, "namespace": namespace}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    spec = {"user": USERS[account], "groups": groups, "resourceAttributes": attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def as_list(objects: Sequence[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


# ---- what was asked for

SELDOM: Final = {
    (
        CONTROLLER,
        "get",
        "services",
    ): "asks for a Service only when its deletion was not seen: the watch was away just then",
    (CONTROLLER, "patch", "events"): "writes an Event again when the same comes about a minute later and not before",
    (SPEAKER, "patch", "events"): "the same as the controller",
    (
        CONTROLLER,
        "patch",
        "ipallocations.lbprovider.io/status",
    ): "says that no node may announce an address, and all of these may",
    (SPEAKER, "get", "ipallocations.lbprovider.io"): "reads one anew when the controller wrote it between two writes",
}
"""Rights that are needed in moments which no test here can bring about, each with the moment."""


@pytest.fixture(scope="module")
def requests(web: Web, kubectl: Kubectl, cluster: Cluster) -> Sequence[Request]:
    """All that our ServiceAccounts asked this cluster's API server for."""
    if cluster.audit is None:
        pytest.skip("this backend has no audit log of its API server to read, so what that was asked is not known")
    exercise(web, kubectl, cluster.addresses[-1])
    return Audit(cluster.audit).requests(lambda each: each.user in USERS.values())


def exercise(web: Web, kubectl: Kubectl, address: IPv4Address) -> None:
    """What few other tests do: a Service joins another one's address and leaves it, one asks for what it can't have,
    and a controller puts the webhook's Secret right.
    """
    together = {"lbprovider.io/allow-shared-ip": "rights", "lbprovider.io/loadBalancerIPs": str(address)}
    for port, name in enumerate(SHARED, 8001):
        kubectl.apply(service(name, together, port))
        assert web.external_ip(name) == address
    kubectl.apply(service(NOWHERE, {"lbprovider.io/address-pool": "no-such-pool"}, 8001))
    about = f"--field-selector=involvedObject.kind=Service,involvedObject.name={NOWHERE}"
    eventually(
        lambda: kubectl.items("events", f"--namespace={workloads.NAMESPACE}", about),
        "an Event says why there is no address",
    )
    kubectl("delete", "services", f"--namespace={workloads.NAMESPACE}", SHARED[1], NOWHERE)
    web.delete(SHARED[0], address)
    secret = ("secret", f"--namespace={NAMESPACE}", names.WEBHOOK)
    kubectl("patch", *secret, f"--patch={json.dumps({'data': {'tls.key': RUBBISH}})}")
    eventually(lambda: kubectl.get(*secret)["data"]["tls.key"] != RUBBISH, "the webhook's key is one again")


def service(name: str, annotations: Mapping[str, str], port: int) -> Manifest:
    made: Manifest = workloads.service(name, "everywhere", "Cluster")
    made["metadata"]["annotations"] = dict(annotations)
    made["spec"]["ports"][0]["port"] = port
    return made


def test_nothing_that_we_asked_for_was_refused(requests: Sequence[Request], report: Report) -> None:
    report(f"{len(requests)} requests")
    assert {each.user for each in requests} == set(USERS.values())
    assert [each for each in requests if each.status == FORBIDDEN] == []


@pytest.mark.parametrize("account", [CONTROLLER, SPEAKER])
def test_everything_that_is_granted_is_needed(
    bound: Mapping[str, frozenset[Right]], requests: Sequence[Request], account: str
) -> None:
    seldom = {Right(USERS[name], verb, resource, ANY, ANY) for name, verb, resource in SELDOM if name == account}
    assert seldom <= bound[account], "an excuse for what is not granted"
    needless = unused(bound[account], requests) - seldom
    assert not needless, "never asked for: " + "; ".join(sorted(map(str, needless)))

"""Whether a cluster is whole: each node, each workload, each Pod; and which of our containers were started again."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl, Object
from tests.cluster.rig.provider import is_ready, uid
from tests.e2e.rig.waiting import eventually

Restarts = Mapping[tuple[str, str, str], int]
"""How often a container was started again, by the name of its Pod, its Pod's uid, and its own name."""


def whole(cluster: Cluster, kubectl: Kubectl, *, within: float = 120) -> Restarts:
    """Wait until everything is there and ready, and no Pod is on its way out.

    Returns:
        What is known of lbprovider's own containers then.

    Raises:
        AssertionError: something is missing after ``within`` seconds; says what.
    """
    missing: list[str] = []

    def complete() -> list[Object] | None:
        found, missing[:] = _look(cluster, kubectl)
        return None if missing else found

    try:
        found = eventually(complete, "the cluster is whole", within=within, every=0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}; missing: {'; '.join(missing) or 'nothing that could be asked for'}") from None
    return _restarts(found)


def _look(cluster: Cluster, kubectl: Kubectl) -> tuple[list[Object], list[str]]:
    """All objects that count, and what is missing."""
    with ThreadPoolExecutor(len(cluster.nodes)) as threads:
        # A node without power is Ready, and so are its Pods, until its silence is noticed: so it is asked itself.
        alive = threads.map(lambda node: _alive(kubectl, node), cluster.nodes)
        found = kubectl.items("nodes,deployments,daemonsets,pods", "--all-namespaces")
        silent = [node for node, answers in zip(cluster.nodes, alive, strict=True) if not answers]
    here = [each for each in found if each["metadata"].get("namespace") in (None, NAMESPACE, workloads.NAMESPACE)]
    unsettled = [f"{each['kind']} {each['metadata']['name']} is not settled" for each in here if not _settled(each)]
    return here, [*(f"the kubelet of {node} doesn't answer" for node in silent), *unsettled]


def _alive(kubectl: Kubectl, node: str) -> bool:
    try:
        return kubectl("get", f"--raw=/api/v1/nodes/{node}/proxy/healthz") == "ok"
    except RuntimeError:
        return False


def _settled(each: Object) -> bool:
    status, spec = each.get("status", {}), each["spec"]
    if each["kind"] in ("Node", "Pod"):
        return is_ready(each)
    if status.get("observedGeneration") != each["metadata"]["generation"]:
        return False
    if each["kind"] == "Deployment":
        wanted, counts = spec["replicas"], ("replicas", "updatedReplicas", "availableReplicas")
    else:
        wanted = status["desiredNumberScheduled"]
        counts = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return wanted > 0 and all(status.get(count) == wanted for count in counts)


def _restarts(found: list[Object]) -> Restarts:
    return {
        (pod["metadata"]["name"], uid(pod), container["name"]): container["restartCount"]
        for pod in found
        if pod["kind"] == "Pod" and pod["metadata"]["namespace"] == NAMESPACE
        for container in pod["status"].get("containerStatuses", [])
    }

"""Nodes that lose their power and get it again, and programs that end without a word."""

from collections.abc import Iterator

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl, Object, run
from tests.cluster.rig.provider import Provider, containers, is_ready, uid
from tests.e2e.rig.waiting import eventually

_CRASH = r"""
for each in /proc/[0-9]*; do
    if tr '\0' ' ' < "$each/cmdline" | grep -q '^[^ ]*/python[^ ]* [^ ]*/lbprovider speaker'; then
        kill -9 "${each#/proc/}" && ended=1
    fi
done 2> /dev/null
[ -n "$ended" ]
"""
"""The processes of a Pod are a node's own; from within the Pod its process 1 can't be killed."""


class Power:
    """The power of the nodes of a cluster.

    Args:
        cluster: whose.
        provider: lbprovider on it.
    """

    def __init__(self, cluster: Cluster, provider: Provider) -> None:
        self._cluster = cluster
        self._provider = provider
        self._off = dict[str, frozenset[str]]()

    def kill(self, node: str) -> None:
        """Take a node's power."""
        pods = list(self._pods(node))
        self._provider.ended |= {uid(pod) for pod in pods}
        self._off[node] = containers(pods)
        self._cluster.kill(node)

    def start(self, node: str) -> None:
        """Give it back, and wait until every Pod runs in containers that are new, and is ready."""
        self._cluster.start(node)
        old = self._off[node]

        def back() -> bool:
            pods = list(self._pods(node))
            return bool(pods) and all(map(is_ready, pods)) and not old & containers(pods)

        eventually(back, f"{node} is back with all of its Pods", within=180, every=0.2)
        del self._off[node]

    def restore(self) -> None:
        """Start the nodes that are without power, if any."""
        for node in list(self._off):
            self.start(node)

    def crash_speaker(self, node: str) -> None:
        """End a speaker's process by SIGKILL; its kubelet starts it again."""
        self._provider.ended.add(uid(self._provider.speaker(node)))
        run(self._cluster.on_node(node, "sh", "-c", _CRASH), f"SIGKILL of the speaker on {node}")

    def _pods(self, node: str) -> Iterator[Object]:
        for namespace in (NAMESPACE, workloads.NAMESPACE):
            yield from self._provider.kubectl.items(
                "pods", f"--namespace={namespace}", f"--field-selector=spec.nodeName={node}"
            )


def whole(cluster: Cluster, kubectl: Kubectl, *, within: float = 120) -> None:
    """Wait until every node is ready and every workload is rolled out, and no Pod is on its way out.

    Raises:
        AssertionError: it is not; says what is missing.
    """
    missing: list[str] = []

    def complete() -> bool:
        missing[:] = _missing(cluster, kubectl)
        return not missing

    try:
        eventually(complete, "the cluster is whole", within=within, every=0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}: {'; '.join(missing) or 'it could not be asked'}") from None


def _missing(cluster: Cluster, kubectl: Kubectl) -> list[str]:
    ready = {node["metadata"]["name"] for node in kubectl.items("nodes") if is_ready(node)}
    missing = [f"{node} is not ready" for node in cluster.nodes if node not in ready]
    for namespace in (NAMESPACE, workloads.NAMESPACE):
        found = kubectl.items("deployments,daemonsets,pods", f"--namespace={namespace}")
        unsettled = (each for each in found if not _settled(each))
        missing += [f"{each['kind']} {namespace}/{each['metadata']['name']} is not settled" for each in unsettled]
    return missing


def _settled(each: Object) -> bool:
    status, spec = each.get("status", {}), each["spec"]
    if each["kind"] == "Pod":
        return is_ready(each)
    if status.get("observedGeneration") != each["metadata"]["generation"]:
        return False
    if each["kind"] == "Deployment":
        wanted, counts = spec["replicas"], ("replicas", "updatedReplicas", "availableReplicas")
    else:
        wanted = status["desiredNumberScheduled"]
        counts = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return wanted > 0 and all(status.get(count) == wanted for count in counts)

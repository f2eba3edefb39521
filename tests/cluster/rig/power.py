"""Nodes that lose their power and get it again, and programs that end without a word."""

import contextlib
from collections.abc import Iterator

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Object, run
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

    @contextlib.contextmanager
    def crashed_speaker(self, node: str) -> Iterator[None]:
        """End a speaker's process by SIGKILL; at the end of the context its kubelet has started it again."""
        pod = self._provider.speaker(node)
        self._provider.ended.add(uid(pod))
        run(self._cluster.on_node(node, "sh", "-c", _CRASH), f"SIGKILL of the speaker on {node}")
        yield
        old = containers([pod])

        def back() -> bool:
            now = self._provider.speaker(node)
            return is_ready(now) and not old & containers([now])

        eventually(back, f"the speaker of {node} is back", within=90, every=0.2)

    def _pods(self, node: str) -> Iterator[Object]:
        for namespace in (NAMESPACE, workloads.NAMESPACE):
            yield from self._provider.kubectl.items(
                "pods", f"--namespace={namespace}", f"--field-selector=spec.nodeName={node}"
            )

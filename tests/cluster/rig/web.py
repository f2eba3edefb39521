"""Three Services, what stands behind them, and all who may ask them."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.lab.eyes.traffic import Traffic
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.asking import PORT, Place
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider, is_ready
from tests.e2e.rig.waiting import eventually

LOCAL: Final = "everywhere"
"""A Service under policy Local, with a server on each node."""
CLUSTER: Final = "some"
"""A Service under policy Cluster, with servers on some nodes, of which none leads it."""
SOME_LOCAL: Final = "some-local"
"""A Service under policy Local with the same servers."""
SERVICES: Final[Mapping[str, tuple[str, str]]] = {
    LOCAL: ("everywhere", "Local"),
    CLUSTER: ("some", "Cluster"),
    SOME_LOCAL: ("some", "Local"),
}
"""The name of the servers, and the policy, of each."""
_ASKERS: Final = {"pod": False, "host": True}
_SOME: Final = 2


class Web:
    """Made by :meth:`deploy`; the whole of it is there from then on.

    Args:
        cluster: where.
        kubectl: its admin's.
        provider: lbprovider on it.
        image: what all Pods are made of.
        directory: for what clients write.
    """

    def __init__(self, cluster: Cluster, kubectl: Kubectl, provider: Provider, image: str, directory: Path) -> None:
        self._cluster = cluster
        self._kubectl = kubectl
        self._provider = provider
        self._image = image
        self._directory = directory
        self.outside = Place("the client outside", cluster.on_client)
        self.addresses: dict[str, IPv4Address] = {}

    def deploy(self) -> None:
        """Make everything, and wait until each Service has its EXTERNAL-IP and each address its leader."""
        nodes = self._cluster.nodes[:_SOME]
        self._kubectl.apply(workloads.namespace())
        self._kubectl.apply(
            workloads.pool("lan", self._cluster.addresses),
            workloads.advertisement("lan"),
            workloads.everywhere("everywhere", self._image),
            workloads.some("some", self._image, nodes),
            *(workloads.askers(name, self._image, host=host) for name, host in _ASKERS.items()),
            *(workloads.service(name, app, policy) for name, (app, policy) in SERVICES.items()),
        )
        self._kubectl.rolled_out(
            workloads.NAMESPACE, "deployment/some", *(f"daemonset/{each}" for each in ("everywhere", *_ASKERS))
        )
        for name in SERVICES:
            self.addresses[name] = self.external_ip(name)
            self._provider.leader(self.addresses[name])
        self.keep_off_the_leader()

    def external_ip(self, name: str, *, within: float = 60) -> IPv4Address:
        """Wait, as a user does, until a Service has its address; ``within`` in seconds."""
        path = "{.status.loadBalancer.ingress[0].ip}"
        where = (f"--namespace={workloads.NAMESPACE}", f"service/{name}")
        self._kubectl("wait", *where, f"--for=jsonpath={path}", f"--timeout={within:g}s", timeout=within + 10)
        return IPv4Address(self._kubectl("get", *where, f"--output=jsonpath={path}"))

    def create(self, name: str, *, app: str = "everywhere", policy: str = "Cluster") -> None:
        """One Service more."""
        self._kubectl.apply(workloads.service(name, app, policy))

    def delete(self, name: str, address: IPv4Address) -> None:
        """Take a Service away, and wait until nobody has its address."""
        self._kubectl("delete", f"--namespace={workloads.NAMESPACE}", "service", name)

        def free() -> bool:
            holders = self._kubectl.items("ipallocations")
            return all(each["spec"]["address"] != str(address) for each in holders)

        eventually(free, f"{address} is free", every=0.2)

    def keep_off_the_leader(self) -> None:
        """Move the servers of :data:`CLUSTER` to nodes that don't lead it, where there are any."""
        leader = self._provider.leader(self.addresses[CLUSTER])
        others = [node for node in self._servers() if node != leader] or list(self._cluster.nodes)
        self._serve_some(others[:_SOME])

    def spread(self) -> None:
        """Move these servers so that two nodes have some, and each may take over a Service under Local."""
        self._serve_some(self._servers()[:_SOME])

    def _serve_some(self, nodes: Sequence[str]) -> None:
        if set(self.backends("some")) != set(nodes):
            self._kubectl.apply(workloads.some("some", self._image, nodes))
            self._kubectl.rolled_out(workloads.NAMESPACE, "deployment/some")
            eventually(lambda: set(self.backends("some")) == set(nodes), "the servers are where they should be")

    def may_lead(self) -> Sequence[str]:
        """The nodes that may lead an address, as far as their labels say."""
        nodes = self._kubectl.items("nodes")
        excluded = {
            each["metadata"]["name"] for each in nodes if EXCLUDE_NODE_LABEL in each["metadata"].get("labels", {})
        }
        return [node for node in self._cluster.nodes if node not in excluded]

    def _servers(self) -> Sequence[str]:
        """The nodes that may lead an address first: under policy Local one of those with a server has to."""
        first = self.may_lead()
        return sorted(self._cluster.nodes, key=lambda node: node not in first)

    # --- who serves, who asks

    def backends(self, app: str) -> Mapping[str, str]:
        """The ready Pods of this name that stay, by node."""
        pods = self._kubectl.items("pods", f"--namespace={workloads.NAMESPACE}", f"--selector=app={app}")
        return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods if is_ready(pod)}

    def places(self, app: str) -> Sequence[Place]:
        """To ask from these Pods; ``pod`` and ``host`` are on every node, in a network of their own and the node's."""
        return [
            Place(f"Pod {name} on {node}", self._inside(name), workloads.PYTHON)
            for node, name in sorted(self.backends(app).items())
        ]

    def _inside(self, pod: str) -> Callable[..., list[str]]:
        def command(*argv: str) -> list[str]:
            return self._kubectl.command("exec", f"--namespace={workloads.NAMESPACE}", pod, "--", *argv)

        return command

    def traffic(self, service: str) -> Traffic:
        """New connections from outside from now on."""
        return Traffic(self._cluster.on_client, self.addresses[service], PORT, self._directory)

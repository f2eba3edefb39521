"""One cluster with both providers in it: nodes, Services of each class, and who leads what."""

import contextlib
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from bench.metallb.peer import CLASS, Metallb
from bench.metallb.programs import Programs
from lbprovider.api.names import DEFAULT_CLASS
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.process import Process
from tests.e2e.rig import ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.waiting import eventually

METALLB: Final = "MetalLB"
OURS: Final = "lbprovider"
PROVIDERS: Final = (METALLB, OURS)

_EACH: Final = 6
"""Services of each provider: so many that some node leads one of each."""
_POOLS: Final = {METALLB: "198.51.100.220-198.51.100.229", OURS: "198.51.100.200-198.51.100.209"}
_CLASSES: Final = {METALLB: CLASS, OURS: DEFAULT_CLASS}
_SELECTOR: Final = {"app": "web"}
_PATIENCE: Final = 90.0
_ASK: Final = 20 * MS


class Both:
    """Both providers, ready; their programs end with the cluster.

    Args:
        cluster: with nothing of theirs in it yet.
        programs: MetalLB's.
    """

    def __init__(self, cluster: Cluster, programs: Programs) -> None:
        self.cluster = cluster
        self.speakers: dict[str, Process] = {}
        """Ours, by node."""
        ours.install(cluster)
        ours.start_controller(cluster, arguments=["--no-default-class"])
        for node in cluster.lan.nodes:
            self.start(node)
        ours.pool(cluster, "bench", _POOLS[OURS])
        ours.advertisement(cluster, "bench", interfaces=["eth0"])
        self.metallb = Metallb(cluster, programs)
        self.metallb.begin(_POOLS[METALLB])
        for node in cluster.lan.nodes:
            Pod(cluster, f"web-{node}", node, _SELECTOR)
        self._addresses = {provider: self._services(provider) for provider in PROVIDERS}

    def start(self, node: str) -> None:
        """Start our speaker of a node."""
        self.speakers[node] = ours.start_speaker(self.cluster, node)

    def _services(self, provider: str) -> tuple[Address, ...]:
        names = [f"{provider.lower()}-{number}" for number in range(1, _EACH + 1)]
        for name in names:
            services.create(self.cluster, name, _SELECTOR, loadBalancerClass=_CLASSES[provider])
        return tuple(
            ip_address(
                eventually(
                    lambda name=name: services.ingress(self.cluster, name),  # type: ignore[misc]
                    f"{name} has an address",
                    within=_PATIENCE,
                )[0]
            )
            for name in names
        )

    def settle(self) -> None:
        """Until every speaker of both is ready, and every address is answered."""
        for node, place in self.cluster.lan.nodes.items():
            eventually(
                lambda place=place: ours.health(place.namespace)[0] == 200,  # type: ignore[misc]
                f"our speaker of {node} is ready",
                within=_PATIENCE,
            )
            eventually(
                lambda place=place: ours.health(place.namespace, port=17472)[0] == 200,  # type: ignore[misc]
                f"MetalLB's speaker of {node} is ready",
                within=_PATIENCE,
            )

    def pair(self) -> tuple[str, Mapping[str, Address]]:
        """A node that leads an address of each provider, and these.

        Raises:
            AssertionError: some address is answered by nobody, or there is no such node.
        """
        leaders = {provider: self._leaders(provider) for provider in PROVIDERS}
        for node in self.cluster.lan.nodes:
            led = {provider: [a for a, at in leaders[provider].items() if at == node] for provider in PROVIDERS}
            if all(led.values()):
                return node, {provider: found[0] for provider, found in led.items()}
        raise AssertionError(f"no node leads an address of each: {leaders}")

    def _leaders(self, provider: str) -> Mapping[Address, str]:
        """Who answers the client for each address."""
        lan = self.cluster.lan
        names = {node.mac: name for name, node in lan.nodes.items()}
        with contextlib.ExitStack() as undo:
            probers = {address: lan.probe(address, period=_ASK) for address in self._addresses[provider]}
            for prober in probers.values():
                undo.callback(prober.stop)
            return {
                address: names[
                    eventually(
                        lambda prober=prober: prober.samples().replies,  # type: ignore[misc]
                        f"{address} is answered",
                        within=_PATIENCE,
                    )[-1].mac
                ]
                for address, prober in probers.items()
            }

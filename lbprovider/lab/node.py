"""A node's data path, in the place of kube-proxy and the Pods: a server of its own, and forwards to it.

``python -m lbprovider.lab.node`` is the program, in the node's namespace. What comes for any address that a Service has
in ``status.loadBalancer.ingress`` goes to the server on this very node, which says the node's name: so the answer tells
who leads. The address is on no interface. While the API server is away it goes on with what it knows.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

import structlog

from lbprovider.api.core import Service
from lbprovider.api.meta import Object
from lbprovider.api.resources import SERVICES
from lbprovider.errors import HostError, LbproviderError
from lbprovider.kube.access import in_cluster
from lbprovider.kube.client import Client
from lbprovider.kube.ports import Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process
from lbprovider.lab.webserver import PORT, WebServer
from lbprovider.net.nftables import Forwards, KernelForwards
from lbprovider.net.nftables_messages import Backend, Frontend
from lbprovider.telemetry import configure_logging

TABLE: Final = "lbprovider-lab"
PAUSE: Final = 0.05
"""Seconds between two replacements, so that a burst of changes makes a few."""
RETRY: Final = 1.0
"""Seconds after a replacement that the kernel refused."""
_PROTOCOLS: Final[tuple[Literal["TCP", "UDP"], ...]] = ("TCP", "UDP")
"""What the server speaks; SCTP it doesn't."""

_log = structlog.get_logger(__name__)


def start(lan: Lan, name: str, account: Path, server: Address, port: int) -> Process:
    """Start the program of a node; its log says ``serving`` once it does.

    Args:
        lan: where.
        name: of the node.
        account: a directory with ``token`` and ``ca.crt`` of somebody who may list and watch all Services.
        server: where the API server listens.
        port: of the API server.
    """
    place = lan.nodes[name]
    argv = [sys.executable, "-m", __name__, "--node", name, "--service-account-dir", str(account)]
    argv += ["--address", str(place.pods4[1]), "--address", str(place.pods6[1])]
    env = {**os.environ, "KUBERNETES_SERVICE_HOST": str(server), "KUBERNETES_SERVICE_PORT": str(port)}
    return lan.spawn(f"datapath-{name}", place.namespace, argv, env=env, capabilities=("net_admin",))


# --- which forwards there are


def frontends(service: Service) -> frozenset[Frontend]:
    """What a Service is asked for at, as far as it is this node's to forward.

    An entry that is no address is a name, which somebody else resolves; ``ipMode: Proxy`` says that the provider itself
    brings connections to the node (KEP-1860).
    """
    if service.spec.type != "LoadBalancer":
        return frozenset()
    return frozenset(
        Frontend(address, protocol, port.port)
        for entry in service.status.load_balancer.ingress
        if entry.ip_mode != "Proxy" and (address := _address(entry.ip)) is not None
        for port in service.spec.ports
        for protocol in _PROTOCOLS
        if port.protocol == protocol
    )


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def forwards(wanted: Iterable[Frontend], own: Sequence[Address], port: int = PORT) -> dict[Frontend, Backend]:
    """Each of what is wanted to our own server, where that listens in the same family.

    Args:
        wanted: of all Services; two that share an address have different ports.
        own: addresses of the server, at most one a family.
        port: of the server.
    """
    servers = {address.version: Backend(address, port) for address in own}
    return {each: servers[each.address.version] for each in wanted if each.address.version in servers}


class Services:
    """A reflector's sink: what all Services are asked for at, as the API server last said.

    Attributes:
        news: set when that is no longer what it was; whoever looks clears it.
    """

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._frontends: dict[str, frozenset[Frontend]] = {}

    @property
    def wanted(self) -> Iterable[Frontend]:
        """What there is to forward."""
        return (each for service in self._frontends.values() for each in service)

    def replaced(self, objects: Sequence[Service], unreadable: Sequence[Unreadable]) -> None:
        """See ``kube.ports.Sink``."""
        kept = {each.key: self._frontends[each.key] for each in unreadable if each.key in self._frontends}
        self._frontends = kept | {service.key: frontends(service) for service in objects}
        # Even if nothing differs: the first list also ends what an earlier life of ours left in the kernel.
        self.news.set()

    def changed(self, obj: Service) -> None:
        """See ``kube.ports.Sink``."""
        self._now(obj.key, frontends(obj))

    def deleted(self, obj: Object) -> None:
        """See ``kube.ports.Sink``."""
        self._now(obj.key, frozenset())
        del self._frontends[obj.key]

    def unreadable(self, unreadable: Unreadable) -> None:
        """What was known of it goes on to count."""

    def _now(self, key: str, now: frozenset[Frontend]) -> None:
        if now != self._frontends.get(key, frozenset()):
            self.news.set()
        self._frontends[key] = now


async def follow(services: Services, kernel: Forwards, own: Sequence[Address]) -> None:
    """Have the kernel forward what the Services want, until cancelled; what it refuses is logged and tried again."""
    while True:
        await services.news.wait()
        services.news.clear()
        try:
            kernel.replace(forwards(services.wanted, own))
        except HostError as error:
            _log.error(str(error), reason="ForwardsRefused")
            services.news.set()
            await asyncio.sleep(RETRY)
        else:
            await asyncio.sleep(PAUSE)


# --- the program


async def _serve(node: str, addresses: Sequence[Address], account: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        LbproviderError: this kernel, or who we are to the API server, lacks something.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    access = in_cluster(account, os.environ)
    server = WebServer(node, f"web-{node}")
    services = Services()
    with KernelForwards(TABLE) as kernel:
        kernel.check()
        await server.start([str(each) for each in addresses])
        _log.info("serving", node=node, addresses=[str(each) for each in addresses], port=PORT)
        async with Client(access, user_agent="lbprovider-lab-node") as api, asyncio.TaskGroup() as tasks:
            work = (
                tasks.create_task(Reflector(api, SERVICES).run(services)),
                tasks.create_task(follow(services, kernel, addresses)),
            )
            await stop.wait()
            for task in work:
                task.cancel()
        await server.stop()


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="Serve, and forward to it what Services have for addresses.")
    parser.add_argument("--node", required=True, help="what to say of where this is")
    parser.add_argument("--address", required=True, action="append", type=ip_address, help="serve here; one a family")
    parser.add_argument("--service-account-dir", required=True, type=Path, help="holds token and ca.crt")
    given = parser.parse_args()
    configure_logging()
    try:
        asyncio.run(_serve(given.node, given.address, given.service_account_dir))
    except LbproviderError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

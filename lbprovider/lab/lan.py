"""A LAN on one machine: a switch, nodes and a client in network namespaces, and a second network for management.

::

    control ──── mgmt bridge ──── mgmt0  node1  eth0 ──── lan bridge ──── eth0  client
                     ├─────────── mgmt0  node2  eth0 ─────────┤
                     └─────────── mgmt0  node3  eth0 ─────────┘

Both bridges live in a namespace of their own, the switch, and the API server in another, control: nothing touches the
interfaces, routes or ports of the machine, so any number of LANs with the same addresses stand side by side. Either
network of a node can be cut without the other. Each node has a Pod range, on ``cni0`` unless a network plugin is to
give out its addresses, and routes to the others' over the LAN; no address of a Service is ever on any interface. The
switch is the LAN's router too: :meth:`Lan.outside` makes a client behind it.

Needs root, or the root of a user namespace with a tmpfs of its own on ``/run``; nothing else of the machine is used.
Names carry the pid and the start time of the process that made them: what a killed run left is swept by the next.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Final, Self

from lbprovider.lab.eyes.capture import Capture
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.prober import PERIOD, Prober
from lbprovider.lab.process import Process, started
from lbprovider.net import namespaces
from lbprovider.net.namespaces import Namespace

LAN4: Final = IPv4Network("198.51.100.0/24")  # RFC 5737: addresses for documentation
LAN6: Final = IPv6Network("2001:db8:1::/64")  # RFC 3849: the same
MANAGEMENT: Final = IPv4Network("10.0.0.0/24")
OUTSIDE4: Final = IPv4Network("203.0.113.0/24")  # RFC 5737
OUTSIDE6: Final = IPv6Network("2001:db8:2::/64")
"""Where a client behind the router is."""
PODS4: Final = IPv4Network("10.244.0.0/16")
PODS6: Final = IPv6Network("2001:db8:244::/48")
CONTROL: Final = MANAGEMENT[1]
"""Where the API server listens."""

_ROUTER: Final = 1
_FIRST_NODE: Final = 11
_CLIENT: Final = 100
_FAR_CLIENT: Final = 101
_FIRST_GUEST: Final = 102
_FAR: Final = "far"
"""The bridge of those who are split from the LAN."""
_NAME: Final = re.compile(r"lbp-(?P<pid>\d+)-(?P<start>\d+)-\d+-[a-z0-9-]+")
_runs: Final = itertools.count(1)

_SYSCTLS: Final[tuple[tuple[str, int], ...]] = (
    ("ipv6/conf/all/accept_dad", 0),  # a second's wait for each address otherwise
    ("ipv6/conf/default/accept_dad", 0),
    ("ipv6/conf/all/accept_ra", 0),
    ("ipv6/conf/default/accept_ra", 0),
    ("ipv6/conf/default/router_solicitations", 0),
    ("ipv4/conf/all/rp_filter", 0),
    ("ipv4/conf/default/rp_filter", 0),
)
_NODE_SYSCTLS: Final[tuple[tuple[str, int], ...]] = (
    ("ipv4/ip_forward", 1),
    ("ipv6/conf/all/forwarding", 1),
    # A node answers on its LAN only for its address there, not for those on mgmt0 and cni0.
    ("ipv4/conf/all/arp_ignore", 1),
    ("ipv4/conf/all/arp_announce", 2),
)


@dataclass(frozen=True, slots=True)
class LanNode:
    """A node's place in the LAN."""

    name: str
    namespace: Namespace
    address4: IPv4Address
    address6: IPv6Address
    management: IPv4Address
    pods4: IPv4Network
    pods6: IPv6Network
    mac: str
    """Of ``eth0``: what the LAN sees when this node answers."""


class Lan:
    """The LAN, from construction to :meth:`close`; a context manager.

    Args:
        nodes: how many.
        directory: where programs leave their logs and captures.
        bridged: whether each node has its Pods' addresses on a bridge, ``cni0``; else a network plugin gives them out.
    """

    def __init__(self, nodes: int, directory: Path, *, bridged: bool = True) -> None:
        sweep()
        self.directory = directory
        self._prefix = f"lbp-{os.getpid()}-{started(os.getpid())}-{next(_runs)}"
        self._programs: list[Process] = []
        self._guests: dict[str, Namespace] = {}
        self._split = False
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self.switch = self._namespace("switch")
            self.switch.add_bridge("lan")
            self.switch.add_bridge("mgmt")
            self.switch.add_address("lan", str(LAN4[_ROUTER]), LAN4.prefixlen)
            self.switch.add_address("lan", str(LAN6[_ROUTER]), LAN6.prefixlen)
            self.control = self._namespace("control")
            self._plug(self.control, "mgmt0", "mgmt", "control")
            self.control.add_address("mgmt0", str(CONTROL), MANAGEMENT.prefixlen)
            self.client = self._namespace("client")
            self.client_address4, self.client_address6 = LAN4[_CLIENT], LAN6[_CLIENT]
            self._join_lan(self.client, "client", self.client_address4, self.client_address6)
            self.nodes: Mapping[str, LanNode] = {
                f"node{number}": self._node(f"node{number}", number) for number in range(1, nodes + 1)
            }
            if bridged:
                self._bridge_pods()
            self._route_pods()
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """SIGKILL what still runs, last first, and take the namespaces away; whatever has to end well, stop before."""
        with self._undo:
            while self._programs:
                self._programs.pop().kill()

    # --- building

    def _namespace(self, role: str) -> Namespace:
        namespace = Namespace.create(f"{self._prefix}-{role}")
        self._undo.callback(namespace.delete)
        for key, value in _SYSCTLS:
            namespace.sysctl(key, value)
        return namespace

    def _plug(self, namespace: Namespace, interface: str, bridge: str, label: str) -> None:
        """Lay a cable from a namespace to a bridge; the port is called after both."""
        port = f"{bridge}-{label}"
        self.switch.add_veth(port, namespace, interface)
        # A port that is taken off its bridge (``cut_cable``) would be an interface of the router, which has addresses.
        self.switch.sysctl(f"ipv4/conf/{port}/arp_ignore", 8)
        self.switch.sysctl(f"ipv6/conf/{port}/disable_ipv6", 1)
        self.switch.enslave(port, bridge)

    def _join_lan(self, namespace: Namespace, label: str, address4: IPv4Address, address6: IPv6Address) -> None:
        self._plug(namespace, "eth0", "lan", label)
        namespace.add_address("eth0", str(address4), LAN4.prefixlen)
        namespace.add_address("eth0", str(address6), LAN6.prefixlen)

    def _node(self, name: str, number: int) -> LanNode:
        namespace = self._namespace(name)
        for key, value in _NODE_SYSCTLS:
            namespace.sysctl(key, value)
        host = _FIRST_NODE - 1 + number
        node = LanNode(
            name=name,
            namespace=namespace,
            address4=LAN4[host],
            address6=LAN6[host],
            management=MANAGEMENT[host],
            pods4=IPv4Network((int(PODS4[0]) + (number << 8), 24)),
            pods6=IPv6Network((int(PODS6[0]) + (number << 64), 64)),
            mac=self._wire(namespace, name, host),
        )
        namespace.add_route("default", str(LAN4[_ROUTER]))
        namespace.add_route("default", str(LAN6[_ROUTER]))
        return node

    def _wire(self, namespace: Namespace, name: str, host: int) -> str:
        self._join_lan(namespace, name, LAN4[host], LAN6[host])
        self._plug(namespace, "mgmt0", "mgmt", name)
        namespace.add_address("mgmt0", str(MANAGEMENT[host]), MANAGEMENT.prefixlen)
        return namespace.mac("eth0")

    def _bridge_pods(self) -> None:
        for node in self.nodes.values():
            node.namespace.add_bridge("cni0")
            node.namespace.add_address("cni0", str(node.pods4[1]), node.pods4.prefixlen)
            node.namespace.add_address("cni0", str(node.pods6[1]), node.pods6.prefixlen)

    def _route_pods(self) -> None:
        for node, other in itertools.permutations(self.nodes.values(), 2):
            node.namespace.add_route(str(other.pods4), str(other.address4))
            node.namespace.add_route(str(other.pods6), str(other.address6))

    def outside(self) -> Namespace:
        """A client on a network of its own, at :data:`OUTSIDE4` and :data:`OUTSIDE6` ``[100]``; one for each LAN.

        The router is its only neighbour, and asks by ARP and NDP in its place.
        """
        client = self._namespace("outside")
        self.switch.add_veth("outside", client, "eth0")
        networks: tuple[IPv4Network | IPv6Network, ...] = (OUTSIDE4, OUTSIDE6)
        for network in networks:
            self.switch.add_address("outside", str(network[_ROUTER]), network.prefixlen)
            client.add_address("eth0", str(network[_CLIENT]), network.prefixlen)
            client.add_route("default", str(network[_ROUTER]))
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.switch.sysctl(key, 1)
        return client

    def guest(self, name: str) -> Namespace:
        """Another host on the LAN, by its name; it is made when it is first asked for."""
        if name not in self._guests:
            number = _FIRST_GUEST + len(self._guests)
            self._guests[name] = guest = self._namespace(name)
            self._join_lan(guest, name, LAN4[number], LAN6[number])
        return self._guests[name]

    # --- failures

    def cut_cable(self, node: str) -> None:
        """Lose the node's LAN behind the switch: nothing passes, and its carrier stays."""
        self.switch.enslave(f"lan-{node}", None)

    def link_down(self, node: str) -> None:
        """Pull the node's LAN cable: its interface loses the carrier."""
        self.switch.down(f"lan-{node}")

    def cut_management(self, node: str) -> None:
        """Cut the node off from the API server; its LAN goes on."""
        self.switch.enslave(f"mgmt-{node}", None)

    def power_off(self, node: str) -> None:
        """Take the node's power: its programs end without a word, and its carriers go, as its kernel would go on."""
        for bridge in ("lan", "mgmt"):
            self.switch.down(f"{bridge}-{node}")
        self.nodes[node].namespace.evict()

    def mute(self, node: str) -> None:
        """Lose one direction of the node's LAN cable: nobody hears it any more, and it hears all."""
        self.switch.one_way(f"lan-{node}", speaks=False)

    def deafen(self, node: str) -> None:
        """Lose the other direction: it hears nobody any more, and is heard by all."""
        self.switch.one_way(f"lan-{node}", hears=False)

    def split(self, far: Iterable[str]) -> None:
        """Split the LAN: these nodes are on a switch of their own, the client and the router stay with the others."""
        if not self._split:
            self._split = True
            self.switch.add_bridge(_FAR)
            self.switch.sysctl(f"ipv4/conf/{_FAR}/arp_ignore", 1)  # the router is on the other side
            self.switch.sysctl(f"ipv6/conf/{_FAR}/disable_ipv6", 1)
        for node in far:
            self.switch.enslave(f"lan-{node}", _FAR)

    def heal(self, node: str) -> None:
        """Undo whatever of these was done to the node's networks; its programs are the caller's to start again."""
        for bridge in ("lan", "mgmt"):
            self.switch.enslave(f"{bridge}-{node}", bridge)
            self.switch.up(f"{bridge}-{node}")
        self.switch.one_way(f"lan-{node}")

    # --- programs

    def spawn(
        self,
        name: str,
        where: Namespace,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        capabilities: Sequence[str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> Process:
        """Start a program in a namespace, with its output in ``<directory>/<name>.log``; :meth:`close` ends it.

        Args:
            name: what to call it, and its log.
            where: the namespace.
            argv: the program and its arguments.
            env: its whole environment; ours when None.
            capabilities: the only ones it gets; see :meth:`lbprovider.net.namespaces.Namespace.command`.
            descriptors: open files that it inherits.
        """
        command = where.command(argv, capabilities=capabilities)
        return self._adopt(Process(name, command, self.directory / f"{name}.log", env, descriptors))

    def probe(self, target: Address, output: Path | None = None, period: int = PERIOD) -> Prober:
        """Let the client ask for an address from now on; its first request is on the wire within a second or so."""
        source = self.client_address4 if isinstance(target, IPv4Address) else self.client_address6
        path = output or self._fresh("probe")
        prober = Prober(self.client, "eth0", target=target, source=source, output=path, period=period)
        self._adopt(prober.process)
        return prober

    def probe_far(self, target: Address) -> Prober:
        """The same on the far side of a LAN that was split."""
        source = LAN4[_FAR_CLIENT] if isinstance(target, IPv4Address) else LAN6[_FAR_CLIENT]
        prober = Prober(self.switch, _FAR, target=target, source=source, output=self._fresh("far"))
        self._adopt(prober.process)
        return prober

    def capture(self, output: Path | None = None) -> Capture:
        """Record what passes the LAN's switch from when it says that it has started."""
        capture = Capture(self.switch, "lan", output or self._fresh("lan").with_suffix(".pcap"))
        self._adopt(capture.process)
        return capture

    def _adopt(self, process: Process) -> Process:
        self._programs = [each for each in self._programs if each.running]
        self._programs.append(process)
        return process

    def _fresh(self, stem: str) -> Path:
        """A file name that nobody has taken."""
        paths = (self.directory / f"{stem}-{number}.jsonl" for number in itertools.count(1))
        return next(each for each in paths if not each.exists() and not each.with_suffix(".pcap").exists())


def sweep() -> None:
    """Take away what runs that were killed have left: their namespaces and whatever still runs in them."""
    for name in namespaces.names():
        found = _NAME.fullmatch(name)
        if found and started(int(found["pid"])) != int(found["start"]):
            namespaces.evict(name)
            namespaces.forget(name)

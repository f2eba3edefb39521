"""The lab's data path on a real kernel: forwards by nftables, the server behind them, and the node's program.

No speaker runs here: a responder that is not ours stands in for it, or a route.
"""

import itertools
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import pytest

from lbprovider.lab import node as datapath
from lbprovider.lab import provider, visitor, webserver
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import CONTROL, Lan, LanNode
from lbprovider.lab.process import Process
from lbprovider.net.nftables import KernelForwards
from lbprovider.net.nftables_messages import Backend, Frontend, no_table
from tests.e2e.rig import planted, services
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

VIP4, VIP6 = IPv4Address("198.51.100.240"), IPv6Address("2001:db8:1::240")
FAR4, FAR6 = IPv4Address("10.99.0.0"), IPv6Address("2001:db8:7::")
"""The first of many, which the client reaches by a route through node1."""
NOTHING: Final = r"timed out|refused|unreachable|No route"
TABLE: Final = "datapath-test"


def http(address: Address) -> Frontend:
    return Frontend(address, "TCP", 80)


def own(node: LanNode, address: Address) -> Backend:
    return Backend(node.pods4[1] if address.version == 4 else node.pods6[1], webserver.PORT)


class Bench:
    """Two nodes, each with a server and forwards, and a client."""

    def __init__(self, lan: Lan, undo: ExitStack) -> None:
        self.lan = lan
        self.kernel: dict[str, KernelForwards] = {}
        for node in lan.nodes.values():
            argv = webserver.command(node.name, f"web-{node.name}", [str(node.pods4[1]), str(node.pods6[1])])
            server = lan.spawn(f"web-{node.name}", node.namespace, argv)
            eventually(lambda server=server: "serving" in server.tail(1), "the server serves")  # type: ignore[misc]
            self.kernel[node.name] = undo.enter_context(node.namespace.run(lambda: KernelForwards(TABLE)))
        lan.client.add_route(f"{FAR4}/16", str(lan.nodes["node1"].address4))
        lan.client.add_route(f"{FAR6}/64", str(lan.nodes["node1"].address6))

    def forward(self, *frontends: Frontend) -> None:
        for name, node in self.lan.nodes.items():
            self.kernel[name].replace({each: own(node, each.address) for each in frontends})

    @contextmanager
    def owner(self, node: str, address: Address) -> Iterator[None]:
        process = planted.responder(self.lan, node, address)
        self.lan.client.flush_neighbours("eth0")
        try:
            yield
        finally:
            process.stop()

    def fetch(self, address: Address) -> visitor.Answer:
        return visitor.fetch(self.lan.client, address)

    def silent(self, address: Address) -> bool:
        with pytest.raises(OSError, match=NOTHING):
            visitor.fetch(self.lan.client, address, timeout=0.3)
        return True


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as undo:
        yield Bench(undo.enter_context(Lan(2, tmp_path_factory.mktemp("datapath"))), undo)


@pytest.mark.parametrize("address", [VIP4, VIP6])
def test_the_node_that_has_the_address_serves_it_and_sees_the_client(bench: Bench, address: Address) -> None:
    client = bench.lan.client_address4 if address.version == 4 else bench.lan.client_address6
    bench.forward(http(address))

    for node in bench.lan.nodes:
        with bench.owner(node, address):
            assert bench.fetch(address) == visitor.Answer(node, f"web-{node}", str(client))


@pytest.mark.parametrize("address", [FAR4, FAR6])
def test_a_datagram_comes_back_from_where_it_was_sent(bench: Bench, address: Address) -> None:
    bench.forward(Frontend(address, "UDP", 53))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6

    with bench.lan.client.run(lambda: socket.socket(family, socket.SOCK_DGRAM)) as asker:
        asker.settimeout(5)
        asker.connect((str(address), 53))  # so that only an answer from there is read
        asker.send(b"?")
        assert b'"node": "node1"' in asker.recv(4096)
    assert bench.silent(address), "TCP was not forwarded"


@pytest.mark.parametrize("address", [VIP4, VIP6])
def test_a_node_reaches_its_own_server_at_the_address(bench: Bench, address: Address) -> None:
    bench.forward(http(address))

    for name, node in bench.lan.nodes.items():
        assert visitor.fetch(node.namespace, address).node == name


@pytest.mark.parametrize("address", [VIP4, VIP6])
def test_the_address_is_on_no_interface_and_no_kernel_answers_for_it(bench: Bench, address: Address) -> None:
    bench.forward(http(address))
    with bench.owner("node1", address):
        assert bench.fetch(address).node == "node1"

    for node in bench.lan.nodes.values():
        shown = subprocess.run(
            ["ip", "-n", node.namespace.name, "address"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        assert str(node.address4) in shown
        assert str(address) not in shown
    prober = bench.lan.probe(address)
    eventually(lambda: len(prober.samples().sent) >= 100, "the client has asked a hundred times")
    assert prober.stop().replies == ()


def test_what_is_no_longer_wanted_is_gone_and_the_others_stay(bench: Bench) -> None:
    first, second = http(FAR4), http(FAR4 + 1)
    bench.forward(first, second, http(FAR6))
    assert bench.fetch(first.address).node == bench.fetch(second.address).node == bench.fetch(FAR6).node == "node1"

    bench.forward(second)

    assert bench.silent(first.address)
    assert bench.silent(FAR6)
    assert bench.fetch(second.address).node == "node1"


def test_whoever_comes_next_takes_over(bench: Bench) -> None:
    bench.forward(http(FAR4))
    node = bench.lan.nodes["node1"]
    with node.namespace.run(lambda: KernelForwards(TABLE)) as next_life:
        next_life.check()
        assert bench.fetch(FAR4).node == "node1", "what an earlier life left goes on"

        next_life.replace({http(FAR4 + 1): own(node, FAR4)})

        assert bench.silent(FAR4)
        assert bench.fetch(FAR4 + 1).node == "node1"
    # The bench's own goes on as if it were alone, which it is in earnest: so it must not trust what it knows.
    bench.kernel["node1"]._known = None


def test_a_table_that_somebody_took_away_is_made_again(bench: Bench) -> None:
    bench.forward(http(FAR4))
    bench.kernel["node1"]._settle([no_table(TABLE)])
    assert bench.silent(FAR4)

    bench.forward(http(FAR4), http(FAR4 + 1))

    assert bench.fetch(FAR4).node == bench.fetch(FAR4 + 1).node == "node1"


def test_without_the_capability_it_says_so_in_one_sentence(bench: Bench) -> None:
    script = f"from lbprovider.net.nftables import KernelForwards; KernelForwards({TABLE!r}).check()"
    process = bench.lan.spawn(
        "incapable", bench.lan.nodes["node1"].namespace, [sys.executable, "-c", script], capabilities=()
    )

    assert process.wait() == 1
    assert "the kernel refuses to forward by nftables" in process.tail(1)
    assert "it takes CAP_NET_ADMIN" in process.tail(1)


@pytest.mark.parametrize("count", [1000, 5000])
def test_many_forwards_are_replaced_and_cost_a_connection_nothing(bench: Bench, count: int, report: Report) -> None:
    def many(first: int) -> dict[Frontend, Backend]:
        addresses = (each + first + n for n in range(count) for each in (FAR4, FAR6))
        return {http(each): own(bench.lan.nodes["node1"], each) for each in addresses}

    kernel, old, new = bench.kernel["node1"], many(0), many(count)
    more = {**new, http(VIP4): own(bench.lan.nodes["node1"], VIP4)}
    took = [_milliseconds(lambda wanted=wanted: kernel.replace(wanted)) for wanted in (old, new, more)]
    connects = sorted(_milliseconds(lambda: bench.lan.client.dial(FAR4 + count, 80, 5).close()) for _ in range(200))

    report(
        f"{count} dual-stack Services: set {took[0]:.0f} ms, all replaced {took[1]:.0f} ms, one more {took[2]:.1f} ms; "
        f"a connection {statistics.median(connects):.2f} ms, p99 {connects[-3]:.2f} ms"
    )
    for address in (FAR4 + count, FAR4 + 2 * count - 1, FAR6 + count, FAR6 + 2 * count - 1):
        assert bench.fetch(address).node == "node1"
    for address in (FAR4, FAR4 + count - 1, FAR6, FAR6 + count - 1):
        assert bench.silent(address)


def _milliseconds(work: object) -> float:
    assert callable(work)
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1e6


# --- the node's program


class Plane(Cluster):
    """A control plane whose nodes have no kube-proxy."""

    def start_proxy(self, name: str) -> Process:
        return self.lan.spawn(f"no-kube-proxy-{name}", self.lan.nodes[name].namespace, ["true"])


class Programs:
    """The nodes' programs, and the client."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self._account = provider.write_service_account(
            plane.directory / "datapath", authority=plane.authority, token=plane.admin_token
        )
        self.running: Mapping[str, Process] = {name: self.start(name) for name in plane.lan.nodes}
        for each in self.running.values():
            eventually(lambda each=each: "serving" in each.tail(), f"{each.name} serves")  # type: ignore[misc]

    def start(self, name: str) -> Process:
        return datapath.start(self.plane.lan, name, self._account, CONTROL, provider.API_PORT)

    def nodes(self, address: Address, port: int = 80) -> list[str]:
        """Who serves an address, asked from each node itself."""
        return [visitor.fetch(each.namespace, address, port).node for each in self.plane.lan.nodes.values()]

    def silent(self, address: Address, port: int = 80) -> bool:
        places = self.plane.lan.nodes.values()
        return all(_refused(each, address, port) for each in places)


def _refused(node: LanNode, address: Address, port: int) -> bool:
    try:
        with closing(node.namespace.dial(address, port, 0.2)):
            return False
    except OSError:
        return True


@pytest.fixture(scope="module")
def programs(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with Plane(binaries, 2, tmp_path_factory.mktemp("plane")) as plane:
        yield Programs(plane)


def test_each_node_serves_what_services_have(programs: Programs, report: Report) -> None:
    plane = programs.plane
    services.create(plane, "web", {}, family_policy="RequireDualStack", families=["IPv4", "IPv6"])
    services.set_ingress(plane, "web", VIP4, VIP6)

    eventually(lambda: [programs.nodes(each) for each in (VIP4, VIP6)], "every node serves both addresses")
    places: Iterator[tuple[Address, str]] = itertools.product((VIP4, VIP6), plane.lan.nodes)
    for address, node in places:
        assert programs.nodes(address) == list(plane.lan.nodes)
        owner = planted.responder(plane.lan, node, address)
        plane.lan.client.flush_neighbours("eth0")
        assert services.fetch(plane, address).node == node
        owner.stop()
    for each in programs.running.values():
        status = Path(f"/proc/{each.pid}/status").read_text(encoding="utf-8")
        (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        report(f"{each.name}: {int(resident) / 1024:.0f} MB resident")

    services.set_ingress(plane, "web", VIP4 + 1)
    eventually(lambda: programs.nodes(VIP4 + 1), "the new address is served")
    assert programs.silent(VIP4)
    assert programs.silent(VIP6)
    plane.api.delete(services.path("web"))
    eventually(lambda: programs.silent(VIP4 + 1), "what is deleted is not served")


def test_it_goes_on_without_the_api_server_and_catches_up(programs: Programs) -> None:
    plane = programs.plane
    services.create(plane, "kept", {})
    services.set_ingress(plane, "kept", VIP4)
    eventually(lambda: programs.nodes(VIP4), "the Service is served")

    plane.apiserver.kill()
    assert programs.nodes(VIP4) == list(plane.lan.nodes)
    programs.running["node1"].kill()
    again = programs.start("node1")
    eventually(lambda: again.tail().count("serving") == 2, "the program serves again")
    assert programs.nodes(VIP4) == list(plane.lan.nodes), "a program that starts meanwhile goes on from the kernel"

    plane.restart_apiserver()
    services.create(plane, "late", {})
    services.set_ingress(plane, "late", VIP4 + 1)
    eventually(lambda: programs.nodes(VIP4 + 1), "what changed after the outage is served", within=60)
    assert programs.nodes(VIP4) == list(plane.lan.nodes)
    assert again.stop() == 0, "SIGTERM ends it in order"

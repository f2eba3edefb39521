"""The speaker on a real LAN and a real API server: what it refuses at start, and what moves without a crash."""

import datetime as dt
import json
import re
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lbprovider.api.registration import ANNOTATION
from lbprovider.election.segment import DEFAULT_PERIOD, PERIODS_PER_HOLD
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.process import Process
from lbprovider.lab.provider import NAMESPACE
from lbprovider.speaker.files import SnapshotFile
from lbprovider.speaker.snapshot import Snapshot
from lbprovider.speaker.succession import FORMER
from tests.e2e.rig import nodes, ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])

HOLD = PERIODS_PER_HOLD * DEFAULT_PERIOD
ADDRESS4: Address = ip_address("198.51.100.200")
ADDRESS6: Address = ip_address("2001:db8:1::c8")
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
WAKES = "lbprovider_loop_lag_seconds_count"


class Rig:
    """Three speakers that are ready, and a dual-stack Service with its addresses."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.lan = cluster, cluster.lan
        self.began = cluster.audit.mark()
        ours.install(cluster)
        ours.start_controller(cluster)
        self.speakers: dict[str, Process] = {}
        for node in self.lan.nodes:
            self.start(node)
        ours.pool(cluster, "lan", f"{ADDRESS4}-198.51.100.219", f"{ADDRESS6}-2001:db8:1::ff")
        ours.advertisement(cluster, "lan", interfaces=["eth0"])
        for node in self.lan.nodes:
            Pod(cluster, f"web-{node}", node, {"app": "web"})
        services.create(cluster, "web", {"app": "web"}, family_policy="RequireDualStack", families=["IPv4", "IPv6"])
        self.settle()

    def start(self, node: str) -> None:
        self.speakers[node] = ours.start_speaker(self.cluster, node)

    def settle(self) -> None:
        """Until every speaker is a member, ready, and both addresses have a leader."""
        ours.await_members(self.cluster)
        eventually(lambda: all(self.ready(node) == "ok" for node in self.lan.nodes), "every speaker is ready")
        for address in (ADDRESS4, ADDRESS6):
            ours.settled(self.cluster, address)

    def ready(self, node: str) -> str:
        """What its readiness probe says."""
        return ours.health(self.lan.nodes[node].namespace)[1].strip()

    def metrics(self, node: str) -> dict[str, float]:
        """Every sample of a speaker."""
        lines = ours.health(self.lan.nodes[node].namespace, "/metrics")[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def idle(self, node: str) -> dict[str, float]:
        """Every sample of a speaker once it has been idle, as most of the time, for 60 wakes."""
        begin = self.metrics(node)[WAKES]

        def rested() -> dict[str, float] | None:
            found = self.metrics(node)
            return found if found[WAKES] >= begin + 60 else None

        return eventually(rested, f"the speaker of {node} has woken 60 times more")

    def mac(self, node: str) -> str:
        return self.lan.nodes[node].mac

    def incarnation(self, node: str) -> int:
        found = self.cluster.api.get(f"{LEASES}/{node}")
        return int(json.loads(found["metadata"]["annotations"][ANNOTATION])["incarnation"])


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Iterator[Rig]:
    made = Rig(cluster)
    yield made
    for node, speaker in made.speakers.items():
        assert speaker.running, f"the speaker of {node} ended:\n{speaker.tail()}"


@pytest.fixture(autouse=True)
def _mended(rig: Rig) -> Iterator[None]:
    """One test that fails in the midst leaves the next ones an API server, and speakers."""
    yield
    if not rig.cluster.apiserver.running:
        rig.cluster.restart_apiserver()
    for node, speaker in rig.speakers.items():
        if not speaker.running:
            rig.start(node)


def said(process: Process, before: int = 0) -> list[str]:
    """The lines of its output that are no log lines: what an admin reads."""
    return [line for line in process.log.read_text()[before:].splitlines() if not line.startswith("{")]


def test_without_the_capability_it_says_so_in_one_sentence_and_touches_nothing(rig: Rig) -> None:
    before = rig.incarnation("node1")
    process = ours.start_speaker(rig.cluster, "node1", ["--http-port", "0"], capabilities=())
    length = 0
    assert process.wait() == 1
    (sentence,) = said(process, length)
    assert "NET_RAW" in sentence
    assert rig.incarnation("node1") == before


def test_a_second_speaker_on_a_node_is_refused_and_the_first_goes_on(rig: Rig) -> None:
    before = rig.incarnation("node1")
    length = len(rig.speakers["node1"].log.read_text())
    process = ours.start_speaker(rig.cluster, "node1", ["--http-port", "0"])
    assert process.wait(2 * FORMER) == 1
    (sentence,) = said(process, length)
    assert "another speaker runs on this node" in sentence
    assert rig.incarnation("node1") == before
    assert rig.ready("node1") == "ok"


def test_a_node_that_does_not_exist_is_named(rig: Rig) -> None:
    process = ours.start_speaker(
        rig.cluster, "node1", ["--http-port", "0", "--heartbeat-port", "7999", "--node-name", "nowhere"]
    )
    assert process.wait() == 1
    assert "there is no Node 'nowhere'" in said(process)[-1]


def test_a_restart_by_sigterm_goes_unseen(rig: Rig, report: Report) -> None:
    """Another one stands in with its hardware address, and hands its own back."""
    rig.settle()
    old = ours.settled(rig.cluster, ADDRESS4)
    eyes = Eyes(rig.lan, ADDRESS4)
    eyes.answered(by=rig.mac(old))
    eyes.look_on(100)
    began = time.monotonic()
    assert rig.speakers[old].stop() == 0
    took = time.monotonic() - began
    eventually(lambda: ours.leader(rig.cluster, ADDRESS4) not in {None, old}, "another one leads")
    eyes.look_on(500)
    rig.start(old)
    rig.settle()
    eventually(lambda: ours.leader(rig.cluster, ADDRESS4) == old, "it has its own back")
    eyes.look_on(500)
    eyes.close()
    verdict = eyes.verdict()
    report(f"{verdict}; it ended {took * 1000:.0f} ms after SIGTERM")
    assert verdict.macs == (rig.mac(old),)
    assert verdict.unanswered == 0


@pytest.mark.parametrize("address", [ADDRESS4, ADDRESS6], ids=["IPv4", "IPv6"])
def test_a_link_that_goes_down_moves_the_address_and_takes_nothing_back(
    rig: Rig, address: Address, report: Report
) -> None:
    rig.settle()
    old = ours.settled(rig.cluster, address)
    eyes = Eyes(rig.lan, address)
    eyes.answered(by=rig.mac(old))
    eyes.look_on(100)
    rig.lan.link_down(old)
    new = eyes.answered(other_than=rig.mac(old))
    eventually(lambda: rig.ready(old).endswith("eth0 is down"), "it isn't ready, and says why")
    rig.lan.heal(old)
    eventually(lambda: rig.ready(old) == "ok", "it is ready again")
    eyes.look_on(1500)
    eyes.close()
    verdict = eyes.verdict()
    report(str(verdict))
    assert verdict.macs == (rig.mac(old), new.mac)
    assert verdict.contests == eyes.contests() == ()
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness


def test_nothing_is_lost_while_the_api_server_is_down_and_an_owner_dies_meanwhile(rig: Rig, report: Report) -> None:
    rig.settle()
    old = ours.settled(rig.cluster, ADDRESS4)
    eyes = Eyes(rig.lan, ADDRESS4)
    eyes.answered(by=rig.mac(old))
    rig.cluster.apiserver.kill()
    down = time.monotonic_ns()
    eyes.look_on(3000)
    quiet = eyes.verdict(since=down)
    assert (quiet.unanswered, quiet.macs) == (0, (rig.mac(old),))
    rig.speakers[old].kill()
    eyes.answered(other_than=rig.mac(old))
    eyes.look_on(500)
    eyes.close()
    verdict = eyes.verdict()
    report(str(verdict))
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    assert len(verdict.macs) == 2
    rig.cluster.restart_apiserver()
    eventually(lambda: ours.leader(rig.cluster, ADDRESS4) not in {None, old}, "the new owner says so")
    rig.start(old)
    rig.settle()


class Offline:
    """``provider.ControlPlane`` with a token from before: a Pod's outlives the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self.lan, self.authority = cluster.lan, cluster.authority
        self._token = cluster.token_of(ours.SPEAKER)

    def token_of(self, account: str) -> str:
        assert account == ours.SPEAKER
        return self._token


def kept(rig: Rig, node: str) -> Snapshot | None:
    """What a node has on disk."""
    return SnapshotFile(rig.lan.directory / f"speaker-{node}.snapshot").load()


def api_down(rig: Rig) -> tuple[Offline, str]:
    """Once both addresses are in every snapshot, the API server dies; also who leads then."""
    rig.settle()
    offline = Offline(rig.cluster)

    def all_kept() -> bool:
        found = [kept(rig, node) for node in rig.lan.nodes]
        return all(one is not None and len(one.allocations) == 2 and one.segments for one in found)

    eventually(all_kept, "every node has both addresses and the Segment on disk")
    leader = ours.settled(rig.cluster, ADDRESS4)
    rig.cluster.apiserver.kill()
    return offline, leader


def restored(process: Process) -> int:
    """When it went on from its snapshot, by the monotonic clock."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    said = [dt.datetime.fromisoformat(line["timestamp"]) for line in lines if line["event"] == "restored"]
    return int(said[-1].timestamp() * 1e9) - time.time_ns() + time.monotonic_ns()


def test_a_speaker_that_restarts_while_the_api_server_is_down_votes_again_and_takes_nothing(
    rig: Rig, report: Report
) -> None:
    offline, old = api_down(rig)
    eyes = Eyes(rig.lan, ADDRESS4)
    eyes.answered(by=rig.mac(old))
    rig.speakers[old].kill()
    new = eyes.answered(other_than=rig.mac(old))
    began = time.monotonic()
    rig.speakers[old] = ours.start_speaker(offline, old)
    eventually(lambda: rig.ready(old) == "ok", "it votes, and is connected")
    report(f"ready {time.monotonic() - began:.1f} s after its start")
    eyes.look_on(1000)
    rig.cluster.restart_apiserver()
    rig.settle()
    eyes.look_on(1000)
    eyes.close()
    verdict = eyes.verdict()
    report(str(verdict))
    assert rig.mac(old) not in eyes.verdict(since=new.at).macs
    assert verdict.contests == eyes.contests() == ()
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness


def test_all_speakers_restart_while_the_api_server_is_down_and_one_answers_again(rig: Rig, report: Report) -> None:
    offline, _ = api_down(rig)
    before = {node: one.incarnation for node in rig.lan.nodes if (one := kept(rig, node)) is not None}
    eyes = Eyes(rig.lan, ADDRESS4)
    eyes.answered()
    for speaker in rig.speakers.values():
        speaker.kill()
    killed = time.monotonic_ns()
    for node in rig.lan.nodes:
        rig.speakers[node] = ours.start_speaker(offline, node)
    new = eyes.answered(since=killed + 50 * MS)
    quorum = sorted(restored(speaker) for speaker in rig.speakers.values())[1]
    eventually(lambda: all(rig.ready(node) == "ok" for node in rig.lan.nodes), "every speaker is ready")
    eyes.look_on(1000)
    rig.cluster.restart_apiserver()
    rig.settle()
    eventually(
        lambda: all(rig.incarnation(node) == last + 1 for node, last in before.items()), "each has its Lease again"
    )
    eventually(lambda: rig.mac(ours.settled(rig.cluster, ADDRESS4)) == new.mac, "the owner says so")
    eyes.look_on(2000)
    eyes.close()
    verdict = eyes.verdict(since=new.at)
    report(
        f"answered {(new.at - killed) / MS:.0f} ms after the crash of all, {(new.at - quorum) / MS:.0f} ms after a "
        f"quorum was restored; then {verdict}"
    )
    assert verdict.macs == (new.mac,)
    assert verdict.contests == eyes.contests() == ()
    assert verdict.silence.length <= 100 * MS + verdict.silence.lateness
    assert new.at - quorum <= 4 * HOLD + eyes.verdict().lateness


def test_what_it_costs(rig: Rig, report: Report) -> None:
    rig.settle()
    for node, speaker in rig.speakers.items():
        found = rig.idle(node)
        wakes = found[WAKES]
        late = wakes - found['lbprovider_loop_lag_seconds_bucket{le="0.02"}']
        rss = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{speaker.pid}/status").read_text())[1])  # type: ignore[index]
        report(f"{node}: {rss / 1024:.0f} MB, {wakes:.0f} wakes, {late:.0f} of them more than 20 ms late")
        assert wakes > 0
        assert rss < 66 * 1024  # nine tenths of MetalLB's speaker at 100 Services (BASELINE)


def test_each_win_was_written_once_and_nothing_else_was(rig: Rig) -> None:
    wins = sum(
        value
        for node in rig.speakers
        for name, value in rig.metrics(node).items()
        if name.startswith("lbprovider_leader_changes_total") and 'change="Won"' in name
    )
    written = rig.cluster.audit.requests(
        lambda each: each.user == ours.SPEAKER_USER and each.resource == "ipallocations" and each.status == 200,
        since=rig.began,
    )
    assert all(each.subresource == "status" for each in written if each.writes)
    # Processes that were ended took their counts with them: no fewer writes than the wins that are left.
    assert sum(each.writes for each in written) >= wins > 0


def test_a_node_that_was_deleted_and_joins_again_under_its_name_is_heard_by_its_peers(rig: Rig) -> None:
    node = "node2"
    before = rig.incarnation(node)
    rig.speakers[node].kill()
    rig.cluster.api.delete(f"/api/v1/nodes/{node}")
    # The collector's watches back off too: after each outage of the API server they are up to half a minute behind.
    eventually(lambda: rig.cluster.api.find(f"{LEASES}/{node}") is None, "its Lease is collected as garbage", within=90)
    nodes.register(rig.cluster.api, rig.lan.nodes[node])
    rig.start(node)
    eventually(lambda: rig.ready(node) == "ok", "a quorum answers it")
    assert rig.incarnation(node) > before

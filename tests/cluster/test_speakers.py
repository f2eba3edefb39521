"""Speakers that go: deleted, deleted by force, killed, updated one after another, drained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from lbprovider.lab.eyes.calls import Verdict
from lbprovider.lab.provider import NAMESPACE, SPEAKER
from tests.cluster.backends import Cluster
from tests.cluster.rig.kubectl import Event, Kubectl, run
from tests.cluster.rig.power import Power
from tests.cluster.rig.provider import HOLD, Provider, is_ready, uid
from tests.cluster.rig.sampling import sampled
from tests.cluster.rig.web import CLUSTER, LOCAL, Web
from tests.e2e.rig.report import Report

_FORCE = ("--grace-period=0", "--force")


@dataclass(frozen=True, slots=True)
class Change:
    """The leader of an address goes, as a client saw it."""

    old: str
    new: str
    verdict: Verdict

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return (self.verdict,)


@pytest.mark.parametrize("how", [(), _FORCE], ids=["gracefully", "by force"])
def test_a_speaker_that_is_deleted_is_stood_in_for_and_clients_see_nothing_of_it(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report, how: Sequence[str]
) -> None:
    address = web.addresses[LOCAL]

    def measure() -> Change:
        leader = provider.leader(address)
        pod = provider.speaker(leader)
        with web.traffic(LOCAL) as traffic:
            kubectl("delete", "pod", f"--namespace={NAMESPACE}", pod["metadata"]["name"], *how)
            meanwhile = provider.leader(address, other_than=leader)
            provider.new_speaker(leader, pod)
            traffic.answered(50)
            return Change(leader, meanwhile, traffic.end())

    change = sampled(measure, report)
    report(f"{change.verdict}; led by {change.old}, and by {change.new} in its place meanwhile")

    assert change.verdict.failed == ()
    if change.verdict.calm:
        assert change.verdict.silence.length <= HOLD + change.verdict.silence.lateness
        assert change.verdict.cut == ()
        assert change.verdict.nodes == (change.old,)
        assert provider.leader(address, other_than=change.new) == change.old


def test_a_speaker_that_is_killed_is_followed_within_two_holds(
    web: Web, provider: Provider, switch: Power, report: Report
) -> None:
    address = web.addresses[LOCAL]

    def measure() -> Change:
        leader = provider.leader(address)
        with web.traffic(LOCAL) as traffic, switch.crashed_speaker(leader):
            new = provider.leader(address, other_than=leader)
            traffic.answered(50)
            return Change(leader, new, traffic.end())

    change = sampled(measure, report)
    report(f"{change.verdict}; led by {change.old}, then {change.new}")

    assert change.verdict.silence.length <= 2 * HOLD + change.verdict.silence.lateness
    assert change.verdict.led_by(change.old, change.new)


@dataclass(frozen=True, slots=True)
class Update:
    """A rolling update of all speakers."""

    local: Verdict
    cluster: Verdict
    replaced: bool
    """Whether every speaker is a new one."""
    away: int
    """How many were away at once, at most."""
    shown: Mapping[str, Sequence[str]]
    """With which hardware address each Service's address was answered for, in turns."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return (self.local, self.cluster)


@pytest.mark.parametrize("cluster", [3, 2], indirect=True, ids=lambda size: f"nodes={size}")
def test_a_rolling_update_takes_one_speaker_at_a_time_and_clients_see_nothing_of_it(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
    if len(web.may_lead()) == 1:
        pytest.skip("one node alone may lead here: nobody can stand in for it")
    selector = "--selector=app.kubernetes.io/component=speaker"

    def measure() -> Update:
        before = {uid(pod) for pod in provider.pods("speaker")}
        with (
            kubectl.watch("ipallocations") as allocations,
            kubectl.watch("pods", f"--namespace={NAMESPACE}", selector) as pods,
            web.traffic(LOCAL) as local,
            web.traffic(CLUSTER) as some,
        ):
            kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"daemonset/{SPEAKER}")
            kubectl.rolled_out(NAMESPACE, f"daemonset/{SPEAKER}", within=120)
            local.answered(50)
            some.answered(50)
            return Update(
                local.end(),
                some.end(),
                before.isdisjoint(uid(pod) for pod in provider.pods("speaker")),
                _most_away(pods.events(), len(before)),
                {name: _shown(allocations.events(), str(each)) for name, each in web.addresses.items()},
            )

    update = sampled(measure, report)
    report(f"policy Local: {update.local}")
    report(f"policy Cluster: {update.cluster}")
    for name, turns in update.shown.items():
        report(f"{name} was at {', '.join(turns)}")

    assert update.replaced
    assert update.away == 1
    assert all(len(turns) <= 2 for turns in update.shown.values()), "an address moved more than once"
    assert [verdict.failed for verdict in update.verdicts] == [(), ()]
    if update.local.calm and update.cluster.calm:
        assert all(len(turns) == 1 for turns in update.shown.values()), "an address moved"
        assert len(update.local.nodes) == 1
        assert [verdict.cut for verdict in update.verdicts] == [(), ()]
        assert all(verdict.silence.length <= HOLD + verdict.silence.lateness for verdict in update.verdicts)


@pytest.mark.parametrize("cluster", [3, 2], indirect=True, ids=lambda size: f"nodes={size}")
def test_a_drained_node_leads_nothing_until_it_is_undrained(
    cluster: Cluster, web: Web, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
    if len(web.may_lead()) == 1:
        pytest.skip("one node alone may lead here: nobody takes over from it")
    address = web.addresses[LOCAL]
    web.spread()

    def measure() -> Change:
        leader = provider.leader(address)
        with web.traffic(LOCAL) as traffic:
            said = run(cluster.lbprovider("drain", leader), f"lbprovider drain {leader}")
            new = provider.leader(address, other_than=leader)
            assert f"{address}: {leader} -> {new}\n" in said
            assert said.endswith(
                f"node {leader} leads nothing, and takes nothing until `lbprovider undrain {leader}`\n"
            )
            traffic.answered(50)
            pod = provider.speaker(leader)
            kubectl("delete", "pod", f"--namespace={NAMESPACE}", pod["metadata"]["name"])
            provider.new_speaker(leader, pod)
            assert _led(provider, leader) == []
            said = run(cluster.lbprovider("undrain", leader), f"lbprovider undrain {leader}")
            assert said == f"node {leader} takes addresses again; those that have moved stay where they are\n"
            traffic.answered(50)
            return Change(leader, new, traffic.end())

    change = sampled(measure, report)
    report(f"{change.verdict}; led by {change.old}, then {change.new}")

    assert change.verdict.failed == ()
    assert change.verdict.led_by(change.old, change.new)
    if change.verdict.calm:
        assert change.verdict.silence.length <= HOLD + change.verdict.silence.lateness
        assert provider.leader(address) == change.new
    with pytest.raises(RuntimeError, match="lbprovider: there is no Node no-such-node: `kubectl get nodes` lists them"):
        run(cluster.lbprovider("drain", "no-such-node"), "lbprovider drain no-such-node")


def _led(provider: Provider, node: str) -> list[str]:
    """The addresses that a node leads."""
    allocations = provider.kubectl.items("ipallocations")
    return [each["spec"]["address"] for each in allocations if each.get("status", {}).get("leader") == node]


def _most_away(events: Sequence[Event], count: int) -> int:
    """How many of so many speakers were away at once at most: on their way out, or not yet ready for once."""
    there = set[str]()
    most = 0
    for number, event in enumerate(events):
        leaves = event.type == "DELETED" or "deletionTimestamp" in event.object["metadata"]
        if leaves:
            there.discard(uid(event.object))
        elif is_ready(event.object):
            there.add(uid(event.object))
        if number >= count - 1:  # the first ones say what is there
            most = max(most, count - len(there))
    return most


def _shown(events: Sequence[Event], address: str) -> tuple[str, ...]:
    """With which hardware address an address was answered for, in turns."""
    turns: list[str] = []
    for event in events:
        mac = event.object.get("status", {}).get("mac", "")
        if event.object["spec"]["address"] == address and mac and turns[-1:] != [mac]:
            turns.append(mac)
    return tuple(turns)

"""Speakers that go: deleted, deleted by force, killed, updated one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from lbprovider.lab.eyes.calls import Verdict
from lbprovider.lab.provider import NAMESPACE, SPEAKER
from tests.cluster.rig.kubectl import Event, Kubectl
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
def test_a_speaker_that_is_deleted_costs_no_new_connection(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report, how: Sequence[str]
) -> None:
    address = web.addresses[LOCAL]

    def measure() -> Change:
        leader = provider.leader(address)
        pod = provider.speaker(leader)
        with web.traffic(LOCAL) as traffic:
            kubectl("delete", "pod", f"--namespace={NAMESPACE}", pod["metadata"]["name"], *how)
            new = provider.leader(address, other_than=leader)
            provider.new_speaker(leader, pod)
            traffic.answered(50)
            return Change(leader, new, traffic.end())

    change = sampled(measure, report)
    report(f"{change.verdict}; led by {change.old}, then {change.new}")

    assert change.verdict.failed == ()
    assert change.verdict.silence.length <= 2 * HOLD + change.verdict.silence.lateness
    assert change.verdict.led_by(change.old, change.new)


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
    leaders: Mapping[str, Sequence[str]]
    """Who led each Service's address, in turns."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return (self.local, self.cluster)


def test_a_rolling_update_takes_one_speaker_at_a_time_and_costs_no_new_connection(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
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
            local.answered(25)
            some.answered(25)
            return Update(
                local.end(),
                some.end(),
                before.isdisjoint(uid(pod) for pod in provider.pods("speaker")),
                _most_away(pods.events(), len(before)),
                {name: _leaders(allocations.events(), str(each)) for name, each in web.addresses.items()},
            )

    update = sampled(measure, report)
    report(f"policy Local: {update.local}")
    report(f"policy Cluster: {update.cluster}")
    for name, turns in update.leaders.items():
        report(f"{name} was led by {', '.join(turns)}")

    assert update.replaced
    assert update.away == 1
    for verdict in update.verdicts:
        assert verdict.failed == ()
        assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    if update.local.calm and update.cluster.calm:
        speakers = len(provider.pods("speaker"))
        assert all(len(turns) <= 1 + speakers for turns in update.leaders.values()), "addresses moved needlessly"


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


def _leaders(events: Sequence[Event], address: str) -> tuple[str, ...]:
    """Who led an address, in turns."""
    turns: list[str] = []
    for event in events:
        leader = event.object.get("status", {}).get("leader", "")
        if event.object["spec"]["address"] == address and leader and turns[-1:] != [leader]:
            turns.append(leader)
    return tuple(turns)

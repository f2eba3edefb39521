"""Speakers that go: deleted, deleted by force, killed, updated one after another."""

from collections.abc import Sequence

import pytest

from lbprovider.lab.provider import NAMESPACE, SPEAKER
from tests.cluster.rig.kubectl import Event, Kubectl
from tests.cluster.rig.power import Power
from tests.cluster.rig.provider import HOLD, Provider, is_ready, uid
from tests.cluster.rig.web import CLUSTER, LOCAL, Web
from tests.e2e.rig.report import Report

_FORCE = ("--grace-period=0", "--force")


@pytest.mark.parametrize("how", [(), _FORCE], ids=["gracefully", "by force"])
def test_a_speaker_that_is_deleted_costs_no_new_connection(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report, how: Sequence[str]
) -> None:
    address = web.addresses[LOCAL]
    leader = provider.leader(address)
    old = provider.speaker(leader)
    with web.traffic(LOCAL) as traffic:
        kubectl("delete", "pod", f"--namespace={NAMESPACE}", old["metadata"]["name"], *how)
        new = provider.leader(address, other_than=leader)
        provider.new_speaker(leader, old)
        traffic.answered(50)
        verdict = traffic.end()
    report(f"{verdict}; led by {leader}, then {new}")

    assert verdict.failed == ()
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    assert verdict.led_by(leader, new)


def test_a_speaker_that_is_killed_is_followed_within_two_holds(
    web: Web, provider: Provider, switch: Power, report: Report
) -> None:
    address = web.addresses[LOCAL]
    leader = provider.leader(address)
    with web.traffic(LOCAL) as traffic:
        switch.crash_speaker(leader)
        new = provider.leader(address, other_than=leader)
        traffic.answered(50)
        verdict = traffic.end()
    report(f"{verdict}; led by {leader}, then {new}")

    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    assert verdict.led_by(leader, new)


def test_a_rolling_update_takes_one_speaker_at_a_time_and_costs_no_new_connection(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
    before = {uid(pod) for pod in provider.pods("speaker")}
    selector = "--selector=app.kubernetes.io/component=speaker"
    with (
        kubectl.watch("ipallocations") as allocations,
        kubectl.watch("pods", f"--namespace={NAMESPACE}", selector) as pods,
        web.traffic(LOCAL) as local,
        web.traffic(CLUSTER) as everywhere,
    ):
        kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"daemonset/{SPEAKER}")
        kubectl.rolled_out(NAMESPACE, f"daemonset/{SPEAKER}")
        local.answered(25)
        everywhere.answered(25)
        verdicts = {LOCAL: local.end(), CLUSTER: everywhere.end()}
        away = _most_away(pods.events(), len(before))
        moves = {name: _leaders(allocations.events(), str(address)) for name, address in web.addresses.items()}
    for name, verdict in verdicts.items():
        report(f"policy {'Local' if name == LOCAL else 'Cluster'}: {verdict}")
    for name, turns in moves.items():
        report(f"{name} was led by {', '.join(turns)}")

    assert before.isdisjoint(uid(pod) for pod in provider.pods("speaker")), "not every speaker is a new one"
    assert away == 1
    for verdict in verdicts.values():
        assert verdict.failed == ()
        assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    assert all(len(turns) - 1 <= len(before) for turns in moves.values()), (
        "an address moved more often than speakers went"
    )


def _most_away(events: Sequence[Event], count: int) -> int:
    """How many of so many speakers were not ready at once, at most."""
    ready = set[str]()
    most = 0
    for number, event in enumerate(events):
        if event.type != "DELETED" and is_ready(event.object):
            ready.add(uid(event.object))
        else:
            ready.discard(uid(event.object))
        if number >= count - 1:  # the first ones say what is there
            most = max(most, count - len(ready))
    return most


def _leaders(events: Sequence[Event], address: str) -> tuple[str, ...]:
    """Who led an address, in turns."""
    turns: list[str] = []
    for event in events:
        leader = event.object.get("status", {}).get("leader", "")
        if event.object["spec"]["address"] == address and leader and turns[-1:] != [leader]:
            turns.append(leader)
    return tuple(turns)

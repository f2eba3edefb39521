"""The controller that leads goes; addresses stay, and new Services get theirs from the other one."""

import time
from collections.abc import Sequence

import pytest

from lbprovider.lab.provider import CONTROLLER, NAMESPACE
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import HOLD, Provider, uid
from tests.cluster.rig.web import LOCAL, Web
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

_FORCE = ("--grace-period=0", "--force")


@pytest.mark.parametrize("how", [(), _FORCE], ids=["gracefully", "by force"])
def test_the_leading_controller_is_deleted(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report, how: Sequence[str]
) -> None:
    old = eventually(provider.leading_controller, "a controller leads")
    with web.traffic(LOCAL) as traffic:
        began = time.monotonic()
        kubectl("delete", "pod", f"--namespace={NAMESPACE}", old, "--wait=false", *how)
        web.create("late")
        address = web.external_ip("late")
        given = time.monotonic() - began
        new = eventually(lambda: _other(provider.leading_controller(), old), f"another controller than {old} leads")
        led = time.monotonic() - began
        eventually(lambda: web.outside.ask(address, 1, patience=0.5), "the new Service answers")
        answered = time.monotonic() - began
        verdict = traffic.end()
    report(
        f"a Service made at once has its address after {given:.1f} s and answers after {answered:.1f} s, the other "
        f"replica leads after {led:.1f} s; Services of before: {verdict}"
    )
    web.delete("late", address)

    assert new in {pod["metadata"]["name"] for pod in provider.pods("controller")}
    assert verdict.failed == () or verdict.void
    assert verdict.cut == () or not verdict.calm
    assert address not in web.addresses.values()


def _other(leader: str, old: str) -> str | None:
    return leader if leader not in ("", old) else None


def test_a_rolling_update_of_the_controllers_costs_nobody_anything(
    web: Web, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
    before = {uid(pod) for pod in provider.pods("controller")}
    with web.traffic(LOCAL) as traffic:
        kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}")
        kubectl.rolled_out(NAMESPACE, f"deployment/{CONTROLLER}")
        began = time.monotonic()
        web.create("later")
        address = web.external_ip("later")
        served = time.monotonic() - began
        verdict = traffic.end()
    report(f"a Service made after it has its address after {served:.1f} s; Services of before: {verdict}")
    web.delete("later", address)

    assert before.isdisjoint(uid(pod) for pod in provider.pods("controller"))
    assert verdict.failed == () or verdict.void
    assert verdict.cut == () or not verdict.calm
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness

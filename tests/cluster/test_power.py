"""A node that loses its power, and gets it again."""

from dataclasses import dataclass

import pytest

from lbprovider.lab.eyes.calls import Verdict
from lbprovider.lab.eyes.judge import MS
from tests.cluster.rig.power import Power
from tests.cluster.rig.provider import HOLD, Provider
from tests.cluster.rig.sampling import sampled
from tests.cluster.rig.web import CLUSTER, LOCAL, SERVICES, Web
from tests.e2e.rig.report import Report

METALLB = 5460 * MS
"""How long the same client got no answer where MetalLB had the address: policy Local, the same rig."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A node's death and its return, as a client of an address saw them that the node had."""

    old: str
    """The node."""
    new: str
    """Who had the address once it was dead."""
    last: str
    """Who had it once the node was back."""
    dead: Verdict
    back: Verdict

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return (self.dead, self.back)


@pytest.mark.parametrize("service", [LOCAL, CLUSTER], ids=["Local", "Cluster"])
def test_the_leaders_node_dies(web: Web, provider: Provider, switch: Power, report: Report, service: str) -> None:
    """Under Local every node has a backend; under Cluster the backends are on other nodes than the leader's."""
    address = web.addresses[service]

    def measure() -> Outage:
        web.keep_off_the_leader()
        old = provider.leader(address)
        assert (old in web.backends(SERVICES[service][0])) == (service == LOCAL)
        with web.traffic(service) as traffic:
            switch.kill(old)
            new = provider.leader(address, other_than=old)
            traffic.answered(50)
            dead = traffic.end()
        with web.traffic(service) as traffic:
            switch.start(old)
            traffic.answered(50)
            back = traffic.end()
        return Outage(old, new, provider.leader(address), dead, back)

    outage = sampled(measure, report)
    dead, back = outage.verdicts
    report(f"{outage.old} dead: {dead}; hold {HOLD / MS:.0f} ms (MetalLB, policy Local: {METALLB / MS:.0f} ms)")
    report(f"{outage.old} back: {back}")

    assert dead.silence.length <= 2 * HOLD + dead.silence.lateness
    assert back.failed == ()
    assert back.silence.length <= 2 * HOLD + back.silence.lateness
    if service == LOCAL:
        assert dead.led_by(outage.old, outage.new)
        assert back.led_by(outage.new)
    if back.calm:
        assert back.cut == ()
        assert outage.last == outage.new, "the node that is back took the address"
    for place in (web.outside, *web.places("pod"), *web.places("host")):
        place.ask(address)

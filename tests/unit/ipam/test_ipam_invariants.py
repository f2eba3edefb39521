"""What holds whatever comes: random pools, edits, Services, changes and departures, checked after each step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lbprovider.api.meta import LabelSelector
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import IPAddressPool, ServiceAllocation
from lbprovider.ipam.assign import Assigned, Rule, assign, start_order
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import family_of
from lbprovider.ipam.reasons import QUIET, Reason
from lbprovider.ipam.request import Request, request_of
from lbprovider.ipam.sharing import HARMFUL, clashes, joined, left
from tests.unit.ipam.builders import DUAL, V4, V6, pool, service

GOLD = LabelSelector(match_labels={"tier": "gold"})
PINS = st.sampled_from(
    [None, None, ServiceAllocation(priority=1), ServiceAllocation(namespaces=("web",)),
     ServiceAllocation(priority=2, service_selectors=(GOLD,))]
)  # fmt: skip
ENTRIES = st.lists(
    st.sampled_from(
        ["10.0.0.0/30", "10.0.0.4-10.0.0.6", "10.0.0.254-10.0.1.1", "10.0.0.2", "2001:db8::/126", "2001:db8::8"]
    ),
    min_size=1,
    max_size=3,
    unique=True,
)


@st.composite
def pools(draw: st.DrawFn) -> list[IPAddressPool]:
    return [
        pool(
            name,
            *draw(ENTRIES),
            created=draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
            pin=draw(PINS),
            annotations=draw(st.sampled_from([{}, {}, {}, {"lbprovider.io/force": "true"}])),
            auto_assign=draw(st.sampled_from([True, True, False])),
            avoid_buggy_ips=draw(st.booleans()),
            exclude_addresses=draw(st.sampled_from([(), ("10.0.0.1",), ("10.0.0.0/31", "2001:db8::1")])),
            allow_sharing_across_namespaces=draw(st.booleans()),
        )
        for name in draw(st.lists(st.sampled_from("pqr"), max_size=3, unique=True))
    ]


SERVICES = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(["web", "dev"]),
        "families": st.sampled_from([V4, V6, DUAL, DUAL[::-1]]),
        "policy": st.sampled_from(["PreferDualStack", "RequireDualStack"]),
        "ports": st.sampled_from([(80,), (443,), (80, 443), ("UDP/80",)]),
        "key": st.sampled_from(["", "", "k", "j"]),
        "ips": st.sampled_from(["", "", "", "10.0.0.1", "10.0.0.5", "2001:db8::1", "10.0.0.2,2001:db8::2"]),
        "named": st.sampled_from(["", "", "", "p", "q"]),
        "labels": st.sampled_from([{}, {"tier": "gold"}]),
        "status": st.sampled_from([(), ("10.0.0.2",), ("10.0.0.6", "2001:db8::8")]),
        "external_traffic_policy": st.sampled_from(["Cluster", "Local"]),
        "selector": st.sampled_from([{}, {"app": "a"}]),
    }
)


class Cluster(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(PoolSet.of([]))
        self.wishes: dict[str, Request] = {}
        self.stuck: set[str] = set()

    @rule(chosen=pools())
    def edit_pools(self, chosen: list[IPAddressPool]) -> None:
        self.ledger.repool(PoolSet.of(chosen))

    @rule(name=st.sampled_from("abcdefgh"), given=SERVICES)
    def create_or_change(self, name: str, given: dict[str, Any]) -> None:
        wish = request_of(service(name, **given), {})
        if isinstance(wish, Request) and self.wishes.get(name, wish).namespace == wish.namespace:
            self.wishes[name] = wish
            self.reconcile(wish)

    @rule()
    def look_at_all_again(self) -> None:
        for wish in start_order(self.wishes.values(), self.ledger):
            self.reconcile(wish)

    @rule(name=st.sampled_from("abcdefgh"), cool=st.booleans())
    def delete(self, name: str, cool: bool) -> None:  # noqa: FBT001
        self.wishes.pop(name, None)
        for address in self.ledger.held_by(f"uid-{name}"):
            self.let_go(f"uid-{name}", address, "2026-01-01T00:00:00Z" if cool else "")

    def let_go(self, uid: str, address: IPAddress, released_at: str = "") -> None:
        spec = left(self.ledger[address], uid, released_at)
        if spec is None:
            self.ledger.drop(address)
        else:
            self.ledger.put(spec)

    def reconcile(self, wish: Request) -> None:
        before = self.ledger.held_by(wish.uid)
        decision = assign(wish, self.ledger)
        note(f"{wish.key} {decision}")
        self.answers_alike_however_the_ledger_came_about(wish, decision)
        self.takes_only_what_it_may(wish, decision)
        self.lets_go_only_with_cause(wish, decision, before)
        grants = decision.grants if isinstance(decision, Assigned) else ()
        for grant in grants:
            self.ledger.put(joined(self.ledger.get(grant.address), wish, grant.address, grant.pool))
        for address in decision.release:
            self.let_go(wish.uid, address)
        notes = {one.reason for one in decision.notes} if isinstance(decision, Assigned) else set()
        (self.stuck.add if Reason.REQUEST_UNSATISFIABLE in notes else self.stuck.discard)(wish.uid)
        shown = wish
        if isinstance(decision, Assigned) or decision.reason not in QUIET:
            # The caller has the status show what was granted and nothing else, before it lets anything go.
            shown = replace(wish, status={family_of(grant.address): grant.address for grant in grants})
        self.wishes[wish.name] = shown
        self.a_second_look_changes_nothing(shown, decision, same=shown == wish)

    def answers_alike_however_the_ledger_came_about(self, wish: Request, decision: object) -> None:
        specs = sorted((self.ledger[address] for address in self.ledger), key=lambda spec: spec.address)
        for order in (specs, specs[::-1]):
            assert assign(wish, Ledger(self.ledger.pools, order)) == decision

    def takes_only_what_it_may(self, wish: Request, decision: object) -> None:
        if not isinstance(decision, Assigned):
            return
        families = [family_of(address) for address in decision.addresses]
        assert families == [family for family in wish.families if family in families]
        assert decision.grants
        for grant in decision.grants:
            if grant.rule is Rule.KEPT:
                assert grant.address in self.ledger.held_by(wish.uid)
                continue
            covering = self.ledger.pools.covering(grant.address)
            assert covering is not None
            assert covering.name == grant.pool
            assert covering.open_to(wish.namespace, wish.namespace_labels, wish.labels)
            assert wish.pool in ("", grant.pool)
            assert covering.auto_assign or grant.rule in (Rule.REQUESTED, Rule.ADOPTED, Rule.NAMED_POOL)
            assert wish.requested.get(family_of(grant.address), grant.address) == grant.address
            spec = self.ledger.get(grant.address)
            assert spec is None or not clashes(wish, spec, across_namespaces=covering.across_namespaces)

    def lets_go_only_with_cause(self, wish: Request, decision: Any, before: tuple[IPAddress, ...]) -> None:
        """Who had an address of a family that is still wanted has one after; harm to others and force aside."""
        granted = decision.addresses if isinstance(decision, Assigned) else ()
        assert {*decision.release} == {*before} - {*granted}
        for address in before:
            family, spec = family_of(address), self.ledger[address]
            source = self.ledger.pools.pools.get(spec.pool)
            harmful = not HARMFUL.isdisjoint(clashes(wish, spec, across_namespaces=True))
            if family not in wish.families or harmful or (source is not None and source.forced):
                continue
            assert family in {family_of(one) for one in granted}

    def a_second_look_changes_nothing(self, wish: Request, decision: Any, *, same: bool) -> None:
        again = assign(wish, self.ledger)
        if isinstance(decision, Assigned):
            assert isinstance(again, Assigned)
            assert (again.addresses, again.new, again.release) == (decision.addresses, (), ())
            assert again.notes == decision.notes
            for grant in again.grants:
                spec = self.ledger[grant.address]
                assert joined(spec, wish, grant.address, grant.pool) == spec
        else:
            assert not isinstance(again, Assigned)
            assert again.release == ()
            # What lost an address was told so, if only by a reason that is not quiet; now it has nothing to lose. And
            # what its status showed, and it doesn't have, may have been all that it could have of that family.
            reason = again.reason
            if decision.release and reason is Reason.NO_POOLS:
                reason = Reason.NO_POOL_FOR_SERVICE
            assert reason == decision.reason or not same

    @invariant()
    def holders_of_one_address_may_share_it(self) -> None:
        for address in self.ledger:
            spec = self.ledger[address]
            if len(spec.services) < 2:
                continue
            ports = [(port.protocol, port.port) for claim in spec.services for port in claim.ports]
            assert len(ports) == len(set(ports)), spec
            for claim in spec.services:
                if claim.uid not in self.stuck:
                    wish = self.wishes[claim.name]
                    assert (wish.sharing_key, wish.backend_key) == (spec.sharing_key, spec.backend_key)
                    assert wish.sharing_key

    @invariant()
    def a_service_holds_at_most_one_address_of_a_family(self) -> None:
        for wish in self.wishes.values():
            families = [family_of(address) for address in self.ledger.held_by(wish.uid)]
            assert len(families) == len(set(families))


Cluster.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestCluster = Cluster.TestCase

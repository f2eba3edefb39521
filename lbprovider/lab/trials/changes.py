"""Trials in which the cluster changes, as clusters do."""

from __future__ import annotations

from lbprovider.api import resources
from lbprovider.api.names import object_name
from lbprovider.lab import objects
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.trials.stage import AFTER, HEALED, SETTLED, Stage


def endpoint_gone(stage: Stage) -> None:
    """Under externalTrafficPolicy Local the owner's node loses its endpoint; it gets it back."""
    _policy(stage, "Local")
    try:
        stage.look_on(AFTER)
        stage.strike()
        _endpoints(stage, without=stage.owner)
        stage.taken_over()
        stage.heal()
        _endpoints(stage)
        stage.look_on(HEALED)
    finally:
        _policy(stage, "Cluster")


def _policy(stage: Stage, policy: str) -> None:
    """Change the Service's; until the speakers' object has it too."""
    change = {"spec": {"externalTrafficPolicy": policy}}
    stage.lab.admin.patch(resources.SERVICES, stage.service, change, objects.NAMESPACE)

    def told() -> bool:
        found = stage.lab.allocations.get(object_name(stage.address))
        return found is not None and found.spec.services[0].external_traffic_policy == policy

    stage.until(told, f"the IPAllocation says {policy}", within=SETTLED)


def _endpoints(stage: Stage, without: str = "") -> None:
    """Have an endpoint of the Service on each node but one, in each of its families."""
    nodes = {name: place for name, place in stage.lab.lan.nodes.items() if name != without}
    ours: dict[objects.Family, dict[str, Address]] = {"IPv4": {name: each.pods4[1] for name, each in nodes.items()}}
    if stage.lab.settings.ipv6:
        ours["IPv6"] = {name: each.pods6[1] for name, each in nodes.items()}
    for family, servers in ours.items():
        wanted = objects.endpoint_slice(objects.NAMESPACE, stage.service, family, servers)
        change = {"endpoints": wanted["endpoints"]}
        stage.lab.admin.patch(objects.ENDPOINT_SLICES, wanted["metadata"]["name"], change, objects.NAMESPACE)


def members_changed(stage: Stage) -> None:
    """A node joins, and while the Segment grows the owner's speaker gets SIGTERM; then the same as that node leaves."""
    lab = stage.lab
    (spare,) = (name for name in lab.lan.nodes if name not in lab.speakers)
    lab.start_speaker(spare)
    stage.strike()
    _sigterm_as_it_changes(stage)
    leaving = lab.stop_speaker(spare)
    _sigterm_as_it_changes(stage)
    leaving.wait(SETTLED)
    stage.heal()
    stage.look_on(HEALED)


def _sigterm_as_it_changes(stage: Stage) -> None:
    """SIGTERM to the owner's speaker as soon as the Segment has two lists; then start it, and wait until all vote."""
    lab = stage.lab
    stage.until(
        lambda: lab.segment is not None and len(lab.segment.spec.lists) > 1, "the Segment changes", within=SETTLED
    )
    owner = stage.until(lambda: next((each for each in (stage.owner_now(),) if each in lab.speakers), None), "an owner")
    lab.stop_speaker(owner).wait(SETTLED)
    stage.look_on(AFTER)
    lab.start_speaker(owner)
    stage.ready(owner)
    lab.await_members()

"""Trials in which the cluster changes, as clusters do."""

from __future__ import annotations

from lbprovider.api import resources
from lbprovider.lab import objects
from lbprovider.lab.trials.stage import AFTER, HEALED, SETTLED, Stage


def endpoint_gone(stage: Stage) -> None:
    """Under externalTrafficPolicy Local the owner's node loses its endpoint; it gets it back."""
    lab, service = stage.lab, stage.service
    family: objects.Family = "IPv4" if stage.address.version == 4 else "IPv6"  # noqa: PLR2004 - the family
    servers = {name: place.pods4[1] if family == "IPv4" else place.pods6[1] for name, place in lab.lan.nodes.items()}
    whole = objects.endpoint_slice(objects.NAMESPACE, service, family, servers)
    left = {name: address for name, address in servers.items() if name != stage.owner}
    less = objects.endpoint_slice(objects.NAMESPACE, service, family, left)
    _policy(stage, "Local")
    try:
        stage.look_on(AFTER)
        stage.strike()
        _endpoints(stage, less)
        stage.taken_over()
        stage.heal()
        _endpoints(stage, whole)
        stage.look_on(HEALED)
    finally:
        _policy(stage, "Cluster")


def _policy(stage: Stage, policy: str) -> None:
    change = {"spec": {"externalTrafficPolicy": policy}}
    stage.lab.admin.patch(resources.SERVICES, stage.service, change, objects.NAMESPACE)


def _endpoints(stage: Stage, wanted: objects.Document) -> None:
    name = wanted["metadata"]["name"]
    change = {"endpoints": wanted["endpoints"]}
    stage.lab.admin.patch(objects.ENDPOINT_SLICES, name, change, objects.NAMESPACE)


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

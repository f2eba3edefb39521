"""What must be true of Services and IPAllocations whenever the controller is done, whatever happened to it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from typing import Final

from lbprovider.api.names import API_VERSION, object_name
from tests.e2e.rig.api import Api, Object

CONDITION: Final = "lbprovider.io/AddressesAssigned"


@dataclass(frozen=True, slots=True)
class World:
    """All Services, by ``namespace/name``, and all IPAllocations."""

    services: Mapping[str, Object]
    allocations: Sequence[Object]

    def shown(self, key: str) -> tuple[str, ...]:
        """The addresses in a Service's status; none where there is no such Service."""
        return shown(self.services.get(key, {}))

    def holders(self) -> dict[str, list[str]]:
        """The Services that each IPAllocation names; empty for one that cools down or is set aside."""
        return {each["spec"]["address"]: [_key(claim) for claim in _claims(each)] for each in self.allocations}


def look(api: Api) -> World:
    """The world as it is now; the two lists are one after the other, so it is true of a world at rest."""
    services = api.items("/api/v1/services")
    allocations = api.items(f"/apis/{API_VERSION}/ipallocations")
    return World({_key(each["metadata"]): each for each in services}, allocations)


def shown(service: Object) -> tuple[str, ...]:
    """The addresses in a Service's status."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return tuple(each["ip"] for each in ingress)


def condition(service: Object) -> Object:
    """Our condition on a Service; empty where it has none."""
    found: Iterable[Object] = service.get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == CONDITION), {})


def wrong(world: World) -> list[str]:
    """Everything that must not be, a sentence each.

    A Service's status and the IPAllocations say the same, in both directions; nobody has two addresses of a family;
    whoever shares an address may; no IPAllocation is of a Service that is gone, or of nobody without a reason.
    """
    return [*_leaked(world), *_shared(world), *_contradicting(world)]


def _leaked(world: World) -> Iterator[str]:
    uids = {each["metadata"]["uid"]: key for key, each in world.services.items()}
    for each in world.allocations:
        spec = each["spec"]
        if each["metadata"]["name"] != object_name(ip_address(spec["address"])):
            yield f"IPAllocation {each['metadata']['name']} is of {spec['address']}"
        for claim in _claims(each):
            if uids.get(claim["uid"]) != _key(claim):
                yield f"leaked: {spec['address']} is held by {_key(claim)}, which is gone"
        if not _claims(each) and not spec.get("releasedAt") and not spec.get("setAsideAt"):
            yield f"leaked: {spec['address']} is held by nobody, and doesn't cool down"


def _shared(world: World) -> Iterator[str]:
    for each in world.allocations:
        for one, other in combinations(_claims(each), 2):
            both = f"{each['spec']['address']} is held by {_key(one)} and {_key(other)}"
            if not each["spec"].get("sharingKey"):
                yield f"{both}, which don't share"
            if not _ports(one).isdisjoint(_ports(other)):
                yield f"{both}, which have a port in common"
            if one["uid"] == other["uid"]:
                yield f"{both}: the same Service twice"


def _contradicting(world: World) -> Iterator[str]:
    held: dict[str, list[str]] = {}
    for address, keys in world.holders().items():
        for key in keys:
            held.setdefault(key, []).append(address)
    for key, service in world.services.items():
        said = shown(service)
        if sorted(said) != sorted(held.get(key, [])):
            yield f"{key} shows {said}, and IPAllocations give it {held.get(key, [])}"
        families = Counter(ip_address(each).version for each in held.get(key, []))
        if any(number > 1 for number in families.values()):
            yield f"{key} has two addresses of a family: {held[key]}"
        if service["spec"]["type"] != "LoadBalancer" and condition(service):
            yield f"{key} isn't ours any more, and its condition is still there"
        if said and condition(service).get("status") != "True":
            yield f"{key} shows {said}, and its condition says {condition(service)}"


def _claims(allocation: Object) -> Sequence[Object]:
    found: Sequence[Object] = allocation["spec"].get("services", [])
    return found


def _key(named: Object) -> str:
    return f"{named['namespace']}/{named['name']}"


def _ports(claim: Object) -> frozenset[tuple[str, int]]:
    return frozenset((port.get("protocol", "TCP"), port["port"]) for port in claim.get("ports", []))

"""A controller behind the man in the middle, to be killed and begun again, and Services with addresses of their own."""

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from lbprovider.api.names import (
    ADDRESS_POOL,
    ALLOW_SHARED_IP,
    ANNOTATION_PREFIXES,
    CONTROLLER_LEASE,
    FORCE,
    LOAD_BALANCER_IPS,
    SPEAKER_LABEL,
    object_name,
)
from lbprovider.api.registration import ANNOTATION, Attachment, Registration
from lbprovider.lab.process import Process
from tests.e2e.rig import judging, ours, services
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.history import History
from tests.e2e.rig.meddler import Applies, Asked, Meddler, to
from tests.e2e.rig.waiting import eventually

POOL_OF, SHARED, ASKED = (ANNOTATION_PREFIXES[0] + name for name in (ADDRESS_POOL, ALLOW_SHARED_IP, LOAD_BALANCER_IPS))
LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/{ours.NAMESPACE}/leases/{CONTROLLER_LEASE}"
SETTLED: Final = 0.25
"""Seconds without a write after which what is so is taken to stay so."""
NOBODY: Final = ""
"""In place of a Service, for addresses that cool down."""
OBJECTS: Final = to("create *", "update *", "patch *", "patch * status", "delete *")
HOUSEKEEPING: Final = to("create selfsubjectaccessreview", "create lease", "update lease", "create event")


def writes(asked: Asked) -> bool:
    """A write of an object: leadership, Events and questions about rights are counted apart."""
    return OBJECTS(asked) and not HOUSEKEEPING(asked)


class Rig:
    """A cluster with lbprovider installed, and the controller that runs now; nothing has a leader or a LAN.

    Args:
        cluster: where.
        meddler: between the controller and the API server.
        history: what becomes of Services and IPAllocations.
    """

    def __init__(self, cluster: Cluster, meddler: Meddler, history: History) -> None:
        self.cluster, self.meddler, self.api, self.history = cluster, meddler, cluster.api, history
        self._known = 0
        self._kubeconfig = meddler.kubeconfig()
        self.start()

    def start(self) -> None:
        """Start the controller; it leads as soon as it can."""
        self.controller: Process = ours.start_controller(
            self.cluster, "controller", ["--kubeconfig", str(self._kubeconfig)]
        )

    def restart(self) -> None:
        """Start another in place of one that is dead.

        The dead one's Lease would run out in 15 s; as nobody else can say so earlier than that, the test does, who has
        seen it die.
        """
        assert not self.controller.running
        eventually(lambda: self.meddler.quiet(0, lambda asked: asked.writes), "what it had sent has been answered")
        if self.api.find(LEASE) is not None:
            self.api.delete(LEASE)
        self.start()

    def at_rest(self, seconds: float = SETTLED) -> bool:
        """Whether nothing has been written for so long."""
        return self.meddler.quiet(seconds, writes)

    def untrue(self) -> list[str]:
        """What was not true after some write since the last call, or isn't now, at rest."""
        broken = self.history.replay().broken
        new, self._known = broken[self._known :], len(broken)
        return [*new, *judging.wrong(judging.look(self.api))]


@contextlib.contextmanager
def rigged(cluster: Cluster) -> Iterator[Rig]:
    """All that is needed for cases, from the installation to the end of the block."""
    ours.install(cluster)
    ours.advertisement(cluster, "all")
    with Meddler(cluster) as meddler, History(cluster.api) as history:
        yield Rig(cluster, meddler, history)


class Case:
    """Services with a pool of their own, whose names begin with the case's.

    Args:
        rig: where.
        name: of what is tried.
        most: how many addresses of a family are the case's.
    """

    _numbers = itertools.count(1)

    def __init__(self, rig: Rig, name: str, *, most: int = 9) -> None:
        self.rig, self._api = rig, rig.api
        self._number = next(self._numbers)
        self.name = f"{name}-{self._number}"
        self._began = rig.meddler.mark()
        self._mine = {object_name(ip_address(each(n))) for each in (self.four, self.six) for n in range(1, most + 1)}

    def four(self, number: int) -> str:
        """The case's address of that number; 0 is its network's."""
        return f"10.77.{self._number}.{number}"

    def six(self, number: int) -> str:
        return f"2001:db8:77:{self._number:x}::{number}"

    def owns(self, asked: Asked) -> bool:
        """Whether the request is about an object of this case."""
        return asked.name.startswith(f"{self.name}-") or asked.name in {*self._mine, self.lan}

    # --- what an admin and a tenant do

    def pool(self, first: int = 1, last: int = 4, *, called: str = "pool", **spec: object) -> None:
        """A pool of the case's addresses from ``first`` to ``last``, of both families, for those only that name it."""
        ours.pool(self.rig.cluster, f"{self.name}-{called}", *self._entries(first, last), autoAssign=False, **spec)

    def repool(self, first: int, last: int, *, force: bool = False) -> None:
        """Give the pool other addresses; with ``force`` whatever becomes of live ones."""
        path = f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools/{self.name}-pool"
        changed: Object = {"spec": {"addresses": self._entries(first, last)}}
        if force:
            changed["metadata"] = {"annotations": {FORCE: "true"}}
        self._api.patch(path, changed)

    def service(
        self, which: str, *, families: str = "4", asks: str = "", key: str = "", port: int = 80, policy: str = ""
    ) -> None:
        """A Service called by a letter; ``families`` is 4, 46 or 64, ``policy`` another than they call for."""
        annotations = {POOL_OF: f"{self.name}-pool", ASKED: asks, SHARED: key}
        services.create(
            self.rig.cluster,
            f"{self.name}-{which}",
            {"app": "none"},
            family_policy=policy or ("SingleStack" if len(families) == 1 else "RequireDualStack"),
            families=[f"IPv{each}" for each in families],
            annotations={name: value for name, value in annotations.items() if value},
            ports=[{"port": port, "protocol": "TCP"}],
            allocateLoadBalancerNodePorts=False,
        )

    def annotate(self, which: str, **annotations: str | None) -> None:
        """``pool``, ``asks`` or ``key``, anew; None takes it away."""
        names = {"pool": POOL_OF, "asks": ASKED, "key": SHARED}
        self.edit(which, metadata={"annotations": {names[name]: value for name, value in annotations.items()}})

    def edit(self, which: str, **changes: object) -> None:
        self._api.patch(self._path(which), changes)

    def delete(self, which: str) -> None:
        self._api.delete(self._path(which))

    def _path(self, which: str) -> str:
        return services.path(f"{self.name}-{which}")

    def _entries(self, first: int, last: int) -> list[str]:
        return [f"{each(first)}-{each(last)}" for each in (self.four, self.six)]

    def lie(self, which: str, address: str) -> None:
        """Write another address into the Service's status."""
        services.set_ingress(self.rig.cluster, f"{self.name}-{which}", ip_address(address))

    def take_away(self, address: str) -> None:
        """Delete an IPAllocation."""
        self._api.delete(f"{ours.GROUP}/ipallocations/{object_name(ip_address(address))}")

    def speaker(self, node: str) -> str:
        """Register a speaker of that node on the case's own LAN, as it would itself; the path of its Lease."""
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{ours.NAMESPACE}/leases"
        subnet = f"{self.four(0)}/24"
        attachment = Attachment(self.lan, "eth0", self.four(250), "02:00:00:00:00:01", subnets=(subnet,))
        metadata = {
            "name": node,
            "labels": {SPEAKER_LABEL: ""},
            "annotations": {ANNOTATION: Registration(1, (attachment,)).encode()},
        }
        self._api.create(leases, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata})
        return f"{leases}/{node}"

    @property
    def lan(self) -> str:
        """The name of the LAN that the case's IPv4 addresses are on."""
        return f"{self.four(0)}-24"

    # --- what became of it

    def about(self, write: str) -> Applies:
        """Requests of that name about objects of this case; of Events, those about Service ``a``."""
        named = to(write)
        if write == "create event":
            return lambda asked: named(asked) and asked.name.startswith(f"{self.name}-a.")
        return lambda asked: named(asked) and self.owns(asked)

    def writes(self, mark: int) -> list[str]:
        """The names of the writes of the case's Services and IPAllocations since a mark, those that were accepted."""
        kinds = to("* ipallocation", "* service status")
        every = self.rig.meddler.since(mark, lambda each: kinds(each) and each.writes and self.owns(each))
        return [each.what for each in every if each.status in (HTTPStatus.OK, HTTPStatus.CREATED)]

    def reason(self, which: str) -> str:
        """Of the Service's condition; empty where it has none."""
        found = self._api.find(self._path(which)) or {}
        reason: str = judging.condition(found).get("reason", "")
        return reason

    def spec(self, address: str) -> Object:
        """Of the address's IPAllocation."""
        found: Object = self._api.get(f"{ours.GROUP}/ipallocations/{object_name(ip_address(address))}")["spec"]
        return found

    def counted(self) -> None:
        """Wait until the pool's status counts what is held."""

        def right() -> bool:
            pool = self._api.get(f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools/{self.name}-pool")
            counts = [pool.get("status", {})[family]["assigned"] for family in ("ipv4", "ipv6")]
            return bool(sum(counts) == len(self._held()))

        eventually(right, "the pool counts")

    def _held(self) -> dict[str, list[str]]:
        held = judging.look(self._api).holders()
        return {address: keys for address, keys in held.items() if object_name(ip_address(address)) in self._mine}

    def settles(self, wanted: Mapping[str, Sequence[str]], *, within: float = 30) -> None:
        """Wait until each of the Services shows these addresses and IPAllocations say the same, no others, at rest.

        Args:
            wanted: addresses by the letters of all Services that there are; those of ``NOBODY`` cool down.
            within: seconds.
        """
        eventually(lambda: self._reached(wanted), f"{self.name} comes to {wanted}", within=within)

    def showed(self, which: str) -> list[tuple[str, ...]]:
        """The addresses that the Service's status has shown, in order, as the API server answered the controller."""
        patches = self.rig.meddler.since(
            self._began, lambda asked: asked.what == "patch service status" and asked.name == f"{self.name}-{which}"
        )
        every = (judging.shown(json.loads(asked.answer)) for asked in patches if asked.status == HTTPStatus.OK)
        return [addresses for addresses, _ in itertools.groupby(filter(None, every))]

    def _reached(self, wanted: Mapping[str, Sequence[str]]) -> bool:
        if not self.rig.at_rest():
            raise LookupError("not at rest")
        world = judging.look(self._api)
        expected: dict[str, list[str]] = {}
        for which, addresses in wanted.items():
            for address in addresses:
                expected.setdefault(address, []).extend([self.key(which)] if which != NOBODY else [])
        held = {
            address: sorted(keys)
            for address, keys in world.holders().items()
            if object_name(ip_address(address)) in self._mine
        }
        shown = {which: world.shown(self.key(which)) for which in wanted}
        if held != {address: sorted(keys) for address, keys in expected.items()}:
            raise LookupError(f"held: {held}")
        if any(shown[which] != tuple(wanted[which]) for which in wanted if which != NOBODY):
            raise LookupError(f"shown: {shown}")
        there = [world.services[key] for which in wanted if (key := self.key(which)) in world.services]
        unsaid = [each for each in there if _ours(each) and not judging.condition(each)]
        if unsaid:
            raise LookupError(f"nothing is said of {len(unsaid)} Services yet")
        return True

    def key(self, which: str) -> str:
        """``namespace/name`` of the Service."""
        return f"default/{self.name}-{which}"


def _ours(service: Object) -> bool:
    return service["spec"]["type"] == "LoadBalancer" and "loadBalancerClass" not in service["spec"]

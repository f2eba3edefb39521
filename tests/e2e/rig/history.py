"""What became of Services and IPAllocations, write by write, and whether it was true at each of them.

The API server numbers the writes of all kinds by one counter, etcd's revision, which is each object's resourceVersion
(a DELETED event carries that of the deletion). So the events of two watches, sorted by it, are the order in which
things happened, and after each of them:

- an address that the status of a Service shows has an IPAllocation that names this very Service, by its uid;
- an IPAllocation that names several has a sharing key, and no protocol and port twice.

So no two Services show one address unless they share it. Held and not shown is no contradiction: that is the order of
writes, and what a crash leaves.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from lbprovider.api.names import address_of
from lbprovider.api.resources import ALLOCATIONS, SERVICES
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.waiting import eventually

_KINDS: Final = (SERVICES, ALLOCATIONS)


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """One object after a write.

    Args:
        version: the revision of the write.
        plural: of the kind.
        key: ``namespace/name``, or ``name``.
        object: as it was written; None where it was deleted.
    """

    version: int
    plural: str
    key: str
    object: Object | None = field(compare=False)


@dataclass
class Replay:
    """The state after each write, judged."""

    services: dict[str, Object] = field(default_factory=dict)
    allocations: dict[str, Object] = field(default_factory=dict)
    """By address."""
    broken: list[str] = field(default_factory=list)
    """What was not true, each with its revision."""
    doubled: int = 0
    """How often a Service was given a second address of one family: what two controllers do at once, and mend."""

    def __post_init__(self) -> None:
        self._shown: dict[str, set[str]] = {}
        self._held: Counter[tuple[str, str]] = Counter()

    def play(self, writes: Iterable[Write]) -> None:
        """Goes through writes in the order of their revisions."""
        for write in sorted(writes):
            if write.plural == SERVICES.plural:
                self._service(write)
            else:
                self._allocation(write)

    def differences(self) -> list[str]:
        """Where status and IPAllocations differ now, both ways."""
        shown = {(key, address) for key, service in self.services.items() for address in _shown(service)}
        held = {
            (f"{claim['namespace']}/{claim['name']}", address)
            for address, allocation in self.allocations.items()
            for claim in _claims(allocation)
        }
        return sorted(f"{key} and {address}" for key, address in shown ^ held)

    def _service(self, write: Write) -> None:
        before = self.services.pop(write.key, None)
        for address in _shown(before):
            self._shown[address].discard(write.key)
        if write.object is None:
            return
        self.services[write.key] = write.object
        for address in _shown(write.object):
            self._shown.setdefault(address, set()).add(write.key)
            self._judge(write, address, write.key)

    def _allocation(self, write: Write) -> None:
        address = _address(write.key)
        before = self.allocations.pop(address, None)
        if write.object is not None:
            self.allocations[address] = write.object
            self._judge_claims(write, write.object)
        self._count(address, before, -1)
        self._count(address, write.object, 1)
        for key in sorted(self._shown.get(address, ())):
            self._judge(write, address, key)

    def _judge(self, write: Write, address: str, key: str) -> None:
        holders = _claims(self.allocations.get(address))
        if self.services[key]["metadata"]["uid"] not in {claim["uid"] for claim in holders}:
            named = [claim["name"] for claim in holders] if address in self.allocations else "no IPAllocation"
            self.broken.append(f"{write.version} {write.plural} {write.key}: {key} shows {address}, held by {named}")

    def _judge_claims(self, write: Write, allocation: Object) -> None:
        claims = _claims(allocation)
        if len(claims) > 1 and not allocation["spec"].get("sharingKey"):
            self.broken.append(f"{write.version} {write.key}: {len(claims)} Services without a sharing key")
        for one, other in itertools.combinations(claims, 2):
            if _ports(one) & _ports(other):
                self.broken.append(f"{write.version} {write.key}: {one['name']} and {other['name']} have one port")

    def _count(self, address: str, allocation: Object | None, by: int) -> None:
        for claim in _claims(allocation):
            family = "IPv6" if ":" in address else "IPv4"
            self._held[claim["uid"], family] += by
            self.doubled += by > 0 and self._held[claim["uid"], family] > 1


class History:
    """All writes from now on, as the API server's watches tell them; a context manager.

    Args:
        api: the admin's.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._writes: list[Write] = []
        self._there: dict[str, dict[str, Object]] = {kind.plural: {} for kind in _KINDS}
        self._ended = threading.Event()
        self._threads = []
        for kind in _KINDS:
            listed = api.get(kind.path())
            for each in listed["items"]:
                self._note(_write(kind.plural, each))
            version = listed["metadata"]["resourceVersion"]
            self._threads.append(threading.Thread(target=self._follow, args=(kind.path(), kind.plural, version)))
        for thread in self._threads:
            thread.daemon = True  # it may sit in a read when the cluster goes
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def allocated(self) -> int:
        """How many IPAllocations there are, as far as was told."""
        return len(self._there[ALLOCATIONS.plural])

    def showing(self) -> int:
        """How many Services show an address, as far as was told."""
        return sum(bool(_shown(each)) for each in list(self._there[SERVICES.plural].values()))

    def replay(self) -> Replay:
        """Everything until now, judged: the watches have told all that the API server has."""
        for kind in _KINDS:
            eventually(lambda kind=kind: self._caught_up(kind.path(), kind.plural), f"the watch of {kind.plural}")  # type: ignore[misc]
        replay = Replay()
        replay.play(self._writes)
        return replay

    def _note(self, write: Write) -> None:
        self._writes.append(write)
        if write.object is None:
            self._there[write.plural].pop(write.key, None)
        else:
            self._there[write.plural][write.key] = write.object

    def _caught_up(self, path: str, plural: str) -> bool:
        there = {_key(each): int(each["metadata"]["resourceVersion"]) for each in self._api.items(path)}
        last = {write.key: write for write in sorted(self._writes) if write.plural == plural}
        return there == {key: write.version for key, write in last.items() if write.object is not None}

    def _follow(self, path: str, plural: str, version: str) -> None:
        at = version
        while not self._ended.is_set():
            # A watch that ends, or is silent for too long, goes on from where it was.
            with contextlib.suppress(OSError), self._api.watch(_watch(path, at)) as events:
                for event in events:
                    assert event["type"] != "ERROR", event
                    found = event["object"]
                    at = found["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._note(_write(plural, found, gone=event["type"] == "DELETED"))
                    if self._ended.is_set():
                        return


def _watch(path: str, version: str) -> str:
    return f"{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}"


def _write(plural: str, found: Object, *, gone: bool = False) -> Write:
    return Write(int(found["metadata"]["resourceVersion"]), plural, _key(found), None if gone else found)


def _key(found: Object) -> str:
    meta = found["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _shown(service: Object | None) -> list[str]:
    status = (service or {}).get("status", {})
    return [each["ip"] for each in status.get("loadBalancer", {}).get("ingress") or () if "ip" in each]


def _claims(allocation: Object | None) -> list[Object]:
    return list(((allocation or {}).get("spec") or {}).get("services") or ())


def _ports(claim: Mapping[str, list[Object]]) -> set[tuple[str, int]]:
    return {(each.get("protocol", "TCP"), each["port"]) for each in claim.get("ports", ())}


def _address(name: str) -> str:
    return str(address_of(name))

"""The same simulation with the speaker's loop in it: each node is a real Lan on a fake host, and is asked on the wire.

What a script does to a Member happens here in the Lan's step; datagrams are sealed, sent to an address, and opened
again; timers are the Lan's own. Who owns an address is who answers when a client asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import ip_interface
from typing import Any

from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.election.member import Member
from lbprovider.election.outcome import Lost, Output, ProposeSwap, Won
from lbprovider.errors import HostError
from lbprovider.net.links import Link
from lbprovider.speaker.lan import Identity, Lan
from lbprovider.speaker.ports import Host
from lbprovider.wire import arp, ndp
from lbprovider.wire.heartbeat import decode, encode
from lbprovider.wire.seal import seal, unseal
from tests.sim.node import Node
from tests.sim.world import CLUSTER, World

KEY = HeartbeatKey(1, b"k" * 32)
_PORT = 7472
_ASKER, _ASKER_MAC = bytes((192, 0, 2, 200)), b"\x02\0\0\0\0\xcc"
_ASKER6 = bytes.fromhex("20010db80000000000000000000000c8")


def _question(address: bytes) -> bytes:
    """A client's, for an address of either family."""
    if len(address) == len(_ASKER6):
        return ndp.solicitation(address, _ASKER_MAC, _ASKER6)
    return arp.request(address, _ASKER_MAC, _ASKER)


class LoopWorld(World):
    """Nodes whose Members are in Lans."""

    def __init__(self, nodes: Iterable[str], **rest: Any) -> None:
        self.lans: dict[str, Lan] = {}
        super().__init__(nodes, **rest)
        self.numbers = {name: number for number, name in enumerate(self.nodes, start=1)}

    def owners(self, address: bytes) -> set[str]:
        question = memoryview(_question(address))
        answering = {
            name
            for name, node in self.nodes.items()
            if node.member is not None and self.lans[name]._answer(question) is not None
        }
        return answering | {one.node for one in self.ghosts if one.address == address and self.now < one.until}

    def _life(self, node: Node) -> Member:
        ports = Ports(self, node)
        host = Host(lambda: node.local(self.now), ports.call_at, ports.opened, ports.opened, ports.opened, ports.never)
        number = self.numbers[node.name]
        link = Link(
            name="eth0", index=1, mac=bytes((2, 0, 0, 0, 0, number)), up=True, carrier=True,
            addresses=(ip_interface(f"192.0.2.{number}/24"),),
        )  # fmt: skip
        identity = Identity(node=node.name, incarnation=node.incarnation, cluster=CLUSTER, port=_PORT)
        lan = Lan("lan", link, identity=identity, keys=lambda: (KEY,), host=host, upstairs=ports)
        for name, other in self.numbers.items():
            if name != node.name:
                lan.reach(name, f"192.0.2.{other}")
        lan.attach(link)
        self.lans[node.name] = lan
        return lan.member

    def _step(self, name: str, what: str, detail: object, action: Callable[[Member, int], Output]) -> None:
        node = self.nodes[name]
        if node.member is None or node.paused:
            return
        lan, now = self.lans[name], node.local(self.now)
        self._note(what, name, detail)
        if what == "heard":
            beats: Any = detail if isinstance(detail, tuple | list) else (detail,)
            lan._received([(seal(encode(one), KEY, KEY.id), f"192.0.2.{self.numbers[one.node]}") for one in beats])
        elif what == "wish":
            lan.wish(dict(self.wishes))
        else:
            lan._step(action(node.member, now), now)
        self.after(node)

    def after(self, node: Node) -> None:
        """A step is over."""
        self.events += 1
        if self.net.fsync is not None and node.member is not None:
            self._keep(node, self.net.fsync)
        self.ghosts = [ghost for ghost in self.ghosts if self.now < ghost.until]
        self.check()

    def resume(self, name: str) -> None:
        super().resume(name)
        self.lans[name]._wake()


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Ports:
    """One life of a node: its kernel, and its upstairs."""

    def __init__(self, world: LoopWorld, node: Node) -> None:
        self._world = world
        self._node = node
        self._life = node.life

    @property
    def _up(self) -> bool:
        return self._node.life == self._life and self._node.member is not None and not self._node.paused

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        late = self._world.random.randrange(self._world.net.timers) if self._world.net.timers else 0

        def due() -> None:
            if not timer.cancelled and self._up:
                callback()
                self._world.after(self._node)

        self._world.at(max(self._world.now, self._node.real(when) + late), due)
        return timer

    def opened(self, *_: object) -> Any:
        return self

    async def never(self, call: Callable[[], Any]) -> Any:
        raise NotImplementedError(call)

    def send(self, payload: bytes, to: str = "") -> bool:
        if to:
            names = {f"192.0.2.{number}": name for name, number in self._world.numbers.items()}
            self._world._send(self._node.name, names[to], decode(unseal(payload, (KEY,)).payload))
        return True

    def hear(self) -> None:
        """Nothing waits: what comes is a step of its own."""

    def listen(self, addresses: Collection[bytes]) -> None:
        """All that is asked is heard."""

    def work(self) -> bool:
        return False

    def rejoin(self) -> None:
        """Nothing was left."""

    def close(self) -> None:
        """A life ends by being forgotten."""

    @property
    def failures(self) -> Mapping[str, int]:
        return {}

    def changed(self, _: Lan, changes: Sequence[Won | Lost]) -> None:
        for change in changes:
            self._world._note(type(change).__name__.lower(), self._node.name, change)
            self._world.counts[f"{type(change).__name__}/{change.reason}"] += 1

    def swap(self, _: Lan, swap: ProposeSwap) -> None:
        if self._node.name not in self._world.no_api:
            self._world._propose(swap)

    def seen(self, _: Lan) -> None:
        """Nobody registers here."""

    def conflict(self, *_: object) -> None:
        """Nobody else is on this LAN."""

    conflict_over = conflict

    def trouble(self, _: Lan, error: HostError) -> None:
        raise AssertionError(str(error))

    def broken(self, _: Lan, error: Exception) -> None:
        raise AssertionError("a bug in the loop") from error

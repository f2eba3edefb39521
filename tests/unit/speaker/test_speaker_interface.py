"""The sockets of a LAN: thousands of multicast groups are joined in portions, with room for others in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lbprovider.errors import HostError
from lbprovider.net.links import Link
from lbprovider.speaker.interface import PAUSE, Interface
from lbprovider.speaker.ports import Host

LINK = Link(name="eth0", index=1, mac=b"\x02\0\0\0\0\1", up=True, carrier=True)
ADDRESSES = [bytes(15) + bytes((number,)) for number in range(5)]


@dataclass
class Kernel:
    """Groups that take one address in each portion, and everything else that does nothing."""

    now: int = 0
    todo: list[bytes] = field(default_factory=list)
    joined: list[bytes] = field(default_factory=list)
    timers: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    full_at: int = 99
    closed: int = 0

    def call_at(self, when: int, callback: Callable[[], None]) -> Any:
        self.timers.append((when, callback))

    def advance(self) -> None:
        timers, self.timers = self.timers, []
        for when, callback in timers:
            self.now = max(self.now, when)
            callback()

    def listen(self, addresses: Iterable[bytes]) -> None:
        self.todo = [each for each in addresses if each not in self.joined]

    def rejoin(self) -> None:
        self.todo, self.joined = self.joined, []

    def work(self) -> bool:
        if len(self.joined) == self.full_at:
            self.todo = []
            raise HostError("no more groups")
        self.joined += self.todo[:1]
        self.todo = self.todo[1:]
        return bool(self.todo)

    def close(self) -> None:
        self.closed += 1


class Nothing:
    def listen(self, addresses: Iterable[bytes]) -> None: ...
    def close(self) -> None: ...


def interface(kernel: Kernel, troubles: list[str]) -> Interface:
    opened: Any = lambda *_: Nothing()  # noqa: E731
    groups: Any = lambda _: kernel  # noqa: E731
    offload: Any = None
    host = Host(lambda: kernel.now, kernel.call_at, opened, opened, groups, offload)
    made = Interface(
        host, 7472, received=lambda _: None, answer=lambda _: None, gone=lambda: None,
        trouble=lambda error: troubles.append(str(error)),
    )  # fmt: skip
    made.open(LINK)
    return made


def test_what_does_not_fit_into_one_portion_follows_a_little_later() -> None:
    kernel = Kernel()
    interface(kernel, []).listen(ADDRESSES)
    assert kernel.joined == ADDRESSES[:1]
    for number in range(2, 6):
        kernel.advance()
        assert kernel.joined == ADDRESSES[:number]
    assert kernel.now == 4 * PAUSE
    assert kernel.timers == []


def test_another_wish_meanwhile_makes_no_second_chain_of_calls() -> None:
    kernel = Kernel()
    made = interface(kernel, [])
    made.listen(ADDRESSES[:3])
    made.listen(ADDRESSES)
    made.listen(ADDRESSES)  # nothing new
    assert len(kernel.timers) == 1
    while kernel.timers:
        kernel.advance()
    assert kernel.joined == ADDRESSES


def test_a_return_of_the_link_rejoins_in_portions_too() -> None:
    kernel = Kernel()
    made = interface(kernel, [])
    made.listen(ADDRESSES[:3])
    while kernel.timers:
        kernel.advance()
    made.rejoin()
    assert len(kernel.joined) == 1
    while kernel.timers:
        kernel.advance()
    assert kernel.joined == ADDRESSES[:3]


def test_a_kernel_without_room_is_said_once_and_the_work_ends() -> None:
    kernel, troubles = Kernel(full_at=2), list[str]()
    interface(kernel, troubles).listen(ADDRESSES)
    while kernel.timers:
        kernel.advance()
    assert troubles == ["no more groups"]
    assert kernel.joined == ADDRESSES[:2]


def test_an_interface_that_is_closed_meanwhile_is_worked_on_no_more() -> None:
    kernel = Kernel()
    made = interface(kernel, [])
    made.listen(ADDRESSES)
    made.close()
    kernel.advance()
    assert kernel.joined == ADDRESSES[:1]
    assert (kernel.timers, kernel.closed) == ([], 1)

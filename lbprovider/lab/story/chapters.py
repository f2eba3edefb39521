"""The lab's story: a Service gets its address and answers; then one fault after the other, and what a client saw.

Each chapter leaves the lab whole, says what happens as it happens, and gives
:class:`~lbprovider.lab.story.findings.Finding`; what is good enough is judged there, not here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from lbprovider.api.names import object_name
from lbprovider.errors import LbproviderError
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.story import findings
from lbprovider.lab.story.arrival import TITLE, Arrival, listed
from lbprovider.lab.story.findings import Finding, milliseconds
from lbprovider.lab.story.telling import Teller
from lbprovider.lab.trials.target import CRASH, WITNESS

PAIR: Final = 2
"""Of so many nodes the API server says who serves when one dies; of more the others do, which is quicker."""
_BEFORE: Final = 100
"""Milliseconds that are watched before a fault: whoever answers then is who answers."""
_AFTER: Final = 500
"""Milliseconds that are watched after a fault was got over."""
_HEALED: Final = 1500
"""Milliseconds that are watched after a cut cable is whole again: time enough for an owner of old to speak up."""
_API_DOWN: Final = 2000
"""Milliseconds that are watched while the API server is down."""
_AGAIN: Final = 3
"""How often a chapter is told again where nothing can be told from what was seen."""
_PATIENCE: Final = 90.0
"""Seconds that speakers may take to ask the API server again: their pauses grow while it is away (``kube.backoff``)."""

_Chapter = Callable[[str], list[Finding]]
"""Takes its title."""


class Story:
    """The story of one lab.

    Args:
        lab: with no Service in it yet.
        teller: to whom it is told.
    """

    def __init__(self, lab: Lab, teller: Teller) -> None:
        self._lab = lab
        self._say = teller.say
        self._teller = teller
        self._findings: list[Finding] = []
        self._arrival = Arrival(lab, teller.say)

    def tell(self) -> int:
        """All chapters and the summary; the exit status: 0 when everything is as it should be, else 1."""
        title = "the lab"
        try:
            for title, chapter in self._chapters():
                self._teller.chapter(title)
                self._findings += self._until_told(title, chapter)
        except LbproviderError as error:
            self._findings.append(Finding(title, "comes to its end", "no", "yes", ok=False))
            self._say(f"{title}: {error}")
        self._teller.table(self._findings)
        failed = [each for each in self._findings if not each.ok]
        for each in failed:
            self._teller.add(f"failed: {each}")
        if not failed:
            self._teller.add(f"Everything is as it should be, after {self._teller.elapsed:.0f} s.")
        return 1 if failed else 0

    def _until_told(self, title: str, chapter: _Chapter) -> list[Finding]:
        """The chapter; once more where this machine itself stood still, and nothing can be told from that."""
        found = chapter(title)
        for _ in range(_AGAIN):
            if not any(each.void for each in found):
                break
            self._say("this machine stood still meanwhile, which says nothing of lbprovider: once more")
            found = chapter(title)
        return found

    def _chapters(self) -> Iterator[tuple[str, _Chapter]]:
        yield TITLE, self._arrival.tell
        addresses = next(iter(self._arrival.services.values())).addresses
        if len(self._lab.lan.nodes) < PAIR:
            self._teller.chapter("Nothing of a leader that dies or is cut off: of one node nobody is left then")
        else:
            for address in addresses:
                yield f"SIGKILL of the leader, {address}", partial(self.leader_dies, address=address)
            for address in addresses:
                yield f"a cable cut and healed, {address}", partial(self.cable_cut, address=address)
        yield "the API server down", partial(self.api_down, addresses=addresses)
        yield "a Service deleted", self.delete

    def _most(self) -> int:
        """The longest silence that is good enough when an owner is gone, ns."""
        return (WITNESS if len(self._lab.lan.nodes) == PAIR else CRASH).silence(self._lab.hold)

    # --- chapters

    def leader_dies(self, title: str, address: Address) -> list[Finding]:
        """SIGKILL of the speaker that answers for an address."""
        lab = self._lab
        eyes, old = self._watch(address)
        killed = time.monotonic_ns()
        lab.kill_speaker(old)
        self._say(f"SIGKILL to the speaker of {old}, which answers for {address}")
        new = self._successor(address, old)
        first = eyes.answered(since=killed, by=lab.lan.nodes[new].mac)
        self._say(f"{new} answers instead, {milliseconds(first.at - killed)} after the kill")
        visited = self._arrival.visit(address, other_than=old)
        eyes.look_on(_AFTER)
        fault = eyes.verdict()
        self._say(
            f"a client that asked each 2 ms heard nothing for {milliseconds(fault.silence.length)} (hold is "
            f"{milliseconds(lab.hold)}); its HTTP request is answered by {visited}"
        )
        lab.start_speaker(old)
        lab.await_ready()
        eyes.close()
        whole = eyes.verdict()
        moved = findings.moved(title, whole, lab.node_of, old, new)
        self._say(f"the speaker of {old} is back and ready; answered by {moved.seen}, and by nobody else")
        return [
            findings.silence(title, fault, self._most()),
            moved,
            findings.owners(title, whole, eyes.contests()),
        ]

    def cable_cut(self, title: str, address: Address) -> list[Finding]:
        """A cut behind the switch, which takes no carrier away, and its healing."""
        lab = self._lab
        eyes, old = self._watch(address)
        cut = time.monotonic_ns()
        lab.lan.cut_cable(old)
        self._say(
            f"the LAN cable of {old}, which answers for {address}, is cut behind the switch: it keeps its carrier"
        )
        new = self._successor(address, old)
        first = eyes.answered(since=cut, by=lab.lan.nodes[new].mac)
        self._say(f"{new} answers instead, {milliseconds(first.at - cut)} after the cut")
        visited = self._arrival.visit(address, other_than=old)
        self._say(f"a client's HTTP request is answered by {visited}")
        eyes.look_on(_AFTER)
        lab.lan.heal(old)
        self._say("the cable is whole again")
        eyes.look_on(_HEALED)
        lab.await_ready()
        eyes.close()
        verdict = eyes.verdict()
        twice = findings.owners(title, verdict, eyes.contests())
        self._say(f"{old} votes again and takes nothing back; time that two MACs answered: {twice.seen}")
        return [
            findings.silence(title, verdict, self._most()),
            findings.moved(title, verdict, lab.node_of, old, new),
            twice,
        ]

    def api_down(self, title: str, addresses: Sequence[Address]) -> list[Finding]:
        """The API server killed, and started again some seconds later."""
        lab, address = self._lab, addresses[0]
        eyes, _ = self._watch(address)
        lab.stop_api()
        down = time.monotonic_ns()
        self._say("SIGKILL to the API server")
        eyes.look_on(_API_DOWN)
        answers = {each: self._arrival.visit(each) for each in addresses}
        eyes.close()
        verdict = eyes.verdict(since=down)
        asked = findings.answered(title, verdict)
        leader = lab.node_of(verdict.macs[-1]) if verdict.macs else "nobody"
        took = milliseconds(_since(down))
        self._say(f"down for {took}: {asked.seen} for {address} answered, and HTTP by {answers[address]}")
        lab.start_api()
        up = time.monotonic_ns()
        self._say("the API server is back, with what it had")
        given = self._arrival.make()
        self._say(f"a new Service {given.name} has {listed(given.addresses)}, {milliseconds(_since(up))} after")
        announcer, *_ = [self._leader(each) for each in given.addresses]
        announced = _since(up)
        self._say(f"{announcer} announces it, {milliseconds(announced)} after: its speaker watches again")
        return [
            asked,
            findings.owners(title, verdict, eyes.contests()),
            findings.served(title, "HTTP answered", {address: answers[address]}, {address: leader}),
            findings.complete(title, "new Service announced", [given.name], {given.name: announced}),
        ]

    def delete(self, title: str) -> list[Finding]:
        """A Service deleted: its addresses leave the wire."""
        lab = self._lab
        given = next(reversed(self._arrival.services.values()))
        address = given.addresses[0]
        eyes = Eyes(lab.lan, address)
        eyes.answered()
        deleted = time.monotonic_ns()
        self._arrival.remove(given.name)
        self._say(f"Service {given.name} deleted, which had {address}")
        lab.until(lambda: lab.allocations.get(object_name(address)) is None, f"the IPAllocation of {address} is gone")
        eyes.look_on((deleted + findings.GONE - time.monotonic_ns()) // MS + _AFTER)
        eyes.close()
        samples = eyes.prober.samples()
        found = findings.gone(title, samples.replies, deleted, samples.sent[-1].at)
        self._say(f"{address} is gone from the wire {found.seen}" + (", and stays so" if found.ok else ""))
        return [found]

    # --- what they are made of

    def _leader(self, address: Address) -> str:
        return self._lab.until(lambda: self._lab.leader(address), f"{address} has a leader", within=_PATIENCE)

    def _successor(self, address: Address, old: str) -> str:
        def other() -> str | None:
            now = self._lab.leader(address)
            return None if now == old else now

        return self._lab.until(other, f"{address} has another leader than {old}")

    def _watch(self, address: Address) -> tuple[Eyes, str]:
        """Eyes on an address, and the node that they see answer."""
        eyes = Eyes(self._lab.lan, address)
        eyes.answered()
        eyes.look_on(_BEFORE)
        return eyes, self._lab.node_of(eyes.prober.samples().replies[-1].mac)


def _since(at: int) -> int:
    return time.monotonic_ns() - at

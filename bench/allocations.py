"""What an address costs to give and to free, with few and with many held; and the memory that they take.

``python -m bench.allocations [--rounds 2000]``: pools of 10.0.0.0/8 and 2001:db8::/32, dual-stack Services. The
ledgers take turns, so that what else the machine does meets all of them; told is the median in microseconds of CPU,
and the ratio to 10 held. Fails where that is above 2: it is promised not to grow with what is held.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec
from lbprovider.ipam.assign import Assigned, assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.request import Request
from lbprovider.ipam.sharing import joined, left

FEW: Final = 10
MOST: Final = 2.0
"""Times the cost at ``FEW``; the promise."""
_NOW: Final = "2026-01-01T12:00:00Z"
_LATER: Final = "2026-01-01T12:30:00Z"
_FIRST: Final = ip_address("10.0.0.0"), ip_address("2001:db8::")
_HTTP: Final = ServicePort(port=80)


@dataclass(frozen=True, slots=True)
class _Case:
    """A ledger and a Service that comes and goes again and again."""

    name: str
    held: int
    ledger: Ledger
    wish: Request
    released_at: str = ""
    given: list[int] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)

    def turn(self) -> None:
        """The Service gets its addresses, and leaves them."""
        began = time.process_time_ns()
        answer = assign(self.wish, self.ledger)
        for grant in answer.grants if isinstance(answer, Assigned) else ():
            before = self.ledger.get(grant.address)
            self.ledger.put(joined(before, self.wish, grant.address, grant.pool))
        served = time.process_time_ns()
        for address in self.ledger.held_by(self.wish.uid):
            spec = left(self.ledger[address], self.wish.uid, self.released_at)
            if spec is not None:
                self.ledger.put(spec)
            if spec is None or not spec.services:
                self.ledger.drop(address)
        self.given.append(served - began)
        self.freed.append(time.process_time_ns() - served)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.allocations", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    given = parser.parse_args()
    kinds = [list(_plain()), list(_shared_alike()), list(_shared_each_its_own()), list(_cooling())]
    print("                                          held  give: µs  ratio  free: µs  ratio")
    worst = 0.0
    for cases in kinds:
        for _ in range(given.rounds):
            for case in cases:
                case.turn()
        for case in cases:
            gives, frees = _ratio(case.given, cases[0].given), _ratio(case.freed, cases[0].freed)
            worst = max(worst, gives, frees)
            print(
                f"{case.name:<38}{case.held:>8}{_median(case.given):>10.1f}{gives:>7.2f}"
                f"{_median(case.freed):>10.1f}{frees:>7.2f}",
                flush=True,
            )
    _edit(kinds[0][-1].ledger)
    print(f"worst ratio {worst:.2f}, promised are {MOST:g} at most")
    return int(worst > MOST)


def _plain() -> Iterator[_Case]:
    for held in (FEW, 1_000, 100_000):
        before = _resident()
        ledger = _ledger()
        for number in range(held // 2):
            for first in _FIRST:
                ledger.put(_spec(str(first + number), str(number), _HTTP))
        print(f"{held} held: {(_resident() - before) / 1024:.1f} MB, {_resident() / 1024:.0f} MB resident in all")
        yield _Case("addresses of their own", held, ledger, _wish())


def _shared_alike() -> Iterator[_Case]:
    for held in (FEW, 1_000, 10_000, 100_000):
        ledger = _ledger()
        for number in range(held // 2):
            for first in _FIRST:
                ledger.put(_spec(str(first + number), str(number), _HTTP, key="k"))
        yield _Case("one sharing key, one port on all", held, ledger, _wish("k", 80))


def _shared_each_its_own() -> Iterator[_Case]:
    """No two addresses are equally good to join, and only the last can be."""
    for held in (FEW, 1_000, 10_000, 100_000):
        ledger = _ledger()
        for number in range(held // 2):
            ports = (ServicePort(port=1000 + number),) if number == held // 2 - 1 else (_HTTP, ServicePort(port=1000))
            for first in _FIRST:
                ledger.put(_spec(str(first + number), str(number), *ports, ServicePort(port=2 + number), key="k"))
        yield _Case("one sharing key, ports of their own", held, ledger, _wish("k", 80, 1000))


def _cooling() -> Iterator[_Case]:
    for held in (FEW, 1_000, 10_000, 100_000):
        ledger = _ledger()
        for number in range(held // 2):
            for first in _FIRST:
                ledger.put(IPAllocationSpec(address=str(first + number), pool="lan", released_at=_NOW))
        yield _Case("cooling down", held, ledger, _wish(), _LATER)


def _ledger() -> Ledger:
    spec = IPAddressPoolSpec(addresses=("10.0.0.0/8", "2001:db8::/32"), avoid_buggy_ips=True, reuse_after="1h")
    return Ledger(PoolSet.of([IPAddressPool(metadata=ObjectMeta(name="lan", namespace="lb"), spec=spec)]))


def _spec(address: str, name: str, *ports: ServicePort, key: str = "") -> IPAllocationSpec:
    claim = ServiceClaim(namespace="web", name=name, uid=name, ports=ports)
    return IPAllocationSpec(address=address, pool="lan", services=(claim,), sharing_key=key)


def _wish(key: str = "", *ports: int) -> Request:
    return Request(
        namespace="web", name="new", uid="new", created=_NOW, families=("IPv4", "IPv6"), policy="RequireDualStack",
        requested={}, pool="", sharing_key=key, backend_key="", ports=tuple(ServicePort(port=port) for port in ports),
        labels={}, namespace_labels={}, status={},
    )  # fmt: skip


def _edit(ledger: Ledger) -> None:
    began = time.process_time_ns()
    ledger.repool(ledger.pools)
    print(f"an edit of a pool accounts {len(ledger)} anew in {(time.process_time_ns() - began) / 1e6:.0f} ms")


def _median(times: list[int]) -> float:
    return statistics.median(times) / 1000


def _ratio(times: list[int], few: list[int]) -> float:
    return statistics.median(times) / statistics.median(few)


def _resident() -> int:
    """KiB of this process in memory (proc(5), status)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    raise SystemExit(main())

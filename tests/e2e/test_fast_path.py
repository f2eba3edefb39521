"""The fast path on a real kernel: the port's contract, and what only a kernel can show."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lbprovider.announce.responder import Responder
from lbprovider.errors import HostError
from lbprovider.net.bpf import layout, programs, syscalls
from lbprovider.net.bpf.kernel import open_fast_path
from lbprovider.net.bpf.maps import Table, Words
from lbprovider.net.bpf.port import FastPath
from lbprovider.net.clock import boottime
from lbprovider.net.links import Link
from lbprovider.wire import ndp
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually
from tests.e2e.rig.wire import LAN, OWN4, OWN6, Wire
from tests.fakes.fast_path_contract import HOUR, FastPathContract, answer, question
from tests.fakes.questions import LATE4, LATE6, OURS4, OURS6, Questions

_WENT_ON: Final = 0xFFFF_FFFF
_SENT: Final = 7
_MS: Final = 1_000_000


class KernelBench(Wire):
    """A Wire whose end of ours has a fast path."""

    def open(self) -> FastPath:
        return self.inside(lambda: open_fast_path(self.link))


@pytest.fixture
def bench() -> Iterator[KernelBench]:
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and need root", pytrace=False)
    made = KernelBench("lbp-fast")
    try:
        yield made
    finally:
        made.close()


class TestKernel(FastPathContract):
    """The contract."""


# --- the program, on frames that nobody sends


def test_random_frames_are_answered_as_the_responder_does_or_left_alone(bench: KernelBench, report: Report) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - frames, no secrets
    mac, now = bytes.fromhex("02aabbccddee"), boottime()
    deadlines = {OURS4: now + HOUR, OURS6: now + HOUR, LATE4: now, LATE6: now}
    responder = Responder(lambda address, _: deadlines[address] > now)
    table, words = Table(16), Words(16)
    for word, (address, deadline) in enumerate(deadlines.items(), start=layout.FIRST_DEADLINE):
        responder.hold(address, LAN, mac)
        table.put(address, word, mac)
        words.view[word] = deadline
    program = syscalls.load(programs.answerer(table.descriptor, words.descriptor), "lbp_test")
    made = Questions(random.Random(seed), mac, bench.link.mac)  # noqa: S311
    counts: Counter[str] = Counter()

    def try_all() -> None:
        for _ in range(30_000):
            frame = made.frame()
            expected = responder.answer(frame, LAN, now)
            result, left = syscalls.run(program, frame, index=bench.link.index)
            if result == _SENT:
                assert left == expected, f"seed {seed}: {frame.hex()}"
                counts["IPv4" if len(left) == 42 else "IPv6"] += 1
            else:
                assert (result, left) == (_WENT_ON, frame), f"seed {seed}: {frame.hex()}"
                counts["left to the responder" if expected else "no question of ours"] += 1

    bench.inside(try_all)
    assert {family: words.view[word] for family, word in layout.ANSWERED.items()} == {
        family: counts[family] for family in layout.ANSWERED
    }
    assert min(counts["IPv4"], counts["IPv6"]) > 100
    report(f"seed {seed}: {dict(counts)}")
    os.close(program)
    words.close()
    table.close()


# --- a neighbour's kernel


def test_a_neighbours_kernel_finds_our_addresses_and_all_other_traffic_passes(bench: KernelBench) -> None:
    path = bench.open()
    for held, text, own in ((OURS4, "192.0.2.100", OWN4), (OURS6, "2001:db8::64", OWN6)):
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        with bench.peer.run(lambda family=family: socket.socket(family, socket.SOCK_DGRAM)) as asker:  # type: ignore[misc]
            asker.sendto(b"?", (text, 9))
            eventually(lambda text=text: bench.link.mac.hex(":") in _neighbour(bench, text), f"{text} is found")  # type: ignore[misc]
            with bench.inside(lambda family=family: socket.socket(family, socket.SOCK_DGRAM)) as there:  # type: ignore[misc]
                there.bind((own, 7))
                there.settimeout(5)
                asker.sendto(b"through", (own, 7))
                assert there.recv(100) == b"through"
    assert path.counts()["IPv4"] >= 1
    assert path.counts()["IPv6"] >= 1
    path.close()


def _neighbour(bench: KernelBench, address: str) -> str:
    command = ["ip", "-n", bench.peer.name, "neigh", "show", address, "dev", LAN]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_tcpdump_sees_question_and_answer(bench: KernelBench) -> None:
    path = bench.open()
    path.hold(OURS4, bench.link.mac, bench.now() + HOUR)
    with bench.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))) as everything:
        everything.bind((LAN, 3))
        everything.settimeout(5)
        asked = question(bench, OURS4)
        assert bench.ask(asked) == answer(bench, OURS4, bench.link.mac)
        assert [everything.recv(100), everything.recv(100)] == [asked, answer(bench, OURS4, bench.link.mac)]
    path.close()


@pytest.mark.parametrize("kind", ["bridge", "macvlan"])
@pytest.mark.parametrize("held", [OURS4, OURS6], ids=["IPv4", "IPv6"])
def test_an_interface_on_top_of_another_answers_too(bench: KernelBench, kind: str, held: bytes) -> None:
    if kind == "bridge":
        bench.ours.add_bridge("upper0")
        bench.ours.enslave(LAN, "upper0")
    else:
        command = ["ip", "-n", bench.ours.name, "link", "add", "upper0", "link", LAN, "type", "macvlan"]
        subprocess.run(command, check=True)
        bench.ours.up("upper0")
    link = Link(
        name="upper0",
        index=bench.inside(lambda: socket.if_nametoindex("upper0")),
        mac=bytes.fromhex(bench.ours.mac("upper0").replace(":", "")),
    )
    path = bench.inside(lambda: open_fast_path(link))
    path.hold(held, link.mac, bench.now() + HOUR)
    member = bench.inside(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    if held == OURS6:  # else a macvlan gets no solicitation
        group = ndp.solicited_node(held) + struct.pack("=i", link.index)
        bench.inside(lambda: member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group))
    replied = answer(bench, held, link.mac)

    def answers() -> bool:
        assert bench.tap.send(question(bench, held))
        return replied in [each.frame for each in bench.tap.receive()]

    eventually(answers, "it answers, whatever the lower one makes of the question")
    member.close()
    path.close()


# --- what becomes of it without us

_HOLDER: Final = """
import asyncio, sys, time
from lbprovider.net.bpf.kernel import open_fast_path
from lbprovider.net.clock import boottime
from lbprovider.net.netlink import KernelLinks

async def main(ahead):
    async with KernelLinks() as links:
        link = links.snapshot()["lan0"]
    path = open_fast_path(link)
    held = [bytes.fromhex(each) for each in sys.argv[2:]]
    for address in held:
        path.hold(address, link.mac, boottime() + ahead)
    print("holds", flush=True)
    while True:
        path.refresh(dict.fromkeys(held, boottime() + ahead))
        time.sleep(0.05)

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.fixture
def holder(bench: KernelBench) -> Iterator[subprocess.Popen[str]]:
    """A process that refreshes both addresses each 50 ms, for 245 ms each time: as an owner does."""
    argv = [sys.executable, "-c", _HOLDER, str(245 * _MS), OURS4.hex(), OURS6.hex()]
    with subprocess.Popen(bench.ours.command(argv), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


@pytest.mark.parametrize("held", [OURS4, OURS6], ids=["IPv4", "IPv6"])
def test_a_process_that_is_stopped_answers_until_its_deadline_and_goes_on_afterwards(
    bench: KernelBench, holder: subprocess.Popen[str], held: bytes, report: Report
) -> None:
    asked, replied = question(bench, held), answer(bench, held, bench.link.mac)
    eventually(lambda: bench.ask(asked) == replied, "it holds them")  # unless it has just been late with a refresh
    holder.send_signal(signal.SIGSTOP)
    eventually(lambda: Path(f"/proc/{holder.pid}/stat").read_text().split()[2] == "T", "it stands still", every=0.001)
    stopped = last = time.monotonic_ns()
    while (now := time.monotonic_ns()) < stopped + 1000 * _MS:
        if bench.ask(asked) == replied:
            last = now
    report(f"answered what was asked up to {(last - stopped) / _MS:.0f} ms after SIGSTOP, with a deadline of 245 ms")
    assert last - stopped <= 245 * _MS
    holder.send_signal(signal.SIGCONT)
    eventually(lambda: bench.ask(asked) == replied, "it holds them again")


def test_a_process_that_dies_takes_its_program_away(bench: KernelBench, holder: subprocess.Popen[str]) -> None:
    assert _programs(bench) == 1
    holder.kill()
    holder.wait(10)
    for held in (OURS4, OURS6):
        assert bench.ask(question(bench, held)) is None
    assert _programs(bench) == 0


def _programs(bench: KernelBench) -> int:
    """How many programs the kernel has on the interface (BPF_PROG_QUERY)."""
    query = struct.Struct("=4IQI4x4Q")
    asked = query.pack(bench.link.index, syscalls._INGRESS, 0, 0, 0, 0, *[0] * 4)
    count: int = query.unpack(bench.inside(lambda: syscalls._bpf(16, asked)[1]))[5]
    return count


def test_an_interface_that_is_taken_away_ends_it_without_an_error(bench: KernelBench) -> None:
    path = bench.open()
    path.hold(OURS4, bench.link.mac, bench.now() + HOUR)
    subprocess.run(["ip", "-n", bench.ours.name, "link", "del", LAN], check=True)
    path.hold(OURS6, bench.link.mac, bench.now() + HOUR)
    path.refresh({OURS4: bench.now() + HOUR})
    path.drop(OURS4)
    assert path.counts() == {"IPv4": 0, "IPv6": 0}
    path.close()
    with pytest.raises(HostError, match=rf"no fast path on {LAN}: No such device"):
        bench.open()


# --- what it refuses


def test_a_process_with_another_clock_is_told_so(bench: KernelBench) -> None:
    argv = ["unshare", "--time", "--boottime", "1000000", "--fork", sys.executable, "-c", _HOLDER, "0"]
    run = subprocess.run(bench.ours.command(argv), capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr.splitlines()[-1] == (
        "lbprovider.errors.HostError: no fast path: this process is in a time namespace, so the kernel would read its "
        "deadlines wrongly; run it in the host's"
    )


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        pytest.param(["bpf", "net_admin"], "holds\n", id="BPF,NET_ADMIN"),
        pytest.param(["bpf"], "", id="BPF"),
        pytest.param(["net_raw", "net_admin"], "", id="NET_ADMIN"),
        pytest.param([], "", id="none"),
    ],
)
def test_what_the_docs_ask_for_is_enough_and_needed(bench: KernelBench, capabilities: list[str], said: str) -> None:
    argv = [sys.executable, "-c", _HOLDER, "0"]
    command = bench.ours.command(argv, capabilities=capabilities)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == said
        process.kill()
        if not said:
            assert process.stderr.read().splitlines()[-1] == (
                f"lbprovider.errors.HostError: no fast path on {LAN}: no permission to use BPF; add BPF and NET_ADMIN "
                "to securityContext.capabilities.add of the speaker's container, and see that its seccomp profile "
                "allows bpf(2)"
            )

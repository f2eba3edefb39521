"""ARP answers a second: the speaker beside a kernel that has the addresses itself, in one run.

``python -m bench.answers [--addresses 1000] [--seconds 3] [--rounds 2]``: a lab of one node, so that its speaker leads
everything, and beside it a host with as many addresses of its own. A client on the LAN asks both in turn, for one
address and for all, one question at a time and with 64 on their way. It is Python too and as slow for either: read the
ratios.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from typing import Final

from bench import places
from bench.readings import Usage
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.frames import question
from lbprovider.lab.lan import LAN4
from lbprovider.lab.story.arrival import Arrival
from lbprovider.settings import LabSettings

_FIRST: Final = IPv4Address("198.19.128.0")
"""Of the host whose kernel answers: what RFC 2544 leaves beside the lab's pool."""
_IN_FLIGHT: Final = (1, 64)
_ARP: Final = 0x0806
_ANSWER: Final = 2
_REPLY: Final = struct.Struct("!14x6xH6s4s")
_SPIN: Final = 100e-6
"""Seconds of waiting without sleep."""
_LOST: Final = 100_000
"""Microseconds after which an answer is taken for lost, and asked for again."""


def main() -> None:
    if sys.argv[1:2] == ["ask"]:
        _ask(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--addresses", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    places.run("bench.answers", parser, _answers)


def _answers(given: argparse.Namespace) -> int:
    with Lab(LabSettings(nodes=1, addresses=given.addresses), given.directory) as lab:
        arrival = Arrival(lab, lambda _: None)
        arrival.tell("answers")
        time.sleep(10)  # the last announcements of what was just won are over after 5
        ours = [str(each.addresses[0]) for each in arrival.services.values()]
        host = lab.lan.guest("kernel")
        own = [str(_FIRST + number) for number in range(given.addresses)]
        for address in own:
            host.add_address("eth0", address, 32)
        speaker = lab.speaker(next(iter(lab.lan.nodes))).pid
        print(
            f"answers/s, median of {given.rounds} rounds of {given.seconds:g} s; load average {os.getloadavg()[0]:.1f}"
        )
        print(f"{'':<34}{'kernel':>19}{'speaker':>19}{'speaker/kernel':>16}{'its CPU an answer':>19}")
        for count in (1, given.addresses):
            for in_flight in _IN_FLIGHT:
                kernel: list[dict[str, float]] = []
                process: list[dict[str, float]] = []
                cpu: list[float] = []
                for _ in range(given.rounds):
                    kernel.append(_run(lab, own[:count], in_flight, given.seconds))
                    before = Usage.of(speaker)
                    process.append(_run(lab, ours[:count], in_flight, given.seconds))
                    ran = Usage.of(speaker).ran - before.ran
                    cpu.append(ran / 1000 / max(1, process[-1]["rate"] * given.seconds))
                _tell(f"{count} address{'es' * (count > 1)}, {in_flight} on their way", kernel, process, cpu)
        print("MetalLB (BASELINE, on a quiet machine of the same kind, its kernel beside it): 0.17–0.24 and 0.34–0.43")
        print("of the kernel for one address, 1 and 64 on their way; 0.09–0.10 and 0.16–0.18 for 1,000")
    return 0


def _tell(what: str, kernel: Sequence[dict[str, float]], process: Sequence[dict[str, float]], cpu: list[float]) -> None:
    cells = []
    rates = []
    for each in (kernel, process):
        rates.append(statistics.median(one["rate"] for one in each))
        p50 = statistics.median(one["p50"] for one in each)
        cells.append(f"{rates[-1] / 1000:.1f}k, p50 {p50:.0f} µs")
    lost = sum(one["lost"] for one in process)
    said = f"  {lost:.0f} lost" if lost else ""
    print(
        f"{what:<34}{cells[0]:>19}{cells[1]:>19}{rates[1] / rates[0]:>16.2f}{statistics.median(cpu):>16.1f} µs{said}",
        flush=True,
    )


def _run(lab: Lab, addresses: Sequence[str], in_flight: int, seconds: float) -> dict[str, float]:
    """Ask from the client, in a process of its own; what it came to."""
    argv = [sys.executable, "-m", "bench.answers", "ask", str(in_flight), str(seconds)]
    result = subprocess.run(  # noqa: S603 - ourselves
        lab.lan.client.command(argv), input="\n".join(addresses), capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def _next(asker: socket.socket) -> bytes:
    """The next frame: at once if it comes soon, for to be woken takes long; else asleep, so that others can run."""
    until = time.perf_counter() + _SPIN
    while time.perf_counter() < until:
        with contextlib.suppress(BlockingIOError):
            return asker.recv(64, socket.MSG_DONTWAIT)
    return asker.recv(64)


def _ask(in_flight: str, seconds: str) -> None:
    """The client: asks for what stands on its standard input, in turn, and never has more questions on their way."""
    asker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # In the kernel: a wait in Python would take a call more for each answer.
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, _LOST))
    asker.bind(("eth0", _ARP))
    mac = asker.getsockname()[4]
    targets = [ip_address(line) for line in sys.stdin.read().split()]
    frames = [question(target, mac, LAN4[100]) for target in targets]
    sent_at: dict[bytes, deque[float]] = {target.packed: deque() for target in targets}
    took: list[float] = []
    clock = time.perf_counter
    end = clock() + float(seconds)
    turn = lost = on_their_way = 0
    while clock() < end:
        while on_their_way < int(in_flight):
            sent_at[targets[turn].packed].append(clock())
            asker.send(frames[turn])
            turn = (turn + 1) % len(frames)
            on_their_way += 1
        try:
            reply = _next(asker)
        except BlockingIOError:
            lost += on_their_way
            on_their_way = 0
            for each in sent_at.values():
                each.clear()
            continue
        operation, _, who = _REPLY.unpack_from(reply)
        waiting = sent_at.get(who)
        if operation == _ANSWER and waiting:
            took.append(clock() - waiting.popleft())
            on_their_way -= 1
    took.sort()
    print(json.dumps({"rate": len(took) / float(seconds), "p50": took[len(took) // 2] * 1e6, "lost": lost}))


if __name__ == "__main__":
    main()

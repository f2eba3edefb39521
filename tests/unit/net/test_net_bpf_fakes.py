"""The fake keeps the contract of the port, as the kernel does (tests/e2e/test_fast_path.py)."""

from __future__ import annotations

import pytest

from lbprovider.net.bpf.port import FastPath
from lbprovider.net.links import Link
from tests.fakes.fast_path import FakeFastPath
from tests.fakes.fast_path_contract import FastPathContract
from tests.fakes.questions import ASKER


class FakeBench:
    def __init__(self) -> None:
        self.link = Link(name="eth0", index=1, mac=bytes.fromhex("020000000011"), up=True, carrier=True)
        self.peer_mac = ASKER
        self._path: FakeFastPath | None = None

    def open(self) -> FastPath:
        self._path = FakeFastPath(self.link, self.now)
        return self._path

    def now(self) -> int:
        return 1_000_000_000

    def ask(self, frame: bytes) -> bytes | None:
        assert self._path is not None
        return self._path.ask(frame)


@pytest.fixture
def bench() -> FakeBench:
    return FakeBench()


class TestFake(FastPathContract):
    pass

"""What the leader's own view of the API server adds to it."""

from __future__ import annotations

import asyncio

import pytest

from lbprovider.api.resources import NODES
from lbprovider.controller.guard import SILENT, Guarded, Reach
from lbprovider.errors import Unreachable
from tests.fakes.api_server import FakeApi


def test_every_request_tells_whether_the_api_server_answers() -> None:
    now = 0.0
    server, reach = FakeApi(), Reach(lambda: now)
    api = Guarded(server, reach)

    async def main() -> None:
        nonlocal now
        server.fault = lambda call: Unreachable(f"no answer to {call.verb}")
        with pytest.raises(Unreachable):
            await api.list(NODES)
        now = SILENT
        assert reach.why_not() == "no answer to list"
        with pytest.raises(Unreachable):
            await api.delete(NODES, "a")
        assert reach.why_not() == "no answer to delete"
        server.fault = lambda _: None
        await api.list(NODES)
        assert reach.why_not() == ""

    asyncio.run(main())

"""Two who want one address to be something else at once, and an API server that takes neither's write."""

from __future__ import annotations

import asyncio
import itertools

import structlog

from lbprovider.api.core import ServicePort
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.errors import ClusterError, Conflict, Overloaded
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import World, run, settle


def test_what_is_let_go_is_let_go_though_another_s_write_of_it_failed() -> None:
    # The other one wrote both plans and failed; whoever let go took the end of that for the end of its own, and the
    # address of a Service that was gone was held till the next sweep.
    async def story(world: World) -> None:
        world.api.latency = 0.01
        shared = {"lbprovider.io/allow-shared-ip": "key"}
        world.pool("192.0.2.1")
        world.service("web", annotations=shared)
        async with world.controller():
            await settle()

            def refused(_: Call) -> ClusterError:
                world.delete("web")  # which is heard of while the answer is on its way
                return Conflict("refused", status=409, reason="Conflict")

            world.before_first("update", "ipallocations", refused)
            world.service("joins", annotations=shared, ports=(ServicePort(port=443),))
            await settle()
            assert world.held() == {"192.0.2.1": ["joins"]}

    run(story)


def test_a_refusal_that_teaches_nothing_is_put_off_and_never_a_loop() -> None:
    # A hot loop: 64 creations and as many questions each time, 1,945 requests a second for 40 Services.
    async def story(world: World) -> None:
        world.pool("192.0.2.1-192.0.2.9")

        def busy(call: Call) -> ClusterError | None:
            refused = (call.verb, call.plural) == ("create", "ipallocations")
            return Conflict("resourcequotas: the object has been modified", reason="Conflict") if refused else None

        world.api.fault = busy
        async with world.controller():
            world.service("web")
            await settle(6.0)
            asked = [call.verb for call in world.api.calls if call.plural == "ipallocations"]
            assert asked.count("create") < 10  # each time after twice as long: seven times in six seconds
            assert asked.count("get") <= asked.count("create")
            world.api.fault = lambda _: None
            await settle(15.0)
            assert world.ingress() == ["192.0.2.1"]

    run(story)


def test_an_address_that_another_controller_takes_back_meanwhile_is_decided_on_anew() -> None:
    # A KeyError: the address was gone by the time it was known who had cleared the status.
    async def story(world: World) -> None:
        world.pool("192.0.2.1")
        world.service("web")
        async with world.controller():
            await settle()
            with structlog.testing.capture_logs() as logs:
                world.api.latency = 0.01
                world.show("web")
                await asyncio.sleep(0.005)
                assert [call.verb for call in world.api.calls][-1] == "get"
                world.api.remove(ALLOCATIONS, "192.0.2.1")
                await settle()
        assert [line for line in logs if line["log_level"] == "error"] == []
        assert world.ingress() == ["192.0.2.1"]
        assert world.held() == {"192.0.2.1": ["web"]}

    run(story)


def test_a_pool_s_status_waits_for_as_long_as_the_api_server_asks() -> None:
    async def story(world: World) -> None:
        at: list[float] = []

        def busy(call: Call) -> ClusterError | None:
            if (call.verb, call.plural, call.subresource) != ("patch", "ipaddresspools", "status"):
                return None
            at.append(asyncio.get_running_loop().time())
            return Overloaded("busy", status=429, retry_after=7.0)

        world.api.fault = busy
        world.pool("192.0.2.1")
        async with world.controller():
            await settle(40.0)
        assert len(at) > 1
        assert all(later - before >= 7.0 for before, later in itertools.pairwise(at))

    run(story)

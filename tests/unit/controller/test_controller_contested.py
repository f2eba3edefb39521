"""Two who want one address to be something else at once, and an API server that takes neither's write."""

from __future__ import annotations

from lbprovider.controller.allocations import ATTEMPTS
from lbprovider.errors import ClusterError, Conflict
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import World, run, settle


def test_what_is_let_go_is_let_go_though_another_s_write_of_it_failed() -> None:
    # The other one, who waited for the address, wrote both plans and failed; whoever lets go took the end of that for
    # the end of its own, and nobody held the address again until the next sweep.
    async def story(world: World) -> None:
        world.api.latency = 0.01
        world.pool("192.0.2.1")
        world.service("web")
        async with world.controller():
            await settle()
            world.service("waits")
            await settle()
            refused = 0

            def refuses(call: Call) -> ClusterError | None:
                nonlocal refused
                if call.plural != "ipallocations" or call.verb == "get" or refused == 2 * ATTEMPTS:
                    return None
                refused += 1
                if refused == 1:
                    world.edit("waits", ports=())  # looked at while the address is about to be free
                return Conflict("refused", status=409, reason="Conflict")

            world.api.fault = refuses
            world.delete("web")
            await settle()
            assert refused == 2 * ATTEMPTS
            assert world.held() == {"192.0.2.1": ["waits"]}

    run(story)

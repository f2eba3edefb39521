"""Controllers at once, no leader among them, each far from the API server: what one writes never contradicts the other.

Every write is judged (``tests/e2e/rig/history.py``), in the order in which the API server took them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from lbprovider.api.core import ServicePort
from lbprovider.api.meta import to_builtins
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.leading import lead
from lbprovider.controller.tasks import beside
from lbprovider.kube.reflector import Reflector
from tests.e2e.rig.history import Replay, Write
from tests.fakes import virtual_time
from tests.fakes.late_api import LateApi, LateStore
from tests.unit.controller.controller_world import SETTINGS, World, settle

SLOW = 0.05
"""Seconds at most, each way, of a request."""
LATE = 0.2
"""Seconds at most until a watch tells."""
COUNT = 25
"""Services."""
POOLS = (
    ("192.0.2.0-192.0.2.19", "2001:db8::/124"),
    ("192.0.2.5-192.0.2.29",),
    ("192.0.2.0-192.0.2.9", "192.0.2.15-192.0.2.25", "2001:db8::/125"),
)


class Far(World):
    """Controllers in it are far from the API server."""

    @asynccontextmanager
    async def far(self, seed: int) -> AsyncIterator[None]:
        dice = random.Random(seed)  # noqa: S311  (a test that is the same each time)

        async def watch(inventory: Inventory, _: Callable[[], None]) -> None:
            stores: tuple[Any, ...] = (
                inventory.services, inventory.namespaces, inventory.nodes, inventory.segments, inventory.allocations,
            )  # fmt: skip
            late = [LateStore(store, lambda: dice.uniform(0, LATE)) for store in stores]
            async with beside(*(Reflector(self.api, each.resource).run(each) for each in late)):
                await asyncio.get_running_loop().create_future()

        ready = asyncio.Event()
        async with beside(lead(LateApi(self.api, lambda: dice.uniform(0, SLOW)), SETTINGS, watch, ready.set)):
            await ready.wait()
            yield

    async def mortal(self, dice: random.Random) -> None:
        """One after the other: each is killed, in the midst of whatever it does."""
        while True:
            async with self.far(dice.randrange(1000)):
                await asyncio.sleep(dice.uniform(0.3, 3))

    def replay(self) -> Replay:
        replay = Replay()
        replay.play(
            Write(entry.version, entry.plural, obj.key, None if entry.after is None else to_builtins(obj))
            for entry in self.api._history
            if entry.plural in ("services", "ipallocations") and (obj := entry.after or entry.before) is not None
        )
        return replay


class Story:
    """Random changes by admins and tenants."""

    def __init__(self, world: Far, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.alive: set[str] = set()
        self.world.pool(*POOLS[0])
        for number in range(COUNT):
            self.make(f"s{number}")

    def make(self, name: str) -> None:
        match self.dice.randrange(6):
            case 0:
                self.world.service(name, annotations={"lbprovider.io/loadBalancerIPs": self.address()})
            case 1:
                ports = (ServicePort(port=self.dice.choice((80, 81, 82))),)
                self.world.service(name, annotations={"lbprovider.io/allow-shared-ip": "key"}, ports=ports)
            case 2:
                policy = self.dice.choice(("PreferDualStack", "RequireDualStack"))
                both: dict[str, Any] = {"ip_families": ("IPv4", "IPv6"), "cluster_ips": ("10.96.0.1", "2001:db8:9::1")}
                self.world.service(name, ip_family_policy=policy, **both)
            case _:
                self.world.service(name)
        self.alive.add(name)

    def address(self) -> str:
        return f"192.0.2.{self.dice.randrange(20)}"

    def step(self) -> None:
        name = f"s{self.dice.randrange(COUNT)}"
        if name not in self.alive:
            self.make(name)
            return
        match self.dice.choices(("delete", "move", "stay", "retype", "reshape"), (6, 8, 2, 3, 2))[0]:
            case "delete":
                self.world.delete(name)
                self.alive.discard(name)
                if self.dice.random() < 0.5:
                    self.make(name)
            case "move":
                self.world.edit(name, load_balancer_ip=self.address())
            case "stay":
                self.world.edit(name, load_balancer_ip="")
            case "retype":
                kind = self.world.stored(name).spec.type
                self.world.edit(name, type="ClusterIP" if kind == "LoadBalancer" else "LoadBalancer")
            case _:
                self.world.pool(*self.dice.choice(POOLS))


def run(story: Callable[[Far], Any]) -> None:
    async def main(_: Callable[[], float]) -> None:
        await story(Far())

    virtual_time.run(main)


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 3])
def test_no_status_contradicts_the_allocations_at_any_moment(count: int, seed: int, killed: bool) -> None:  # noqa: FBT001  (a parameter)
    async def tell(world: Far) -> None:
        dice = random.Random(1000 * count + seed)  # noqa: S311  (the same each time)
        async with AsyncExitStack() as controllers:
            for number in range(count - killed):
                await controllers.enter_async_context(world.far(10 * seed + number))
            story = Story(world, dice)
            async with beside(*(world.mortal(dice) for _ in range(killed))):
                for _ in range(3 * COUNT):
                    await settle(dice.uniform(0, 0.1))
                    story.step()
            await settle(60)
            at_rest = len(world.writes())
            await settle(60)
            assert len(world.writes()) == at_rest
        replay = world.replay()
        assert replay.broken == []
        assert replay.differences() == []

    run(tell)


def test_two_write_hardly_more_than_one() -> None:
    async def tell(world: Far) -> None:
        world.pool("192.0.2.0/24")
        async with world.far(1), world.far(2):
            for number in range(100):
                world.service(f"s{number}")
                await settle(0.01)
            await settle(30)
        replay = world.replay()
        assert replay.broken == []
        assert replay.differences() == []
        assert len(replay.services) == len(replay.allocations) == 100
        accepted = [entry for entry in world.api._history if entry.plural in ("services", "ipallocations")]
        assert len(accepted) - 100 <= 2.2 * 100  # all but the creations of the Services

    run(tell)

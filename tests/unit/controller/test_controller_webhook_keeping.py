"""Secret, configuration and server kept in step, over the API server in memory and in virtual time."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lbprovider.api import names
from lbprovider.api.core import Secret
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import SECRETS, WEBHOOKS
from lbprovider.api.webhook import ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig
from lbprovider.controller.tasks import beside
from lbprovider.controller.webhook import certificates, keeping, making
from lbprovider.controller.webhook.certificates import HOUR, LIFE, RENEW, SPREAD, Generation
from lbprovider.errors import ClusterError, KindMissing, Overloaded, PortTaken
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

SYSTEM = "lbprovider-system"
EPOCH = 1_800_000_000
HOSTS = keeping.hosts(SYSTEM)
OTHER = ValidatingWebhook(name="somebody.example.com", client_config=WebhookClientConfig(ca_bundle="b3RoZXI="))


class World:
    """An API server with the configuration applied, and what servers show."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.api = FakeApi()
        self.clock = clock
        self.shown: dict[str, list[Generation]] = {}
        self.apply()

    def wall(self) -> float:
        return EPOCH + self.clock()

    def apply(self, bundle: str = "") -> None:
        """As kubectl replace does with the shipped manifest."""
        ours = ValidatingWebhook(name=names.WEBHOOK_ENTRY, client_config=WebhookClientConfig(ca_bundle=bundle))
        made = ValidatingWebhookConfiguration(metadata=ObjectMeta(name=names.WEBHOOK), webhooks=(OTHER, ours))
        self.api.write(WEBHOOKS, made)

    def secret(self, data: dict[str, str]) -> None:
        """Somebody else writes it."""
        metadata = ObjectMeta(name=names.WEBHOOK, namespace=SYSTEM)
        self.api.write(SECRETS, Secret(metadata=metadata, data=data))

    def replica(self, name: str = "one", api: Any = None, skew: float = 0.0) -> keeping.Keeper:
        async def show(generation: Generation) -> None:
            self.shown.setdefault(name, []).append(generation)

        return keeping.Keeper(api or self.api, SYSTEM, show, wall=lambda: self.wall() + skew)

    def shows(self, name: str = "one") -> Generation:
        return self.shown[name][-1]

    @property
    def stored(self) -> dict[str, str]:
        return dict(self.api.objects(SECRETS)[f"{SYSTEM}/{names.WEBHOOK}"].data)

    @property
    def believed(self) -> bytes:
        other, ours = self.api.objects(WEBHOOKS)[names.WEBHOOK].webhooks
        assert other == OTHER, "what is not ours was touched"
        return b64decode(ours.client_config.ca_bundle)

    def check(self, *replicas: str) -> None:
        """Whoever shows anything shows what is believed, and good."""
        for name in replicas or self.shown:
            assert self.shows(name).pems.authority in self.believed
            assert self.shows(name).good(self.wall())

    def writes(self) -> list[Call]:
        return [call for call in self.api.calls if call.verb in ("create", "patch", "update", "delete")]


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def main(clock: Callable[[], float]) -> None:
        await story(World(clock))

    virtual_time.run(main)


def old(made: float) -> Generation:
    return making.make(HOSTS, made)


def test_the_first_replica_makes_it_and_the_api_server_believes_it() -> None:
    async def story(world: World) -> None:
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
        (pems,) = certificates.decode(world.stored)
        assert world.shows().pems == pems
        assert world.believed == pems.authority
        assert [(call.verb, call.plural) for call in world.writes()] == [
            ("create", "secrets"),
            ("patch", "validatingwebhookconfigurations"),
        ]

    run(story)


def test_two_that_start_at_once_share_one() -> None:
    async def story(world: World) -> None:
        world.api.latency = 0.01
        async with beside(world.replica("one").run(), world.replica("two").run()):
            await asyncio.sleep(1)  # less than it takes to try again what failed
        assert world.shows("one") == world.shows("two")
        world.check()
        assert len([call for call in world.writes() if call.plural == "secrets"]) == 2, "one of the two came second"

    run(story)


def test_a_replica_that_comes_later_writes_nothing() -> None:
    async def story(world: World) -> None:
        async with beside(world.replica("one").run()):
            await asyncio.sleep(1)
            before = world.writes()
            async with beside(world.replica("two").run()):
                await asyncio.sleep(1)
        assert world.writes() == before
        assert world.shows("two") == world.shows("one")

    run(story)


def test_it_is_renewed_with_both_believed_and_no_gap() -> None:
    async def story(world: World) -> None:
        async with beside(world.replica("one").run(), world.replica("two").run()):
            await asyncio.sleep(1)
            first = world.shows()
            for _ in range((LIFE - RENEW) // HOUR + 4):
                await asyncio.sleep(HOUR)
                world.check()
        assert world.shows("one") == world.shows("two") != first
        assert world.believed == world.shows().pems.authority, "the elder's authority is believed no more"
        assert len(certificates.decode(world.stored)) == 1
        sequence = [each for at, each in enumerate(world.shown["two"]) if each not in world.shown["two"][:at]]
        assert sequence == [first, world.shows()]

    run(story)


def test_while_it_is_renewed_old_and_new_are_believed() -> None:
    async def story(world: World) -> None:
        elder = old(world.wall() - (LIFE - RENEW))
        world.secret(certificates.encode((elder,)))
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
            stored, younger = certificates.decode(world.stored)
            assert stored == elder.pems
            assert world.believed == elder.pems.authority + younger.authority
            assert world.shows() == elder
            await asyncio.sleep(SPREAD - 10)
            assert world.shows() == elder
            await asyncio.sleep(20)
            assert world.shows().pems == younger
            assert world.believed == elder.pems.authority + younger.authority
            await asyncio.sleep(SPREAD)
            assert world.believed == younger.authority

    run(story)


def test_the_younger_is_not_shown_while_the_api_server_can_not_be_told_of_it() -> None:
    async def story(world: World) -> None:
        elder = old(world.wall() - (LIFE - RENEW))
        world.secret(certificates.encode((elder,)))
        world.apply(bundle=_base64(elder.pems.authority))
        world.api.fault = lambda call: Overloaded("no") if call.plural == WEBHOOKS.plural and _writes(call) else None
        async with beside(world.replica().run()):
            await asyncio.sleep(3 * SPREAD)
            assert world.shows() == elder
            world.api.fault = lambda _: None
            await asyncio.sleep(HOUR)
            world.check()
            assert world.shows() != elder

    run(story)


@pytest.mark.parametrize("bundle", ["", "bm90aGluZw==", "not base64!"])
def test_a_configuration_that_is_applied_anew_is_put_right_at_once(bundle: str) -> None:
    async def story(world: World) -> None:
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
            world.apply(bundle)
            await asyncio.sleep(0.1)
            world.check()

    run(story)


def test_a_secret_that_is_deleted_is_made_anew_without_a_gap() -> None:
    async def story(world: World) -> None:
        async with beside(world.replica("one").run(), world.replica("two").run()):
            await asyncio.sleep(keeping.PAUSE)
            first = world.shows()
            world.api.remove(SECRETS, names.WEBHOOK, SYSTEM)
            await asyncio.sleep(keeping.PAUSE)
            assert certificates.decode(world.stored)[0] == first.pems
            assert world.shows("one") == world.shows("two") == first
            for _ in range(6):
                world.check()
                await asyncio.sleep(HOUR / 2)
            assert world.shows("one") == world.shows("two") != first
            assert world.believed == world.shows().pems.authority

    run(story)


@pytest.mark.parametrize(
    "rubbish",
    [
        {"tls.crt": "cnViYmlzaA==", "tls.key": "cnViYmlzaA==", "ca.crt": "cnViYmlzaA=="},
        {"tls.crt": "%", "mine": "bWluZQ=="},
        {},
    ],
    ids=str,
)
def test_rubbish_in_the_secret_is_replaced(rubbish: dict[str, str]) -> None:
    async def story(world: World) -> None:
        world.secret(rubbish)
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
            world.check()
            assert world.stored.keys() == {"ca.crt", "tls.crt", "tls.key"}
            assert "update" not in {call.verb for call in world.api.calls}, "other fields of it are not ours"
            await asyncio.sleep(keeping.PAUSE)
            world.secret(rubbish)
            await asyncio.sleep(1)
            world.check()
            assert certificates.decode(world.stored)[0] == world.shows().pems

    run(story)


def test_a_certificate_of_another_namespace_is_rubbish() -> None:
    async def story(world: World) -> None:
        world.secret(certificates.encode((making.make(keeping.hosts("elsewhere"), world.wall()),)))
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
        assert b"elsewhere" not in b64decode(world.stored["tls.crt"])
        world.check()

    run(story)


def test_after_months_without_any_controller_a_new_one_is_shown_at_once() -> None:
    async def story(world: World) -> None:
        ended = old(world.wall() - LIFE - 1)
        world.secret(certificates.encode((ended,)))
        world.apply(bundle=_base64(ended.pems.authority))
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
            world.check()
            assert world.believed == world.shows().pems.authority

    run(story)


def test_where_nothing_asks_nothing_is_made_and_it_begins_when_it_is_installed() -> None:
    async def story(world: World) -> None:
        world.api.remove(WEBHOOKS, names.WEBHOOK)
        async with beside(world.replica().run()):
            await asyncio.sleep(9.5 * HOUR)
            assert world.shown == {}
            assert world.writes() == []
            world.apply()
            await asyncio.sleep(0.1)
            world.check("one")

    run(story)


def test_a_configuration_without_our_webhook_is_left_alone() -> None:
    async def story(world: World) -> None:
        foreign = ValidatingWebhookConfiguration(metadata=ObjectMeta(name=names.WEBHOOK), webhooks=(OTHER,))
        world.api.write(WEBHOOKS, foreign)
        async with beside(world.replica().run()):
            await asyncio.sleep(HOUR)
        assert (world.shown, world.writes()) == ({}, [])

    run(story)


def test_an_api_server_that_knows_no_webhooks_is_asked_now_and_then() -> None:
    """The lab's."""

    async def story(world: World) -> None:
        world.api.fault = lambda call: KindMissing("no such kind") if call.plural == WEBHOOKS.plural else None
        async with beside(world.replica().run()):
            await asyncio.sleep(60)
        assert len(world.api.calls) < 60
        assert world.shown == {}

    run(story)


def test_a_port_that_is_taken_is_tried_again() -> None:
    async def story(world: World) -> None:
        tries: list[float] = []

        async def show(_: Generation) -> None:
            tries.append(world.clock())
            if len(tries) < 3:
                raise PortTaken("somebody listens there")

        async with beside(keeping.Keeper(world.api, SYSTEM, show, wall=world.wall).run()):
            await asyncio.sleep(3 * keeping.RETRY)
        assert len(tries) >= 3
        assert tries[2] >= 2 * keeping.RETRY
        assert world.believed

    run(story)


def test_an_api_server_that_fails_for_hours_ends_nothing() -> None:
    async def story(world: World) -> None:
        down: list[ClusterError] = [Overloaded("down")]
        world.api.fault = lambda _: down[0] if down else None
        async with beside(world.replica().run()):
            await asyncio.sleep(6 * HOUR)
            down.clear()
            await asyncio.sleep(2 * keeping.RETRY)
            world.check("one")

    run(story)


def test_a_bug_of_ours_ends_nothing() -> None:
    async def story(world: World) -> None:
        fails = [True]

        async def show(_: Generation) -> None:
            if fails:
                raise RuntimeError("a bug")

        async with beside(keeping.Keeper(world.api, SYSTEM, show, wall=world.wall).run()):
            await asyncio.sleep(1)
            fails.clear()
            await asyncio.sleep(2 * HOUR)
        assert world.believed

    run(story)


def test_clocks_that_are_years_apart_cost_a_write_now_and_then() -> None:
    async def story(world: World) -> None:
        years = 3 * 365 * 24 * HOUR
        async with beside(world.replica("one").run(), world.replica("two", skew=years).run()):
            await asyncio.sleep(10 * keeping.PAUSE)
        assert len(world.writes()) <= 2 * 2 * 11
        assert len(world.writes()) > 2

    run(story)


def test_a_clock_that_is_hours_off_costs_nothing() -> None:
    async def story(world: World) -> None:
        async with beside(world.replica("one").run(), world.replica("two", skew=-20 * HOUR).run()):
            await asyncio.sleep(10 * HOUR)
            world.check("one")
        assert len([call for call in world.writes() if call.plural == "secrets"]) <= 2

    run(story)


def test_what_is_written_depends_on_what_was_read() -> None:
    async def story(world: World) -> None:
        world.secret({"tls.crt": "%"})
        interfered: list[Call] = []

        def fault(call: Call) -> ClusterError | None:
            if _writes(call) and not interfered:
                interfered.append(call)
                if call.plural == "secrets":
                    world.secret(certificates.encode((old(world.wall()),)))
            return None

        world.api.fault = fault
        async with beside(world.replica().run()):
            await asyncio.sleep(1)
        assert [call.plural for call in interfered] == ["secrets"]
        world.check()
        assert len([call for call in world.writes() if call.plural == "secrets"]) == 1, "the other one's is taken"

    run(story)


def _writes(call: Call) -> bool:
    return call.verb in ("create", "patch", "update", "delete")


def _base64(pem: bytes) -> str:
    return b64encode(pem).decode("ascii")

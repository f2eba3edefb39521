"""AdmissionReviews as a kube-apiserver sends them, and what is said to each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from lbprovider.admission import together
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import Namespace, Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.pool import IPAddressPool
from lbprovider.api.resources import ALLOCATIONS, NAMESPACES, POOLS, SERVICES
from lbprovider.api.webhook import AdmissionResponse, AdmissionReview
from lbprovider.controller.webhook import judging
from lbprovider.controller.webhook.judging import Judge
from lbprovider.controller.webhook.serving import answered
from lbprovider.errors import Forbidden, Overloaded
from lbprovider.telemetry import REGISTRY
from tests.fakes import virtual_time
from tests.fakes.api_server import NOW, FakeApi

SYSTEM = "lbprovider-system"
FORCED = {"lbprovider.io/force": "true"}
GOLD = {"matchLabels": {"tier": "gold"}}


def pool(name: str, *addresses: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """An IPAddressPool as JSON."""
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {
            "name": name,
            "namespace": SYSTEM,
            "uid": f"uid-{name}",
            "creationTimestamp": NOW,
            "annotations": dict(annotations or {}),
            "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"addresses": list(addresses), "autoAssign": True, "avoidBuggyIPs": False, "reuseAfter": "0s", **spec},
        "status": {"conditions": []},
    }


def advertisement(*pools: str, name: str = "all") -> dict[str, Any]:
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"ipAddressPools": list(pools)},
    }


def review(operation: str, new: Any, old: Any = None, **changes: Any) -> dict[str, Any]:
    """An AdmissionReview as JSON, with all the fields that a kube-apiserver sends."""
    about = new or old
    kind = about["kind"]
    resource = {"group": "lbprovider.io", "version": "v1beta1", "resource": f"{kind.lower()}s"}
    group_kind = {"group": "lbprovider.io", "version": "v1beta1", "kind": kind}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": group_kind,
        "resource": resource,
        "requestKind": group_kind,
        "requestResource": resource,
        "name": about["metadata"]["name"],
        "namespace": SYSTEM,
        "operation": operation,
        "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
        "object": new,
        "oldObject": old,
        "dryRun": False,
        "options": {"kind": f"{operation.title()}Options", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {**request, **changes}}


class World:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.judge = Judge(self.api, SYSTEM)
        self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=SYSTEM)))
        self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="shop", labels={"team": "shop"})))

    def there(self, *pools: Mapping[str, Any]) -> None:
        for each in pools:
            self.api.write(POOLS, msgspec.convert(each, IPAddressPool))

    def holds(self, address: str, *services: str, pool: str = "lan", **labels: str) -> None:
        """Services of namespace shop that have an address."""
        for name in services:
            self.api.write(SERVICES, Service(metadata=ObjectMeta(name=name, namespace="shop", labels=labels)))
        claims = tuple(ServiceClaim(namespace="shop", name=name, uid=f"uid-{name}") for name in services)
        spec = IPAllocationSpec(address=address, pool=pool, services=claims)
        name = address.replace(":", "-")
        self.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=name), spec=spec))

    async def ask(self, asked: Mapping[str, Any]) -> AdmissionResponse:
        decoded = msgspec.json.decode(json.dumps(asked), type=AdmissionReview)
        assert decoded.request is not None
        answer = answered(decoded.request.uid, await self.judge.review(decoded.request))
        assert answer.response is not None
        assert answer.response.uid == asked["request"]["uid"]
        return answer.response

    async def says(self, operation: str, new: Any, old: Any = None, **changes: Any) -> str:
        """Why not; empty where it may be done, without any warning."""
        response = await self.ask(review(operation, new, old, **changes))
        assert response.allowed == (response.status is None)
        assert response.warnings == ()
        return "" if response.status is None else response.status.message

    def asked(self) -> list[str]:
        return [f"{call.verb} {call.plural}" for call in self.api.calls]


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def main(_: Callable[[], float]) -> None:
        await story(World())

    virtual_time.run(main)


LAN = pool("lan", "192.0.2.0/28", "2001:db8::/120")
SMALL = pool("lan", "192.0.2.0/30", "2001:db8::/120")
LARGE = pool("lan", "192.0.2.0/27", "2001:db8::/120")
IPV4 = pool("lan", "192.0.2.0/28")


# ---- overlaps


@pytest.mark.parametrize("address", ["192.0.2.8", "192.0.2.15-192.0.2.20", "192.0.2.0/24", "2001:db8::80"])
def test_a_new_pool_that_overlaps_is_refused_with_a_sentence(address: str) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        said = await world.says("CREATE", pool("second", "198.51.100.0/24", address))
        assert said.startswith(f'spec.addresses[1]: "{address}" has addresses in common')
        assert "IPAddressPool lan" in said

    run(story)


def test_an_edit_that_makes_it_overlap_is_refused() -> None:
    async def story(world: World) -> None:
        before, after = pool("second", "192.0.2.16/30"), pool("second", "192.0.2.12/30", "192.0.2.16/30")
        world.there(LAN, before)
        assert "IPAddressPool lan" in await world.says("UPDATE", after, before)
        assert await world.says("UPDATE", before, after) == "", "and the way back is free"

    run(story)


def test_force_lets_nothing_overlap() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        assert "IPAddressPool lan" in await world.says("CREATE", pool("second", "192.0.2.1", annotations=FORCED))

    run(story)


def test_what_overlaps_already_can_be_edited_otherwise() -> None:
    async def story(world: World) -> None:
        before = pool("second", "192.0.2.1", "198.51.100.1")
        world.there(LAN, before)
        assert await world.says("UPDATE", {**before, "spec": {**before["spec"], "autoAssign": False}}, before) == ""

    run(story)


def test_a_pool_does_not_overlap_itself_or_what_is_in_another_namespace() -> None:
    async def story(world: World) -> None:
        elsewhere = pool("theirs", "192.0.2.0/28")
        elsewhere["metadata"] = {**elsewhere["metadata"], "namespace": "shop"}
        world.there(elsewhere)
        assert await world.says("CREATE", LAN) == ""
        world.there(LAN)
        assert await world.says("UPDATE", LARGE, LAN) == ""

    run(story)


# ---- live addresses


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (pool("lan", "192.0.2.0/30"), "spec.addresses: leaves out addresses that Services hold, 192.0.2.9 (shop/web)"),
        ({**LAN, "spec": {**LAN["spec"], "excludeAddresses": ["192.0.2.8/30"]}}, "spec.excludeAddresses: leaves out"),
        ({**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"namespaces": ["other"]}}}, "spec.serviceAllocation:"),
        (
            {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"namespaceSelectors": [GOLD]}}},
            "spec.serviceAllocation: shuts out Services that hold addresses, 192.0.2.9 (shop/web)",
        ),
        (
            {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"serviceSelectors": [GOLD]}}},
            "spec.serviceAllocation: shuts out Services that hold addresses, 192.0.2.9 (shop/web)",
        ),
        (None, "metadata.name: "),
    ],
    ids=["shrunk", "excluded", "pinned to a namespace", "by its labels", "by the Service's", "deleted"],
)
def test_what_strands_a_live_address_is_refused_and_force_lets_it_pass(after: Any, said: str) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.9", "web", tier="silver")
        operation = "UPDATE" if after else "DELETE"
        refusal = await world.says(operation, after, LAN)
        assert refusal.startswith(said)
        assert "lbprovider.io/force" in refusal
        annotated = {**LAN["metadata"], "annotations": FORCED}
        if after:
            assert await world.says(operation, {**after, "metadata": annotated}, LAN) == ""
        else:
            assert await world.says(operation, None, {**LAN, "metadata": annotated}) == ""

    run(story)


@pytest.mark.parametrize(
    "after",
    [
        LARGE,
        SMALL,
        {**LAN, "spec": {**LAN["spec"], "avoidBuggyIPs": True}},
        {**LAN, "spec": {**LAN["spec"], "autoAssign": False}},
        {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"namespaces": ["shop"]}}},
        {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"priority": 7}}},
        {
            **LAN,
            "spec": {**LAN["spec"], "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"team": "shop"}}]}},
        },
    ],
    ids=["larger", "smaller", "buggy", "not automatic", "to its namespace", "to everybody", "to its labels"],
)
def test_what_leaves_everybody_his_address_passes(after: Any) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.1", "web")
        world.holds("203.0.113.9", "elsewhere", pool="another")
        assert await world.says("UPDATE", after, LAN) == ""

    run(story)


def test_a_buggy_address_that_is_held_strands() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.0", "web")
        after = {**LAN, "spec": {**LAN["spec"], "avoidBuggyIPs": True}}
        assert "192.0.2.0 (shop/web)" in await world.says("UPDATE", after, LAN)

    run(story)


def test_an_address_that_cools_down_holds_nothing_up() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.9")
        assert await world.says("DELETE", None, LAN) == ""

    run(story)


def test_a_hundred_holders_are_listed_and_few_asked_for() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        gold = {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"serviceSelectors": [GOLD]}}}
        for number in range(judging.FEW):
            world.holds(f"2001:db8::{number + 1:x}", f"web-{number}", tier="gold")
        assert await world.says("UPDATE", gold, LAN) == ""
        assert world.asked().count("get services") == judging.FEW
        world.api.calls.clear()
        world.holds("2001:db8::ff", "last", tier="silver")
        assert "2001:db8::ff (shop/last)" in await world.says("UPDATE", gold, LAN)
        assert world.asked().count("list services") == 1
        assert "get services" not in world.asked()

    run(story)


def test_a_service_that_is_gone_is_not_held_against_anybody() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.9", "web")
        world.api.remove(SERVICES, "web", "shop")
        gold = {**LAN, "spec": {**LAN["spec"], "serviceAllocation": {"serviceSelectors": [GOLD]}}}
        assert await world.says("UPDATE", gold, LAN) == ""

    run(story)


def test_while_our_namespace_is_deleted_nothing_holds_it_up() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.holds("192.0.2.9", "web")
        assert await world.says("DELETE", None, LAN) != ""
        world.api.write(
            NAMESPACES, Namespace(metadata=ObjectMeta(name=SYSTEM, deletion_timestamp=NOW, finalizers=("kubernetes",)))
        )
        assert await world.says("DELETE", None, LAN) == ""
        assert await world.says("UPDATE", pool("lan", "192.0.2.1"), LAN) != "", "an edit isn't a part of it"

    run(story)


# ---- what is asked for


@pytest.mark.parametrize(
    ("operation", "new", "old", "asked"),
    [
        ("CREATE", LAN, None, ["list ipaddresspools"]),
        ("UPDATE", LARGE, LAN, ["list ipaddresspools"]),
        ("UPDATE", {**LAN, "metadata": {**LAN["metadata"], "labels": {"a": "b"}, "finalizers": []}}, LAN, []),
        ("UPDATE", IPV4, LAN, ["list ipaddresspools", "list ipallocations"]),
        ("UPDATE", SMALL, LAN, ["list ipaddresspools", *["get ipallocations"] * 12]),
        ("UPDATE", pool("lan", "192.0.2.0/31"), IPV4, ["list ipaddresspools", *["get ipallocations"] * 14]),
        ("DELETE", None, IPV4, ["list ipaddresspools", *["get ipallocations"] * 16]),
        ("DELETE", None, LAN, ["list ipaddresspools", "list ipallocations"]),
        ("DELETE", None, pool("lan", "192.0.2.1", annotations=FORCED), ["list ipaddresspools"]),
    ],
    ids=["new", "grown", "labels", "much less", "a little less", "few left", "small", "deleted", "deleted by force"],
)
def test_no_more_is_asked_for_than_can_matter(operation: str, new: Any, old: Any, asked: list[str]) -> None:
    async def story(world: World) -> None:
        world.there(*([old] if old else []))
        world.holds("192.0.2.1", "web")
        world.api.remove(ALLOCATIONS, "192.0.2.1")
        await world.says(operation, new, old)
        assert world.asked() == asked

    run(story)


def test_labels_are_asked_for_where_they_decide_about_this_pool() -> None:
    async def story(world: World) -> None:
        pinned = pool("pinned", "198.51.100.0/28", serviceAllocation={"serviceSelectors": [GOLD]})
        world.there(LAN, pinned)
        world.holds("192.0.2.1", "web")
        world.holds("198.51.100.1", "golden", pool="pinned", tier="gold")
        assert await world.says("UPDATE", IPV4, LAN) == ""
        assert world.asked() == ["list ipaddresspools", "list ipallocations"]

    run(story)


@pytest.mark.parametrize(
    "changes",
    [
        {"subResource": "status"},
        {"namespace": "shop"},
        {"resource": {"group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools"}},
        {"resource": {"group": "", "version": "v1", "resource": "services"}},
    ],
    ids=str,
)
def test_what_is_none_of_our_business_passes_unlooked_at(changes: Any) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        assert await world.says("CREATE", pool("second", "192.0.2.1"), **changes) == ""
        assert world.asked() == []

    run(story)


def test_an_edit_that_is_only_tried_is_checked_too() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        assert await world.says("CREATE", pool("second", "192.0.2.1"), dryRun=True) != ""

    run(story)


# ---- advertisements


def test_an_advertisement_that_names_a_missing_pool_gets_a_warning() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        response = await world.ask(review("CREATE", advertisement("lan", "wan", "dmz")))
        assert response.allowed
        assert len(response.warnings) == 2
        assert response.warnings[0].startswith('spec.ipAddressPools[1]: "wan" is no IPAddressPool that is there')
        assert all(len(each) <= 256 for each in response.warnings), "the API server would cut it"

    run(story)


def test_an_advertisement_of_what_there_is_gets_none() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        for operation, new, old in (
            ("CREATE", advertisement("lan"), None),
            ("CREATE", advertisement(), None),
            ("UPDATE", advertisement("gone"), advertisement("gone")),
            ("DELETE", None, advertisement("gone")),
        ):
            assert await world.says(operation, new, old) == ""

    run(story)


# ---- what can't be checked passes


async def unchecked(world: World, new: Any = None, operation: str = "CREATE", old: Any = None) -> str:
    response = await world.ask(review(operation, pool("second", "192.0.2.1") if new is None else new, old))
    assert response.allowed
    (warning,) = response.warnings
    assert warning.startswith("lbprovider could not check")
    return warning


@pytest.mark.parametrize("error", [Overloaded("no quorum"), Forbidden("not allowed")], ids=str)
def test_an_api_server_that_fails_stops_nobody(error: Exception) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.api.fault = lambda _: error  # type: ignore[assignment,return-value]
        assert str(error) in await unchecked(world)

    run(story)


def test_an_api_server_that_is_slow_is_waited_for_and_no_longer_than_it_waits() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.api.latency = 10
        began = asyncio.get_running_loop().time()
        assert "more than 2.5 s" in await unchecked(world)
        assert asyncio.get_running_loop().time() - began == pytest.approx(judging.DEADLINE)

    run(story)


def test_a_crowd_is_let_through_rather_than_kept_waiting() -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        world.api.latency = 0.1
        asked = review("CREATE", pool("second", "192.0.2.1"))
        answers = await asyncio.gather(*(world.ask(asked) for _ in range(judging.IN_FLIGHT + 3)))
        assert [answer.allowed for answer in answers] == [False] * judging.IN_FLIGHT + [True] * 3
        assert all("could not check" in answer.warnings[0] for answer in answers[-3:])
        assert not (await world.ask(asked)).allowed, "and then it is checked again"

    run(story)


def test_a_bug_of_ours_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        world.there(LAN)
        monkeypatch.setattr(together, "pool", lambda *_: 1 // 0)
        said = await unchecked(world)
        assert "bug" in said
        assert "Traceback" not in said

    run(story)


def test_an_object_that_we_can_not_read_stops_nobody() -> None:
    async def story(world: World) -> None:
        odd = pool("odd")
        odd["spec"]["addresses"] = "all of them"
        assert "spec.addresses" in await unchecked(world, odd)

    run(story)


def test_reviews_are_counted_by_what_became_of_them() -> None:
    def counted(verdict: str) -> float:
        labels = {"resource": "ipaddresspools", "verdict": verdict}
        return REGISTRY.get_sample_value("lbprovider_webhook_reviews_total", labels) or 0.0

    async def story(world: World) -> None:
        before = {each: counted(each) for each in judging.Outcome}
        await world.says("CREATE", LAN)
        world.there(LAN)
        await world.says("CREATE", pool("second", "192.0.2.1"))
        assert counted("allowed") == before[judging.Outcome.ALLOWED] + 1
        assert counted("refused") == before[judging.Outcome.REFUSED] + 1

    run(story)

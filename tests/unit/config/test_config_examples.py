"""The examples, read by the code that reads a user's objects."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from lbprovider.api import names
from lbprovider.api.core import Service
from lbprovider.api.meta import Object
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.ipam.pools import PoolSet

EXAMPLES: Final = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
OURS: Final[dict[str, type[Object]]] = {"IPAddressPool": IPAddressPool, "L2Advertisement": L2Advertisement}
KNOWN: Final = {
    prefix + name
    for prefix in names.ANNOTATION_PREFIXES
    for name in (names.ADDRESS_POOL, names.LOAD_BALANCER_IPS, names.ALLOW_SHARED_IP)
}

WANTED: Final = {
    "dual-stack", "exhausted-pool", "ingress-controller", "requested-address", "shared-dns", "single-pool",
    "tenant-pools",
}  # fmt: skip

EACH: Final = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def objects(example: Path, kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(example.read_text(encoding="utf-8")) if each["kind"] == kind]


def pools(example: Path) -> PoolSet:
    return PoolSet.of(msgspec.convert(each, type=IPAddressPool) for each in objects(example, "IPAddressPool"))


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} == WANTED


@EACH
@pytest.mark.parametrize("kind", OURS)
def test_an_example_uses_fields_that_there_are(example: Path, kind: str) -> None:
    found = objects(example, kind)
    assert found
    for each in found:
        assert each["apiVersion"] == names.API_VERSION
        assert each["metadata"]["namespace"] == "lbprovider-system"
        read = msgspec.to_builtins(msgspec.convert(each, type=OURS[kind]))
        # What the struct doesn't know is lost on the way; lists come back as tuples.
        assert msgspec.json.encode(read["spec"], order="sorted") == msgspec.json.encode(each["spec"], order="sorted")


def test_all_examples_may_be_applied_together() -> None:
    together = PoolSet.of(
        msgspec.convert(pool, type=IPAddressPool) for each in EXAMPLES for pool in objects(each, "IPAddressPool")
    )
    assert together.refused == {}
    assert len(together.pools) == sum(len(objects(each, "IPAddressPool")) for each in EXAMPLES)


@EACH
def test_an_example_announces_its_pools(example: Path) -> None:
    announced = {name for each in objects(example, "L2Advertisement") for name in each["spec"]["ipAddressPools"]}
    assert announced == set(pools(example).pools)


@EACH
def test_an_examples_services_ask_for_what_its_pools_have(example: Path) -> None:
    offered = pools(example)
    services = [msgspec.convert(each, type=Service) for each in objects(example, "Service")]
    assert services
    for service in services:
        annotations = service.metadata.annotations
        assert service.spec.type == "LoadBalancer"
        assert set(annotations) <= KNOWN
        wanted = names.alias(annotations, names.LOAD_BALANCER_IPS)
        named = names.alias(annotations, names.ADDRESS_POOL)
        if wanted is not None:
            assert offered.covering(names.address_of(wanted)) is not None
        if named is not None:
            assert named in offered.pools
        if wanted is None and named is None:
            assert any(pool.auto_assign for pool in offered.pools.values())

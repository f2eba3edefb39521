"""The manifests of ``make kind-demo``, applied as the demo applies them."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import pytest

from examples.kind.cluster import overlay
from examples.kind.demo import HERE
from lbprovider.lab.provider import CONTROLLER, NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import Web
from tests.e2e.rig.waiting import eventually

_COUNT: Final = 4
_PATH: Final = "{.status.loadBalancer.ingress[0].ip}"


@pytest.fixture
def addresses(cluster: Cluster, kubectl: Kubectl, web: Web) -> Iterator[list[IPv4Address]]:
    """Some for the demo's own pool. The suite's has none left meanwhile: the demo's Service would get it, as Services
    are applied before pools."""
    used = sorted(web.addresses.values())
    kubectl.apply(workloads.pool("lan", used))
    eventually(lambda: _counted(kubectl) == (len(used), 0), "the suite's pool has no free address", every=0.2)
    yield list(cluster.addresses[-_COUNT:])
    kubectl.apply(workloads.pool("lan", cluster.addresses))


def _counted(kubectl: Kubectl) -> tuple[int, int]:
    """How many addresses the suite's pool has, and how many of them are free."""
    found = kubectl.get("ipaddresspool", "lan", f"--namespace={NAMESPACE}")["status"]["ipv4"]
    return found["total"], found["available"]


@pytest.fixture
def applied(addresses: list[IPv4Address], kubectl: Kubectl, tmp_path: Path) -> Iterator[IPv4Address]:
    """The EXTERNAL-IP of the demo's Service."""
    overlay(tmp_path, HERE, _tag(kubectl), addresses)
    kubectl("apply", "--kustomize", str(tmp_path))
    kubectl.rolled_out("default", "daemonset/web")
    kubectl("wait", "service/web", f"--for=jsonpath={_PATH}", "--timeout=60s", timeout=70)
    yield IPv4Address(kubectl("get", "service/web", f"--output=jsonpath={_PATH}"))
    # The Service first: a pool that is used is not given up without a word.
    kubectl("delete", "service/web", "daemonset/web")
    eventually(lambda: not _held(kubectl, addresses), "the demo's addresses are free", every=0.2)
    kubectl("delete", "--kustomize", str(tmp_path), "--ignore-not-found")


def _tag(kubectl: Kubectl) -> str:
    """Of our image, which every node has."""
    pods = kubectl.get("deployment", CONTROLLER, f"--namespace={NAMESPACE}")["spec"]["template"]
    image: str = pods["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _held(kubectl: Kubectl, addresses: list[IPv4Address]) -> set[str]:
    held = {each["spec"]["address"] for each in kubectl.items("ipallocations")}
    return held & {str(each) for each in addresses}


def test_the_demos_manifests_give_an_address_that_answers(
    applied: IPv4Address, addresses: list[IPv4Address], web: Web, provider: Provider, cluster: Cluster
) -> None:
    assert applied == addresses[0], "the lowest free one of the demo's pool"
    leader = provider.leader(applied)

    answers = web.outside.ask(applied)

    assert {answer.node for answer in answers} == {leader}, "under policy Local the leader's own Pod serves"
    assert {answer.client for answer in answers} == {str(cluster.client)}

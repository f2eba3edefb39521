"""Fixtures of the cluster's tests: a cluster of real kubelets, lbprovider on it as users install it, and Services.

``E2E_BACKEND`` names how clusters are had; see ``backends``. One cluster is up at a time, first the one of three nodes:
they would share the machine's processors, and what is measured would be the other one's load.
"""

import contextlib
import importlib
import math
import os
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Backend, Cluster
from tests.cluster.rig import evidence
from tests.cluster.rig import provider as ours
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.power import Power
from tests.cluster.rig.provider import IMAGE, WORKLOADS, Provider
from tests.cluster.rig.web import Web
from tests.cluster.rig.whole import Restarts, whole

_BACKENDS: Final[Mapping[str, str]] = {
    "nodes": "tests.cluster.backends.nodes",
    "kind": "tests.cluster.backends.kind",
}
"""The module of each, with a :class:`Backend` called ``up``."""


@dataclass(slots=True)
class Up:
    """The cluster that is up."""

    kubectl: Kubectl
    broken: str = ""
    """Why no further test can run on it."""
    restarts: Restarts = field(default_factory=dict)
    """As they were after the test before."""


_UP = pytest.StashKey[Up]()
_BEGAN = pytest.StashKey[float]()
"""When the newest cluster began to boot."""
_LAST: Final = "test_rights.py"
"""Holds what was asked for against what is granted, so it comes after all that asks."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    elsewhere = [item for item in items if item not in here]
    items[:] = [*elsewhere, *sorted(here, key=lambda item: (-_size(item), item.path.name == _LAST))]


def _size(item: pytest.Item) -> float:
    """How many nodes a test is for; without end for one that needs none, so that it is the first."""
    found: float = item.callspec.params.get("cluster", math.inf) if hasattr(item, "callspec") else math.inf
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _UP in item.config.stash:
        report.sections += evidence.gather(item.config.stash[_UP].kubectl)
    return report


@pytest.fixture(scope="session")
def backend() -> Backend:
    name = os.environ.get("E2E_BACKEND", "nodes")
    if name not in _BACKENDS:
        pytest.fail(f"E2E_BACKEND={name}: there is no such backend; there are {', '.join(_BACKENDS)}", pytrace=False)
    found: Backend = importlib.import_module(_BACKENDS[name]).up
    return found


@pytest.fixture(scope="session", params=[3], ids=lambda size: f"nodes={size}")
def cluster(
    request: pytest.FixtureRequest,
    backend: Backend,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    figures: list[str],
) -> Iterator[Cluster]:
    """A cluster of 3 nodes with our image on each; ``parametrize("cluster", [3, 1], indirect=True)`` for others."""
    began = pytestconfig.stash[_BEGAN] = time.monotonic()
    with contextlib.ExitStack() as undo:
        try:
            made = undo.enter_context(backend(request.param, tmp_path_factory.mktemp(f"cluster-{request.param}-")))
            figures.append(f"{request.param} nodes up in {time.monotonic() - began:.1f} s")
            loading = time.monotonic()
            made.provide(IMAGE)
        except RuntimeError as error:
            pytest.fail(str(error), pytrace=False)
        figures.append(f"{IMAGE} built, or taken from the cache, and loaded in {time.monotonic() - loading:.1f} s")
        yield made


@pytest.fixture(scope="session")
def kubectl(
    cluster: Cluster, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    made = Kubectl(cluster.kubectl, tmp_path_factory.mktemp("watches"))
    pytestconfig.stash[_UP] = Up(made)
    yield made
    del pytestconfig.stash[_UP]


@pytest.fixture(scope="session")
def provider(
    kubectl: Kubectl, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> Iterator[Provider]:
    """config/default, unchanged but for the image's tag, and rolled out."""
    began = time.monotonic()
    changed = ours.install(kubectl, ours.overlay(tmp_path_factory.mktemp("overlay"), IMAGE))
    assert changed, "the overlay changes nothing: the cluster would run some other image"
    assert all("image: " in line for line in changed), f"more than the image differs from config/default: {changed}"
    for each in WORKLOADS:
        kubectl.rolled_out(NAMESPACE, each)
        now = time.monotonic()
        figures.append(
            f"{each} rolled out {now - began:.1f} s after config/default was applied, "
            f"{now - pytestconfig.stash[_BEGAN]:.1f} s after the boot began"
        )
    figures.append(f"all that the overlay changed in config/default: {'; '.join(sorted(set(changed)))}")
    made = Provider(kubectl)
    yield made
    restarts = pytestconfig.stash[_UP].restarts
    ended = sum(count for (_, uid, _), count in restarts.items() if uid in made.ended)
    others = sum(restarts.values()) - ended
    figures.append(f"containers started again: {ended} of Pods of which a test ended one, {others} of others")


@pytest.fixture(scope="session")
def web(
    cluster: Cluster,
    kubectl: Kubectl,
    provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
    figures: list[str],
) -> Web:
    """Three Services with what stands behind them."""
    began = time.monotonic()
    made = Web(cluster, kubectl, provider, IMAGE, tmp_path_factory.mktemp("clients"))
    made.deploy()
    figures.append(f"{len(made.addresses)} Services and their Pods up in {time.monotonic() - began:.1f} s")
    return made


@pytest.fixture
def switch(cluster: Cluster, provider: Provider) -> Iterator[Power]:
    """The nodes' power; all have it again after the test."""
    made = Power(cluster, provider)
    yield made
    made.restore()


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[None]:
    """After each test the cluster is whole, and none of our containers was started again that the test did not end."""
    if "provider" not in request.fixturenames:
        yield
        return
    provider: Provider = request.getfixturevalue("provider")
    up = pytestconfig.stash[_UP]
    if up.broken:
        pytest.skip(up.broken)
    yield
    before = up.restarts
    try:
        up.restarts = whole(request.getfixturevalue("cluster"), provider.kubectl)
    except AssertionError as error:
        up.broken = f"the cluster was left broken by {request.node.nodeid}: {error}"
        raise
    again = {
        pod: count - before.get((pod, uid, container), 0)
        for (pod, uid, container), count in up.restarts.items()
        if uid not in provider.ended and count > before.get((pod, uid, container), 0)
    }
    assert not again, f"containers that nobody ended were started again: {again}"

"""Fixtures of the end-to-end tests: clusters of 1, 2 and 3 nodes for each module that asks."""

import time
from collections.abc import Iterator

import pytest

from tests.contract.kinds import Stored
from tests.e2e.rig import ours
from tests.e2e.rig.api import Api
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.cluster import Cluster


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda size: f"nodes={size}")
def cluster(
    request: pytest.FixtureRequest,
    binaries: Binaries,
    tmp_path_factory: pytest.TempPathFactory,
    figures: list[str],
) -> Iterator[Cluster]:
    """A cluster of 1, 2 and 3 nodes in turn; ``parametrize("cluster", [3], indirect=True)`` for one size only."""
    began = time.monotonic()
    with Cluster(binaries, request.param, tmp_path_factory.mktemp(f"nodes-{request.param}-")) as made:
        figures.append(f"{request.module.__name__}: {request.param} nodes up in {time.monotonic() - began:.1f} s")
        yield made


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Api:
    """The API server with our kinds and RBAC installed, as the admin."""
    ours.install(cluster)
    return cluster.api


@pytest.fixture
def stored(api: Api) -> Iterator[Stored]:
    """Makes objects that are gone after the test."""
    made = Stored(api)
    yield made
    made.clean()

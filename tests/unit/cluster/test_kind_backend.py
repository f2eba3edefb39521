"""The suite's kind backend with fakes for docker, kind and kubectl: its command lines, and that nothing of it stays."""

import secrets
from pathlib import Path

import pytest
import yaml

from tests.cluster.backends import kind
from tests.unit.cluster import kind_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kind_world.World:
    monkeypatch.setenv("E2E_BASE", "some/base:1")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "abc")
    made = kind_world.make(tmp_path, monkeypatch)
    (made.state / "clusters" / "work").touch()
    return made


def directory(tmp_path: Path) -> Path:
    made = tmp_path / "cluster"
    made.mkdir()
    return made


def test_it_is_what_the_port_says(world: kind_world.World, tmp_path: Path) -> None:
    here = directory(tmp_path)
    worker = "lbprovider-e2e-abc-worker"
    with kind.up(3, here) as cluster:
        config = yaml.safe_load((here / "cluster.yaml").read_text(encoding="utf-8"))
        assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
        assert cluster.nodes == ["lbprovider-e2e-abc-control-plane", worker, f"{worker}2"]
        assert (str(cluster.addresses[0]), str(cluster.addresses[-1])) == ("172.18.255.223", "172.18.255.254")
        assert len(cluster.addresses) == 32
        assert str(cluster.client) == "203.0.113.2"
        assert cluster.kubectl("get", "nodes")[:3] == ["kubectl", "--kubeconfig", str(here / "kubeconfig")]
        assert cluster.on_client("python3")[-2:] == ["lbprovider-e2e-abc-client", "python3"]
        assert cluster.on_node(worker, "sh")[-2:] == [worker, "sh"]

        cluster.provide("lbprovider:e2e")
        (built,) = world.called("docker", "build")
        assert built[3:7] == ["--tag", "lbprovider:e2e", "--build-arg", "BASE=some/base:1"]
        name = ["--name", "lbprovider-e2e-abc"]
        assert world.called("kind", "load") == [["kind", "load", "docker-image", "lbprovider:e2e", *name]]

    assert world.clusters() == {"work"}
    assert world.containers() == set()


def test_each_node_learns_the_way_to_the_client_and_again_with_its_power(
    world: kind_world.World, tmp_path: Path
) -> None:
    with kind.up(3, directory(tmp_path)) as cluster:
        routes = [call for call in world.called("docker", "exec") if "route" in call]
        assert [call[3] for call in routes] == list(cluster.nodes)
        router = "172.18.0.4"  # the fake's
        assert all(call[-4:] == ["replace", "203.0.113.0/24", "via", router] for call in routes)

        cluster.kill(cluster.nodes[1])
        assert "stopped" in (world.state / "containers" / cluster.nodes[1]).read_text()
        cluster.start(cluster.nodes[1])

        again = [call for call in world.called("docker", "exec") if "route" in call][len(routes) :]
        assert [call[3] for call in again] == [cluster.nodes[1]]


def test_the_client_is_on_no_network_of_dockers(world: kind_world.World, tmp_path: Path) -> None:
    with kind.up(1, directory(tmp_path)):
        client, router = world.called("docker", "run")
        assert client[client.index("--network") + 1] == "none"
        assert "some/base:1" in client
        assert router[router.index("--network") + 1] == "kind"
        (cable,) = [call for call in world.called("docker", "exec") if "cable" in call]
        assert cable[-1] == "4321", "the client's process"


@pytest.mark.parametrize(
    "failing",
    [
        "kind create cluster",
        "kind export logs",
        "kubectl",
        "docker network inspect",
        "docker run --detach --name lbprovider-e2e-abc-client",
        "docker run --detach --name lbprovider-e2e-abc-router",
        "docker exec",
        "docker build",
        "kind load",
    ],
)
def test_nothing_stays_whatever_fails(world: kind_world.World, tmp_path: Path, failing: str) -> None:
    world.fail(failing)

    def use() -> None:
        with kind.up(3, directory(tmp_path)) as cluster:
            cluster.provide("lbprovider:e2e")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match=r"no more|no, said the fake"):
        use()

    assert world.clusters() == {"work"}
    assert world.containers() == set()


def test_without_e2e_base_the_dockerfile_says_what_the_client_is(
    world: kind_world.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("E2E_BASE")

    with kind.up(1, directory(tmp_path)) as cluster:
        assert cluster.base.startswith("docker.io/library/python:3")
    assert world.called("docker", "run")[0][-3] == cluster.base

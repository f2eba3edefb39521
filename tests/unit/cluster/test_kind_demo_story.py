"""The demo with fakes for docker, kind and kubectl: which commands it runs, and what it leaves. What the real ones do
with these commands, a machine that has them shows."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.kind import demo
from examples.kind.cluster import KindCluster
from examples.kind.programs import ProgramError, run
from tests.unit.cluster import kind_world

TAG = "0123456789ab"


def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kind_world.World:
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setattr(demo, "KUBECONFIG", kubeconfig)
    monkeypatch.setattr(demo, "CLUSTER", KindCluster("lbprovider", kubeconfig))
    made = kind_world.make(tmp_path, monkeypatch)
    # Somebody else's.
    (made.state / "clusters" / "work").touch()
    (made.state / "containers" / "work-worker").write_text("running")
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kind_world.World:
    return make(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[kind_world.World, str]]:
    """After one run, and what it told."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = make(tmp_path_factory.mktemp("shown"), monkeypatch)
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            demo.up(None)
        yield world, told.getvalue()


def applied(world: kind_world.World) -> list[dict[str, Any]]:
    text = (world.state / "applied").read_text()
    return [each for each in yaml.safe_load_all(text) if each]


def test_it_goes_from_nothing_to_the_fault_and_back(
    world: kind_world.World, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.up(None)

    told = capsys.readouterr().out
    assert "lbprovider-worker2 answers instead: the client heard nothing for 251 ms" in told
    assert "EXTERNAL-IP 172.18.255.239, and lbprovider-worker answers ARP for it" in told
    steps = [" ".join(call[:3]) for call in world.calls() if call[0] != "kubectl"]
    assert steps[:6] == [
        "docker build --quiet",
        "docker tag lbprovider:kind-demo",
        "kind get clusters",
        "kind create cluster",
        "kind load docker-image",
        "docker network inspect",
    ]
    assert world.called("docker", "kill") == [["docker", "kill", "lbprovider-worker"]]
    assert world.called("docker", "start") == [["docker", "start", "lbprovider-worker"]]


def test_what_is_applied_is_config_default_and_the_examples_but_for_tag_and_pool(
    shown: tuple[kind_world.World, str],
) -> None:
    world, _ = shown

    default, example = applied(world)
    image = [{"name": "lbprovider", "newTag": TAG}]
    assert [each.rpartition("/config/")[2] for each in default.pop("resources")] == ["default"]
    assert default == {"images": image}
    assert [each.rpartition("/examples/")[2] for each in example.pop("resources")] == ["kind"]
    (patch,) = example.pop("patches")
    assert patch["target"] == {"kind": "IPAddressPool"}
    changed = {"op": "replace", "path": "/spec/addresses", "value": ["172.18.255.239-172.18.255.254"]}
    assert json.loads(patch["patch"]) == [changed]
    assert example == {"images": image}
    assert world.called("kind", "load") == [
        ["kind", "load", "docker-image", f"lbprovider:{TAG}", "--name", "lbprovider"]
    ]


def test_a_second_run_goes_on_with_what_is_there(world: kind_world.World) -> None:
    demo.up(None)
    (world.state / "calls").unlink()
    (world.state / "killed").unlink()
    pool = {"metadata": {"name": "kind"}, "spec": {"addresses": ["172.18.255.200-172.18.255.215"]}}
    (world.state / "pools").write_text(json.dumps({"items": [pool]}))

    # A third node of somebody else's is no matter: the names of ours are asked for.
    (world.state / "containers" / "work-worker").unlink()
    demo.up(None)

    assert world.called("kind", "create") == []
    assert world.called("docker", "network", "inspect") == []
    assert "172.18.255.200-172.18.255.215" in (world.state / "applied").read_text()


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("docker build", "docker build"),
        ("kind create cluster", "kind create cluster"),
        ("kind load", "kind load"),
        ("docker network inspect", "docker network inspect"),
        ("docker kill", "docker kill"),
    ],
)
def test_a_failure_is_told_and_nothing_is_taken_away(world: kind_world.World, failing: str, said: str) -> None:
    world.fail(failing)

    with pytest.raises(ProgramError, match=f"^{said}.*no, said the fake"):
        demo.up(None)

    assert world.called("kind", "delete") == []


def test_a_half_made_cluster_is_named_and_left_alone(world: kind_world.World) -> None:
    (world.state / "clusters" / "lbprovider").touch()
    (world.state / "containers" / "lbprovider-worker").write_text("stopped")
    world.fail("kind export kubeconfig")

    with pytest.raises(
        ProgramError,
        match=r"^the cluster lbprovider is there, but half made: make kind-demo-down, and once more \(kind exp",
    ):
        demo.up(None)

    assert world.clusters() == {"work", "lbprovider"}


def test_a_cluster_of_too_few_nodes_is_half_made(world: kind_world.World) -> None:
    (world.state / "clusters" / "lbprovider").touch()
    (world.state / "containers" / "work-worker").unlink()
    (world.state / "containers" / "lbprovider-worker").write_text("stopped")

    with pytest.raises(ProgramError, match=r"half made: make kind-demo-down, and once more \(1 nodes of 3\)$"):
        demo.up(None)


def test_the_node_gets_its_power_back_when_nobody_answers(
    world: kind_world.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_SILENCE", 1.0)

    def kill_nothing(*argv: str) -> str:
        return "" if argv[:2] == ("docker", "kill") else run(*argv)

    monkeypatch.setattr(demo, "run", kill_nothing)
    with pytest.raises(ProgramError, match=r"^the client heard nothing for 1 s"):
        demo.up(None)

    assert world.called("docker", "start") == [["docker", "start", "lbprovider-worker"]]


def test_down_takes_ours_and_nothing_else_and_all_is_done_with_its_own_kubeconfig(world: kind_world.World) -> None:
    demo.up(None)

    demo.down()
    demo.down()

    assert world.clusters() == {"work"}
    assert world.containers() == {"work-worker"}
    assert not demo.KUBECONFIG.exists()
    admins = [call for call in world.calls() if call[0] == "kubectl" or call[:3] in _WRITES]
    assert len(admins) > 10
    for call in admins:
        assert call[call.index("--kubeconfig") + 1] == str(demo.KUBECONFIG)


_WRITES = [["kind", *words] for words in (["create", "cluster"], ["delete", "cluster"], ["export", "kubeconfig"])]

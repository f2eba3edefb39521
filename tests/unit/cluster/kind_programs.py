"""docker, kind and kubectl in one script that keeps a little state, for tests of what calls them.

Called by its name, in a folder that ``FAKE_STATE`` names: ``calls`` gets a JSON list a call, ``clusters`` and
``containers`` have a file for each. A call whose words begin with ``FAKE_FAIL`` fails, and says so.
"""

import json
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

NODES = ("control-plane", "worker", "worker2")
IMAGE_ID = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
SERVICE = {"status": {"loadBalancer": {"ingress": [{"ip": "172.18.255.239"}]}}}


class World:
    def __init__(self, state: Path) -> None:
        self.state, self.clusters, self.containers = state, state / "clusters", state / "containers"

    @property
    def killed(self) -> bool:
        return (self.state / "killed").exists()

    def put(self, status: str, *names: str) -> None:
        for name in names:
            (self.containers / name).write_text(status)

    def remove(self, *names: str) -> None:
        for name in names:
            (self.containers / name).unlink(missing_ok=True)

    def nodes(self, name: str) -> list[str]:
        return [f"{name}-{node}" for node in NODES]

    def network(self) -> str:
        running = sorted(each.name for each in self.containers.iterdir() if each.read_text() == "running")
        attached = {
            name: {"Name": name, "IPv4Address": f"172.18.0.{number}/16"}
            for number, name in enumerate(running, 2)
            if not name.endswith("-client")
        }
        subnets = [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
        return json.dumps([{"IPAM": {"Config": subnets}, "Containers": attached}])

    def speaker(self) -> str:
        container = {"containerID": f"killed: {self.killed}", "ready": True}
        return json.dumps({"items": [{"status": {"containerStatuses": [container]}}]})


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words else ""


def docker(words: list[str], world: World) -> Iterator[str]:
    match words:
        case ["build", *_]:
            yield IMAGE_ID
        case ["network", "inspect", "kind"]:
            yield world.network()
        case ["run", "--rm", *_]:
            yield from asking(world)
        case ["inspect", "--format", "{{.State.Pid}}", _]:
            yield "4321"
        case _:
            power(words, world)


def power(words: list[str], world: World) -> None:
    match words:
        case ["run", *_]:
            world.put("running", after(words, "--name"))
        case ["rm", "--force", *names]:
            world.remove(*names)
        case ["kill", node]:
            world.put("stopped", node)
            (world.state / "killed").touch()
        case ["start", *nodes]:
            world.put("running", *nodes)


def asking(world: World) -> Iterator[str]:
    yield json.dumps({"node": "lbprovider-worker", "silence": 0})
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        if world.killed:
            yield json.dumps({"node": "lbprovider-worker2", "silence": 251})
            sys.stdin.read()


def kind(words: list[str], world: World) -> Iterator[str]:
    name = after(words, "--name")
    match words[:2]:
        case ["get", "clusters"]:
            yield from (each.name for each in world.clusters.iterdir())
        case ["get", "nodes"]:
            yield from (each.name for each in world.containers.iterdir() if each.name.startswith(f"{name}-"))
        case ["create", "cluster"]:
            (world.clusters / name).touch()
            world.put("running", *world.nodes(name))
            Path(after(words, "--kubeconfig")).touch()
        case ["delete", "cluster"]:
            (world.clusters / name).unlink(missing_ok=True)
            world.remove(*world.nodes(name))


def kubectl(words: list[str], world: World) -> Iterator[str]:
    kubeconfig = after(words, "--kubeconfig")
    match [word for word in words if not word.startswith("-") and word != kubeconfig]:
        case ["apply", directory]:
            with (world.state / "applied").open("a") as file:
                file.write((Path(directory) / "kustomization.yaml").read_text() + "---\n")
        case ["get", "nodes", *_]:
            yield from (each.name for each in world.containers.iterdir())
        case ["get", "ipaddresspools", *_]:
            yield (world.state / "pools").read_text()
        case ["get", "service", "web", *_]:
            yield json.dumps(SERVICE)
        case ["get", "ipallocation", *_]:
            yield json.dumps({"status": {"leader": f"lbprovider-worker{'2' if world.killed else ''}"}})
        case ["get", "pods", *_]:
            yield world.speaker()


def main() -> None:
    world = World(Path(os.environ["FAKE_STATE"]))
    program, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (world.state / "calls").open("a") as file:
        file.write(json.dumps([program, *words]) + "\n")
    failing = os.environ.get("FAKE_FAIL")
    if failing and " ".join([program, *words]).startswith(failing):
        sys.exit(f"{failing}: no, said the fake")
    for line in {"docker": docker, "kind": kind, "kubectl": kubectl}[program](words, world):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

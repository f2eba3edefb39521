"""The story that the demo tells: a cluster, lbprovider on it, an address, and a node that dies."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from examples.kind.cluster import IMAGE, ROOT, KindCluster, build
from examples.kind.pool import NETWORK, free_range
from examples.kind.programs import PATIENCE, ProgramError, eventually, run

HERE: Final = Path(__file__).resolve().parent
KUBECONFIG: Final = HERE / "kubeconfig"
CLUSTER: Final = KindCluster("lbprovider", KUBECONFIG)
CLIENT: Final = f"{CLUSTER.name}-client"
_NODES: Final = 3
_SILENCE: Final = 30.0
"""Seconds after which a client's silence is a failure."""
_LATEST: Final = f"{IMAGE}:kind-demo"
"""The image before its tag is known, which is made from its content: so Pods change when, and only when, it does."""


class Told:
    """What happens, each with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", flush=True)


def up(base: str | None) -> None:
    """Make what is not there yet, and show it.

    Args:
        base: the image to build ours on; None for the Dockerfile's own.

    Raises:
        ProgramError: something failed; what was made stays.
    """
    told = Told()
    told("building our image from the Dockerfile: a minute or two the first time")
    tag = build(_LATEST, base).removeprefix("sha256:")[:12]
    image = f"{IMAGE}:{tag}"
    run("docker", "tag", _LATEST, image)
    if CLUSTER.exists():
        told(f"the cluster {CLUSTER.name} is there")
        CLUSTER.resume(_NODES)
    else:
        told(f"creating the cluster {CLUSTER.name}: {_NODES} nodes, a minute or two, longer where kind must pull them")
        CLUSTER.create(HERE / "cluster.yaml")
    CLUSTER.load(image)
    told(f"{_NODES} nodes are ready and have {image}: kubectl apply -k config/default, with that image")
    CLUSTER.apply(ROOT / "config/default", tag)
    for each in ("deployment/lbprovider-controller", "daemonset/lbprovider-speaker"):
        _rolled_out(each, "lbprovider-system")
    addresses = _pool()
    told(f"a controller, and a speaker on each node; a pool of {addresses[0]}-{addresses[-1]} and a web server next")
    CLUSTER.apply(HERE, tag, addresses)
    _rolled_out("daemonset/web", "default")
    address = eventually(_external_ip, "the Service web has an EXTERNAL-IP: kubectl describe service web says why not")
    print(CLUSTER.kubectl("get", "service", "web"))
    leader = eventually(lambda: _leader(address), f"a node leads {address}: kubectl describe ipallocation {address}")
    told(f"EXTERNAL-IP {address}, and {leader} answers ARP for it")
    _fault(told, image, address)
    # Elsewhere docker runs in a virtual machine, and its networks end there.
    here = f", with curl http://{address} or" if sys.platform == "linux" else ""
    print(_EPILOGUE.format(kubeconfig=KUBECONFIG, network=NETWORK, image=image, address=address, here=here))


def down() -> None:
    """Take away what :func:`up` made; nothing where there is nothing. The images stay, so the next time is quick.

    Raises:
        ProgramError: docker or kind failed.
    """
    run("docker", "rm", "--force", CLIENT)
    CLUSTER.delete()
    print(f"the cluster {CLUSTER.name} and its kubeconfig are gone; docker image rm {_LATEST} removes our image")


def _fault(told: Told, image: str, address: IPv4Address) -> None:
    """Take the leading node's power while a client asks, and give it back."""
    with _client(image, address) as answers:
        leader = _next(answers)["node"]
        told(f"a client on the docker network {NETWORK} gets HTTP answers from {leader}, a hundred a second")
        before = _speaker(leader)["containerID"]
        told(f"docker kill {leader}: as if its power were cut")
        run("docker", "kill", leader)
        try:
            change = _next(answers)
        finally:
            run("docker", "start", leader)
        told(f"{change['node']} answers instead: the client heard nothing for {change['silence']} ms")
    eventually(lambda: _voting(leader, before), f"a speaker votes on {leader} again")
    told(f"{leader} has its power again, and its speaker votes; {_leader(address)} goes on leading")


def _voting(node: str, before: str) -> bool:
    """Whether a node's speaker is ready in another container: Kubernetes itself never missed it in so short a time."""
    now = _speaker(node)
    return bool(now["ready"]) and now["containerID"] != before


def _speaker(node: str) -> dict[str, Any]:
    """The container of a node's speaker; ready means that it votes."""
    which = ("--selector", "app.kubernetes.io/component=speaker", "--field-selector", f"spec.nodeName={node}")
    found = CLUSTER.kubectl("get", "pods", "--namespace", "lbprovider-system", *which, "--output", "json")
    for pod in json.loads(found)["items"]:
        for container in pod["status"].get("containerStatuses") or ():
            return {"containerID": "", **container}
    return {"containerID": "", "ready": False}


def _pool() -> Sequence[IPv4Address]:
    """The pool's addresses: those of the run before, or new ones."""
    found = CLUSTER.kubectl("get", "ipaddresspools", "--namespace", "lbprovider-system", "--output", "json")
    for pool in json.loads(found)["items"]:
        if pool["metadata"]["name"] == "kind":
            first, _, last = pool["spec"]["addresses"][0].partition("-")
            return IPv4Address(first), IPv4Address(last)
    return free_range()


def _rolled_out(workload: str, namespace: str) -> None:
    patience = f"--timeout={PATIENCE:g}s"
    try:
        CLUSTER.kubectl("rollout", "status", workload, "--namespace", namespace, patience)
    except ProgramError as error:
        listed = CLUSTER.kubectl("get", "pods", "--namespace", namespace, "--output", "wide")
        raise ProgramError(f"{error}\n{listed}") from error


def _external_ip() -> IPv4Address | None:
    service = json.loads(CLUSTER.kubectl("get", "service", "web", "--output", "json"))
    ingress = service["status"].get("loadBalancer", {}).get("ingress") or ()
    return IPv4Address(ingress[0]["ip"]) if ingress else None


def _leader(address: IPv4Address) -> str:
    allocation = json.loads(CLUSTER.kubectl("get", "ipallocation", str(address), "--output", "json"))
    leader: str = allocation.get("status", {}).get("leader") or ""
    return leader


@contextlib.contextmanager
def _client(image: str, address: IPv4Address) -> Iterator[SimpleQueue[str]]:
    """A client in a container on the nodes' network, from our image: each line it says goes into the queue."""
    run("docker", "rm", "--force", CLIENT)  # one that an interrupted run left
    script = (HERE / "client.py").read_text(encoding="utf-8")
    argv = ["docker", "run", "--rm", "--interactive", "--name", CLIENT, "--network", NETWORK, "--entrypoint", "python3"]
    answers: SimpleQueue[str] = SimpleQueue()
    with subprocess.Popen(
        [*argv, image, "-c", script, str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        reader = Thread(target=_read, args=(client, answers), daemon=True)
        reader.start()
        try:
            yield answers
        finally:
            if client.stdin is not None:
                client.stdin.close()  # which ends it, and its container
            reader.join(_SILENCE)
            client.terminate()


def _read(client: subprocess.Popen[str], answers: SimpleQueue[str]) -> None:
    for line in client.stdout or ():
        answers.put(line)
    answers.put("")


def _next(answers: SimpleQueue[str]) -> dict[str, Any]:
    """What the client says next."""
    try:
        line = answers.get(timeout=_SILENCE)
    except Empty:
        raise ProgramError(f"the client heard nothing for {_SILENCE:g} s: kubectl get ipallocations says why") from None
    if not line:
        raise ProgramError("the client ended: what it said is above")
    found: dict[str, Any] = json.loads(line)
    return found


_EPILOGUE: Final = """
Look around:
  export KUBECONFIG={kubeconfig}
  kubectl get ipallocations       which node leads which address
  kubectl get segments            the LAN, and the speakers that vote on it
  kubectl describe service web    each decision with its reason
And ask it yourself{here}:
  docker run --rm --network {network} --entrypoint python3 {image} \\
    -c 'from urllib.request import urlopen; print(urlopen("http://{address}").read().decode())'
Once more: make kind-demo. Take it all down: make kind-demo-down."""

"""lbprovider's own programs, started as the shipped manifests start them: same user, rights and environment.

The controller runs beside the API server with its ServiceAccount's token and no capability; a speaker in its node's
network, with the ServiceAccount's files as a kubelet mounts them and CAP_NET_RAW alone. What the API server lets them
do is decided by config/rbac, in the lab as in a cluster.
"""

import base64
import contextlib
import http.client
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from lbprovider.lab.lan import CONTROL, Lan
from lbprovider.lab.process import Process
from lbprovider.net.namespaces import Namespace

NAMESPACE: Final = "lbprovider-system"
"""Where lbprovider runs, as config/rbac makes it."""
API_PORT: Final = 6443
"""Where the API server listens, on :data:`lbprovider.lab.lan.CONTROL`."""
HTTP_PORT: Final = 7473
"""Where our programs say how they are."""
CONTROLLER: Final = "lbprovider-controller"
SPEAKER: Final = "lbprovider-speaker"
"""The names of the two ServiceAccounts."""


class ControlPlane(Protocol):
    """An API server on a LAN, at ``CONTROL:API_PORT``: the lab's, or a real one."""

    @property
    def lan(self) -> Lan:
        """Where it is."""
        ...

    @property
    def authority(self) -> Path:
        """The certificate, in PEM form, of the authority that signed the API server's."""
        ...

    def token_of(self, account: str) -> str:
        """A token of a ServiceAccount in :data:`NAMESPACE`."""
        ...


def start_controller(plane: ControlPlane, name: str = "controller-1", arguments: Sequence[str] = ()) -> Process:
    """Start a controller beside the API server; without its webhook, unless ``arguments`` say ``--webhook``.

    Several may run there, and one port is enough for one of them; the lab's API server asks no webhooks.
    """
    kubeconfig = write_kubeconfig(
        plane.lan.directory / f"{name}.kubeconfig",
        server=f"https://{CONTROL}:{API_PORT}",
        authority=plane.authority,
        user=name,
        token=plane.token_of(CONTROLLER),
    )
    argv = [command(), "controller", "--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE]
    argv += ["--no-webhook", *arguments]
    return plane.lan.spawn(name, plane.lan.control, argv, env=_environment(name), capabilities=())


def start_speaker(
    plane: ControlPlane,
    node: str,
    arguments: Sequence[str] = (),
    *,
    capabilities: Sequence[str] | None = ("net_raw",),
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a node's speaker as its Pod would be. Its snapshot is in the LAN's directory, and outlives it.

    Args:
        plane: where.
        node: its name.
        arguments: further ones of the speaker.
        capabilities: what it may have; all of root's when None.
        env: set besides what its Pod has.
    """
    name = f"speaker-{node}"
    account = write_service_account(
        plane.lan.directory / f"{name}.serviceaccount", authority=plane.authority, token=plane.token_of(SPEAKER)
    )
    argv = [command(), "speaker", "--node-name", node, "--namespace", NAMESPACE]
    argv += ["--service-account-dir", str(account), "--snapshot-dir", str(plane.lan.directory / f"{name}.snapshot")]
    argv += arguments
    environment = {**_environment(name), "NODE_NAME": node, **in_cluster_environment(), **(env or {})}
    return plane.lan.spawn(name, plane.lan.nodes[node].namespace, argv, env=environment, capabilities=capabilities)


def in_cluster_environment() -> dict[str, str]:
    """How a Pod is told where the API server is."""
    return {"KUBERNETES_SERVICE_HOST": str(CONTROL), "KUBERNETES_SERVICE_PORT": str(API_PORT)}


def health(where: Namespace, path: str = "/readyz", port: int = HTTP_PORT) -> tuple[int, str]:
    """What one of our programs says at its HTTP port: the status and the body; OSError when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        where.run(connection.connect)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8")


def command() -> str:
    """The path of ``lbprovider`` as it is installed beside this interpreter."""
    return str(Path(sys.executable).parent / "lbprovider")


def write_kubeconfig(path: Path, *, server: str, authority: Path, user: str, token: str) -> Path:
    """Write a kubeconfig file, readable by us alone, and return its path.

    Args:
        path: the file.
        server: the API server's URL.
        authority: the certificate of its authority, which is copied into the file.
        user: what to call whom the token belongs to.
        token: a bearer token.
    """
    trusted = base64.b64encode(authority.read_bytes()).decode("ascii")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": trusted}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    }
    _write_secret(path, json.dumps(content))
    return path


def write_service_account(directory: Path, *, authority: Path, token: str, namespace: str = NAMESPACE) -> Path:
    """Write ``token``, ``ca.crt`` and ``namespace`` into a folder, as a Pod finds them, and return it."""
    directory.mkdir(exist_ok=True)
    _write_secret(directory / "token", token)
    (directory / "ca.crt").write_bytes(authority.read_bytes())
    (directory / "namespace").write_text(namespace, encoding="ascii")
    return directory


def _write_secret(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")


def _environment(name: str) -> dict[str, str]:
    """What the manifests set, and what any program needs; nothing of our own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**kept, "POD_NAME": name, "POD_NAMESPACE": NAMESPACE, "PYTHONUNBUFFERED": "1"}

"""A real control plane on a LAN: etcd, kube-apiserver, kube-controller-manager, and kube-scheduler where there is work.

All of it lives in the ``control`` namespace of a :class:`~lbprovider.lab.lan.Lan`, so clusters with the same addresses
stand side by side, and nothing of it can be reached from the machine or needs anything outside. What runs, and with
which flags, is a :class:`Shape`.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final, Self

from lbprovider.lab import pki, provider
from lbprovider.lab.lan import CONTROL, Lan
from lbprovider.lab.process import Process
from tests.e2e.rig import audit
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.waiting import eventually

SERVICES4: Final = IPv4Network("10.96.0.0/16")
SERVICES6: Final = "2001:db8:96::/112"
API_SERVICE: Final = SERVICES4[1]
"""The address of the Service ``kubernetes``, which kube-proxy leads to the API server from each node."""

ADMIN: Final = "admin"
CONTROLLER_MANAGER: Final = "system:kube-controller-manager"
SCHEDULER: Final = "system:kube-scheduler"
PROXY: Final = "system:kube-proxy"
KUBELET_CLIENT: Final = "kube-apiserver-kubelet-client"
"""Who the API server is to a kubelet, which believes it by a certificate of :attr:`ControlPlane.authority`."""
FRONT_PROXY: Final = "front-proxy-client"
"""Who the API server is to those that it asks in another's name: API servers behind it."""

_USERS: Final[Mapping[str, str]] = {ADMIN: "system:masters", CONTROLLER_MANAGER: "", SCHEDULER: "", PROXY: ""}
"""The users with a token, and the group of each; every node of the LAN is one too."""
_LOOPBACK: Final = IPv4Address("127.0.0.1")
_NAMES: Final = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")


def node_user(name: str) -> str:
    """Who a node's kubelet is to the API server, in the group ``system:nodes``."""
    return f"system:node:{name}"


Flags = Mapping[str, str]
"""The flags of a program; ``{directory}`` stands for the folder of the cluster."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which programs there are besides etcd, with which flags.

    Those with a ``secure-port`` other than 0 are waited for until they say that they are healthy.
    """

    apiserver: Flags
    others: Mapping[str, Flags]
    objects: Sequence[tuple[str, Object]] = ()
    """What is created as soon as the API server is ready: the path of the collection, and the object."""


_ETCD: Final[Flags] = {
    "data-dir": "{directory}/etcd",
    "unsafe-no-fsync": "true",  # nothing here outlives the machine
    "listen-client-urls": "http://127.0.0.1:2379",
    "advertise-client-urls": "http://127.0.0.1:2379",
    "listen-peer-urls": "http://127.0.0.1:2380",
    "log-level": "warn",
}

_APISERVER: Final[Flags] = {
    "etcd-servers": "http://127.0.0.1:2379",
    "bind-address": str(CONTROL),
    "advertise-address": str(CONTROL),
    "secure-port": str(provider.API_PORT),
    "tls-cert-file": "{directory}/pki/server.crt",
    "tls-private-key-file": "{directory}/pki/server.key",
    "token-auth-file": "{directory}/users.csv",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": "{directory}/pki/accounts.key",
    "service-account-signing-key-file": "{directory}/pki/accounts.key",
    "service-cluster-ip-range": f"{SERVICES4},{SERVICES6}",
    "audit-policy-file": "{directory}/audit-policy.json",
    "audit-log-path": "{directory}/audit.log",
    "audit-log-maxsize": "10000",  # MB: a log that is begun anew has lost what a test was about to count
}

_CONTROLLERS: Final = (
    "clusterrole-aggregation-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
"""What there is of a cluster without kubelets: a Pod or a Node is as a test says it is. In particular no node lifecycle
controller, which would call every node dead."""

WITHOUT_KUBELETS: Final = Shape(
    apiserver={
        **_APISERVER,
        "authorization-mode": "RBAC",
        # A Pod needs no token and a Node is ready when a test says so.
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
    },
    others={
        "kube-controller-manager": {
            "kubeconfig": "{directory}/admin.kubeconfig",
            "controllers": ",".join(_CONTROLLERS),
            "leader-elect": "false",
            "secure-port": "0",
            "root-ca-file": "{directory}/pki/ca.crt",
        }
    },
)
"""Tests write the Nodes and the Pods, and no program argues with them."""


def _as_kubeadm(name: str, port: int) -> Flags:
    """What kubeadm sets alike for the programs beside the API server."""
    kubeconfig = f"{{directory}}/{name}.kubeconfig"
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "leader-elect": "false",  # there is one of each
        "bind-address": str(_LOOPBACK),
        "secure-port": str(port),
        "tls-cert-file": "{directory}/pki/server.crt",
        "tls-private-key-file": "{directory}/pki/server.key",
    }


WITH_KUBELETS: Final = Shape(
    apiserver={
        **_APISERVER,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": "{directory}/pki/ca.crt",
        "requestheader-client-ca-file": "{directory}/pki/ca.crt",
        "requestheader-allowed-names": FRONT_PROXY,  # as the authority is that of other clients too
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": f"{{directory}}/pki/{FRONT_PROXY}.crt",
        "proxy-client-key-file": f"{{directory}}/pki/{FRONT_PROXY}.key",
        # No kube-proxy runs beside the API server: it has to reach webhooks at the addresses of their Pods.
        "enable-aggregator-routing": "true",
        "kubelet-client-certificate": f"{{directory}}/pki/{KUBELET_CLIENT}.crt",
        "kubelet-client-key": f"{{directory}}/pki/{KUBELET_CLIENT}.key",
        "kubelet-preferred-address-types": "InternalIP",
    },
    others={
        "kube-controller-manager": {
            **_as_kubeadm("kube-controller-manager", 10257),
            "controllers": "*",
            "use-service-account-credentials": "true",  # each controller has its own rights and no others
            "service-account-private-key-file": "{directory}/pki/accounts.key",
            "root-ca-file": "{directory}/pki/ca.crt",
        },
        "kube-scheduler": _as_kubeadm("kube-scheduler", 10259),
    },
    objects=(
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": KUBELET_CLIENT},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:kubelet-api-admin",
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT}],
            },
        ),
    ),
)
"""A cluster as kubeadm makes it: kubelets that may touch what is theirs, and every controller with its own rights."""


class ControlPlane:
    """The control plane, ready, from construction to :meth:`close`; a context manager.

    Args:
        binaries: the programs.
        lan: where; its nodes are known as users, and nothing else is done with them.
        directory: where everything that it writes goes: logs, keys, the audit log.
        shape: what of it there is.
    """

    def __init__(self, binaries: Binaries, lan: Lan, directory: Path, shape: Shape) -> None:
        self.binaries, self.lan, self.directory = binaries, lan, directory
        self._shape = shape
        self._programs: Mapping[str, Path] = {
            "etcd": binaries.etcd,
            "kube-apiserver": binaries.apiserver,
            "kube-controller-manager": binaries.controller_manager,
            "kube-scheduler": binaries.scheduler,
        }
        groups = {**_USERS, **{node_user(node): "system:nodes" for node in lan.nodes}}
        self._tokens = {user: secrets.token_hex(16) for user in groups}
        clients = [KUBELET_CLIENT, FRONT_PROXY]
        self._pki = pki.make(directory / "pki", [CONTROL, API_SERVICE, _LOOPBACK], _NAMES, clients)
        users = (f'{self._tokens[user]},{user},{user},"{group}"\n' for user, group in groups.items())
        (directory / "users.csv").write_text("".join(users), encoding="utf-8")
        (directory / "audit-policy.json").write_text(json.dumps(audit.POLICY), encoding="utf-8")
        self.audit = audit.Audit(directory / "audit.log")
        self.admin_token = self._tokens[ADMIN]
        for user in (ADMIN, CONTROLLER_MANAGER, SCHEDULER):
            self.kubeconfig_of(user.removeprefix("system:"), self._tokens[user])
        self.kubeconfig = directory / f"{ADMIN}.kubeconfig"
        self.processes: dict[str, Process] = {}
        """What runs, by the name of its program."""
        with contextlib.ExitStack() as undo:
            self._undo = undo
            undo.callback(self._end)
            self.api = self.api_as_token(self.admin_token)
            self._start("etcd", _ETCD)
            self.restart_apiserver()
            for path, body in shape.objects:
                self.api.create(path, body)
            for name, flags in shape.others.items():
                self._start(name, flags)
            for name, flags in shape.others.items():
                if flags["secure-port"] != "0":
                    api = self._api(flags["bind-address"], int(flags["secure-port"]), self.admin_token)
                    self._await(name, api, "/healthz")
            eventually(lambda: self.api.find("/api/v1/namespaces/default"), "namespace default is there")
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the LAN stays."""
        self._undo.close()

    def _end(self) -> None:
        for process in reversed(self.processes.values()):
            process.kill()

    # --- its programs

    @property
    def apiserver(self) -> Process:
        """The API server, to be killed and started again."""
        return self.processes["kube-apiserver"]

    def restart_apiserver(self) -> None:
        """Start the API server again after ``apiserver.kill()``; it is ready on return."""
        self._start("kube-apiserver", self._shape.apiserver)
        self._await("kube-apiserver", self.api, "/readyz")  # its connection is a new one from here on

    def _start(self, name: str, flags: Flags) -> None:
        argv = [f"--{flag}={value.format(directory=self.directory)}" for flag, value in flags.items()]
        self.processes[name] = self.lan.spawn(name, self.lan.control, [str(self._programs[name]), *argv])

    def _await(self, name: str, api: Api, path: str) -> None:
        def healthy() -> bool:
            process = self.processes[name]
            assert process.running, f"{name} ended:\n{process.tail()}"
            return api.text(path) == "ok"

        eventually(healthy, f"{name} says ok at {path}", within=120)

    def _api(self, host: str, port: int, token: str) -> Api:
        api = Api(lambda: self._dial(host, port), host, self.authority, token)
        self._undo.callback(api.close)
        return api

    def _dial(self, host: str, port: int) -> socket.socket:
        return self.lan.control.run(lambda: socket.create_connection((host, port), timeout=30))

    # --- getting at it

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed the API server's, and what it shows to kubelets."""
        return self._pki.ca

    def api_as_token(self, token: str) -> Api:
        """The API server as the owner of a token sees it."""
        return self._api(str(CONTROL), provider.API_PORT, token)

    def dial(self) -> socket.socket:
        """A new TCP connection to the API server."""
        return self._dial(str(CONTROL), provider.API_PORT)

    def token_for(self, user: str) -> str:
        """The token of a user who is no ServiceAccount: one of those named in this module, or a :func:`node_user`."""
        return self._tokens[user]

    def token_of(self, account: str, namespace: str = provider.NAMESPACE) -> str:
        """A token of a ServiceAccount, good for some hours, as the kubelet would fetch it for a Pod."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 14400}}
        token: str = self.api.create(path, body)["status"]["token"]
        return token

    def api_as(self, account: str, namespace: str = provider.NAMESPACE) -> Api:
        """The API server as a ServiceAccount sees it: what its RBAC lets it do."""
        return self.api_as_token(self.token_of(account, namespace))

    def kubeconfig_of(self, name: str, token: str) -> Path:
        """A kubeconfig file for a token, for programs in the control namespace or on a node."""
        server = f"https://{CONTROL}:{provider.API_PORT}"
        path = self.directory / f"{name}.kubeconfig"
        return provider.write_kubeconfig(path, server=server, authority=self.authority, user=name, token=token)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the admin and give its output.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        return self.run([str(self.binaries.kubectl), *arguments], stdin=stdin)

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60) -> str:
        """Run a program beside the API server, with the admin's ``KUBECONFIG``, and give its output.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        result = subprocess.run(
            self.lan.control.command(argv),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.directory)},
        )
        if result.returncode != 0:
            raise RuntimeError(f"{Path(argv[0]).name} {' '.join(argv[1:])}: {result.stderr or result.stdout}")
        return result.stdout

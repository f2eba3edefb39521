"""A real control plane on a LAN: etcd, kube-apiserver, kube-controller-manager, and kube-proxy on each node.

Everything of it lives in the namespaces of a :class:`~lbprovider.lab.lan.Lan`, so clusters with the same addresses
stand side by side, and nothing of it can be reached from the machine.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, Self

from lbprovider.lab import pki, provider
from lbprovider.lab.lan import CONTROL, PODS4, PODS6, Lan
from lbprovider.lab.process import Process
from tests.e2e.rig import audit, nodes
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.waiting import eventually

API_PORT: Final = provider.API_PORT
SERVICES4: Final = IPv4Network("10.96.0.0/16")
API_SERVICE: Final = SERVICES4[1]
"""The address of the Service ``kubernetes``, which kube-proxy leads to the API server from each node."""
SERVICES6: Final = "2001:db8:96::/112"
NAMESPACE: Final = provider.NAMESPACE
_ISSUER: Final = "https://kubernetes.default.svc"

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

_USERS: Final = (("admin", "system:masters"), ("system:kube-proxy", ""))


class Cluster:
    """The cluster, from construction to :meth:`close`; a context manager.

    Args:
        binaries: the programs.
        size: how many nodes.
        directory: where everything that it writes goes: logs, keys, the audit log, the captures.
    """

    def __init__(self, binaries: Binaries, size: int, directory: Path) -> None:
        self.binaries = binaries
        self.directory = directory
        self._tokens = {user: secrets.token_hex(16) for user, _ in _USERS}
        self._pki = pki.make(
            directory / "pki",
            [CONTROL, API_SERVICE],
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"],
        )
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self.lan = undo.enter_context(Lan(size, directory))
            self._start_etcd()
            self.apiserver = self._start_apiserver()
            self.audit = audit.Audit(directory / "audit.log")
            self.admin_token = self._tokens["admin"]
            self.api = self.api_as_token(self.admin_token)
            self.kubeconfig = self.kubeconfig_of("admin", self.admin_token)
            self._await_apiserver()
            self._start_controller_manager()
            for node in self.lan.nodes.values():
                nodes.register(self.api, node)
                self.start_proxy(node.name)
            eventually(lambda: self.api.find("/api/v1/namespaces/default"), "namespace default is there")
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._undo.close()

    # --- the control plane

    def _write(self, name: str, content: Object | str) -> Path:
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def _start_etcd(self) -> None:
        flags = {
            "data-dir": self.directory / "etcd",
            "unsafe-no-fsync": "true",  # nothing here outlives the machine
            "listen-client-urls": "http://127.0.0.1:2379",
            "advertise-client-urls": "http://127.0.0.1:2379",
            "listen-peer-urls": "http://127.0.0.1:2380",
            "log-level": "warn",
        }
        self._run("etcd", self.binaries.etcd, flags)

    def _start_apiserver(self) -> Process:
        users = "".join(f'{self._tokens[user]},{user},{user},"{group}"\n' for user, group in _USERS)
        flags = {
            "etcd-servers": "http://127.0.0.1:2379",
            "bind-address": CONTROL,
            "advertise-address": CONTROL,
            "secure-port": API_PORT,
            "tls-cert-file": self._pki.certificate,
            "tls-private-key-file": self._pki.key,
            "token-auth-file": self._write("users.csv", users),
            "service-account-issuer": _ISSUER,
            "service-account-key-file": self._pki.accounts,
            "service-account-signing-key-file": self._pki.accounts,
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": f"{SERVICES4},{SERVICES6}",
            "audit-policy-file": self._write("audit-policy.json", audit.POLICY),
            "audit-log-path": self.directory / "audit.log",
            # A Pod needs no token and a Node is ready when a test says so.
            "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
        }
        return self._run("kube-apiserver", self.binaries.apiserver, flags)

    def _await_apiserver(self) -> None:
        def ready() -> bool:
            assert self.apiserver.running, f"kube-apiserver ended:\n{self.apiserver.tail()}"
            return self.api.text("/readyz") == "ok"

        eventually(ready, "the API server is ready", within=120)

    def restart_apiserver(self) -> None:
        """Start the API server again after ``apiserver.kill()``; it is ready on return."""
        self.apiserver = self._start_apiserver()
        self._await_apiserver()

    def _start_controller_manager(self) -> None:
        flags = {
            "kubeconfig": self.kubeconfig,
            "controllers": ",".join(_CONTROLLERS),
            "leader-elect": "false",
            "secure-port": 0,
            "root-ca-file": self._pki.ca,
        }
        self._run("kube-controller-manager", self.binaries.controller_manager, flags)

    def _run(self, name: str, program: Path, flags: Mapping[str, object]) -> Process:
        argv = [str(program), *(f"--{flag}={value}" for flag, value in flags.items())]
        return self.lan.spawn(name, self.lan.control, argv)

    def start_proxy(self, name: str) -> Process:
        """Start a node's kube-proxy; at the cluster's start this has been done."""
        node = self.lan.nodes[name]
        user = "system:kube-proxy"
        kubeconfig = self.kubeconfig_of(f"kube-proxy-{node.name}", self._tokens[user])
        configuration = nodes.proxy_configuration(node, kubeconfig, f"{PODS4},{PODS6}")
        path = self._write(f"kube-proxy-{node.name}.json", configuration)
        argv = [str(self.binaries.proxy), f"--config={path}"]
        return self.lan.spawn(f"kube-proxy-{node.name}", node.namespace, argv)

    # --- getting at it

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed the API server's."""
        return self._pki.ca

    def api_as_token(self, token: str) -> Api:
        """The API server as the owner of a token sees it."""
        api = Api(self.dial, str(CONTROL), self._pki.ca, token)
        self._undo.callback(api.close)
        return api

    def dial(self) -> socket.socket:
        """A new TCP connection to the API server."""
        return self.lan.control.run(lambda: socket.create_connection((str(CONTROL), API_PORT), timeout=30))

    def token_of(self, account: str, namespace: str = NAMESPACE) -> str:
        """A token of a ServiceAccount, good for some hours, as the kubelet would fetch it for a Pod."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 14400}}
        token: str = self.api.create(path, body)["status"]["token"]
        return token

    def api_as(self, account: str, namespace: str = NAMESPACE) -> Api:
        """The API server as a ServiceAccount sees it: what its RBAC lets it do."""
        return self.api_as_token(self.token_of(account, namespace))

    def kubeconfig_of(self, name: str, token: str) -> Path:
        """A kubeconfig file for a token, for programs in the control namespace or on a node."""
        server = f"https://{CONTROL}:{API_PORT}"
        path = self.directory / f"{name}.kubeconfig"
        return provider.write_kubeconfig(path, server=server, authority=self.authority, user=name, token=token)

    def service_account_directory(self, name: str, account: str, namespace: str = NAMESPACE) -> Path:
        """A folder with ``token``, ``ca.crt`` and ``namespace``, as a Pod finds it."""
        path = self.directory / f"{name}.serviceaccount"
        token = self.token_of(account, namespace)
        return provider.write_service_account(path, authority=self.authority, token=token, namespace=namespace)

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

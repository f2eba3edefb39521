"""What the contract is tried on: an API server with our kinds, whichever it is."""

import abc
import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from lbprovider import shipped
from lbprovider.kube.access import Access, in_cluster
from lbprovider.kube.client import Client
from lbprovider.lab import objects
from lbprovider.lab.provider import NAMESPACE
from tests.e2e.rig.api import Api, Dial, Object
from tests.e2e.rig.waiting import eventually

T = TypeVar("T")

NODE: Final = "node1"
"""A Node that is there."""

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Server(abc.ABC):
    """An API server with our kinds, the shipped RBAC and one Node; from construction to :meth:`close`.

    Args:
        directory: an empty folder of its own.
        dial: how to reach it.
        host: its address.
        port: its port.
        ca: the authority of its certificate.
        admin_token: of somebody who may do anything.
    """

    def __init__(self, directory: Path, *, dial: Dial, host: str, port: int, ca: Path, admin_token: str) -> None:
        self._directory = directory
        self._dial = dial
        self._host = host
        self._ca = ca
        self._numbers = itertools.count(1)
        self._open: list[Api] = []
        self._admin_token = admin_token
        self.environ: Mapping[str, str] = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        """What tells a Pod where the server is."""
        self.api = self.api_as(admin_token)
        """The server as the admin sees it."""

    def api_as(self, token: str | None) -> Api:
        """The server as the owner of a token sees it; None for nobody in particular."""
        api = Api(self._dial, self._host, self._ca, token)
        self._open.append(api)
        return api

    def token_of(self, account: str, namespace: str = NAMESPACE) -> str:
        """A token of a ServiceAccount, as a kubelet would fetch it for a Pod."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token: str = self.api.create(path, body)["status"]["token"]
        return token

    def account(self, name: str) -> Path:
        """A folder with ``token`` and ``ca.crt`` of one of our ServiceAccounts, as its Pod finds it."""
        return self._folder(self.token_of(name))

    def admin(self) -> Path:
        """The same of the admin."""
        return self._folder(self._admin_token)

    def use(self, story: Callable[[Client], Awaitable[T]], access: Access | None = None) -> T:
        """Run a coroutine with a client of ours, the admin's unless said otherwise."""

        async def main() -> T:
            chosen = access or in_cluster(self._folder(self._admin_token), self.environ)
            async with Client(chosen, user_agent="lbprovider-test") as api:
                return await story(api)

        return self.beside(lambda: asyncio.run(main()))

    @abc.abstractmethod
    def beside(self, function: Callable[[], T]) -> T:
        """Call a function where the server can be reached."""

    @abc.abstractmethod
    def kill(self) -> None:
        """SIGKILL; no connection is left."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start it again after :meth:`kill`, on what it had stored; it is ready on return."""

    @abc.abstractmethod
    def forget(self) -> None:
        """Restart it without the past: it knows all objects, and no version of them but the last."""

    def close(self) -> None:
        """End it."""
        for each in self._open:
            each.close()

    def _folder(self, token: str) -> Path:
        folder = self._directory / f"account-{next(self._numbers)}"
        folder.mkdir()
        (folder / "token").write_text(token, encoding="ascii")
        (folder / "ca.crt").write_bytes(self._ca.read_bytes())
        return folder

    def _await_ready(self) -> None:
        for each in self._open:
            each.close()
        eventually(lambda: self.api.text("/readyz") == "ok", "the API server is ready", within=120)

    def _install(self) -> None:
        """What a cluster has before us, and what config/ brings."""
        eventually(lambda: self.api.find("/api/v1/namespaces/default"), "namespace default is there")
        for manifest in shipped.manifests():
            resource, _ = objects.read(manifest)
            self.api.create(resource.path(manifest["metadata"].get("namespace", "")), manifest)
        eventually(lambda: all(map(self._served, self.api.items(_CRDS))), "our kinds are served")

    def _served(self, crd: Object) -> bool:
        spec = crd["spec"]
        found = self.api.find(f"/apis/{spec['group']}/{spec['versions'][0]['name']}") or {"resources": ()}
        return established(crd) and spec["names"]["plural"] in {each["name"] for each in found["resources"]}


def established(crd: Object) -> bool:
    """Whether a CRD says that its kind is served."""
    conditions: list[Object] = crd.get("status", {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)

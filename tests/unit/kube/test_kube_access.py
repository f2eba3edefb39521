"""Who we are to which server: ServiceAccounts and kubeconfigs, whole and broken."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from aiohttp import web

from lbprovider.api.resources import LEASES
from lbprovider.errors import UsageError
from lbprovider.kube.access import REFRESH, Access, TokenFile, from_kubeconfig, in_cluster
from lbprovider.kube.client import Client
from tests.unit.kube.certificates import authority, server_context, signed
from tests.unit.kube.http_api import answer, lease, serving

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def account(directory: Path) -> Path:
    """A ServiceAccount's directory, as it is mounted into a Pod."""
    pair = authority(directory / "ca")
    (directory / "ca.crt").write_bytes(pair.certificate.read_bytes())
    (directory / "token").write_text("t0ken\n")
    return directory


def kubeconfig(
    directory: Path, user: Any, server: str = "https://127.0.0.1:6443", cluster: Mapping[str, Any] | None = None
) -> Path:
    path = directory / "config"
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(body))
    return path


def load(path: Path | None, environ: dict[str, str] | None = None) -> Access:
    return asyncio.run(from_kubeconfig(path, environ or {}))


def authorization(access: Access) -> str:
    return asyncio.run(access.credentials.authorization())


def test_a_pod_finds_its_server_and_token(tmp_path: Path) -> None:
    access = in_cluster(account(tmp_path), POD)
    assert access.server == "https://10.96.0.1:443"
    assert authorization(access) == "Bearer t0ken"
    assert access.tls is not None
    assert (access.tls.verify_mode, access.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not access.tls.verify_flags & ssl.VERIFY_X509_STRICT
    v6 = in_cluster(tmp_path, {**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert v6.server == "https://[fd00::1]:443"


def test_a_rotated_token_is_read_again_at_most_once_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "token"
    file.write_text("one\n")
    token = TokenFile(file, clock)

    def now(at: float) -> str:
        clock.now = at
        return asyncio.run(token.authorization())

    file.write_text("two\n")
    assert now(REFRESH - 1) == "Bearer one"
    assert now(REFRESH) == "Bearer two"
    file.write_text("")  # just being written
    assert now(2 * REFRESH) == "Bearer two"
    file.write_text("three")
    assert now(3 * REFRESH - 1) == "Bearer two"
    assert now(3 * REFRESH) == "Bearer three"
    file.unlink()
    with structlog.testing.capture_logs() as logs:
        assert now(4 * REFRESH) == "Bearer three"
    assert [log["reason"] for log in logs] == ["TokenUnreadable"]


@pytest.mark.parametrize(
    ("spoil", "environ", "message"),
    [
        (None, {}, r"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT not set in the environment: this is no Pod"),
        (None, {"KUBERNETES_SERVICE_HOST": "x"}, r"^KUBERNETES_SERVICE_PORT not set"),
        (lambda d: (d / "token").unlink(), POD, r"can't read .*/token: No such file or directory; does the Pod"),
        (lambda d: (d / "token").write_text(" \n"), POD, r"/token is empty"),
        (lambda d: (d / "token").write_bytes(b"\xff\xfe"), POD, r"can't read .*/token: not text"),
        (lambda d: (d / "ca.crt").unlink(), POD, r"can't read .*/ca.crt: No such file"),
        (lambda d: (d / "ca.crt").write_text("no certificate"), POD, r"/ca.crt is no CA certificate in PEM form"),
    ],
)
def test_a_pod_without_its_account_is_told_so(
    tmp_path: Path, spoil: Any, environ: dict[str, str], message: str
) -> None:
    directory = account(tmp_path)
    if spoil is not None:
        spoil(directory)
    with pytest.raises(UsageError, match=message) as caught:
        in_cluster(directory, environ)
    assert "\n" not in str(caught.value)


def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    pair = authority(tmp_path)
    path = kubeconfig(
        tmp_path,
        {"token": "abc"},
        server="https://127.0.0.1:6443/prefix/",
        cluster={"certificate-authority": str(pair.certificate), "tls-server-name": "kubernetes"},
    )
    for access in (load(path), load(None, {"KUBECONFIG": f"{tmp_path}/none:{path}"})):
        assert access.server == "https://127.0.0.1:6443/prefix"
        assert authorization(access) == "Bearer abc"
        assert access.tls_server_name == "kubernetes"
        assert access.tls is not None
        assert access.tls.verify_mode is ssl.CERT_REQUIRED


def test_a_kubeconfig_with_a_client_certificate_reaches_the_server(tmp_path: Path) -> None:
    ca = authority(tmp_path / "ca")
    client = signed(ca, tmp_path / "client", "admin")
    tls = server_context(ca, tmp_path)
    tls.load_verify_locations(ca.certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    inline = {
        "client-certificate-data": base64.b64encode(client.certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(client.key.read_bytes()).decode(),
    }
    files = {"client-certificate": str(client.certificate), "client-key": str(client.key)}

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        return answer(lease(str(dict(field[0] for field in peer["subject"])["commonName"])))

    async def main(user: dict[str, str]) -> str:
        async with serving(handler, tls=tls) as served:
            path = kubeconfig(
                tmp_path, user, server=served.server, cluster={"certificate-authority": str(ca.certificate)}
            )
            access = await from_kubeconfig(path, {})
            async with Client(access, user_agent="test") as api:
                return (await api.get(LEASES, "a")).metadata.name

    assert asyncio.run(main(inline)) == "admin"
    assert asyncio.run(main(files)) == "admin"


def test_a_kubeconfig_of_a_local_proxy_needs_nobody(tmp_path: Path) -> None:
    access = load(kubeconfig(tmp_path, {}, server="http://127.0.0.1:8001"))
    assert (access.server, access.tls, authorization(access)) == ("http://127.0.0.1:8001", None, "")


def test_an_exec_plugin_gives_tokens_and_gives_new_ones(tmp_path: Path) -> None:
    answers = tmp_path / "answer"

    def says(token: str) -> None:
        body = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token, "expirationTimestamp": "2020-01-01T00:00:00Z"},
        }
        answers.write_text(json.dumps(body))

    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(answers)],
    }
    clock = Clock()
    says("one")
    path = kubeconfig(tmp_path, {"exec": plugin}, cluster={"insecure-skip-tls-verify": True})

    async def main() -> list[str]:
        access = await from_kubeconfig(path, {}, clock)
        assert access.tls is not None
        assert access.tls.verify_mode is ssl.CERT_NONE
        tokens = [await access.credentials.authorization()]
        says("two")
        tokens.append(await access.credentials.authorization())
        clock.now = REFRESH
        tokens.append(await access.credentials.authorization())
        answers.unlink()  # fails from now on: the last one is used on
        clock.now = 2 * REFRESH
        tokens.append(await access.credentials.authorization())
        return tokens

    assert asyncio.run(main()) == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: b",
        "{",
        "\x00",
        "current-context: c\nclusters: {}\ncontexts: 7",
        "current-context: nope\nclusters: []\ncontexts: []\nusers: []",
    ],
)
def test_a_broken_kubeconfig_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"^can't use the kubeconfig {path}: .") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        ({}, {}, "no token, client certificate or working exec plugin"),
        ({"exec": {"apiVersion": "v1", "command": "/nonexistent"}}, {}, "no token, client certificate or working exec"),
        ({"token": "t"}, {"certificate-authority": "/nonexistent"}, "/nonexistent"),
        ({"token": "t"}, {"certificate-authority-data": "!"}, "."),
        ({"token": "t"}, {"certificate-authority-data": base64.b64encode(b"x").decode()}, "."),
        ({"token": "t"}, {"server": "api:6443"}, "'api:6443', not a URL"),
        ({"tokenFile": "/nonexistent"}, {}, "/nonexistent"),
    ],
)
def test_what_a_kubeconfig_names_must_be_there(tmp_path: Path, user: Any, cluster: Any, message: str) -> None:
    path = kubeconfig(tmp_path, user, cluster=cluster)
    with pytest.raises(UsageError, match=f"^can't use the kubeconfig {path}: .*{message}"):
        load(path)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no kubeconfig at {tmp_path}/none: name one with --kubeconfig"):
        load(tmp_path / "none")


def test_a_speaker_never_pays_for_the_kubernetes_library() -> None:
    code = (
        "import sys, lbprovider.kube.access, lbprovider.kube.client, lbprovider.kube.reflector, "
        "lbprovider.kube.node_lease, lbprovider.kube.events; "
        "print([name for name in sys.modules if name.split('.')[0] in ('kubernetes', 'yaml', 'kopf')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

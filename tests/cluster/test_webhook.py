"""The webhook as it is installed: asked through its Service, by both replicas, with the certificate of their own."""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from collections.abc import Iterator

import pytest

from lbprovider.api import names
from lbprovider.controller.webhook import certificates
from lbprovider.lab.provider import CONTROLLER, NAMESPACE
from tests.cluster.rig.kubectl import Kubectl, Object
from tests.cluster.rig.provider import DEFAULT, Provider
from tests.cluster.rig.web import Web
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

MANIFEST = DEFAULT / "webhook.yaml"
REFUSED = re.compile(rf'admission webhook "{re.escape(names.WEBHOOK_ENTRY)}" denied the request: (.*)')


def pool(name: str, *addresses: str) -> Object:
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"addresses": list(addresses), "autoAssign": False},
    }


@pytest.fixture(scope="module")
def base(provider: Provider, kubectl: Kubectl) -> Iterator[str]:
    """A pool that others can overlap, on a cluster whose webhook answers."""
    assert provider.pods("controller")
    kubectl.apply(pool("webhook-base", "203.0.113.64/28"))
    eventually(lambda: overlap(kubectl), "edits are checked", within=60, every=0.2)
    yield "webhook-base"
    kubectl("delete", "ipaddresspool", f"--namespace={NAMESPACE}", "webhook-base")


def overlap(kubectl: Kubectl) -> str:
    """Why a pool that overlaps may not be made; empty while it may. It is only tried."""
    try:
        kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pool("webhook-tried", "203.0.113.70")))
    except RuntimeError as error:
        found = REFUSED.search(str(error))
        if found is None:
            raise
        return found[1]
    return ""


def stored(kubectl: Kubectl) -> tuple[certificates.Pems, ...]:
    return certificates.decode(kubectl.get("secret", f"--namespace={NAMESPACE}", names.WEBHOOK)["data"])


def believed(kubectl: Kubectl) -> bytes:
    (entry,) = kubectl.get("validatingwebhookconfiguration", names.WEBHOOK)["webhooks"]
    return b64decode(entry["clientConfig"].get("caBundle", ""))


def test_the_api_server_asks_through_the_service(base: str, kubectl: Kubectl) -> None:
    assert f"IPAddressPool {base}" in overlap(kubectl)
    assert believed(kubectl) == b"".join(each.authority for each in stored(kubectl))


def test_a_pool_whose_addresses_are_in_use_is_not_deleted(web: Web, base: str, kubectl: Kubectl) -> None:
    assert base
    (used, *_) = (
        each["metadata"]["name"]
        for each in kubectl.items("ipaddresspools", f"--namespace={NAMESPACE}")
        if each.get("status", {}).get("ipv4", {}).get("assigned")
    )
    assert web.addresses
    with pytest.raises(RuntimeError, match=re.escape(names.FORCE)):
        kubectl("delete", "ipaddresspool", f"--namespace={NAMESPACE}", used)


def test_each_replica_answers_by_itself(base: str, provider: Provider, kubectl: Kubectl, report: Report) -> None:
    """Whoever leads: of two replicas one is taken away, and the other one answers for both."""
    assert base
    for pod in [each["metadata"]["name"] for each in provider.pods("controller")]:
        began, answers = time.monotonic(), []
        kubectl("delete", "pod", f"--namespace={NAMESPACE}", pod, "--wait=false")
        while time.monotonic() < began + 5:
            answers.append(bool(overlap(kubectl)))
        report(f"while {pod} went: {answers.count(True)} of {len(answers)} edits were checked")
        assert answers.count(True) >= len(answers) / 2
        kubectl.rolled_out(NAMESPACE, f"deployment/{CONTROLLER}")
    assert overlap(kubectl)


def test_a_rolling_update_keeps_the_certificate(base: str, kubectl: Kubectl) -> None:
    assert base
    before = stored(kubectl)
    kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}")
    kubectl.rolled_out(NAMESPACE, f"deployment/{CONTROLLER}")
    assert stored(kubectl) == before
    eventually(lambda: overlap(kubectl), "edits are checked")


def test_what_is_taken_away_is_put_back(base: str, kubectl: Kubectl) -> None:
    assert base
    kubectl("replace", f"--filename={MANIFEST}")
    eventually(lambda: believed(kubectl), "the authority is written again")
    shown = stored(kubectl)
    kubectl("delete", "secret", f"--namespace={NAMESPACE}", names.WEBHOOK)
    eventually(lambda: stored(kubectl)[:-1] == shown[-1:], "the certificate is there again, with the next one")
    rubbish = {"data": {"tls.key": "cnViYmlzaA=="}}
    kubectl("patch", "secret", f"--namespace={NAMESPACE}", names.WEBHOOK, f"--patch={json.dumps(rubbish)}")
    eventually(lambda: b"rubbish" not in stored(kubectl)[0].key, "the key is one again", within=60)
    eventually(lambda: believed(kubectl) == b"".join(each.authority for each in stored(kubectl)), "both are believed")
    assert overlap(kubectl)

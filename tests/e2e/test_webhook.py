"""The webhook of the real controller, asked by a real API server through the shipped configuration.

The API server resolves the Service by itself, as it does everywhere: its ClusterIP is an address of this machine's
control plane, and the controller listens there on the Service's own port.
"""

from __future__ import annotations

import http
import json
import re
import socket
import ssl
import statistics
import time
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lbprovider.api import names
from lbprovider.controller.webhook import certificates, keeping, making
from lbprovider.controller.webhook.certificates import LIFE, RENEW, SPREAD, Generation
from lbprovider.lab.process import Process
from lbprovider.lab.provider import NAMESPACE
from tests.e2e.rig import ours, services
from tests.e2e.rig.api import Answer, ApiError, Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.meanwhile import meanwhile
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

MANIFEST = ours.CONFIG / "default" / "webhook.yaml"
POOLS = f"{ours.GROUP}/namespaces/{NAMESPACE}/ipaddresspools"
ADVERTISEMENTS = f"{ours.GROUP}/namespaces/{NAMESPACE}/l2advertisements"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{names.WEBHOOK}"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{names.WEBHOOK}"
DENIED = f'admission webhook "{names.WEBHOOK_ENTRY}" denied the request: '
FORCED = {names.FORCE: "true"}
MANY = 10_000


def pool(name: str, *addresses: str, annotations: dict[str, str] | None = None, **spec: object) -> Object:
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations or {}},
        "spec": {"addresses": list(addresses), "autoAssign": False, **spec},
    }


def advertisement(name: str, *pools: str) -> Object:
    return {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ipAddressPools": list(pools)},
    }


def allocate(rig: Rig, address: str, pool: str, service: str) -> None:
    """An address that a Service has, as the controller would write it."""
    claim = {"namespace": "default", "name": service, "uid": f"uid-{service}"}
    body: Object = {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAllocation",
        "metadata": {"name": address},
        "spec": {
            "address": address,
            "pool": pool,
            "segment": "192.0.2.0-24",
            "nodes": ["node1"],
            "services": [{**claim, "ports": [{"port": 80, "protocol": "TCP", "name": "http"}]}],
        },
    }
    rig.api.create(f"{ours.GROUP}/ipallocations", body)


class Rig:
    """A cluster with lbprovider and its webhook installed, and the controller that runs now."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.api = cluster, cluster.api
        self._addresses = set[str]()
        ours.install(cluster)
        self.install()
        # In a Pod the Service leads to port 9443; here nothing leads anywhere, and 443 takes a privilege.
        unprivileged = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        cluster.lan.control.run(lambda: unprivileged.write_text("0", encoding="ascii"))
        self.api.create(POOLS, pool("base", "198.51.100.0/28"))
        self.controller = ours.start_controller(cluster, "controller-0")
        self.start()

    def install(self) -> None:
        """Applies the shipped configuration; its Service is an address of the control plane."""
        self.kubectl("apply", "-f", str(MANIFEST))
        address = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{names.WEBHOOK}")["spec"]["clusterIP"]
        if address not in self._addresses:
            self.cluster.lan.control.add_address("lo", address, 32)
            self._addresses.add(address)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl(*arguments, **options)

    def start(self, *arguments: str, name: str = "controller-1") -> Process:
        """In the place of the one that runs."""
        self.controller.stop()
        self.controller = ours.start_controller(self.cluster, name, arguments or ("--webhook", "--webhook-port", "443"))
        eventually(lambda: ours.health(self.cluster.lan.control)[0] == http.HTTPStatus.OK, "the controller is ready")
        if not arguments:
            self.await_checked()
        return self.controller

    def overlapping(self) -> Answer:
        """Tries to make a pool that overlaps ``base``, without making it."""
        return self.api.ask("POST", f"{POOLS}?dryRun=All", pool("tried", "198.51.100.8"))

    def checked(self) -> bool:
        """Whether edits are checked now."""
        return self.overlapping().status == http.HTTPStatus.FORBIDDEN

    def await_checked(self) -> None:
        eventually(self.checked, "edits are checked", every=0.02)

    def refused(self, method: str, path: str, body: Object | None = None, kind: str = "merge") -> str:
        """Why the webhook doesn't let this be done."""
        answer = self.api.ask(method, path, body, kind=kind if method == "PATCH" else "application/json")
        message: str = answer.json.get("message", "")
        assert answer.status == http.HTTPStatus.FORBIDDEN, answer.json
        assert message.startswith(DENIED), message
        return message.removeprefix(DENIED)

    def held(self, name: str, address: str, *addresses: str) -> None:
        """A pool, and a Service that has its first address."""
        self.api.create(POOLS, pool(name, address, *addresses))
        services.create(self.cluster, name, {"app": name}, annotations={"lbprovider.io/address-pool": name})
        eventually(lambda: services.ingress(self.cluster, name) == (address,), f"{name} has {address}")

    def reviews(self) -> float:
        """How many reviews the controller counts."""
        _, text = ours.health(self.cluster.lan.control, "/metrics")
        return sum(
            float(each) for each in re.findall(r"^lbprovider_webhook_reviews_total\{.*\} (\S+)$", text, re.MULTILINE)
        )

    # --- the certificate

    def believed(self) -> bytes:
        (entry,) = self.api.get(CONFIGURATION)["webhooks"]
        return b64decode(entry["clientConfig"].get("caBundle", ""))

    def stored(self) -> tuple[certificates.Pems, ...]:
        return certificates.decode((self.api.find(SECRET) or {}).get("data", {}))

    def shows(self) -> bytes:
        """The certificate that the webhook shows to whoever connects now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = self.cluster.lan.control.run(lambda: socket.create_connection(("127.0.0.1", 443), timeout=5))
        with context.wrap_socket(plain) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"").encode()

    def resident(self) -> float:
        """MB that the controller has in memory."""
        status = Path(f"/proc/{self.controller.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def plant(self, *generations: Generation) -> None:
        """Has the Secret hold these, as if time had passed."""
        data: dict[str, str | None] = dict.fromkeys(self.api.get(SECRET)["data"])
        self.api.patch(SECRET, {"data": {**data, **certificates.encode(generations)}})

    @contextmanager
    def checked_throughout(self) -> Iterator[list[int]]:
        """No edit passes unchecked from here to the end; gives the number that were tried, at the end."""
        tried, passed = [0], []

        def edit() -> None:
            answer = self.overlapping()
            tried[0] += 1
            if answer.status != http.HTTPStatus.FORBIDDEN:
                passed.append((tried[0], answer.status))

        with meanwhile(edit):
            yield tried
        assert passed == []
        assert tried[0] > 0


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Rig:
    return Rig(cluster)


# ---- what is refused, in our words


def test_an_overlap_is_refused_by_the_api_server_in_our_words(rig: Rig) -> None:
    said = rig.refused("POST", POOLS, pool("second", "203.0.113.0/28", "198.51.100.12-198.51.100.20"))
    assert said.startswith('spec.addresses[1]: "198.51.100.12-198.51.100.20" has addresses in common with other pools')
    assert "IPAddressPool base" in said
    assert rig.api.find(f"{POOLS}/second") is None


def test_kubectl_shows_the_sentence(rig: Rig) -> None:
    with pytest.raises(RuntimeError, match=r"denied the request: spec\.addresses\[0\]: .*IPAddressPool base"):
        rig.kubectl("apply", "-f", "-", stdin=json.dumps(pool("second", "198.51.100.1")))


def test_a_pool_of_another_namespace_is_nobodys_business(rig: Rig) -> None:
    body = pool("elsewhere", "198.51.100.1")
    body["metadata"]["namespace"] = "default"
    before = rig.reviews()
    rig.api.create(f"{ours.GROUP}/namespaces/default/ipaddresspools", body)
    assert rig.reviews() == before


def test_an_edit_that_strands_an_address_is_refused_until_it_is_forced(rig: Rig) -> None:
    rig.held("shrinks", "203.0.113.20", "203.0.113.24")
    said = rig.refused("PATCH", f"{POOLS}/shrinks", {"spec": {"addresses": ["203.0.113.24"]}})
    assert said.startswith("spec.addresses: leaves out addresses that Services hold, 203.0.113.20 (default/shrinks)")
    assert names.FORCE in said
    rig.api.patch(f"{POOLS}/shrinks", {"spec": {"addresses": ["203.0.113.20", "203.0.113.26"]}})
    forced = {"metadata": {"annotations": FORCED}, "spec": {"addresses": ["203.0.113.24"]}}
    rig.api.patch(f"{POOLS}/shrinks", forced)
    eventually(lambda: services.ingress(rig.cluster, "shrinks") == ("203.0.113.24",), "it follows the pool")


def test_a_pinning_that_shuts_a_holder_out_is_refused(rig: Rig) -> None:
    rig.held("pinned", "203.0.113.30")
    labels = {"serviceSelectors": [{"matchLabels": {"tier": "gold"}}]}
    said = rig.refused("PATCH", f"{POOLS}/pinned", {"spec": {"serviceAllocation": labels}})
    assert said.startswith("spec.serviceAllocation: shuts out Services that hold addresses, 203.0.113.30")
    rig.api.patch(services.path("pinned"), {"metadata": {"labels": {"tier": "gold"}}})
    rig.api.patch(f"{POOLS}/pinned", {"spec": {"serviceAllocation": labels}})
    by_namespace = {"namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}]}
    assert "203.0.113.30" in rig.refused("PATCH", f"{POOLS}/pinned", {"spec": {"serviceAllocation": by_namespace}})


def test_a_deletion_that_strands_an_address_is_refused_until_it_is_forced_or_nobody_holds_it(rig: Rig) -> None:
    rig.held("goes", "203.0.113.40")
    rig.held("frees", "203.0.113.41")
    assert "203.0.113.40 (default/goes)" in rig.refused("DELETE", f"{POOLS}/goes")
    with pytest.raises(RuntimeError, match=re.escape(names.FORCE)):
        rig.kubectl("delete", "ipaddresspool", "--namespace", NAMESPACE, "goes")
    rig.kubectl("annotate", "ipaddresspool", "--namespace", NAMESPACE, "goes", f"{names.FORCE}=true")
    rig.kubectl("delete", "ipaddresspool", "--namespace", NAMESPACE, "goes")
    rig.api.delete(services.path("frees"))
    eventually(lambda: rig.api.find(f"{ours.GROUP}/ipallocations/203.0.113.41") is None, "it is free")
    rig.api.delete(f"{POOLS}/frees")


def test_of_a_collection_that_is_deleted_each_is_looked_at(rig: Rig) -> None:
    rig.held("labelled", "203.0.113.45")
    rig.api.patch(f"{POOLS}/labelled", {"metadata": {"labels": {"of": "collection"}}})
    rig.refused("DELETE", f"{POOLS}?labelSelector=of%3Dcollection")
    assert rig.api.find(f"{POOLS}/labelled") is not None


def test_an_advertisement_of_a_missing_pool_gets_a_warning(rig: Rig) -> None:
    answer = rig.api.ask("POST", ADVERTISEMENTS, advertisement("astray", "base", "nowhere"))
    assert answer.status == http.HTTPStatus.CREATED
    assert 'ipAddressPools[1]: \\"nowhere\\" is no IPAddressPool' in answer.headers["Warning"]
    answer = rig.api.ask("POST", ADVERTISEMENTS, advertisement("right", "base"))
    assert answer.status == http.HTTPStatus.CREATED
    assert "Warning" not in answer.headers
    said = rig.cluster.run(
        ["sh", "-c", f"{rig.cluster.binaries.kubectl} apply -f - 2>&1"],
        stdin=json.dumps(advertisement("third", "nowhere")),
    )
    assert "Warning: spec.ipAddressPools[0]" in said


def test_the_controllers_own_writes_and_labels_cost_no_question(rig: Rig) -> None:
    before = rig.reviews()
    rig.api.patch(f"{POOLS}/base/status", {"status": {"conditions": []}})
    assert rig.reviews() == before
    assert rig.checked()
    assert rig.reviews() == before + 1


# ---- the certificate


def test_old_and_new_are_believed_while_it_is_renewed_and_no_review_fails(rig: Rig, report: Report) -> None:
    hosts = keeping.hosts(NAMESPACE)
    now = time.time()
    elder, younger = making.make(hosts, now - (LIFE - RENEW) - 2 * SPREAD), making.make(hosts, now - SPREAD + 3)
    with rig.checked_throughout() as tried:
        # Two months later: both are there, and the younger has three seconds until it is shown.
        rig.plant(elder, younger)
        both = elder.pems.authority + younger.pems.authority
        eventually(lambda: rig.believed() == both, "both are believed", every=0.02)
        eventually(lambda: rig.shows() == younger.pems.certificate, "the younger is shown", every=0.02)
        assert rig.believed() == both
        # An hour later.
        later = making.make(hosts, now - 2 * SPREAD + 3)
        rig.plant(younger, later)
        eventually(lambda: rig.shows() == later.pems.certificate, "the last is shown", every=0.02)
        eventually(lambda: rig.stored() == (later.pems,), "the elder is gone", every=0.02)
        eventually(lambda: rig.believed() == later.pems.authority, "and believed no more", every=0.02)
    report(f"two renewals in {time.time() - now:.1f} s: {tried[0]} reviews meanwhile, none failed")


def test_a_secret_that_is_deleted_is_made_anew_and_no_review_fails(rig: Rig) -> None:
    shown = rig.stored()[-1]
    with rig.checked_throughout():
        rig.api.delete(SECRET)
        eventually(lambda: len(rig.stored()) == 2, "it is there again, with a new certificate", within=30)
        assert rig.stored()[0] == shown
        eventually(lambda: rig.believed() == b"".join(each.authority for each in rig.stored()), "both are believed")


def test_rubbish_in_the_secret_is_replaced_and_no_review_fails(rig: Rig) -> None:
    with rig.checked_throughout():
        rig.api.patch(SECRET, {"data": {"tls.key": "cnViYmlzaA==", "next-tls.crt": "cnViYmlzaA=="}})
        eventually(lambda: len(rig.stored()) == 2 and b"rubbish" not in rig.stored()[0].key, "it is good", within=30)


def test_a_manifest_that_is_applied_again_is_put_right(rig: Rig, report: Report) -> None:
    rig.kubectl("apply", "-f", str(MANIFEST))
    assert rig.believed(), "kubectl apply leaves alone what it doesn't name"
    rig.kubectl("replace", "-f", str(MANIFEST))
    began = time.monotonic()
    eventually(rig.believed, "the authority is written again", every=0.01)
    rig.await_checked()
    report(f"a configuration that was replaced is right after {(time.monotonic() - began) * 1000:.0f} ms")


# ---- never in the way


def test_a_replica_that_stands_by_answers_too(rig: Rig) -> None:
    rig.controller.stop()
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{names.CONTROLLER_LEASE}"
    eventually(lambda: not rig.api.get(lease)["spec"].get("holderIdentity"), "the Lease is given back")
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    held = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now}
    rig.api.patch(lease, {"spec": held})
    rig.start(name="controller-2")
    assert rig.checked()
    assert rig.api.get(lease)["spec"]["holderIdentity"] == "somebody"


def test_ten_thousand_addresses_are_looked_through_in_time(rig: Rig, report: Report) -> None:
    """By the replica that stands by: nobody takes back what no Service has."""
    rig.api.create(POOLS, pool("many", "10.0.0.0/16"))
    collection = f"{ours.GROUP}/ipallocations"

    def make(number: int) -> None:
        allocate(rig, f"10.0.{number >> 8}.{number & 255}", "many", f"web-{number:05}")

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(MANY)))
    made = time.monotonic() - began
    before = rig.resident()

    def edit(addresses: str) -> tuple[float, Answer]:
        began = time.monotonic()
        body: Object = {"spec": {"addresses": [addresses]}}
        answer = rig.api.ask("PATCH", f"{POOLS}/many?dryRun=All", body, kind="merge")
        return time.monotonic() - began, answer

    shrinks, grows = [edit("10.0.0.0/24") for _ in range(5)], [edit("10.0.0.0/15") for _ in range(5)]
    refused = [took for took, answer in shrinks if answer.status == http.HTTPStatus.FORBIDDEN]
    for took, answer in shrinks:
        # A machine with much else to do may not be in time; then it says so.
        said = answer.json.get("message", "") or answer.headers.get("Warning", "")
        assert "10.0.1.0 (default/web-00256)" in said or "could not check" in said
        assert took < 3.5
    assert refused
    assert {answer.status for _, answer in grows} == {http.HTTPStatus.OK}
    report(
        f"{MANY} IPAllocations (made in {made:.0f} s): an edit that shrinks their pool is refused after "
        f"{statistics.median(refused):.2f} s, {len(refused)} of {len(shrinks)} times in time; one that grows it passes "
        f"after {statistics.median(took for took, _ in grows) * 1000:.0f} ms; the controller that stands by has "
        f"{before:.0f} MB before and {rig.resident():.0f} MB after"
    )
    rig.api.request("DELETE", collection)


def test_while_no_controller_answers_pools_are_written_unchecked(rig: Rig, report: Report) -> None:
    rig.controller.kill()
    began = time.monotonic()
    assert rig.overlapping().status == http.HTTPStatus.CREATED
    report(f"without any controller an edit passes after {(time.monotonic() - began) * 1000:.0f} ms")
    assert time.monotonic() - began < 4


def test_without_the_webhook_the_controller_serves_none_and_nothing_else_differs(rig: Rig) -> None:
    rig.api.delete(SECRET)
    rig.start("--no-webhook", name="controller-3")
    assert rig.overlapping().status == http.HTTPStatus.CREATED
    assert rig.api.find(SECRET) is None
    assert rig.reviews() == 0


def test_where_it_is_not_installed_it_says_so_once_and_begins_when_it_is(rig: Rig) -> None:
    rig.controller.stop()
    rig.kubectl("delete", "-f", str(MANIFEST), "--ignore-not-found")
    if rig.api.find(SECRET) is not None:
        rig.api.delete(SECRET)
    rig.start("--webhook", "--webhook-port", "443", name="controller-4")
    log = rig.cluster.directory / "controller-4.log"
    eventually(lambda: "waits to be installed" in log.read_text(encoding="utf-8"), "it says so")
    assert rig.api.find(SECRET) is None
    document = MANIFEST.read_text(encoding="utf-8").partition("\n---\n")[2]
    rig.kubectl("apply", "-f", "-", stdin=document)
    eventually(rig.believed, "the authority is written")
    assert log.read_text(encoding="utf-8").count("waits to be installed") == 1


def test_a_namespace_that_is_deleted_is_held_up_by_nothing(rig: Rig) -> None:
    """The controller goes on beside it here; in a cluster its Pods are deleted too, with seconds to end."""
    rig.install()
    rig.start(name="controller-5")
    allocate(rig, "10.0.0.1", "many", "web")
    assert "10.0.0.1 (default/web)" in rig.refused("DELETE", f"{POOLS}/many")
    rig.api.delete(f"/api/v1/namespaces/{NAMESPACE}")
    eventually(lambda: rig.api.find(f"{POOLS}/many") is None, "the pools go", within=60)
    with pytest.raises(ApiError):
        rig.api.get(f"{POOLS}/base")

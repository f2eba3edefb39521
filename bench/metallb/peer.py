"""MetalLB in the rig's cluster: installed from its manifest, and started as its Deployment and DaemonSet would."""

import copy
import json
import os
import secrets
from pathlib import Path
from typing import Any, Final

import yaml

from bench.metallb.programs import Programs
from lbprovider.lab.process import Process
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.waiting import eventually

NAMESPACE: Final = "metallb-system"
CLASS: Final = "metallb.io/l2"
"""The class of its Services: any that isn't ours."""
_GROUP: Final = f"/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}"
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_RUN_BY_US: Final = {"Deployment", "DaemonSet"}
_WEBHOOK: Final = {"ValidatingWebhookConfiguration", "Service", "Secret"}
"""What belongs to its admission webhook, which nobody here would reach: its controller runs without."""
_SELECTOR: Final = {"app": "metallb", "component": "speaker"}


class Metallb:
    """MetalLB, installed; its programs end with the cluster's LAN.

    Args:
        cluster: where.
        programs: what it is.
        lb_class: of the Services that it serves; None: those without one.
    """

    def __init__(self, cluster: Cluster, programs: Programs, lb_class: str | None = CLASS) -> None:
        self.documents: list[dict[str, Any]] = list(
            yaml.safe_load_all(programs.manifest.read_text(encoding="utf-8"))
        )  # fmt: skip
        """All that its installation applies."""
        self.speakers: dict[str, Process] = {}
        """By node."""
        self._cluster = cluster
        self._programs = programs
        self._class = [] if lb_class is None else [f"--lb-class={lb_class}"]
        self._install()
        self._key = cluster.directory / "metallb-key"
        self._key.mkdir()
        (self._key / "secretkey").write_text(secrets.token_hex(64), encoding="ascii")
        self._kubeconfig = self._access("speaker")

    def begin(self, addresses: str) -> None:
        """Start all of it, with one pool, as ``first-last``."""
        self._pod("controller", "control-plane", {"app": "metallb", "component": "controller"}, "")
        self.start_controller()
        for node in self._cluster.lan.nodes.values():
            self._pod(f"speaker-{node.name}", node.name, _SELECTOR, str(node.address4))
        for name in self._cluster.lan.nodes:
            self.start(name)
        self.pool("bench", addresses)
        # Only the LAN, as the manifest's list of excluded interfaces would have it of a node without this rig's.
        self.advertisement("bench", ipAddressPools=["bench"], interfaces=["eth0"])

    def start(self, node: str) -> None:
        """Start a node's speaker, as its DaemonSet would: the Pod ``speaker-NODE`` is there."""
        place = self._cluster.lan.nodes[node]
        environment = {
            **self._environment(self._kubeconfig, f"speaker-{node}"),
            "METALLB_NODE_NAME": node,
            "METALLB_HOST": str(place.address4),
            "METALLB_ML_BIND_ADDR": str(place.address4),
            "METALLB_ML_LABELS": ",".join(f"{key}={value}" for key, value in _SELECTOR.items()),
            "METALLB_ML_SECRET_KEY_PATH": str(self._key),
        }
        argv = [str(self._programs.speaker), "--port=9120", "--log-level=info", *self._class]
        self.speakers[node] = self._cluster.lan.spawn(
            f"metallb-speaker-{node}", place.namespace, argv, env=environment, capabilities=("net_raw",)
        )

    def _install(self) -> None:
        kept = [each for each in copy.deepcopy(self.documents) if each["kind"] not in _RUN_BY_US | _WEBHOOK]
        for each in kept:
            if each["kind"] == "CustomResourceDefinition":
                each["spec"].pop("conversion", None)  # the same webhook's
        first = [each for each in kept if each["kind"] in {"Namespace", "CustomResourceDefinition"}]
        for part in (first, [each for each in kept if each not in first]):
            bundle = {"apiVersion": "v1", "kind": "List", "items": part}
            self._cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(bundle))
        self._cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")

    def _pod(self, name: str, node: str, labels: dict[str, str], address: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": node, "hostNetwork": True, "containers": [{"name": name, "image": "metallb:none"}]},
        }
        self._cluster.api.create(_PODS, body)
        addresses = {"podIP": address, "podIPs": [{"ip": address}], "hostIP": address} if address else {}
        self._cluster.api.patch(f"{_PODS}/{name}/status", {"status": {"phase": "Running", **addresses}})

    def start_controller(self) -> Process:
        """Start its controller, as its Deployment would: the Pod ``controller`` is there."""
        argv = [str(self._programs.controller), "--port=9120", "--log-level=info", *self._class]
        argv.append("--webhook-mode=disabled")
        environment = self._environment(self._access("controller"), "controller")
        return self._cluster.lan.spawn("metallb-controller", self._cluster.lan.control, argv, env=environment)

    def _access(self, account: str) -> Path:
        return self._cluster.kubeconfig_of(f"metallb-{account}", self._cluster.token_of(account, NAMESPACE))

    def _environment(self, kubeconfig: Path, pod: str) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        return {
            **kept,
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(self._cluster.directory),
            "METALLB_NAMESPACE": NAMESPACE,
            "METALLB_POD_NAME": pod,
        }

    def pool(self, name: str, *addresses: str) -> None:
        """Create an IPAddressPool."""
        self._create("ipaddresspools", "IPAddressPool", name, {"addresses": list(addresses)})

    def advertisement(self, name: str, **spec: Any) -> None:
        """Create an L2Advertisement."""
        self._create("l2advertisements", "L2Advertisement", name, spec)

    def _create(self, plural: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        eventually(lambda: self._cluster.api.create(f"{_GROUP}/{plural}", body), f"{kind} is created")

"""Nodes without a kubelet: the objects, their condition, and the configuration of kube-proxy."""

import datetime as dt
from pathlib import Path

from lbprovider.lab.lan import LanNode
from tests.e2e.rig.api import Api, Object

HEALTH_PORT = 10256
"""Where kube-proxy says that it is healthy (KEP-3836)."""


def register(api: Api, node: LanNode) -> None:
    """Create the Node, ready."""
    body: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"},
        },
        "spec": {"podCIDR": str(node.pods4), "podCIDRs": [str(node.pods4), str(node.pods6)]},
    }
    api.create("/api/v1/nodes", body)
    addresses = [
        {"type": "InternalIP", "address": str(node.address4)},
        {"type": "InternalIP", "address": str(node.address6)},
        {"type": "Hostname", "address": node.name},
    ]
    room = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    status = {"addresses": addresses, "capacity": room, "allocatable": room, "conditions": [_condition(ready=True)]}
    api.patch(f"/api/v1/nodes/{node.name}/status", {"status": status})


def set_ready(api: Api, name: str, *, ready: bool) -> None:
    """Say that a node is ready or not, as its kubelet or the node lifecycle controller would."""
    api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [_condition(ready=ready)]}}, how="strategic")


def _condition(*, ready: bool) -> Object:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "message": "",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def proxy_configuration(node: LanNode, kubeconfig: Path, pods: str) -> Object:
    """kube-proxy in nftables mode for one node."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": pods,
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"0.0.0.0:{HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        # Those of the machine itself, which a network namespace may not set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }

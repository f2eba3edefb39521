"""Nodes without a kubelet: the objects and their condition; and the configuration of any node's kube-proxy."""

import datetime as dt
from pathlib import Path

from lbprovider.lab import objects
from lbprovider.lab.lan import LanNode
from tests.e2e.rig.api import Api, Object

HEALTH_PORT = 10256
"""Where kube-proxy says that it is healthy (KEP-3836)."""


def register(api: Api, node: LanNode) -> None:
    """Create the Node, ready."""
    api.create("/api/v1/nodes", objects.node(node))
    status = objects.node_status(node, dt.datetime.now(dt.UTC))
    api.patch(f"/api/v1/nodes/{node.name}/status", {"status": status})


def set_ready(api: Api, name: str, *, ready: bool) -> None:
    """Say that a node is ready or not, as its kubelet or the node lifecycle controller would."""
    condition = objects.ready_condition(dt.datetime.now(dt.UTC), ready=ready)
    api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [condition]}}, how="strategic")


def proxy_configuration(name: str, kubeconfig: Path, pods: str) -> Object:
    """The configuration of kube-proxy in nftables mode, for a node with a kubelet or without.

    Args:
        name: of the node.
        kubeconfig: where kube-proxy finds it.
        pods: the ranges of all Pods, of each family one, with a comma between.
    """
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": name,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": pods,
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"0.0.0.0:{HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        # Those of the machine itself, which a network namespace may not set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }

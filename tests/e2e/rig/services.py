"""Services, and what a client on the LAN gets from them."""

from collections.abc import Mapping, Sequence
from typing import Final

from lbprovider.lab import visitor
from lbprovider.lab.eyes.frames import Address
from tests.e2e.rig import backends
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster

PORT: Final = 80


def path(name: str, namespace: str = "default") -> str:
    return f"/api/v1/namespaces/{namespace}/services/{name}"


def create(
    cluster: Cluster,
    name: str,
    selector: Mapping[str, str],
    *,
    policy: str = "Cluster",
    family_policy: str = "SingleStack",
    families: Sequence[str] = ("IPv4",),
    annotations: Mapping[str, str] | None = None,
    namespace: str = "default",
    **spec: object,
) -> Object:
    """Create a Service of type LoadBalancer, port 80 to the Pods' port.

    Args:
        cluster: where.
        name: of the Service.
        selector: labels of its Pods.
        policy: its externalTrafficPolicy.
        family_policy: its ipFamilyPolicy.
        families: its ipFamilies.
        annotations: on the Service.
        namespace: of the Service.
        **spec: any further field of its spec, such as ``loadBalancerClass``.
    """
    body: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {
            "type": "LoadBalancer",
            "selector": dict(selector),
            "ports": [{"name": "http", "port": PORT, "targetPort": backends.PORT, "protocol": "TCP"}],
            "externalTrafficPolicy": policy,
            "ipFamilyPolicy": family_policy,
            "ipFamilies": list(families),
            **spec,
        },
    }
    return cluster.api.create(f"/api/v1/namespaces/{namespace}/services", body)


def set_ingress(cluster: Cluster, name: str, *addresses: Address, namespace: str = "default") -> None:
    """Give a Service its addresses by hand, as a provider would."""
    ingress = [{"ip": str(address)} for address in addresses]
    cluster.api.patch(f"{path(name, namespace)}/status", {"status": {"loadBalancer": {"ingress": ingress}}})


def ingress(cluster: Cluster, name: str, namespace: str = "default") -> tuple[str, ...]:
    """The addresses in a Service's status."""
    status = cluster.api.get(path(name, namespace))["status"]
    return tuple(each["ip"] for each in status.get("loadBalancer", {}).get("ingress", []))


def fetch(cluster: Cluster, address: Address, port: int = PORT, timeout: float = 2) -> visitor.Answer:
    """One HTTP request over a new TCP connection from the client on the LAN.

    Raises:
        OSError: refused, reset, timed out (``timeout`` in seconds), cut short.
    """
    return visitor.fetch(cluster.lan.client, address, port, timeout)


def served(cluster: Cluster, address: Address, port: int = PORT) -> bool:
    """Whether each node's kube-proxy knows the address: a node calls it through its own rules, whoever announces it.

    They learn of a Service one after the other, a second or more apart: until then a node leaves what arrives alone.
    """
    try:
        for node in cluster.lan.nodes.values():
            visitor.fetch(node.namespace, address, port, 1)
    except OSError:
        return False
    return True

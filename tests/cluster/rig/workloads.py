"""What stands behind Services and what asks them: Pods of our own image, which has a server that says where it runs.

So no other image is needed anywhere. They tolerate every taint: which nodes they are on, a test says.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

from lbprovider.api.names import API_VERSION
from lbprovider.lab import webserver
from lbprovider.lab.provider import NAMESPACE as OURS
from tests.cluster.rig.asking import PORT
from tests.cluster.rig.kubectl import Object

NAMESPACE: Final = "web"
PYTHON: Final = "/opt/lbprovider/bin/python"
"""In our image."""
_HOSTNAME: Final = "kubernetes.io/hostname"


def namespace() -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def everywhere(name: str, image: str) -> Object:
    """A server on each node."""
    return _workload("DaemonSet", name, {"selector": _selector(name), "template": _template(name, _server(image))})


def some(name: str, image: str, nodes: Sequence[str]) -> Object:
    """A server on each of these nodes and on no other."""
    place = {"matchExpressions": [{"key": _HOSTNAME, "operator": "In", "values": list(nodes)}]}
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [place]}},
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": _HOSTNAME, "labelSelector": {"matchLabels": _labels(name)}}
            ]
        },
    }
    spec = {
        "replicas": len(nodes),
        "selector": _selector(name),
        # The anti-affinity leaves no node for a surplus Pod.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
        "template": _template(name, _server(image), affinity=affinity),
    }
    return _workload("Deployment", name, spec)


def askers(name: str, image: str, *, host: bool) -> Object:
    """A Pod on each node that does nothing but be there to ask from, in the node's own network if ``host``."""
    idle = {"name": "idle", "image": image, "command": [PYTHON, "-c", "import signal; signal.pause()"]}
    spec = {"selector": _selector(name), "template": _template(name, idle, hostNetwork=host)}
    return _workload("DaemonSet", name, spec)


def service(name: str, app: str, policy: str) -> Object:
    """A Service of type LoadBalancer for the servers of this name; ``policy`` is its externalTrafficPolicy."""
    spec = {
        "type": "LoadBalancer",
        "selector": _labels(app),
        "ports": [{"name": "http", "port": PORT, "targetPort": webserver.PORT}],
        "externalTrafficPolicy": policy,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name), "spec": spec}


def pool(name: str, addresses: Sequence[IPv4Address]) -> Object:
    spec = {"addresses": [f"{addresses[0]}-{addresses[-1]}"]}
    return {"apiVersion": API_VERSION, "kind": "IPAddressPool", "metadata": _metadata(name, OURS), "spec": spec}


def advertisement(name: str) -> Object:
    spec = {"ipAddressPools": [name]}
    return {"apiVersion": API_VERSION, "kind": "L2Advertisement", "metadata": _metadata(name, OURS), "spec": spec}


def _server(image: str) -> Object:
    named = {"NODE_NAME": "spec.nodeName", "POD_NAME": "metadata.name"}
    return {
        "name": "server",
        "image": image,
        "command": [
            *(PYTHON, "-m", webserver.__name__),
            *("--node", "$(NODE_NAME)", "--pod", "$(POD_NAME)", "--port", str(webserver.PORT), "0.0.0.0"),  # noqa: S104
        ],
        "env": [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in named.items()],
        "ports": [{"containerPort": webserver.PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": webserver.PORT}, "periodSeconds": 1},
    }


def _template(name: str, container: Mapping[str, Any], **spec: Any) -> Object:
    return {
        "metadata": {"labels": _labels(name)},
        "spec": {
            "containers": [{**container, "imagePullPolicy": "IfNotPresent"}],
            "tolerations": [{"operator": "Exists"}],
            # As process 1 of its namespace it doesn't end at SIGTERM.
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **spec,
        },
    }


def _workload(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _metadata(name), "spec": spec}


def _metadata(name: str, where: str = NAMESPACE) -> Object:
    return {"name": name, "namespace": where}


def _labels(name: str) -> dict[str, str]:
    return {"app": name}


def _selector(name: str) -> Object:
    return {"matchLabels": _labels(name)}

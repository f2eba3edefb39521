"""What a node's programs are told: containerd, its network plugin, and kubelet. As JSON, which is also YAML.

Where a value differs from what a distribution ships, the reason is beside it: the nodes share one small machine.
"""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

PAUSE: Final = "registry.k8s.io/pause:3.10.1"
"""What kubelet 1.35 keeps a Pod's namespaces with."""
SOCKET: Final = "/run/containerd/containerd.sock"
PLUGINS: Final = "/usr/lib/cni"
"""Where Debian has network plugins."""
NETWORKS: Final = Path("/var/lib/cni/net.d")
"""Where containerd looks for the configuration of network plugins."""


def containerd() -> str:
    """containerd's own file, which is TOML."""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# A container's own score would be below ours, and that needs CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{NETWORKS}"
"""


def network(pods: IPv4Network) -> str:
    """The network plugins: a veth pair for each Pod and a route to it.

    No bridge: there, the answer of a Pod to another one of its node goes past kube-proxy's translation.
    """
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {"type": "host-local", "subnet": str(pods), "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return json_of({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})


def json_of(value: object) -> str:
    """A configuration as the programs read it."""
    return json.dumps(value, indent=1)


def kubelet(etc: Path) -> str:
    """The KubeletConfiguration.

    Args:
        etc: the node's folder with ``ca.crt``, which signs the API server's own certificate, and ``resolv.conf``.
    """
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(etc / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,  # 1.35 wants v2, which is not everywhere
        "failSwapOn": False,
        "enforceNodeAllocatable": [],  # the machine is not this node's
        # Without CAP_SYS_RESOURCE neither can be raised.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        # How full the machine's disk is doesn't matter to a node of an hour.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDNS": ["10.96.0.10"],  # there is none: whatever asks it is a finding
        "clusterDomain": "cluster.local",
        "resolvConf": str(etc / "resolv.conf"),
        "makeIPTablesUtilChains": False,
        "shutdownGracePeriod": "0s",
    }
    return json_of(configuration)


def kubelet_flags(name: str, address: IPv4Address, etc: Path) -> tuple[str, ...]:
    """kubelet's flags: whatever its configuration file has no field for. ``address`` becomes the node's InternalIP."""
    return (
        f"--config={etc}/kubelet.json",
        f"--kubeconfig={etc}/kubelet.kubeconfig",
        f"--hostname-override={name}",
        f"--node-ip={address}",
        "--root-dir=/var/lib/kubelet",
    )

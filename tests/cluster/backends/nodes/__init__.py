"""Real nodes on one machine: containerd, kubelet and kube-proxy in namespaces and cgroups of their own.

::

    outside ── router = the LAN's switch ── eth0  node1  mgmt0 ──┐
                          ├──────────────── eth0  node2  mgmt0 ──┼── control: etcd, kube-apiserver, …
                          └──────────────── eth0  node3  mgmt0 ──┘

A node shares the machine's programs and libraries, and has a disk of its own as ``/var``: what is there outlives its
power. Nothing of the machine is changed: its cgroups, sysctls, mounts, interfaces and container engines stay as they
are, and everything ends with the process that booted the cluster, however that ends.

Needs root, cgroup v1, and Debian's containerd, runc and containernetworking-plugins.
"""

from tests.cluster.backends.nodes.cluster import up

__all__ = ["up"]

"""A load-balancer provider for Kubernetes on bare metal.

The controller gives Services of type LoadBalancer addresses from pools; the speakers make exactly one node per
address answer for it on the LAN, and move it within a fraction of a second when that node fails.

Imports point down only: ``cli`` → ``controller``, ``speaker``, ``lab`` → ``kube``, ``net`` → ``telemetry``,
``settings`` → ``ipam``, ``election``, ``announce`` → ``wire``, ``api`` → ``errors``.
"""

__version__ = "0.1.0"

"""Faults beside MetalLB: both providers on the same nodes, struck at the same instant, seen by the same kind of eyes.

Promises: MetalLB is the released one, built from the Go module proxy, with its own manifests' CRDs and RBAC and the
flags and environment of its DaemonSet; nothing of it is in this repository. Each provider has Services of its own
class, and what is struck is a node that leads an address of each.

Needs what ``make e2e`` needs: root, nft, and Go for the first time.

``programs`` builds it · ``peer`` installs and starts it · ``faults`` strikes and watches · ``__main__`` the table.
"""

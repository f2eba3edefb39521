"""Every setting, with its default and meaning; contradictions are refused at start.

The command line fills these in (``cli/``); nothing else reads flags or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from lbprovider.announce.pace import FRAMES_PER_SECOND
from lbprovider.announce.probing import Probe
from lbprovider.api import names
from lbprovider.errors import UsageError

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a Pod's token, CA and namespace."""

EXCLUDED_INTERFACES: Final = (
    "docker*", "cni*", "cbr*", "kube-*", "veth*", "lxc*", "cali*", "cilium*", "flannel*", "dummy*", "lo",
)  # fmt: skip
"""Shell patterns of interfaces that are never a LAN: what container networks make."""

MOST_FRAMES: Final = 100_000
"""Frames a second: more than one process can send."""

MOST_NODES: Final = 25
"""Nodes of a lab: all of them share one machine."""
MOST_ADDRESSES: Final = 5000
"""Services of a lab."""


class FastPathKind(StrEnum):
    """Who answers for what a speaker owns, besides the speaker itself (docs/fast-path.md)."""

    OFF = "off"
    BPF = "bpf"  # the node's kernel, by a program that the speaker loads; Linux 6.6, capabilities BPF and NET_ADMIN


class OnQuorumLoss(StrEnum):
    """What a speaker does when fewer than half of a Segment's members are left (ELECTION.md rule 19)."""

    LEASE = "lease"  # serve once the others' Leases have stood still for 40 s and nobody answers for the address
    SILENT = "silent"  # never: then no address ever has two owners


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Settings of ``lbprovider controller``."""

    namespace: str
    """Where the controller runs: only pools and advertisements of this namespace count."""
    identity: str
    """Who holds the Lease: the Pod's name, or any name that no other replica has."""
    kubeconfig: Path | None = None
    """A kubeconfig file; None = the Pod's own ServiceAccount."""
    lb_class: str = names.DEFAULT_CLASS
    """The ``spec.loadBalancerClass`` that is ours."""
    default_class: bool = True
    """Whether Services without a class are ours too."""
    http_port: int = 7473
    """TCP port of /healthz, /readyz and /metrics; 0 takes any free one."""
    webhook: bool = True
    """Whether edits of pools and advertisements are checked before they are stored, where that is installed."""
    webhook_port: int = 9443
    """TCP port on which the API server asks for that; 0 takes any free one."""

    def __post_init__(self) -> None:
        if self.webhook and 0 < self.webhook_port == self.http_port:
            raise UsageError(f"--webhook-port and --http-port are both {self.http_port}: give each one of its own")
        if "/" not in self.lb_class:
            raise UsageError(
                f"--lb-class {self.lb_class!r}: a load-balancer class has a prefix, as {names.DEFAULT_CLASS}"
            )
        _check_port("--http-port", self.http_port, lowest=0)
        _check_port("--webhook-port", self.webhook_port, lowest=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """Settings of ``lbprovider speaker``."""

    namespace: str
    """Where the speakers run: their Leases, the advertisements and the heartbeat key are here."""
    node_name: str
    """The Node that this speaker announces from."""
    service_account_dir: Path = SERVICE_ACCOUNT_DIR
    """Holds ``token`` and ``ca.crt``; the token is read again as it is rotated."""
    heartbeat_port: int = 7472
    """UDP port between speakers on the LAN; the same on every node, open in every firewall between them."""
    http_port: int = 7473
    """TCP port of /healthz, /readyz and /metrics, in the node's own network (hostNetwork); 0 takes any free one."""
    excluded_interfaces: tuple[str, ...] = field(default=EXCLUDED_INTERFACES)
    """Shell patterns of interfaces that are never a LAN."""
    ignore_exclude_label: bool = False
    """Announce even from nodes labelled ``node.kubernetes.io/exclude-from-external-load-balancers``."""
    on_quorum_loss: OnQuorumLoss = OnQuorumLoss.LEASE
    """When fewer than half of the members of a LAN are left. Exactly half need no setting: the API server decides."""
    fast_path: FastPathKind = FastPathKind.OFF
    """Whether the kernel answers too, where it can; where it can't, the log says why and nothing else differs."""
    snapshot_dir: Path | None = None
    """A directory of this node, for us alone, that outlives the Pod: holds what a restart needs while the API server is
    down, the heartbeat key too. None = such a restart waits for the API server. Who takes the setting away for a while
    removes the directory: what is in it would be out of date."""

    gratuitous_pps: int = FRAMES_PER_SECOND
    """Frames a second that go out unasked on each LAN, announcements and probes: fewer where switches inspect ARP and
    close a port that sends more (15 a second is a common limit). At 10, a move of 100 addresses is told within 20 s."""
    probe: Probe = Probe.SHORT
    """How it is found out, before an address is used for the first time, whether another host has it."""

    def __post_init__(self) -> None:
        if not 1 <= self.gratuitous_pps <= MOST_FRAMES:
            raise UsageError(f"--gratuitous-pps {self.gratuitous_pps}: between 1 and {MOST_FRAMES} frames a second")
        if not self.node_name:
            raise UsageError("--node-name (or NODE_NAME) is empty: name the Node that this speaker runs on")
        _check_port("--heartbeat-port", self.heartbeat_port, lowest=1)
        _check_port("--http-port", self.http_port, lowest=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """Settings of ``lbprovider lab``."""

    nodes: int = 3
    """How many nodes the lab's cluster has."""
    addresses: int = 2
    """How many Services there are, each with an address (one of each family with ``ipv6``)."""
    ipv6: bool = False
    """Whether the Services are dual-stack; IPv4 alone if not."""
    keep: bool = False
    """Whether the lab stays, without any fault, until it is interrupted; else it tells its story and ends."""

    def __post_init__(self) -> None:
        _check_range("--nodes", self.nodes, MOST_NODES)
        _check_range("--addresses", self.addresses, MOST_ADDRESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """Settings of ``lbprovider lab trial``."""

    names: tuple[str, ...]
    """Of trials, or ``all``."""
    repeat: int = 1
    """How many good samples each trial takes."""
    nodes: int | None = None
    """How many nodes a lab has; None = as each trial likes best, which is 3 where it takes so many."""
    addresses: int = 1
    """How many Services there are; the first one's address is watched."""
    ipv6: bool = False
    """Whether an IPv6 address is watched; the Services are dual-stack then."""

    def __post_init__(self) -> None:
        if self.repeat < 1:
            raise UsageError(f"--repeat {self.repeat}: take each trial at least once")
        if self.nodes is not None:
            _check_range("--nodes", self.nodes, MOST_NODES)
        _check_range("--addresses", self.addresses, MOST_ADDRESSES)


def _check_range(flag: str, number: int, most: int) -> None:
    if not 1 <= number <= most:
        raise UsageError(f"{flag} {number}: the lab has between 1 and {most}")


def _check_port(flag: str, port: int, *, lowest: int) -> None:
    if not lowest <= port <= 65535:  # noqa: PLR2004  (16 bits)
        raise UsageError(f"{flag} {port}: a port is between {lowest} and 65535")

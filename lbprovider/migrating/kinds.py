"""The kinds that only a migration reads or writes: MetalLB's, and the workloads of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lbprovider.api.meta import LabelSelector, Object, Struct
from lbprovider.api.resources import Resource
from lbprovider.documents.metallb import GROUP


class Foreign(Object, frozen=True):
    """An object of a kind that we only carry over: its fields as they are."""

    spec: Mapping[str, Any] = {}


class ConfigMap(Object, frozen=True):
    """A ConfigMap."""

    data: Mapping[str, str] = {}


class Container(Struct, frozen=True):
    """A container of a workload's Pods."""

    args: tuple[str, ...] = ()


class PodSpec(Struct, frozen=True):
    """``spec`` of a Pod, or of a workload's Pods."""

    node_name: str = ""
    node_selector: Mapping[str, str] = {}
    containers: tuple[Container, ...] = ()


class PodTemplate(Struct, frozen=True):
    """What the Pods of a workload are made after."""

    spec: PodSpec = PodSpec()


class WorkloadSpec(Struct, frozen=True):
    """``spec`` of a Deployment or DaemonSet; a DaemonSet has no replicas."""

    replicas: int | None = None
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class WorkloadStatus(Struct, frozen=True):
    """``status`` of a Deployment (``ready_replicas``) or DaemonSet (the two others)."""

    observed_generation: int = 0
    ready_replicas: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0


class Workload(Object, frozen=True):
    """A Deployment or a DaemonSet."""

    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Pod(Object, frozen=True):
    """A Pod: while the object is there, its programs may run."""

    spec: PodSpec = PodSpec()


class Webhooks(Object, frozen=True):
    """A ValidatingWebhookConfiguration; what isn't of interest of a webhook is kept as it is."""

    webhooks: tuple[Mapping[str, Any], ...] = ()


DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments", namespaced=True, type=Workload)
DAEMON_SETS: Final = Resource("apps/v1", "DaemonSet", "daemonsets", namespaced=True, type=Workload)
PODS: Final = Resource("v1", "Pod", "pods", namespaced=True, type=Pod)
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps", namespaced=True, type=ConfigMap)
WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
    type=Webhooks,
)


def _metallb(kind: str, plural: str, version: str = "v1beta1") -> Resource[Foreign]:
    return Resource(f"{GROUP}/{version}", kind, plural, namespaced=True, type=Foreign)


METALLB_POOLS: Final = _metallb("IPAddressPool", "ipaddresspools")
METALLB_ADVERTISEMENTS: Final = _metallb("L2Advertisement", "l2advertisements")
METALLB_STATUSES: Final = _metallb("ServiceL2Status", "servicel2statuses")
"""One for each Service and node that announces it (from MetalLB 0.14.6 on); the speaker of the node deletes it when it
has stopped to answer (internal/k8s/controllers/layer2_status_controller.go)."""
STATUS_NODE: Final = f"{GROUP}/node"
STATUS_SERVICE: Final = f"{GROUP}/service-name"
STATUS_NAMESPACE: Final = f"{GROUP}/service-namespace"
"""Labels of a ServiceL2Status."""

CARRIED: Final = (
    METALLB_POOLS,
    METALLB_ADVERTISEMENTS,
    _metallb("AddressPool", "addresspools"),
    _metallb("BGPAdvertisement", "bgpadvertisements"),
    _metallb("BGPPeer", "bgppeers"),
    _metallb("BFDProfile", "bfdprofiles"),
    _metallb("Community", "communities"),
)
"""What a cluster is read for. The API server answers for a BGPPeer in any version that it serves, and for an
AddressPool of v1alpha1 too, as v1beta1."""

CONFIG_NAME: Final = "config"
"""The ConfigMap that MetalLB up to 0.12 reads, and its key."""


def raw(resource: Resource[Foreign], obj: Foreign) -> dict[str, Any]:
    """The object as a manifest has it."""
    fields: dict[str, Any] = msgspec.to_builtins(obj)
    return {"apiVersion": resource.api_version, "kind": resource.kind, **fields}

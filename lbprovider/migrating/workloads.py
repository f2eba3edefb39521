"""Programs of a cluster, switched off and on by their Deployment or DaemonSet, and known to be gone by their Pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from lbprovider.api.meta import LabelSelector
from lbprovider.api.names import GROUP
from lbprovider.api.resources import Resource
from lbprovider.documents.metallb import GROUP as METALLB_GROUP
from lbprovider.errors import KindMissing
from lbprovider.ipam.reasons import some
from lbprovider.kube.ports import Api
from lbprovider.migrating.kinds import (
    DAEMON_SETS,
    DEPLOYMENTS,
    PODS,
    WEBHOOKS,
    Pod,
    Webhooks,
    Workload,
)
from lbprovider.migrating.waiting import until

REPLICAS: Final = f"{GROUP}/migrate-replicas"
"""Annotation of a Deployment that was switched off: how many replicas it had."""
OFF: Final = f"{GROUP}/migrate"
"""In the nodeSelector of a DaemonSet that was switched off; no node has a label of this name."""
POLICIES: Final = f"{GROUP}/migrate-failure-policies"
"""Annotation of a ValidatingWebhookConfiguration that was loosened: its failurePolicies, as JSON."""
_IGNORE: Final = "Ignore"

GONE: Final = 120.0
"""Seconds for the Pods of a workload to go: a kubelet that is up takes a few, besides their own time to end."""
READY: Final = 180.0
"""Seconds for the Pods of a workload to come, with an image that is there."""


def is_off(workload: Workload) -> bool:
    """Whether it was switched off here."""
    return REPLICAS in workload.metadata.annotations or OFF in workload.spec.template.spec.node_selector


class Workloads:
    """Switches.

    Args:
        api: the API server, as the admin.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def stop(self, deployment: Workload) -> None:
        """Scales a Deployment to nothing, and returns when none of its Pods is left.

        Raises:
            UserError: they don't go.
        """
        current = await self._current(DEPLOYMENTS, deployment)
        if current.spec.replicas != 0:
            replicas = 1 if current.spec.replicas is None else current.spec.replicas
            body = {"metadata": {"annotations": {REPLICAS: str(replicas)}}, "spec": {"replicas": 0}}
            await self._patch(DEPLOYMENTS, deployment, body)
        await self._gone(deployment)

    async def start(self, deployment: Workload, *, ready: bool) -> None:
        """Gives a Deployment back the replicas that it had.

        Args:
            deployment: which.
            ready: whether to wait until one of them is ready.

        Raises:
            UserError: none is ready in time.
        """
        current = await self._current(DEPLOYMENTS, deployment)
        kept = current.metadata.annotations.get(REPLICAS)
        if kept is not None:
            body = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(kept)}}
            await self._patch(DEPLOYMENTS, deployment, body)
        if ready:
            await self._ready(DEPLOYMENTS, deployment, lambda status: status.status.ready_replicas > 0)

    async def withdraw(self, daemon_set: Workload, told: Callable[[str], None]) -> None:
        """Takes a DaemonSet off every node, and returns when none of its Pods is left.

        By a node selector that fits no node: what was there stays written, and its controller deletes the Pods.

        Args:
            daemon_set: which.
            told: the name of each node, when its Pod is gone.

        Raises:
            UserError: some Pods don't go: their node doesn't answer, and their programs may still run.
        """
        current = await self._current(DAEMON_SETS, daemon_set)
        if OFF not in current.spec.template.spec.node_selector:
            await self._patch(DAEMON_SETS, daemon_set, _selecting("nobody"))
        await self._gone(daemon_set, told)

    async def bring_back(self, daemon_set: Workload, *, ready: bool) -> None:
        """Lets a DaemonSet have its nodes again.

        Args:
            daemon_set: which.
            ready: whether to wait until the Pods of all of them are ready.

        Raises:
            UserError: they aren't in time.
        """
        current = await self._current(DAEMON_SETS, daemon_set)
        if OFF in current.spec.template.spec.node_selector:
            await self._patch(DAEMON_SETS, daemon_set, _selecting(None))
        if ready:
            await self._ready(
                DAEMON_SETS,
                daemon_set,
                lambda one: 0 < one.status.desired_number_scheduled <= one.status.number_ready,
            )

    async def _current(self, resource: Resource[Workload], workload: Workload) -> Workload:
        return await self._api.get(resource, workload.metadata.name, namespace=workload.metadata.namespace)

    async def _patch(self, resource: Resource[Workload], workload: Workload, body: Mapping[str, Any]) -> None:
        await self._api.patch(resource, workload.metadata.name, body, namespace=workload.metadata.namespace)

    async def _gone(self, workload: Workload, told: Callable[[str], None] = lambda _: None) -> None:
        before: set[str] = set()

        def left(pods: Mapping[str, Pod]) -> str:
            nodes = {pod.spec.node_name or pod.metadata.name for pod in pods.values()}
            for node in sorted(before - nodes):
                told(node)
            before.clear()
            before.update(nodes)
            there = some(sorted(nodes))
            return there and (
                f"Pods of {workload.key} are still there, on {there}: a node that is down can't say that its programs "
                "have ended. When you know that they have (the machine is off), delete those Pods with --force"
            )

        await until(
            self._api,
            PODS,
            left,
            within=GONE,
            namespace=workload.metadata.namespace,
            label_selector=_label_selector(workload.spec.selector),
        )

    async def _ready(
        self, resource: Resource[Workload], workload: Workload, enough: Callable[[Workload], bool]
    ) -> None:
        def missing(found: Mapping[str, Workload]) -> str:
            current = found.get(workload.key)
            if current is None:
                return f"there is no {resource.kind} {workload.key} any more"
            seen = current.status.observed_generation >= current.metadata.generation
            return "" if seen and enough(current) else f"{resource.kind} {workload.key} is not ready"

        await until(self._api, resource, missing, within=READY, namespace=workload.metadata.namespace)


class Gate:
    """The admission webhook that MetalLB's controller serves for its own kinds.

    While that controller is off nobody answers, and with failurePolicy Fail the API server refuses every change.

    Args:
        api: the API server, as the admin.
        namespace: of the Service that it asks.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def loosen(self) -> None:
        """Changes go through while nobody answers."""
        for one in await self._mine():
            if POLICIES in one.metadata.annotations:
                continue
            policies = {str(each.get("name")): each.get("failurePolicy") for each in one.webhooks}
            said = msgspec.json.encode(policies).decode()
            await self._write(one, dict.fromkeys(policies, _IGNORE), said)

    async def tighten(self) -> None:
        """As it was."""
        for one in await self._mine():
            said = one.metadata.annotations.get(POLICIES)
            if said is not None:
                await self._write(one, msgspec.json.decode(said, type=dict[str, str | None]), None)

    async def _mine(self) -> tuple[Webhooks, ...]:
        try:
            found = (await self._api.list(WEBHOOKS)).objects
        except KindMissing:
            return ()
        return tuple(one for one in found if any(_asks(each, self._namespace) for each in one.webhooks))

    async def _write(self, one: Webhooks, policies: Mapping[str, str | None], said: str | None) -> None:
        webhooks = [{**each, "failurePolicy": policies.get(str(each.get("name")))} for each in one.webhooks]
        metadata = {"annotations": {POLICIES: said}, "resourceVersion": one.metadata.resource_version}
        await self._api.patch(WEBHOOKS, one.metadata.name, {"metadata": metadata, "webhooks": webhooks})


def _asks(webhook: Mapping[str, Any], namespace: str) -> bool:
    service = (webhook.get("clientConfig") or {}).get("service") or {}
    groups = (group for rule in webhook.get("rules") or () for group in rule.get("apiGroups") or ())
    return bool(service.get("namespace") == namespace) and METALLB_GROUP in groups


def _selecting(value: str | None) -> Mapping[str, Any]:
    return {"spec": {"template": {"spec": {"nodeSelector": {OFF: value}}}}}


def _label_selector(selector: LabelSelector) -> str:
    """As a request has it; both manifests select by labels alone."""
    return ",".join(f"{key}={value}" for key, value in selector.match_labels.items())

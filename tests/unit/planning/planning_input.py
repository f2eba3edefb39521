"""Inputs of plans, as text, and the way from there to a result."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from lbprovider import shipped
from lbprovider.api.meta import Object
from lbprovider.api.names import API_VERSION, DEFAULT_CLASS, object_name
from lbprovider.api.resources import Resource
from lbprovider.deciding.known import Scope
from lbprovider.documents import read, written
from lbprovider.errors import InvalidDocument
from lbprovider.planning import Objects, Options, Plan, Result, gather, manifests, plan

SYSTEM = "lbprovider-system"
NOW = 1_800_000_000.0
OPTIONS = Options(SYSTEM, Scope(DEFAULT_CLASS, default_class=True))
schemas = functools.cache(shipped.schemas)


def gathered(
    *given: Mapping[str, Any],
    options: Options = OPTIONS,
    live: Iterable[tuple[Resource[Any], Object]] | None = None,
) -> tuple[Objects, tuple[InvalidDocument, ...]]:
    text = "\n".join(f"---\n{json.dumps(one)}" for one in given)
    return gather(read(["-"], io.StringIO(text)), options, schemas(), live)


def planned(*given: Mapping[str, Any], options: Options = OPTIONS, now: float = NOW) -> Plan:
    objects, unusable = gathered(*given, options=options)
    assert unusable == ()
    return plan(objects, options, now)


def result(*given: Mapping[str, Any], options: Options = OPTIONS, now: float = NOW) -> Result:
    return planned(*given, options=options, now=now).result


def again(made: Plan, options: Options = OPTIONS, now: float = NOW) -> Plan:
    """The plan of what a plan wrote."""
    text = written(manifests(made, now))
    objects, unusable = gather(read(["-"], io.StringIO(text)), options, schemas())
    assert unusable == (), text
    return plan(objects, options, now)


def assigned(found: Result) -> dict[str, tuple[str, ...]]:
    return {f"{one.namespace}/{one.name}": one.ingress for one in found.services}


def reasons(found: Result) -> dict[str, str]:
    return {f"{one.namespace}/{one.name}": one.reason for one in found.services}


# --- manifests

Manifest = dict[str, Any]


def _made(api_version: str, kind: str, name: str, namespace: str, **rest: Any) -> Manifest:
    meta = {"labels": rest.pop("labels", {}), "annotations": rest.pop("annotations", {}), **rest.pop("metadata", {})}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **{k: v for k, v in meta.items() if v}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def pool(name: str, *addresses: str, namespace: str = "", spec: Manifest | None = None, **rest: Any) -> Manifest:
    whole = {"addresses": list(addresses), **(spec or {})}
    return _made(API_VERSION, "IPAddressPool", name, namespace, spec=whole, **rest)


def advertisement(name: str, *, namespace: str = "", **rest: Any) -> Manifest:
    return _made(API_VERSION, "L2Advertisement", name, namespace, **{"spec": {}, **rest})


def service(name: str, *ports: int, namespace: str = "", spec: Manifest | None = None, **rest: Any) -> Manifest:
    whole = {"type": "LoadBalancer", "ports": [{"port": port} for port in ports or (80,)], **(spec or {})}
    return _made("v1", "Service", name, namespace, spec=whole, **rest)


def shows(*addresses: str) -> Manifest:
    """A Service's status."""
    return {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}


def namespace(name: str, **labels: str) -> Manifest:
    return _made("v1", "Namespace", name, "", labels=labels)


def node(name: str, **rest: Any) -> Manifest:
    return _made("v1", "Node", name, "", **rest)


def allocation(address: str, pool: str, *claims: tuple[str, str], **spec: Any) -> Manifest:
    """``claims``: ``namespace/name`` and uid of Services with port 80."""
    services = [
        {"namespace": key.split("/")[0], "name": key.split("/")[1], "uid": uid, "ports": [{"port": 80}]}
        for key, uid in claims
    ]
    name = object_name(ip_address(address))
    whole = {"address": address, "pool": pool, **({"services": services} if services else {}), **spec}
    return _made(API_VERSION, "IPAllocation", name, "", spec=whole)


def endpoints(of: str, *nodes: str, namespace: str = "default", family: str = "IPv4", **conditions: bool) -> Manifest:
    return _made(
        "discovery.k8s.io/v1", "EndpointSlice", f"{of}-{family.lower()}", namespace,
        labels={"kubernetes.io/service-name": of},
        addressType=family,
        endpoints=[{"addresses": ["10.0.0.1"], "nodeName": node, "conditions": conditions} for node in nodes],
    )  # fmt: skip


def lease(node: str, *attachments: Manifest, **rest: Any) -> Manifest:
    said = {"incarnation": 1, "attachments": attachments, **rest}
    return _made(
        "coordination.k8s.io/v1", "Lease", node, SYSTEM,
        labels={"lbprovider.io/speaker": ""},
        annotations={"lbprovider.io/registration": json.dumps(said)},
    )  # fmt: skip


def attachment(interface: str, subnet: str = "192.0.2.0/24", segment: str = "192.0.2.0-24") -> Manifest:
    return {
        "segment": segment, "interface": interface, "address": "192.0.2.250", "mac": "02:00:00:00:00:01",
        "subnets": [subnet], "defaultRoute": True,
    }  # fmt: skip

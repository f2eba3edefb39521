"""What kubectl shows of each built-in kind: columns, with the cells that a kube-apiserver 1.35 puts there.

Pure. A cell is made from an object and the time (seconds since 1970).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.tables.durations import UNKNOWN, since

Object = Mapping[str, Any]
Cell = Callable[[Object, float], Any]

_NONE: Final = "<none>"
_SHOWN: Final = 3
"""How many endpoints and ports are named before the others are counted."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        name: its heading.
        cell: what it shows.
        type: as OpenAPI has it.
        description: one sentence.
        wide: whether it is shown with ``-o wide`` only.
        format: ``name`` of the first.
    """

    name: str
    cell: Cell
    type: str = "string"
    description: str = ""
    wide: bool = False
    format: str = ""

    def definition(self) -> dict[str, Any]:
        """A TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": int(self.wide),
        }


def _at(*path: str, missing: Any = "") -> Cell:
    def cell(obj: Object, _: float) -> Any:
        node: Any = obj
        for step in path:
            node = node.get(step) if isinstance(node, Mapping) else None
        return node or missing

    return cell


def _age(obj: Object, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


NAME: Final = Column("Name", _at("metadata", "name"), description="The name, unique in its namespace.", format="name")
_AGE: Final = Column("Age", _age, description="For how long there has been one of this name.")
CUSTOM_AGE: Final = Column("Age", _age, "date", _AGE.description)
CREATED: Final = Column("Created At", _at("metadata", "creationTimestamp"), "date", "When it was created.")


def _pairs(given: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((given or {}).items())) or _NONE


def _listed(items: Sequence[str], empty: str) -> str:
    """The first few, and how many more there are."""
    more = f" + {len(items) - _SHOWN} more..." if len(items) > _SHOWN else ""
    return ",".join(items[:_SHOWN]) + more if items else empty


# --- Services


def _external(service: Object, _: float) -> str:
    spec = service.get("spec", {})
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    given = sorted({each.get("ip") or each.get("hostname") or "" for each in ingress} - {""})
    more = list(spec.get("externalIPs") or [])
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            return ",".join(given + more) or "<pending>"
        case _:
            return ",".join(more) or _NONE


def _ports(service: Object, _: float) -> str:
    ports = service.get("spec", {}).get("ports") or []
    return ",".join(f"{_port(each)}/{each.get('protocol', 'TCP')}" for each in ports) or _NONE


def _port(port: Object) -> str:
    return f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else f"{port['port']}"


_SERVICE: Final = (
    NAME,
    Column("Type", _at("spec", "type"), description="How it is reached: ClusterIP, NodePort, LoadBalancer."),
    Column("Cluster-IP", _at("spec", "clusterIP", missing=_NONE), description="Its address within the cluster."),
    Column("External-IP", _external, description="Where it is reached from outside the cluster."),
    Column("Port(s)", _ports, description="Its ports, with the nodes' port behind the colon."),
    _AGE,
    Column(
        "Selector",
        lambda service, _: _pairs(service.get("spec", {}).get("selector")),
        description="The labels of the Pods behind it.",
        wide=True,
    ),
)


# --- Nodes

_ROLE: Final = "node-role.kubernetes.io/"


def _node_status(node: Object, _: float) -> str:
    conditions = node.get("status", {}).get("conditions") or []
    said = [("" if each["status"] == "True" else "Not") + "Ready" for each in conditions if each["type"] == "Ready"]
    cordoned = ["SchedulingDisabled"] if node.get("spec", {}).get("unschedulable") else []
    return ",".join([*(said or ["Unknown"]), *cordoned])


def _roles(node: Object, _: float) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    return ",".join(sorted((roles | {labels.get("kubernetes.io/role", "")}) - {""})) or _NONE


def _address(sort: str) -> Cell:
    def cell(node: Object, _: float) -> str:
        addresses = node.get("status", {}).get("addresses") or []
        return next((str(each["address"]) for each in addresses if each["type"] == sort), _NONE)

    return cell


def _info(key: str, missing: str = UNKNOWN) -> Cell:
    return _at("status", "nodeInfo", key, missing=missing)


_NODE: Final = (
    NAME,
    Column("Status", _node_status, description="Whether it is ready, and takes new Pods."),
    Column("Roles", _roles, description="What it is for, by its labels."),
    _AGE,
    Column("Version", _info("kubeletVersion", ""), description="The version of its kubelet."),
    Column("Internal-IP", _address("InternalIP"), description="Its address in the cluster's network.", wide=True),
    Column("External-IP", _address("ExternalIP"), description="Its address as seen from outside.", wide=True),
    Column("OS-Image", _info("osImage"), description="Its operating system.", wide=True),
    Column("Kernel-Version", _info("kernelVersion"), description="Its kernel.", wide=True),
    Column("Container-Runtime", _info("containerRuntimeVersion"), description="What runs its containers.", wide=True),
)


# --- Events


def _last_seen(event: Object, now: float) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"))
    seen = next(filter(None, times), None)
    return since(seen, now) if seen else _first_seen(event, now)


def _first_seen(event: Object, now: float) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


def _involved(event: Object, _: float) -> str:
    about = event.get("involvedObject", {})
    name = about.get("name", "")
    return f"{about.get('kind', '').lower()}/{name}" if name else f"{about.get('kind', '').lower()}"


def _source(event: Object, _: float) -> str:
    source = event.get("source") or {}
    if source.get("component") or source.get("host"):
        where = [source.get("component", ""), source.get("host", "")]
    else:
        where = [event.get("reportingComponent", ""), event.get("reportingInstance", "")]
    return ", ".join(filter(None, where))


def _count(event: Object, _: float) -> int:
    return (event.get("series") or {}).get("count") or event.get("count") or 1


_EVENT: Final = (
    Column("Last Seen", _last_seen, description="How long ago it happened last."),
    Column("Type", _at("type"), description="Normal or Warning."),
    Column("Reason", _at("reason"), description="What happened, in one word."),
    Column("Object", _involved, description="What it happened to."),
    Column("Subobject", _at("involvedObject", "fieldPath"), description="To which part of it.", wide=True),
    Column("Source", _source, description="Who reports it.", wide=True),
    Column("Message", lambda event, _: event.get("message", "").strip(), description="What happened, in words."),
    Column("First Seen", _first_seen, description="How long ago it happened first.", wide=True),
    Column("Count", _count, description="How often it has happened.", wide=True),
    Column("Name", _at("metadata", "name"), description="Its name.", wide=True, format="name"),
)


# --- Endpoints and EndpointSlices


def _endpoints(endpoints: Object, _: float) -> str:
    found = [
        _joined(address["ip"], port)
        for subset in endpoints.get("subsets") or []
        for port in subset.get("ports") or [None]
        for address in subset.get("addresses") or []
    ]
    return _listed(found, _NONE)


def _joined(ip: str, port: Object | None) -> str:
    if port is None:
        return ip
    return f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}"


def _slice_ports(given: Object, _: float) -> str:
    ports = given.get("ports") or []
    return _listed([str(each.get("port") or each.get("name") or "*") for each in ports], "<unset>")


def _slice_endpoints(given: Object, _: float) -> str:
    endpoints = given.get("endpoints") or []
    return _listed([str(address) for each in endpoints for address in each.get("addresses") or []], "<unset>")


_ENDPOINT_SLICE: Final = (
    NAME,
    Column("AddressType", _at("addressType"), description="IPv4, IPv6 or FQDN."),
    Column("Ports", _slice_ports, description="The ports that each endpoint listens on."),
    Column("Endpoints", _slice_endpoints, description="Their addresses."),
    _AGE,
)


# --- Pods


def _pod_ready(pod: Object, _: float) -> str:
    ready = sum(bool(each.get("ready")) for each in _containers(pod))
    return f"{ready}/{len(pod.get('spec', {}).get('containers') or [])}"


def _containers(pod: Object) -> Sequence[Object]:
    return pod.get("status", {}).get("containerStatuses") or []


def _pod_status(pod: Object, _: float) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status", {})
    return str(status.get("reason") or status.get("phase") or "")


_POD: Final = (
    NAME,
    Column("Ready", _pod_ready, description="How many of its containers are ready."),
    Column("Status", _pod_status, description="What it is doing."),
    Column(
        "Restarts",
        lambda pod, _: str(sum(each.get("restartCount", 0) for each in _containers(pod))),
        description="How often its containers were started again.",
    ),
    _AGE,
    Column("IP", _at("status", "podIP", missing=_NONE), description="Its address.", wide=True),
    Column("Node", _at("spec", "nodeName", missing=_NONE), description="Where it runs.", wide=True),
    Column(
        "Nominated Node",
        _at("status", "nominatedNodeName", missing=_NONE),
        description="Where it will run once others have gone.",
        wide=True,
    ),
    Column("Readiness Gates", lambda _pod, _now: _NONE, description="Further conditions of its readiness.", wide=True),
)


# --- RBAC


def _role(binding: Object, _: float) -> str:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


def _subjects(sort: str) -> Cell:
    def cell(binding: Object, _: float) -> str:
        found = [each for each in binding.get("subjects") or [] if each["kind"] == sort]
        inside = sort == "ServiceAccount"
        return ", ".join(f"{each.get('namespace', '')}/{each['name']}" if inside else each["name"] for each in found)

    return cell


_BINDING: Final = (
    NAME,
    Column("Role", _role, description="What it allows."),
    _AGE,
    Column("Users", _subjects("User"), description="To which users.", wide=True),
    Column("Groups", _subjects("Group"), description="To which groups.", wide=True),
    Column("ServiceAccounts", _subjects("ServiceAccount"), description="To which ServiceAccounts.", wide=True),
)

BUILT_IN: Final[Mapping[Kind, Sequence[Column]]] = {
    kinds.CLUSTER_ROLE_BINDING: _BINDING,
    kinds.CONFIG_MAP: (
        NAME,
        Column(
            "Data",
            lambda found, _: len(found.get("data") or {}) + len(found.get("binaryData") or {}),
            description="How many entries it has.",
        ),
        _AGE,
    ),
    kinds.ENDPOINTS: (NAME, Column("Endpoints", _endpoints, description="Addresses and ports."), _AGE),
    kinds.ENDPOINT_SLICE: _ENDPOINT_SLICE,
    kinds.EVENT: _EVENT,
    kinds.LEASE: (NAME, Column("Holder", _at("spec", "holderIdentity"), description="Who holds it."), _AGE),
    kinds.NAMESPACE: (
        NAME,
        Column("Status", _at("status", "phase"), description="Active, or Terminating."),
        _AGE,
    ),
    kinds.NODE: _NODE,
    kinds.POD: _POD,
    kinds.ROLE_BINDING: _BINDING,
    kinds.SECRET: (
        NAME,
        Column("Type", _at("type"), description="What it is for."),
        Column("Data", lambda secret, _: len(secret.get("data") or {}), description="How many entries it has."),
        _AGE,
    ),
    kinds.SERVICE: _SERVICE,
    kinds.SERVICE_ACCOUNT: (NAME, _AGE),
}

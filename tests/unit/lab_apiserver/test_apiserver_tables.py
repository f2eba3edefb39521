"""Tables of the lab's API server; columns and cells are what a kube-apiserver 1.35 answered for the same objects."""

import datetime as dt
from typing import Any, Final

import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.tables import printing as tables

Object = dict[str, Any]

NOW: Final = dt.datetime(2026, 11, 21, 8, 42, tzinfo=dt.UTC).timestamp()
MADE: Final = "2026-11-21T08:40:00Z"


def cells(kind: Kind, **fields: Any) -> list[Any]:
    """The row of an object called x, two minutes old."""
    metadata = {"name": "x", "creationTimestamp": MADE, **fields.pop("metadata", {})}
    made = tables.table(tables.columns_of(kind), [{"metadata": metadata, **fields}], NOW, {})
    (row,) = made["rows"]
    shown: list[Any] = row["cells"]
    return shown


def headings(kind: Kind) -> str:
    """The columns' names, wide ones in parentheses."""
    return " ".join(f"({each.name})" if each.wide else each.name for each in tables.columns_of(kind))


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (kinds.SERVICE, "Name Type Cluster-IP External-IP Port(s) Age (Selector)"),
        (
            kinds.NODE,
            "Name Status Roles Age Version (Internal-IP) (External-IP) (OS-Image) (Kernel-Version) (Container-Runtime)",
        ),
        (kinds.NAMESPACE, "Name Status Age"),
        (kinds.LEASE, "Name Holder Age"),
        (
            kinds.EVENT,
            "Last Seen Type Reason Object (Subobject) (Source) Message (First Seen) (Count) (Name)",
        ),
        (kinds.SECRET, "Name Type Data Age"),
        (kinds.CONFIG_MAP, "Name Data Age"),
        (kinds.SERVICE_ACCOUNT, "Name Age"),
        (kinds.POD, "Name Ready Status Restarts Age (IP) (Node) (Nominated Node) (Readiness Gates)"),
        (kinds.ENDPOINTS, "Name Endpoints Age"),
        (kinds.ENDPOINT_SLICE, "Name AddressType Ports Endpoints Age"),
        (kinds.ROLE_BINDING, "Name Role Age (Users) (Groups) (ServiceAccounts)"),
        (kinds.CLUSTER_ROLE, "Name Created At"),
        (kinds.CRD, "Name Created At"),
    ],
    ids=lambda given: given.kind if isinstance(given, Kind) else "",
)
def test_columns(kind: Kind, columns: str) -> None:
    assert headings(kind) == columns
    definitions = tables.table(tables.columns_of(kind), [], NOW, {})["columnDefinitions"]
    assert all(each["description"] for each in definitions)
    assert {"name": "Name", "format": "name"}.items() <= definitions[-1 if kind is kinds.EVENT else 0].items()


PORTS = [{"name": "a", "port": 80, "protocol": "TCP", "nodePort": 31313}, {"port": 53, "protocol": "UDP"}]


@pytest.mark.parametrize(
    ("spec", "ingress", "row"),
    [
        (
            {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "ports": PORTS, "selector": {"b": "2", "a": "1"}},
            [],
            ["x", "LoadBalancer", "10.96.0.7", "<pending>", "80:31313/TCP,53/UDP", "2m", "a=1,b=2"],
        ),
        (
            {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalIPs": ["2.2.2.2", "1.1.1.1"]},
            [{"ip": "2001:db8::1"}, {"hostname": "x.example"}, {"ip": "192.0.2.10"}],
            [
                "x",
                "LoadBalancer",
                "10.96.0.7",
                "192.0.2.10,2001:db8::1,x.example,2.2.2.2,1.1.1.1",
                "<none>",
                "2m",
                "<none>",
            ],
        ),
        (
            {"type": "ClusterIP", "clusterIP": "None"},
            [],
            ["x", "ClusterIP", "None", "<none>", "<none>", "2m", "<none>"],
        ),
        (
            {"type": "ExternalName", "externalName": "foo.example.com"},
            [],
            ["x", "ExternalName", "<none>", "foo.example.com", "<none>", "2m", "<none>"],
        ),
        (
            {"type": "NodePort", "clusterIP": "10.96.0.7", "externalIPs": ["1.1.1.1"], "ports": PORTS[:1]},
            [],
            ["x", "NodePort", "10.96.0.7", "1.1.1.1", "80:31313/TCP", "2m", "<none>"],
        ),
    ],
)
def test_services(spec: Object, ingress: list[Object], row: list[Any]) -> None:
    assert cells(kinds.SERVICE, spec=spec, status={"loadBalancer": {"ingress": ingress}}) == row


def test_nodes() -> None:
    assert cells(kinds.NODE)[1:5] == ["Unknown", "<none>", "2m", ""]
    assert cells(kinds.NODE)[5:] == ["<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    row = cells(
        kinds.NODE,
        metadata={
            "labels": {"node-role.kubernetes.io/b": "", "node-role.kubernetes.io/a": "", "kubernetes.io/role": "c"}
        },
        spec={"unschedulable": True},
        status={
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "2001:db8::1"},
                {"type": "ExternalIP", "address": "198.51.100.1"},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.35",
                "osImage": "Debian",
                "kernelVersion": "6.1",
                "containerRuntimeVersion": "c://1",
            },
        },
    )
    assert row == [
        *("x", "Ready,SchedulingDisabled", "a,b,c", "2m", "v1.35"),
        *("192.0.2.1", "198.51.100.1", "Debian", "6.1", "c://1"),
    ]
    assert cells(kinds.NODE, status={"conditions": [{"type": "Ready", "status": "Unknown"}]})[1] == "NotReady"


ABOUT = {"kind": "Service", "name": "web"}


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (
            {
                "type": "Normal",
                "reason": "R",
                "message": "hello\nworld ",
                "firstTimestamp": "2025-01-01T00:00:00Z",
                "lastTimestamp": "2026-01-01T00:00:00Z",
                "count": 3,
                "source": {"component": "c", "host": "h"},
            },
            ["324d", "Normal", "R", "service/web", "", "c, h", "hello\nworld", "689d", 3, "x"],
        ),
        (
            {
                "type": "Warning",
                "reason": "R",
                "message": "n",
                "eventTime": "2026-11-01T00:00:00.000000Z",
                "firstTimestamp": None,
                "lastTimestamp": None,
                "source": {},
                "series": {"count": 4, "lastObservedTime": "2026-11-20T00:00:00.000000Z"},
                "reportingComponent": "lb/x",
                "reportingInstance": "pod-1",
                "involvedObject": {**ABOUT, "fieldPath": "spec.x"},
            },
            ["32h", "Warning", "R", "service/web", "spec.x", "lb/x, pod-1", "n", "20d", 4, "x"],
        ),
        ({}, ["<unknown>", "", "", "service/web", "", "", "", "<unknown>", 1, "x"]),
        (
            {"firstTimestamp": "2026-11-01T00:00:00Z", "source": {"component": "c"}},
            ["20d", "", "", "service/web", "", "c", "", "20d", 1, "x"],
        ),
    ],
)
def test_events(event: Object, row: list[Any]) -> None:
    assert cells(kinds.EVENT, **{"involvedObject": ABOUT, **event}) == row


@pytest.mark.parametrize(
    ("kind", "fields", "row"),
    [
        (kinds.NAMESPACE, {"status": {"phase": "Active"}}, ["x", "Active", "2m"]),
        (kinds.LEASE, {"spec": {"holderIdentity": "me"}}, ["x", "me", "2m"]),
        (kinds.LEASE, {"spec": {}}, ["x", "", "2m"]),
        (kinds.SECRET, {"type": "Opaque", "data": {"a": "", "b": ""}}, ["x", "Opaque", 2, "2m"]),
        (kinds.SECRET, {"type": "Opaque"}, ["x", "Opaque", 0, "2m"]),
        (kinds.CONFIG_MAP, {"data": {"a": "1"}, "binaryData": {"b": ""}}, ["x", 2, "2m"]),
        (kinds.SERVICE_ACCOUNT, {}, ["x", "2m"]),
        (kinds.CLUSTER_ROLE, {}, ["x", MADE]),
        (
            kinds.POD,
            {"spec": {"containers": [{}], "nodeName": "n1"}, "status": {"phase": "Pending"}},
            ["x", "0/1", "Pending", "0", "2m", "<none>", "n1", "<none>", "<none>"],
        ),
        (
            kinds.ENDPOINTS,
            {
                "subsets": [
                    {"addresses": [{"ip": f"10.0.0.{n}"} for n in range(1, 5)], "ports": [{"port": 80}]},
                    {"addresses": [{"ip": "10.0.0.9"}]},
                ]
            },
            ["x", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "2m"],
        ),
        (kinds.ENDPOINTS, {}, ["x", "<none>", "2m"]),
        (
            kinds.ENDPOINT_SLICE,
            {
                "addressType": "IPv4",
                "ports": [{"name": "a"}, {"port": 1}, {"port": 2}, {"port": 3}],
                "endpoints": [{"addresses": [f"10.0.0.{n}"]} for n in range(1, 5)],
            },
            ["x", "IPv4", "a,1,2 + 1 more...", "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...", "2m"],
        ),
        (kinds.ENDPOINT_SLICE, {"addressType": "IPv6"}, ["x", "IPv6", "<unset>", "<unset>", "2m"]),
        (
            kinds.ROLE_BINDING,
            {
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [
                    {"kind": "User", "name": "u"},
                    {"kind": "User", "name": "u2"},
                    {"kind": "Group", "name": "g"},
                    {"kind": "ServiceAccount", "name": "sa", "namespace": "shop"},
                ],
            },
            ["x", "Role/r", "2m", "u, u2", "g", "shop/sa"],
        ),
    ],
    ids=lambda given: given.kind if isinstance(given, Kind) else "",
)
def test_other_kinds(kind: Kind, fields: Object, row: list[Any]) -> None:
    assert cells(kind, **fields) == row


def custom(*columns: Object) -> Kind:
    return Kind(
        group="test.io",
        version="v1",
        kind="Jp",
        plural="jps",
        singular="jp",
        namespaced=False,
        list_kind="JpList",
        columns=columns,
        custom=True,
    )


SPEC: Final[Object] = {
    "a": "text",
    "n": 5,
    "f": 1.5,
    "b": True,
    "l": ["p", "q"],
    "o": {"y": 1, "x": '<&>ä"', "x.y": "dot"},
    "d": "2026-11-21T08:00:00Z",
    "future": "2027-01-01T00:00:00Z",
    "big": 1 << 60,
    "null": None,
}


@pytest.mark.parametrize(
    ("path", "sort", "cell"),
    [
        (".spec.a", "string", "text"),
        (".spec.a", "integer", None),
        (".spec.a", "boolean", None),
        (".spec.a", "date", "<invalid>"),
        (".spec.n", "string", "5"),
        (".spec.n", "integer", 5),
        (".spec.n", "number", 5),
        (".spec.f", "string", "1.5"),
        (".spec.f", "integer", 1),
        (".spec.f", "number", 1.5),
        (".spec.b", "string", "true"),
        (".spec.b", "boolean", True),
        (".spec.b", "integer", None),
        (".spec.l", "string", '["p","q"]'),
        (".spec.l", "integer", None),
        (".spec.o", "string", '{"x":"\\u003c\\u0026\\u003eä\\"","x.y":"dot","y":1}'),
        (".spec.d", "date", "42m"),
        (".spec.future", "date", "<invalid>"),
        (".spec.n", "date", None),
        (".spec.zz.y", "string", None),
        (".spec.null", "string", "<no value>"),
        (".spec.big", "integer", 1 << 60),
    ],
)
def test_cells_of_custom_columns(path: str, sort: str, cell: Any) -> None:
    kind = custom({"name": "C", "type": sort, "jsonPath": path})
    assert cells(kind, spec=SPEC) == ["x", cell]


def test_custom_columns_are_described() -> None:
    wide = {"name": "W", "type": "string", "jsonPath": ".spec.a", "priority": 1, "description": "Wide."}
    broken = {"name": "B", "type": "string", "jsonPath": ".spec[a"}
    kind = custom({"name": "C", "type": "date", "jsonPath": ".spec.d"}, broken, wide)
    _, first, second = tables.table(tables.columns_of(kind), [], NOW, {})["columnDefinitions"]
    about = "Custom resource definition column (in JSONPath format): .spec.d"
    assert first == {"name": "C", "type": "date", "format": "", "description": about, "priority": 0}
    assert second == {"name": "W", "type": "string", "format": "", "description": "Wide.", "priority": 1}
    assert headings(custom()) == "Name Age"
    assert cells(custom()) == ["x", "2m"]


OBJECT: Final[Object] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}, "secrets": []}


@pytest.mark.parametrize(
    ("include", "row"),
    [
        ("", {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}),
        ("Metadata", {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}),
        ("Object", OBJECT),
        ("None", None),
    ],
)
def test_what_goes_with_a_row(include: str, row: Any) -> None:
    columns = tables.columns_of(kinds.SERVICE_ACCOUNT)
    made = tables.table(columns, [OBJECT], NOW, {"resourceVersion": "7", "continue": ""}, include=include)
    assert made["rows"] == [{"cells": ["x", "<unknown>"], "object": row}]
    assert {key: made[key] for key in ("kind", "apiVersion", "metadata")} == {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "7"},
    }


def test_later_events_of_a_watch_have_no_columns() -> None:
    columns = tables.columns_of(kinds.SERVICE_ACCOUNT)
    assert tables.table(columns, [OBJECT], NOW, {}, definitions=False)["columnDefinitions"] is None


def test_nothing_else_can_be_included() -> None:
    with pytest.raises(Refusal, match=r"includeObject: Invalid value: \"foo\": must be 'Metadata', 'Object', 'None'"):
        tables.table((), [], NOW, {}, include="foo")

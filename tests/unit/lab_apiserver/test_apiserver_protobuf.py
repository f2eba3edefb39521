"""Kubernetes' protobuf in the lab's API server; the bodies are what kubectl 1.32 and 1.35 sent."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.lab.apiserver.writing.protobuf import UnknownKind, Unreadable, decode

SERVICE = base64.b64decode(
    "azhzAAoNCgJ2MRIHU2VydmljZRKLAQocCgF3EgAaAWEiACoAMgA4AEIAWggKA2FwcBIBdxJnChsKBzgwLTgwODASA1RDUBhQIgcIABCQPxoAKAAKIgoJ"
    "NDQzLWh0dHBzEgNUQ1AYuwMiCwgBEAAaBWh0dHBzKAASCAoDYXBwEgF3GgAiDExvYWRCYWxhbmNlcjoAQgBSAFoAYABoABoCCgAaACIA"
)
"""kubectl create service loadbalancer w -n a --tcp=80:8080 --tcp=443:https"""
REVIEW = base64.b64decode(
    "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSPgoQCgASABoAIgAqADIAOABCABIgCh4KB2RlZmF1"
    "bHQSBmNyZWF0ZRoAIgAqA3N2YzIAOgAaCAgAEgAaACAAGgAiAA=="
)
"""kubectl auth can-i create svc"""


def test_a_service() -> None:
    assert decode(SERVICE) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "w", "namespace": "a", "labels": {"app": "w"}},
        "spec": {
            "ports": [
                {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080},
                {"name": "443-https", "protocol": "TCP", "port": 443, "targetPort": "https"},
            ],
            "selector": {"app": "w"},
            "type": "LoadBalancer",
        },
    }


def test_a_review() -> None:
    assert decode(REVIEW) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "default", "verb": "create", "resource": "svc"}},
    }


def field(number: int, value: int | bytes | str) -> bytes:
    """A field on the wire; numbers up to 127 only."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    encoded = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(encoded)]) + encoded


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_what_is_empty_was_said_only_where_go_has_a_pointer() -> None:
    account = field(4, 0) + field(1, field(1, "sa") + field(3, ""))
    assert decode(body("v1", "ServiceAccount", account)) == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "sa"},
        "automountServiceAccountToken": False,
    }
    rule = field(2, field(1, "get") + field(2, "") + field(3, "pods"))
    assert decode(body("rbac.authorization.k8s.io/v1", "Role", rule))["rules"] == [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    ]


def test_maps_and_bytes() -> None:
    secret = field(2, field(1, "a") + field(2, b"\xff")) + field(2, field(1, "b") + field(2, b""))
    assert decode(body("v1", "Secret", secret))["data"] == {"a": "/w==", "b": ""}


def test_what_is_not_known_is_passed_over() -> None:
    fixed = bytes([15 << 3 | 5]) + b"1234"
    assert decode(body("v1", "Namespace", fixed + field(9, "x") + field(1, field(1, "a")))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "a"},
    }


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        SERVICE[:-1],
        b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        body("v1", "Namespace", bytes([1 << 3 | 3])),
        body("v1", "Namespace", field(1, 7)),
        body("v1", "Namespace", field(1, field(1, b"\xff"))),
        body("v1", "Service", field(2, field(1, field(3, "x")))),
    ],
)
def test_what_can_not_be_read(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data)


def test_kinds_that_are_not_read() -> None:
    with pytest.raises(UnknownKind, match=r"^Node of v1$"):
        decode(body("v1", "Node", b""))


@given(st.integers(0, len(SERVICE) - 1), st.integers(0, 255))
def test_any_bytes_are_read_or_refused(at: int, byte: int) -> None:
    changed = SERVICE[:at] + bytes([byte]) + SERVICE[at + 1 :]
    with contextlib.suppress(Unreadable, UnknownKind):
        assert decode(changed)["kind"] == "Service"

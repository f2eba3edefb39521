import io

import pytest

from lbprovider.api.meta import Object
from lbprovider.api.resources import ADVERTISEMENTS, POOLS, SERVICES, Resource
from lbprovider.documents import Document, carried, read, typed
from lbprovider.errors import InvalidDocument

PREFERRED = "preferredNodeSelectors"


def document(text: str) -> Document:
    (found,) = read(["-"], io.StringIO(text))
    return found


def service(text: str) -> Document:
    return document(f"apiVersion: v1\nkind: Service\n{text}")


def test_an_object_is_decoded() -> None:
    found = typed(service("metadata: {name: a, labels: {x: y}}\nspec: {ports: [{port: 80}]}\n"), SERVICES)

    assert found.metadata.labels == {"x": "y"}
    assert found.spec.ports[0].port == 80


def test_null_counts_as_left_out() -> None:
    text = "metadata: {name: a, creationTimestamp: null, labels: null}\nspec: {ports: [{port: 80, protocol: null}]}\n"

    assert typed(service(f"{text}status:\n"), SERVICES).spec.ports[0].protocol == "TCP"


@pytest.mark.parametrize(
    ("text", "field", "what"),
    [
        ("metadata: {name: 3}", "metadata.name", "is a whole number, and has to be text"),
        ("metadata: []", "metadata", "is a list, and has to be an object"),
        ("metadata: {}", "metadata.name", "is missing: each Service has one"),
        ("metadata: {labels: {a: b, c.d/e: 1}}", "metadata.labels[c.d/e]", "is a whole number, and has to be text"),
        ("spec: {ports: [{port: 80}, {port: x}]}", "spec.ports[1].port", "is text, and has to be a whole number"),
        ("spec: {ports: [{}]}", "spec.ports[0].port", "is missing"),
        ("spec: {ports: {}}", "spec.ports", "is an object, and has to be a list"),
        ("spec: {ports: [null]}", "spec.ports[0]", "is nothing, and has to be an object"),
        ("spec: {ipFamilies: [IPv5]}", "spec.ipFamilies[0]", "may not be 'IPv5'"),
        ("spec: {loadBalancerClass: 1}", "spec.loadBalancerClass", "is a whole number, and has to be text"),
    ],
)
def test_a_wrong_field_is_named(text: str, field: str, what: str) -> None:
    with pytest.raises(InvalidDocument) as raised:
        typed(service(text), SERVICES)

    assert (raised.value.field, raised.value.what) == (field, what)
    assert str(raised.value) == f"standard input, document 1: {field}: {what}"


def test_metallbs_objects_become_ours() -> None:
    found = carried(
        document(
            "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n"
            "metadata: {name: a, namespace: metallb-system, uid: u, resourceVersion: '3', labels: {x: y},\n"
            "  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}', b: c}}\n"
            "spec: {interfaces: [eth0], preferredNodeSelectors: [{weight: 5, preference: {matchLabels: {z: a}}}]}\n"
            "status: {}\n"
        ).raw
    )

    assert found == {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": "a", "namespace": "metallb-system", "labels": {"x": "y"}, "annotations": {"b": "c"}},
        "spec": {
            "interfaces": ["eth0"],
            "preferredNodeSelectors": [{"weight": 5, "nodeSelector": {"matchLabels": {"z": "a"}}}],
        },
    }


@pytest.mark.parametrize("kind", ["BGPPeer", "BGPAdvertisement", "Community", "ServiceL2Status"])
def test_what_we_have_nothing_like_is_not_carried(kind: str) -> None:
    assert carried({"apiVersion": "metallb.io/v1beta1", "kind": kind}) is None


def test_ours_is_not_carried() -> None:
    assert carried({"apiVersion": "lbprovider.io/v1beta1", "kind": "IPAddressPool"}) is None


@pytest.mark.parametrize(
    ("text", "resource", "field"),
    [
        ("kind: IPAddressPool\nspec: {addresses: 3}", POOLS, "spec.addresses"),
        ("kind: IPAddressPool\nspec: []", POOLS, "spec"),
        ("kind: IPAddressPool\nmetadata: {annotations: 3}", POOLS, "metadata.annotations"),
        ("kind: L2Advertisement\nspec: {interfaces: 3}", ADVERTISEMENTS, "spec.interfaces"),
        (f"kind: L2Advertisement\nspec: {{{PREFERRED}: [3]}}", ADVERTISEMENTS, f"spec.{PREFERRED}[0]"),
        (f"kind: L2Advertisement\nspec: {{{PREFERRED}: 3}}", ADVERTISEMENTS, f"spec.{PREFERRED}"),
    ],
)
def test_what_is_wrong_in_metallbs_objects_is_said_of_ours(text: str, resource: Resource[Object], field: str) -> None:
    source = document(f"apiVersion: metallb.io/v1beta1\n{text}\n")
    ours = carried(source.raw)
    assert ours is not None

    with pytest.raises(InvalidDocument) as raised:
        typed(Document(source.file, source.number, source.item, ours), resource)

    assert raised.value.field == field

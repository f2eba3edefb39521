import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.store import Object
from lbprovider.lab.apiserver.writing import shapes
from lbprovider.schema import TypeMismatch, read_metadata

SERVICE: Object = {
    "metadata": {"name": "web", "labels": {"a": "b"}},
    "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"a": "b"}, "publishNotReadyAddresses": False},
}


def test_what_is_known_stays_as_it_is() -> None:
    assert shapes.read(kinds.SERVICE, SERVICE) == (SERVICE, ())


def test_unknown_fields_go_and_are_named_in_the_order_of_the_text() -> None:
    given: Object = {
        "spec": {"ports": [{"port": 80}, {"port": 81, "prot": 1}], "tpye": "x", "selector": {"any": "key"}},
        "extra": {},
    }
    known, unknown = shapes.read(kinds.SERVICE, given)
    assert known == {"spec": {"ports": [{"port": 80}, {"port": 81}], "selector": {"any": "key"}}}
    assert unknown == ("spec.ports[1].prot", "spec.tpye", "extra")


def test_null_is_as_good_as_nothing() -> None:
    assert shapes.read(kinds.SERVICE, {"spec": {"ports": None, "type": None}}) == ({"spec": {}}, ())


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (
            kinds.SERVICE,
            {"spec": {"ports": [{"port": "80"}]}},
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            kinds.SERVICE,
            {"spec": {"ports": "80"}},
            "json: cannot unmarshal string into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            kinds.SERVICE,
            {"metadata": {"labels": {"a": True}}},
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            kinds.SERVICE,
            {"spec": {"ports": [{"port": 1 << 31}]}},
            "json: cannot unmarshal number into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            kinds.SERVICE,
            {"spec": {"ports": [{"port": 1.5}]}},
            "json: cannot unmarshal number 1.5 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            kinds.LEASE,
            {"spec": []},
            "json: cannot unmarshal array into Go struct field Lease.spec of type v1.LeaseSpec",
        ),
        (kinds.SECRET, {"data": {"a": "b*"}}, "illegal base64 data at input byte 1"),
        (
            kinds.LEASE,
            {"spec": {"renewTime": "2026-01-01"}},
            'parsing time "2026-01-01" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "2026-01-01" as "2006"',
        ),
    ],
)
def test_a_wrong_type_is_said_as_gos_decoder_says_it(kind: kinds.Kind, given: Object, said: str) -> None:
    with pytest.raises(TypeMismatch) as caught:
        shapes.read(kind, given)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_times_are_kept_as_the_server_writes_them(given: str, stored: str) -> None:
    known, _ = shapes.read(kinds.LEASE, {"spec": {"renewTime": given}})
    assert known["spec"]["renewTime"] == stored


def test_null_within_a_map_or_list_is_what_go_begins_with() -> None:
    given = {"labels": {"a": None}, "finalizers": ["x/y", None], "annotations": None}
    assert read_metadata(given) == ({"labels": {"a": ""}, "finalizers": ["x/y", ""]}, ())


def test_metadata_of_custom_kinds() -> None:
    assert read_metadata({"name": "a", "colour": 1}) == ({"name": "a"}, ("metadata.colour",))
    with pytest.raises(TypeMismatch, match=r"Go struct field ObjectMeta\.name of type string"):
        read_metadata({"name": 5})
    with pytest.raises(TypeMismatch, match=r"into Go value of type v1\.ObjectMeta"):
        read_metadata("x")


def test_every_kind_that_is_built_in_has_a_shape() -> None:
    for kind in kinds.BUILT_IN:
        assert shapes.read(kind, {"metadata": {"name": "a"}}) == ({"metadata": {"name": "a"}}, ())

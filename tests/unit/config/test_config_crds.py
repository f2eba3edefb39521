"""The CRDs say exactly what lbprovider/api reads and writes: neither can drift from the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from msgspec import inspect

from lbprovider.api.meta import Object
from lbprovider.api.names import GROUP, VERSION
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from lbprovider.ipam.request import MAX_SHARING_KEY

CRD: Final = Path(__file__).parents[3] / "config" / "crd"
KINDS: Final[tuple[Resource[Any], ...]] = (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)
EACH_KIND: Final = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)

Schema = Mapping[str, Any]

REQUIRED_BESIDES: Final = {
    "IPAddressPool": {"spec", "spec.addresses"},
    "L2Advertisement": set(),
    "Segment": {"spec"},
    "IPAllocation": set(),
}
"""What a CRD asks for and the code does without: an object without it says nothing."""


def crd(kind: Resource[Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CRD / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    return found


def version(kind: Resource[Any]) -> dict[str, Any]:
    (only,) = crd(kind)["spec"]["versions"]
    found: dict[str, Any] = only
    return found


def schema(kind: Resource[Any]) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]
    return found


def bare(type_: inspect.Type) -> inspect.Type:
    """Without the None of an optional field."""
    if isinstance(type_, inspect.UnionType):
        (type_,) = (one for one in type_.types if not isinstance(one, inspect.NoneType))
    return type_


@dataclass(frozen=True, slots=True)
class Pair:
    """A field in both worlds; ``required`` and ``field`` are None for the items of a list or map."""

    path: str
    schema: Schema
    type: inspect.Type
    required: bool | None = None
    field: inspect.Field | None = None


def pairs(path: str, part: Schema, type_: inspect.Type) -> Iterator[Pair]:
    """Walks schema and struct side by side; each pair as far as both have it."""
    match bare(type_):
        case inspect.StructType(fields=fields):
            for field in fields:
                below = part.get("properties", {}).get(field.encode_name)
                if below is None or (path == "" and field.encode_name == "metadata"):
                    continue
                where = f"{path}.{field.encode_name}".lstrip(".")
                yield Pair(where, below, bare(field.type), field.encode_name in part.get("required", ()), field)
                yield from pairs(where, below, field.type)
        case inspect.VarTupleType(item_type=item):
            yield Pair(f"{path}[]", part["items"], bare(item))
            yield from pairs(f"{path}[]", part["items"], item)
        case inspect.DictType(value_type=value):
            yield Pair(f"{path}{{}}", part["additionalProperties"], bare(value))


def all_pairs(kind: Resource[Any]) -> list[Pair]:
    root = inspect.type_info(kind.type)
    return [Pair("", schema(kind), root), *pairs("", schema(kind), root)]


def of_schema(part: Schema) -> object:
    match part["type"]:
        case "object" if "additionalProperties" in part:
            return {"*": of_schema(part["additionalProperties"])}
        case "object":
            return {name: of_schema(below) for name, below in part["properties"].items() if name != "metadata"}
        case "array":
            return [of_schema(part["items"])]
        case simple:
            return simple


def of_struct(type_: inspect.Type) -> object:
    match bare(type_):
        case inspect.StructType(fields=fields):
            return {field.encode_name: of_struct(field.type) for field in fields if field.name != "metadata"}
        case inspect.VarTupleType(item_type=item):
            return [of_struct(item)]
        case inspect.DictType(value_type=value):
            return {"*": of_struct(value)}
        case inspect.StrType() | inspect.LiteralType():
            return "string"
        case inspect.IntType():
            return "integer"
        case inspect.BoolType():
            return "boolean"
        case other:
            raise AssertionError(f"no schema is known for {other}")


def test_all_crds_are_installed_and_no_other() -> None:
    listed = yaml.safe_load((CRD / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(f"{kind.plural}.yaml" for kind in KINDS)
    assert {path.name for path in CRD.glob("*.yaml")} == {*listed, "kustomization.yaml"}


@EACH_KIND
def test_a_crd_is_named_as_the_code_asks_for_it(kind: Resource[Any]) -> None:
    found, only = crd(kind), version(kind)
    assert found["metadata"]["name"] == str(kind)
    assert found["spec"]["group"] == GROUP
    assert found["spec"]["names"]["kind"] == kind.kind
    assert found["spec"]["names"]["plural"] == kind.plural
    assert found["spec"]["scope"] == ("Namespaced" if kind.namespaced else "Cluster")
    assert (only["name"], only["served"], only["storage"]) == (VERSION, True, True)
    assert only["subresources"] == {"status": {}}


def test_short_names_are_told_apart() -> None:
    short = [name for kind in KINDS for name in crd(kind)["spec"]["names"]["shortNames"]]
    assert len(short) == len(set(short)) >= len(KINDS)


@EACH_KIND
def test_the_schema_has_the_fields_of_the_struct_and_their_types(kind: Resource[Any]) -> None:
    assert of_schema(schema(kind)) == of_struct(inspect.type_info(kind.type))


@EACH_KIND
def test_what_the_struct_needs_the_schema_asks_for(kind: Resource[Any]) -> None:
    fields = [pair for pair in all_pairs(kind) if pair.field is not None]
    needed = {pair.path for pair in fields if pair.field is not None and pair.field.required}
    asked = {pair.path for pair in fields if pair.required}
    assert needed <= asked
    assert asked - needed == REQUIRED_BESIDES[kind.kind]


@EACH_KIND
def test_a_default_is_the_same_in_both(kind: Resource[Any]) -> None:
    given = {pair.path: pair for pair in all_pairs(kind) if "default" in pair.schema}
    for pair in given.values():
        assert pair.field is not None
        assert pair.schema["default"] == msgspec.to_builtins([] if pair.field.default == () else pair.field.default), (
            pair.path
        )


def test_a_pool_is_given_out_unless_it_says_otherwise() -> None:
    assert schema(POOLS)["properties"]["spec"]["properties"]["autoAssign"]["default"] is True


@EACH_KIND
def test_a_closed_list_of_values_is_the_same_in_both(kind: Resource[Any]) -> None:
    for pair in all_pairs(kind):
        if isinstance(pair.type, inspect.LiteralType):
            assert set(pair.schema["enum"]) == set(pair.type.values), pair.path


@EACH_KIND
def test_every_field_is_explained(kind: Resource[Any]) -> None:
    plain = [pair for pair in all_pairs(kind) if pair.field is not None or isinstance(pair.type, inspect.StructType)]
    for pair in plain:
        assert pair.schema["description"].endswith("."), pair.path


@EACH_KIND
def test_everything_in_a_spec_is_bounded(kind: Resource[Any]) -> None:
    for pair in all_pairs(kind):
        if not pair.path.startswith("spec"):
            continue
        match pair.schema["type"]:
            case "array":
                assert pair.schema["maxItems"] > 0, pair.path
            case "object" if "additionalProperties" in pair.schema:
                assert pair.schema["maxProperties"] > 0, pair.path
            case "string":
                assert pair.schema.keys() & {"maxLength", "enum", "format"}, pair.path


@EACH_KIND
def test_every_rule_says_what_is_wrong(kind: Resource[Any]) -> None:
    rules = [rule for pair in all_pairs(kind) for rule in pair.schema.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert rule.keys() & {"message", "messageExpression"}, rule["rule"]


def named(kinds: tuple[Resource[Any], ...], struct: str) -> dict[str, Schema]:
    """Where a struct is used, and its schema there."""
    return {
        f"{kind.kind} {pair.path}": {name: part for name, part in pair.schema.items() if name != "description"}
        for kind in kinds
        for pair in all_pairs(kind)
        if isinstance(pair.type, inspect.StructType) and pair.type.cls.__name__ == struct
    }


@pytest.mark.parametrize("struct", ["LabelSelector", "Condition"])
def test_what_several_kinds_share_is_written_alike_everywhere(struct: str) -> None:
    uses = named(KINDS, struct)
    assert len(uses) > len(KINDS) - 1
    first = next(iter(uses.values()))
    assert {where for where, part in uses.items() if part != first} == set()


@EACH_KIND
def test_columns_show_fields_that_there_are(kind: Resource[Any]) -> None:
    whole = schema(kind)
    for column in version(kind)["additionalPrinterColumns"]:
        path = column["jsonPath"]
        if path.startswith(".metadata."):
            continue
        part: Any = whole
        for step in path.removeprefix(".").split("[")[0].split("."):
            part = part["properties"][step]
        if column["type"] == "date":  # shown as an age
            assert (part["type"], part["format"]) == ("string", "date-time"), path
        elif "[" not in path and column["type"] != "string":
            assert part["type"] == column["type"], path


@EACH_KIND
def test_conditions_are_a_list_by_type_as_server_side_apply_wants_it(kind: Resource[Any]) -> None:
    assert issubclass(kind.type, Object)
    conditions = schema(kind)["properties"]["status"]["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


@EACH_KIND
def test_the_page_on_objects_names_every_field(kind: Resource[Any]) -> None:
    page = (CRD.parents[1] / "docs" / "objects.md").read_text(encoding="utf-8")
    (section,) = (part for part in page.split("\n## ") if part.startswith(f"{kind.kind}\n"))
    assert f"| `{kind.kind}` | `{crd(kind)['spec']['names']['shortNames'][0]}` |" in page
    fields = schema(kind)["properties"]
    for name in (*fields["spec"]["properties"], *fields["status"]["properties"]):
        assert f"`{name}`" in section, name
    for name, part in fields["spec"]["properties"].items():
        if "default" in part and kind.namespaced:
            assert f"| `{name}` | `{str(part['default']).lower()}` |" in section, name


def test_a_sharing_key_that_a_service_may_ask_for_is_one_that_can_be_stored() -> None:
    spec = schema(ALLOCATIONS)["properties"]["spec"]["properties"]
    assert spec["sharingKey"]["maxLength"] == MAX_SHARING_KEY

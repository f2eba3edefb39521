"""Kinds that come and go at run time."""

import itertools
from collections.abc import Iterator

import pytest

from lbprovider.api.resources import POOLS
from tests.contract.servers import established
from tests.contract.wire import TABLE, asking, lease, leases, names, refusal, version, watching
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.waiting import eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_numbers = itertools.count(1)

SCHEMA: Object = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "colour": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}


class Widgets:
    """A kind of its own group."""

    def __init__(self, api: Api) -> None:
        self.group = f"g{next(_numbers)}.example.com"
        self.name = f"widgets.{self.group}"
        self._api = api

    def define(self, **version: object) -> Object:
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
        schema = {"openAPIV3Schema": SCHEMA}
        served = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name},
            "spec": {"group": self.group, "scope": "Namespaced", "names": names, "versions": [served]},
        }

    def make(self, name: str, **spec: object) -> Object:
        return {
            "apiVersion": f"{self.group}/v1",
            "kind": "Widget",
            "metadata": {"name": name},
            "spec": {"size": 1, **spec},
        }

    def path(self, name: str = "") -> str:
        return f"/apis/{self.group}/v1/namespaces/default/widgets" + (f"/{name}" if name else "")

    def serve(self, **version: object) -> None:
        """Define it, and wait until it is served."""
        self._api.create(CRDS, self.define(**version))
        eventually(lambda: established(self._api.get(f"{CRDS}/{self.name}")), "the kind is established")
        eventually(lambda: self._api.ask("GET", self.path()).status == 200, "the kind is served")

    def withdraw(self) -> None:
        if self._api.find(f"{CRDS}/{self.name}") is not None:
            self._api.delete(f"{CRDS}/{self.name}")


@pytest.fixture
def widgets(api: Api) -> Iterator[Widgets]:
    made = Widgets(api)
    yield made
    made.withdraw()


def test_a_kind_is_served_once_it_is_defined_and_no_longer_when_it_is_not(api: Api, widgets: Widgets) -> None:
    assert api.ask("GET", widgets.path()).status == 404
    widgets.serve()
    listed = api.get(widgets.path())
    assert (listed["kind"], listed["apiVersion"], listed["items"]) == ("WidgetList", f"{widgets.group}/v1", [])
    made = api.create(widgets.path(), widgets.make("a"))
    group = api.get(f"/apis/{widgets.group}")
    assert group["preferredVersion"] == {"groupVersion": f"{widgets.group}/v1", "version": "v1"}
    with api.watch(watching(widgets.path(), 300, resourceVersion=version(made))) as events:
        api.delete(f"{CRDS}/{widgets.name}")
        assert (event := next(events))["type"] == "DELETED"
        assert event["object"]["metadata"]["uid"] == made["metadata"]["uid"]
        # It ends long before its time, or our own patience would.
        assert list(events) == []
    eventually(lambda: api.find(f"{CRDS}/{widgets.name}") is None, "the definition is gone")
    eventually(lambda: api.ask("GET", widgets.path()).status == 404, "the kind is no longer served")
    widgets.serve()
    assert api.items(widgets.path()) == []


def test_a_schema_defaults_prunes_and_refuses(api: Api, widgets: Widgets) -> None:
    widgets.serve()
    odd = {"junk": 1, "free": {"any": {"thing": [1]}}, "labels": {"a": "b"}}
    made = api.create(widgets.path(), {**widgets.make("a", **odd), "more": True})
    assert made["spec"] == {"size": 1, "colour": "red", "free": odd["free"], "labels": {"a": "b"}}
    assert "more" not in made
    for spec, why in (
        ({"size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": "1"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": None}, "spec.size: Required value"),
        ({"colour": "green"}, 'spec.colour: Unsupported value: "green": supported values: "red", "blue"'),
        ({"labels": {"a": 1}}, 'spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string'),
    ):
        status = refusal(api.ask("POST", widgets.path(), widgets.make("b", **spec)), 422, "Invalid")
        assert why in status["message"]
        assert status["message"].startswith(f'Widget.{widgets.group} "b" is invalid: ')


def test_a_kind_without_a_status_path_keeps_its_status_beside_its_spec(api: Api, widgets: Widgets) -> None:
    widgets.serve()
    made = api.create(widgets.path(), {**widgets.make("a"), "status": {"phase": "new"}})
    assert made["status"] == {"phase": "new"}
    assert api.ask("PATCH", f"{widgets.path('a')}/status", {"status": {}}, kind="merge").status == 404


def test_a_definition_is_edited_and_holds_from_then_on(api: Api, widgets: Widgets) -> None:
    widgets.serve()
    api.create(widgets.path(), widgets.make("a"))
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    wider = {**widgets.define(additionalPrinterColumns=columns, subresources={"status": {}})}
    wider["metadata"] = {"name": widgets.name, "resourceVersion": version(api.get(f"{CRDS}/{widgets.name}"))}
    with api.watch(watching(widgets.path(), 300, resourceVersion=version(api.get(widgets.path())))) as events:
        api.replace(f"{CRDS}/{widgets.name}", wider)
        # Whoever watches is to list again, as the objects may look different now.
        assert list(events) == []

    def cells() -> list[object]:
        found: list[object] = api.ask("GET", widgets.path(), accept=TABLE).json["rows"][0]["cells"]
        return found

    eventually(lambda: cells() == ["a", 1], "the new column is shown")
    told = api.patch(f"{widgets.path('a')}/status", {"status": {"phase": "old"}})
    assert told["status"] == {"phase": "old"}
    assert "status" not in api.create(widgets.path(), {**widgets.make("b"), "status": {"phase": "new"}})


def test_an_established_definition_says_so(api: Api, widgets: Widgets) -> None:
    widgets.serve()
    found = api.get(f"{CRDS}/{widgets.name}")
    told = {each["type"]: (each["status"], each["reason"]) for each in found["status"]["conditions"]}
    assert told == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}
    assert found["status"]["acceptedNames"]["kind"] == "Widget"
    assert found["status"]["storedVersions"] == ["v1"]
    assert found["spec"]["names"]["listKind"] == "WidgetList"


def test_a_definition_that_can_not_be_is_refused(api: Api, widgets: Widgets) -> None:
    whole = widgets.define()
    for change, why in (
        (
            {"metadata": {"name": "widgets"}},
            'metadata.name: Invalid value: "widgets": must be spec.names.plural+"."+spec',
        ),
        ({"spec": widgets.define(schema=None)["spec"]}, "spec.versions[0].schema.openAPIV3Schema: Required value"),
        ({"spec": {**whole["spec"], "scope": "Some"}}, 'spec.scope: Unsupported value: "Some"'),
    ):
        assert why in refusal(api.ask("POST", CRDS, {**whole, **change}), 422, "Invalid")["message"]
    assert api.find(f"{CRDS}/{widgets.name}") is None


def test_kinds_of_one_name_in_two_groups_are_two(api: Api, widgets: Widgets) -> None:
    other = Widgets(api)
    try:
        widgets.serve()
        other.serve()
        api.create(widgets.path(), widgets.make("a"))
        assert names(api.items(other.path())) == []
        api.create(other.path(), other.make("a", colour="blue"))
        assert api.get(widgets.path("a"))["spec"]["colour"] == "red"
    finally:
        other.withdraw()


def test_what_a_namespaced_kind_lists_for_all_is_created_in_one_only(api: Api, namespace: str) -> None:
    answer = api.ask("POST", POOLS.path(), {"apiVersion": POOLS.api_version, "kind": POOLS.kind, "metadata": {}})
    assert answer.status in {404, 405}
    assert api.ask("POST", leases(""), lease("a")).status in {404, 405}
    assert api.get(asking(leases(namespace), limit=1))["items"] == []

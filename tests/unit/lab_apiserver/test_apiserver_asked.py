import pytest

from lbprovider.lab.apiserver.asked import Asked, flag, parse


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("GET /api/v1/services", ("list", "", "v1", "services", "", "", "")),
        ("GET /api/v1/services?watch=1", ("watch", "", "v1", "services", "", "", "")),
        ("GET /api/v1/services?watch=false", ("list", "", "v1", "services", "", "", "")),
        ("GET /api/v1/watch/services", ("watch", "", "v1", "services", "", "", "")),
        ("POST /api/v1/namespaces/a/services", ("create", "", "v1", "services", "a", "", "")),
        ("PATCH /api/v1/namespaces/a/services/b/status", ("patch", "", "v1", "services", "a", "b", "status")),
        ("DELETE /apis/g.io/v1/namespaces/a/things", ("deletecollection", "g.io", "v1", "things", "a", "", "")),
        ("DELETE /apis/g.io/v1/things/b", ("delete", "g.io", "v1", "things", "", "b", "")),
        ("PUT /api/v1/nodes/n", ("update", "", "v1", "nodes", "", "n", "")),
        ("GET /api/v1/namespaces", ("list", "", "v1", "namespaces", "", "", "")),
        ("GET /api/v1/namespaces/a", ("get", "", "v1", "namespaces", "a", "a", "")),
        ("PUT /api/v1/namespaces/a/status", ("update", "", "v1", "namespaces", "a", "a", "status")),
        ("GET /apis/g.io/v1/namespaces/a", ("get", "g.io", "v1", "namespaces", "", "a", "")),
        ("GET /api/v1/pods?fieldSelector=metadata.name=x", ("list", "", "v1", "pods", "", "x", "")),
        ("GET /api/v1/pods?fieldSelector=spec.nodeName=n,metadata.name==x", ("list", "", "v1", "pods", "", "x", "")),
        ("GET /api/v1/pods?fieldSelector=metadata.name!=x", ("list", "", "v1", "pods", "", "", "")),
    ],
)
def test_paths_of_resources(line: str, asked: tuple[str, ...]) -> None:
    method, _, url = line.partition(" ")
    path, _, query = url.partition("?")
    name, _, value = query.partition("=")
    verb, group, version, plural, namespace, object_name, subresource = asked
    assert parse(method, path, {name: value} if name else {}) == Asked(
        verb, path, group, version, plural, namespace, object_name, subresource
    )


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis/g.io", "/apis/g.io/v1", "/version", "/api/v1/a/b/c/d"])
def test_paths_that_are_no_resource(path: str) -> None:
    assert parse("GET", path, {}) == Asked("get", path)


@pytest.mark.parametrize(("given", "is_so"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)])
def test_flags(given: str, *, is_so: bool) -> None:
    assert flag({"watch": given}, "watch") is is_so
    assert flag({}, "watch") is False

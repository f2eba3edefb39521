"""Label and field selectors of the lab's API server; the sentences are what a kube-apiserver 1.35 says."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.reading import selectors
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.schema import syntax

INTEGER = "for 'Gt', 'Lt' operators, the value must be an integer"
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("selector", "matching"),
    [
        ("", "web bare zero five"),
        (" ", "web bare zero five"),
        ("app=web", "web"),
        ("app == web , tier=front", "web"),
        ("app=web,tier=back", ""),
        ("app!=web", "bare zero five"),
        ("app", "web zero"),
        ("!app", "bare five"),
        ("app=", "zero"),
        ("app in (web,db)", "web"),
        ("app in ()", "zero"),
        ("app in (x,,y)", "zero"),
        ("app in (web,)", "web zero"),
        ("app notin (web)", "bare zero five"),
        ("n>4", "five"),
        ("n<5", ""),
        ("n<6", "five"),
        ("app>4", ""),
        ("example.com/x", "five"),
        ("in=a", ""),
        ("app=in", ""),
        ("notin in (in)", ""),
    ],
)
def test_what_labels_select(selector: str, matching: str) -> None:
    objects = {
        "web": {"app": "web", "tier": "front"},
        "bare": {},
        "zero": {"app": ""},
        "five": {"n": "5", "example.com/x": "y"},
    }
    matches = selectors.labels(selector)
    assert [name for name, labels in objects.items() if matches(labels)] == matching.split()


@pytest.mark.parametrize(
    ("selector", "sentence"),
    [
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (x y)", "unable to parse requirement: found 'y', expected: ',' or ')'"),
        ("a in (!b)", "unable to parse requirement: found '!', expected: ',', ')' or identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a!b", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a=!", "unable to parse requirement: found '!', expected: identifier"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a>x", f'unable to parse requirement: values[0]: Invalid value: "x": {INTEGER}'),
        ("a=-b", f'unable to parse requirement: values[0][a]: Invalid value: "-b": {VALUE}'),
        (
            "a>-z",
            (
                f'unable to parse requirement: [values[0]: Invalid value: "-z": {INTEGER}, values[0][a]: '
                f'Invalid value: "-z": {VALUE}]'
            ),
        ),
        (
            "a" * 64,
            f'unable to parse requirement: <nil>: Invalid value: "{"a" * 64}": name part must be no more than 63 bytes',
        ),
    ],
)
def test_a_label_selector_that_can_not_be_read(selector: str, sentence: str) -> None:
    with pytest.raises(Refusal) as error:
        selectors.labels(selector)
    assert (error.value.code, error.value.reason, error.value.message) == (400, "BadRequest", sentence)


@given(st.text(alphabet="ab=!<>(), /\\notin-5", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (selectors.labels, lambda it: selectors.fields(it, kinds.SERVICE)):
        with contextlib.suppress(Refusal):
            assert read(text)({}) in (True, False)


SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7"},
}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        (",metadata.name=web,", True),
        ("metadata.name==web,metadata.namespace=shop", True),
        ("metadata.name!=web", False),
        ("spec.type=LoadBalancer", True),
        ("spec.type!=ClusterIP", True),
        ("spec.clusterIP=10.96.0.8", False),
        (r"metadata.name!=a\,b", True),
        ("=", True),
    ],
)
def test_what_fields_select(selector: str, *, matches: bool) -> None:
    assert selectors.fields(selector, kinds.SERVICE)(SERVICE) is matches


def test_fields_that_only_some_kinds_have() -> None:
    event = {"involvedObject": {"kind": "Service", "name": "web"}, "reportingComponent": "lbprovider"}
    assert selectors.fields("involvedObject.kind=Service,source=lbprovider,type=", kinds.EVENT)(event)
    assert selectors.fields("source=kubelet", kinds.EVENT)({**event, "source": {"component": "kubelet"}})
    assert selectors.fields("spec.unschedulable=false", kinds.NODE)({"spec": {}})
    assert selectors.fields("spec.unschedulable=true", kinds.NODE)({"spec": {"unschedulable": True}})
    assert selectors.fields("status.phase=Active", kinds.NAMESPACE)({"status": {"phase": "Active"}})


def test_a_selector_of_one_name_says_so() -> None:
    assert selectors.fields("spec.type=x,metadata.name=web", kinds.SERVICE).name == "web"
    assert selectors.fields("metadata.name!=web", kinds.SERVICE).name is None


@pytest.mark.parametrize(
    ("selector", "sentence"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("b,a", "invalid selector: 'b,a'; can't understand 'a'"),
        ("spec.foo=1", "field label not supported: spec.foo"),
        ("=b", "field label not supported: "),
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        ("metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"),
        (r"metadata.name=\x", r"invalid field selector: invalid escape sequence: \x"),
    ],
)
def test_a_field_selector_that_can_not_be_read(selector: str, sentence: str) -> None:
    with pytest.raises(Refusal) as error:
        selectors.fields(selector, kinds.SERVICE)
    assert (error.value.code, error.value.reason, error.value.message) == (400, "BadRequest", sentence)


def test_a_kind_says_what_it_can_be_selected_by() -> None:
    with pytest.raises(Refusal, match=r'^"spec.x" is not a known field selector: only "metadata.name", "metadata.name'):
        selectors.fields("spec.x=1", kinds.LEASE)
    with pytest.raises(Refusal, match=r"^field label not supported: metadata.namespace$"):
        selectors.fields("metadata.namespace=a", kinds.NODE)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (syntax.subdomain, ["a", "192.0.2.10", "a-b.c"], ["", "A", "a..b", "-a", "a_b", "a.-b", "a\n", "a" * 254]),
        (syntax.label, ["a", "1-a"], ["", "a.b", "A", "a-", "a" * 64]),
        (syntax.service_name, ["a", "a-1"], ["", "1a", "a.b", "A", "a" * 64]),
        (syntax.label_value, ["", "A_b.c-1"], ["-", "a b", "ä", "a" * 64]),
        (syntax.qualified_name, ["a", "A_b", "example.com/a"], ["", "/a", "a/", "A.b/c", "a/b/c", "a/-"]),
    ],
)
def test_names_and_labels(check: Any, right: list[str], wrong: list[str]) -> None:
    assert [each for each in right if check(each)] == []
    assert [each for each in wrong if not check(each)] == []

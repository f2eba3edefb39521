import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.documents import Document, read, reading
from lbprovider.documents.yaml import MOST_ALIASED, MOST_NESTED
from lbprovider.errors import InvalidDocument

POOL = "apiVersion: lbprovider.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: NAME}\n"


def names(text: str) -> list[str]:
    return [document.raw["metadata"]["name"] for document in read(["-"], io.StringIO(text))]


def pool(name: str) -> str:
    return POOL.replace("NAME", name)


def problem(text: str) -> InvalidDocument:
    with pytest.raises(InvalidDocument) as raised:
        read(["-"], io.StringIO(text))
    return raised.value


def raw(text: str) -> object:
    (document,) = read(["-"], io.StringIO(f"apiVersion: v1\nkind: X\nvalue:\n{text}"))
    return document.raw["value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing here\n", []),
        ("---\n---\n", []),
        ("...\n", None),
        (pool("a"), ["a"]),
        ("---\n" + pool("a"), ["a"]),
        ("# licence\n---\n" + pool("a") + "---\n# nothing\n---\n" + pool("b"), ["a", "b"]),
        (pool("a") + "--- # why\n" + pool("b"), ["a", "b"]),
        (pool("a") + "...\n---\n" + pool("b"), ["a", "b"]),
        (("---\n" + pool("a") + "---\n" + pool("b")).replace("\n", "\r\n"), ["a", "b"]),
        ("%YAML 1.1\n---\n" + pool("a"), ["a"]),
        ("\ufeff" + pool("a"), ["a"]),
        (json.dumps({"apiVersion": "v1", "kind": "X", "metadata": {"name": "j"}}), ["j"]),
        ('{"apiVersion": "v1", "kind": "X", "metadata": {"name": "j"}}\n---\n' + pool("a"), ["j", "a"]),
        ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: X, metadata: {name: a}}\n", ["a"]),
        ("apiVersion: v1\nkind: List\nitems: []\n", []),
        ("apiVersion: v1\nkind: List\nitems:\n", []),
    ],
)  # fmt: skip
def test_all_documents_of_a_file_are_read_in_their_order(text: str, expected: list[str] | None) -> None:
    if expected is None:
        assert problem(text).what.startswith("is no YAML")
    else:
        assert names(text) == expected


def test_items_of_a_typed_list_say_what_they_are() -> None:
    text = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n- {kind: Other, metadata: {name: b}}\n"

    documents = read(["-"], io.StringIO(text))

    assert [(one.api_version, one.kind, one.item) for one in documents] == [("v1", "Service", 0), ("v1", "Other", 1)]
    assert documents[1].where == "standard input, document 1, item 1"


def test_a_kind_that_ends_in_list_and_has_no_items_is_an_object() -> None:
    (document,) = read(["-"], io.StringIO("apiVersion: example.com/v1\nkind: AllowList\nspec: {}\n"))

    assert document.kind == "AllowList"


def test_empty_documents_count_in_the_number() -> None:
    assert problem("---\n---\n" + pool("a") + "---\n- 1\n").number == 3


@pytest.mark.parametrize(
    ("text", "number", "line", "what"),
    [
        ("a: [1\n", 1, 2, "is no YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        (pool("a") + "---\na: 1\na: 2\n", 2, 6, "the key 'a' is there twice; keep one of them"),
        ("a: 1\n'a': 2\n", 1, 2, "the key 'a' is there twice; keep one of them"),
        ("1: 1\n'1': 2\n", 1, 2, "the key '1' is there twice; keep one of them"),
        ("a: *b\n", 1, 1, "*b stands for nothing: no &b goes before it"),
        ("a: &b [*b]\n", 1, 1, "*b is within what it stands for"),
        ("? [a]\n: 1\n", 1, 1, "a key is a list or an object, and has to be text"),
        ("x: &b 1\n*b : 1\n", 1, 2, "a key is an alias, and has to be text"),
        ("~: 1\n", 1, 1, "a key is empty"),
        ("a: !!python/object:os.system {}\n", 1, 1, "the tag !!python/object:os.system has no meaning in a manifest"),
        ("a: !secret b\n", 1, 1, "'b' can't be read as !secret"),
        ("a: !!int b\n", 1, 1, "'b' can't be read as !!int"),
        ("a: !!bool b\n", 1, 1, "'b' can't be read as !!bool"),
        ("a: .nan\n", 1, 1, ".nan is no number that an object may hold"),
        ("a: -.inf\n", 1, 1, "-.inf is no number that an object may hold"),
        (f"a: {'1' * 5000}\n", 1, 1, "'" + "1" * 40 + "' can't be read as !!int"),
        ("<<: 3\n", 1, 1, "<< stands before something else than an object"),
        ("a: \x01\n", 1, None, "is no YAML: unacceptable character #x0001: control characters are not allowed"),
        ('{"a": 1, "a": 2}', 1, None, "the key 'a' is there twice; keep one of them"),
        ('{"a": 1e999}', 1, None, "1e999 is no number that an object may hold"),
        ('{"a": NaN}', 1, None, "NaN is no number that an object may hold"),
        ('{"a": "\\ud800"}', 1, None, "is no text: \\u with half of a surrogate pair"),
        ("[]", 1, None, "is no Kubernetes object: it has no apiVersion and kind"),
        ("text", 1, None, "is no Kubernetes object: it has no apiVersion and kind"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_named_with_its_place(text: str, number: int, line: int | None, what: str) -> None:
    found = problem(text)

    assert (found.file, found.number, found.line, found.what) == ("standard input", number, line, what)


@pytest.mark.parametrize(
    ("text", "field", "item"),
    [
        ("kind: X\n", "apiVersion", None),
        ("apiVersion: v1\n", "kind", None),
        ("apiVersion: v1\nkind: 3\n", "kind", None),
        ("apiVersion: v1\nkind: ''\n", "kind", None),
        ("apiVersion: v1\nkind: List\nitems: {}\n", "items", None),
        ("apiVersion: v1\nkind: List\nitems: [{kind: X}]\n", "apiVersion", 0),
        ("apiVersion: v1\nkind: List\nitems: [null]\n", "", 0),
    ],
)
def test_what_has_no_kind_is_named_with_its_field(text: str, field: str, item: int | None) -> None:
    found = problem(text)

    assert (found.field, found.item) == (field, item)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_absurd_nesting_is_refused(opening: str) -> None:
    assert problem(opening * 100_000).what == f"is nested deeper than {MOST_NESTED} levels"


@pytest.mark.parametrize("depth", [MOST_NESTED + 1, 100_000])
def test_absurd_nesting_of_json_is_refused(depth: int) -> None:
    text = '{"a":' * depth + "1" + "}" * depth

    assert problem(text).what == f"is nested deeper than {MOST_NESTED} levels"


def test_what_is_nested_as_deep_as_it_may_be_is_read() -> None:
    depth = MOST_NESTED - 1  # within the object itself

    for inner in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        assert names('{"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "value": ' + inner + "}") == ["a"]


def test_aliases_stand_for_what_they_name() -> None:
    assert raw("  a: &x {k: [1]}\n  b: *x\n  c:\n    <<: *x\n    l: 2\n  d: {<<: [{k: 3, m: 4}, *x], n: 5}\n") == {
        "a": {"k": [1]},
        "b": {"k": [1]},
        "c": {"k": [1], "l": 2},
        "d": {"k": 3, "m": 4, "n": 5},
    }


def test_what_is_written_out_goes_before_what_is_merged() -> None:
    assert raw("  a: &x {k: 1}\n  b: {k: 2, <<: *x}\n") == {"a": {"k": 1}, "b": {"k": 2}}


def test_aliases_that_multiply_are_refused() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert problem("a0: &a0 [x]\n" + "\n".join(levels)).what == f"its aliases stand for more than {MOST_ALIASED} values"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T21:00:00Z", "2026-11-21T21:00:00Z"),
        ("12:30", "12:30"),
        ("1:2.5", "1:2.5"),
        ("0x10", 16),
        ("010", 8),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("yes", True),
        ("~", None),
        ("", None),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("=", "="),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_mean_to_kubectl(text: str, expected: object) -> None:
    value = raw(f"  a: {text}\n")

    assert value == {"a": expected}
    assert isinstance(value, dict)
    assert type(value["a"]) is type(expected)


def test_keys_that_are_no_text_become_text() -> None:
    assert raw("  1: a\n  yes: b\n  1.5: c\n") == {"1": "a", "true": "b", "1.5": "c"}


def test_one_bad_document_hides_no_other() -> None:
    text = pool("a") + "---\na: [\n---\n" + pool("b") + "---\n- 1\n---\nb: }\n"

    found = reading(["-"], io.StringIO(text))

    assert [document.raw["metadata"]["name"] for document in found.documents] == ["a", "b"]
    assert [(each.number, each.line) for each in found.problems] == [(2, 6), (4, None), (5, 13)]


def test_a_directory_stands_for_its_manifests(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "d.txt"):
        (tmp_path / name).write_text(pool(name[0]))
    (tmp_path / "e.yaml").mkdir()

    documents = read([str(tmp_path)])

    assert [(one.file, one.raw["metadata"]["name"]) for one in documents] == [
        (str(tmp_path / name), name[0]) for name in ("a.yml", "b.yaml", "c.json")
    ]


def test_what_is_no_file_of_manifests_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"\xe4")
    (tmp_path / "empty").mkdir()
    paths = [str(tmp_path / name) for name in ("missing.yaml", "latin.yaml", "empty")]

    found = reading([*paths, "a\0b"])

    assert [str(each) for each in found.problems] == [
        f"{paths[0]}: can't be read: No such file or directory",
        f"{paths[1]}: is not text in UTF-8",
        f"{paths[2]}: has none of *.yaml, *.yml, *.json",
        "a\0b: can't be read: embedded null byte",
    ]


def test_standard_input_that_is_no_text_is_named() -> None:
    assert str(problem("a: \udcff")) == "standard input: is not text in UTF-8"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_json_means_the_same_as_yaml(value: object) -> None:
    whole = {"apiVersion": "v1", "kind": "X", "value": value}
    text = json.dumps(whole)

    # Behind a --- it is read as YAML; that knows no escaped surrogate pairs.
    found = [reading(["-"], io.StringIO(each)) for each in (text, "---\n" + json.dumps(whole, ensure_ascii=False))]

    assert found[0].documents == (Document("standard input", 1, None, whole),)
    if not found[1].problems:
        assert found[1].documents == found[0].documents


@given(st.text(alphabet="ab:-[]{}&*<>!|#\"'\n ,?%.~1\t", max_size=60))
def test_whatever_a_file_holds_ends_in_documents_or_problems(text: str) -> None:
    found = reading(["-"], io.StringIO(text))

    assert all(str(each).startswith("standard input, document ") for each in found.problems)

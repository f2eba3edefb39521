import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.documents import read, written

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=3))
def test_what_is_written_is_read_as_the_same(values: list[object]) -> None:
    objects = [{"apiVersion": "v1", "kind": "X", "value": value} for value in values]

    assert [one.raw for one in read(["-"], io.StringIO(written(objects)))] == objects


@pytest.mark.parametrize(
    "text", ["y", "N", "yes", "true", "1", "0x1", "1.5", "12:30", "2026-01-01", "~", "=", "<<", ""]
)
def test_text_that_a_reader_could_take_for_something_else_is_quoted(text: str) -> None:
    assert written([{"a": text}]) == f"---\na: '{text}'\n"


def test_what_comes_twice_is_written_twice() -> None:
    same = {"x": [1]}

    assert written([{"a": same, "b": same}]) == "---\na:\n  x:\n  - 1\nb:\n  x:\n  - 1\n"

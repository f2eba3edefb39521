from __future__ import annotations

import base64
import os

import pytest

from lbprovider.api.core import Secret
from lbprovider.api.heartbeat_key import HeartbeatKey, decode, encode
from lbprovider.api.meta import ObjectMeta
from lbprovider.errors import InvalidObject

META = ObjectMeta(name="lbprovider-heartbeat", namespace="lb")


def test_what_is_written_is_read_newest_first() -> None:
    old, new = HeartbeatKey(9, os.urandom(32)), HeartbeatKey(10, os.urandom(32))
    assert decode(Secret(metadata=META, data=encode([old, new]))) == (new, old)


def test_a_key_is_never_printed() -> None:
    assert "secret" not in repr(HeartbeatKey(1, b"x" * 32))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "holds no key"),
        ({"key": "AAAA"}, "the name 'key' is not key-1 to key-255"),
        ({"key-0": "AAAA"}, "the name 'key-0'"),
        ({"key-256": "AAAA"}, "the name 'key-256'"),
        ({"key-07": "AAAA"}, "the name 'key-07'"),
        ({"key-²": "AAAA"}, "the name 'key-²'"),
        ({"key-1": "not base64!"}, "data[key-1]: is not base64"),
        ({"key-1": base64.b64encode(b"short").decode()}, "has 5 bytes; use at least 32 random ones"),
        (encode(HeartbeatKey(i, bytes(32)) for i in (1, 2, 3)), "holds 3 keys (key-3, key-2, key-1)"),
    ],
)
def test_what_is_no_key_is_refused_by_name(data: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidObject) as refused:
        decode(Secret(metadata=META, data=data))
    assert said in str(refused.value)
    assert str(refused.value).startswith("Secret lb/lbprovider-heartbeat data")

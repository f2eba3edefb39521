"""Which multicast groups are said to be lacking."""

from __future__ import annotations

import pytest

from lbprovider.errors import HostError
from lbprovider.net.groups import PORTION, KernelGroups
from lbprovider.net.links import Link

NOWHERE = Link(name="gone0", index=(1 << 31) - 1, mac=bytes(6), up=True, carrier=True)


def addresses(count: int) -> list[bytes]:
    return [bytes(13) + number.to_bytes(3) for number in range(count)]


def test_what_is_refused_is_said_once_all_was_tried() -> None:
    groups = KernelGroups(NOWHERE)
    groups.listen(addresses(PORTION + 1))
    assert groups.work()
    with pytest.raises(HostError, match=rf"can't join {PORTION + 1} of {PORTION + 1} IPv6 multicast groups on gone0"):
        groups.work()
    assert not groups.work()


def test_what_is_no_longer_needed_is_not_lacking() -> None:
    groups = KernelGroups(NOWHERE)
    groups.listen(addresses(PORTION + 1))
    assert groups.work()
    groups.listen([])
    assert not groups.work()

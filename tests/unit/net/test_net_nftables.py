"""What is said to nftables, without a kernel: what changes, in which order, in how many transactions."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import nftsocket as nft

from lbprovider.net.nftables_messages import (
    HEADER,
    PIECE,
    TRANSACTION,
    Backend,
    Frontend,
    Message,
    changes,
    no_table,
    packed,
    structure,
    transactions,
)

Given = Mapping[Frontend, Backend]
HTTP4: Final = Frontend(IPv4Address("198.51.100.10"), "TCP", 80)
HTTP6: Final = Frontend(IPv6Address("2001:db8:1::10"), "TCP", 80)
DNS4: Final = Frontend(IPv4Address("198.51.100.10"), "UDP", 53)
SERVER4: Final = Backend(IPv4Address("10.244.1.1"), 8080)
SERVER6: Final = Backend(IPv6Address("2001:db8:244:1::1"), 8080)
OTHER4: Final = Backend(IPv4Address("10.244.1.2"), 8080)
_PROTOCOLS: Final = {6: "TCP", 17: "UDP"}


class Kernel:
    """The two maps, as messages change them: read by pyroute2, which has not written the elements."""

    def __init__(self, holds: Given | None = None) -> None:
        self.holds: dict[Any, Any] = dict(holds or {})

    def take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            for key, value in elements(message):
                if message.kind == nft.NFT_MSG_DELSETELEM:
                    assert value is None
                    del self.holds[key]
                else:
                    assert message.flags == NLM_F_CREATE
                    assert key not in self.holds, "EEXIST: the element is there with another value"
                    self.holds[key] = value


def elements(message: Message) -> Iterator[tuple[Frontend, Backend | None]]:
    data = HEADER.pack(HEADER.size + len(message.body), message.kind, 0, 0, 0) + message.body
    read: Any = nft.nft_set_elem_list_msg(data)
    read.decode()
    length = {"forwards4": 4, "forwards6": 16}[read.get_attr("NFTA_SET_ELEM_LIST_SET")]
    for element in read.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS"):
        key: bytes = element.get_attr("NFTA_SET_ELEM_KEY").get_attr("NFTA_DATA_VALUE")
        protocol, port = struct.unpack_from("!BxxxH", key, length)
        frontend = Frontend(ip_address(key[:length]), _PROTOCOLS[protocol], port)  # type: ignore[arg-type]
        found = element.get_attr("NFTA_SET_ELEM_DATA")
        if found is None:
            yield frontend, None
        else:
            value: bytes = found.get_attr("NFTA_DATA_VALUE")
            yield frontend, Backend(ip_address(value[:length]), *struct.unpack_from("!H", value, length))


def many(count: int, port: int = 80) -> Given:
    four = {Frontend(IPv4Address("203.0.113.0") + n, "TCP", port): SERVER4 for n in range(count)}
    six = {Frontend(IPv6Address("2001:db8:7::") + n, "TCP", port): SERVER6 for n in range(count)}
    return {**four, **six}


frontends = st.builds(
    Frontend,
    st.sampled_from([HTTP4.address, HTTP6.address, IPv4Address("198.51.100.11"), IPv6Address("2001:db8:1::11")]),
    st.sampled_from(["TCP", "UDP"]),
    st.sampled_from([53, 80, 65535]),
)


@st.composite
def forwarded(draw: st.DrawFn) -> Given:
    servers = {4: (SERVER4, OTHER4), 6: (SERVER6, Backend(IPv6Address("2001:db8:244:1::2"), 1))}
    return {each: draw(st.sampled_from(servers[each.address.version])) for each in draw(st.sets(frontends))}


@given(forwarded(), forwarded())
def test_after_the_changes_the_kernel_holds_what_is_wanted_and_nothing_else(known: Given, wanted: Given) -> None:
    kernel = Kernel(known)

    kernel.take(list(changes("t", known, wanted)))

    assert kernel.holds == wanted


def test_what_stays_is_not_touched() -> None:
    known = {HTTP4: SERVER4, HTTP6: SERVER6}

    said = list(changes("t", known, {**known, DNS4: SERVER4}))

    assert [list(elements(each)) for each in said] == [[(DNS4, SERVER4)]]
    assert list(changes("t", known, dict(known))) == []


def test_a_backend_that_changes_goes_before_the_new_one_comes() -> None:
    said = list(changes("t", {HTTP4: SERVER4}, {HTTP4: OTHER4}))

    assert [each.kind for each in said] == [nft.NFT_MSG_DELSETELEM, nft.NFT_MSG_NEWSETELEM]


def test_no_message_and_no_transaction_is_larger_than_the_kernel_takes() -> None:
    first = list(structure("t"))

    batches = list(transactions(first, changes("t", many(5000, 80), many(5000, 81))))

    kernel = Kernel(many(5000, 80))
    for batch in batches:
        kernel.take([each for each in batch if each not in first])
        assert all(0 < each.size <= PIECE for each in batch if each not in first)
        assert len(packed(batch)) < TRANSACTION + 16384, "the rest of the send buffer is for what is not elements"
    assert kernel.holds == many(5000, 81)
    assert len(batches) < 10, "as few as there may be"
    assert batches[0][: len(first)] == first


def test_a_thousand_dual_stack_services_are_one_transaction() -> None:
    assert len(list(transactions(structure("t"), changes("t", {}, many(1000))))) == 1


def test_nothing_to_change_is_no_transaction() -> None:
    assert list(transactions((), changes("t", {HTTP4: SERVER4}, {HTTP4: SERVER4}))) == []


def test_a_transaction_is_numbered_and_only_its_last_message_is_acknowledged() -> None:
    data, seen = packed([*structure("t"), no_table("t")]), []
    while data:
        length, kind, flags, place, port = HEADER.unpack_from(data)
        seen.append((kind, flags & NLM_F_ACK, place))
        assert flags & NLM_F_REQUEST
        assert port == 0
        data = data[length:]

    assert [kind for kind, _, _ in seen[::-1][1:2]] == [nft.NFT_MSG_DELTABLE | 10 << 8]
    assert (seen[0][0], seen[-1][0]) == (0x10, 0x11)
    assert [place for _, _, place in seen] == list(range(len(seen)))
    assert [place for _, asked, place in seen if asked] == [len(seen) - 2]


@pytest.mark.parametrize(
    ("frontend", "backend", "why"),
    [
        (Frontend(HTTP4.address, "SCTP", 80), SERVER4, "neither TCP nor UDP"),  # type: ignore[arg-type]
        (HTTP4, SERVER6, "the other family"),
        (HTTP6, SERVER4, "the other family"),
    ],
)
def test_what_can_not_be_forwarded_is_a_bug_that_says_so(frontend: Frontend, backend: Backend, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(changes("t", {}, {frontend: backend}))

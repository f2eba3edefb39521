"""What we say to nftables: a table with its maps, chains and rules, what is put into the maps, and transactions. Pure.

The table, for both families, as ``nft list ruleset`` shows it::

    table inet NAME {
        map forwards4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
        map forwards6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service }
        chain prerouting {
            type nat hook prerouting priority dstnat; policy accept;
            dnat ip to ip daddr . meta l4proto . th dport map @forwards4
            dnat ip6 to ip6 daddr . meta l4proto . th dport map @forwards6
        }
        chain output { type nat hook output priority -100; policy accept; … the same two rules … }
    }

pyroute2 encodes all of this but the elements of the maps: there may be thousands of those, and struct does them many
times as fast. Names and numbers are those of linux/netfilter/nf_tables.h, where no other header is named.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from pyroute2.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES
from pyroute2.netlink.nfnetlink import nftsocket as nft

TRANSACTION: Final = 128 << 10
"""Bytes of elements in one transaction: some 3,000 IPv4 or 2,000 IPv6 forwards. The kernel takes a transaction in one
piece, which has to fit into the send buffer; 208 KiB is what Linux gives a socket by default."""
PIECE: Final = 32 << 10
"""Bytes of elements in one message: the length of an attribute has 16 bits."""

HEADER: Final = struct.Struct("=IHHII")
"""struct nlmsghdr of linux/netlink.h: length, type, flags, sequence, port."""
_BATCH_BEGIN: Final = 0x10  # NFNL_MSG_BATCH_* of linux/netfilter/nfnetlink.h
_BATCH_END: Final = 0x11
_MARK: Final = struct.pack("=BB", 0, 0) + struct.pack("!H", NFNL_SUBSYS_NFTABLES)  # struct nfgenmsg, likewise

_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr of linux/netlink.h: length with this header, type
_NESTED: Final = 0x8000  # NLA_F_NESTED, likewise
_ELEMENTS: Final = 3 | _NESTED  # NFTA_SET_ELEM_LIST_ELEMENTS
_ELEMENT: Final = 1 | _NESTED  # NFTA_LIST_ELEM
_KEY: Final = 1 | _NESTED  # NFTA_SET_ELEM_KEY
_DATA: Final = 2 | _NESTED  # NFTA_SET_ELEM_DATA
_VALUE: Final = 1  # NFTA_DATA_VALUE

_PROTOCOLS: Final[Mapping[str, int]] = MappingProxyType({"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP})
_HOOKS: Final[Mapping[str, int]] = MappingProxyType({"prerouting": 0, "output": 3})
"""NF_INET_* of linux/netfilter.h, by the names of our chains: what comes in, and what the node itself sends."""
_DESTINATION_PRIORITY: Final = -100  # NF_IP_PRI_NAT_DST of linux/netfilter_ipv4.h
_DESTINATION_NAT: Final = 1  # NFT_NAT_DNAT
_NETWORK_HEADER: Final = 1  # NFT_PAYLOAD_NETWORK_HEADER, and the next NFT_PAYLOAD_TRANSPORT_HEADER
_TRANSPORT_HEADER: Final = 2
_DESTINATION_PORT: Final = 2  # bytes into either header: RFC 9293 section 3.1, RFC 768
_FIRST: Final = 1
"""NFT_REG_1, of 16 bytes, where a key begins, and then what was found. What comes behind an address is in registers of
4 bytes, which lie in the same memory: the first is NFT_REG32_00."""
_FIRST_WORD: Final = 8


class Frontend(NamedTuple):
    """What is forwarded: the address and port that a client asks for."""

    address: IPv4Address | IPv6Address
    protocol: Literal["TCP", "UDP"]
    port: int


class Backend(NamedTuple):
    """Where it goes instead; the address is of the same family."""

    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class Message:
    """A part of a transaction.

    Args:
        what: what it is about, for who hears that the kernel refuses it.
        kind: NFT_MSG_*.
        body: all behind the netlink header.
        flags: NLM_F_*.
        size: bytes that count towards :data:`TRANSACTION`.
    """

    what: str
    kind: int
    body: bytes
    flags: int = NLM_F_CREATE
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Family:
    """What differs between IPv4 and IPv6.

    A key of a map is address, protocol and port, and a value address and port, each filled up to words of 4 bytes.
    """

    map: str
    number: int
    """NFPROTO_*."""
    offset: int
    """Of the destination in the header: RFC 791 section 3.1, RFC 8200 section 3."""
    length: int
    """Of an address."""
    type: int
    """What nft(8) calls an address; the kernel only keeps it."""

    @property
    def second(self) -> int:
        """The register right behind an address in the first one."""
        return _FIRST_WORD + self.length // 4


_FAMILIES: Final[Mapping[int, _Family]] = MappingProxyType(
    {
        4: _Family("forwards4", nft.NFPROTO_IPV4, offset=16, length=4, type=nft.DATA_TYPE_IPADDR),
        6: _Family("forwards6", nft.NFPROTO_IPV6, offset=24, length=16, type=nft.DATA_TYPE_IP6ADDR),
    }
)


def transactions(first: Iterable[Message], changes: Iterable[Message]) -> Iterator[Sequence[Message]]:
    """Messages as transactions within their bound, ``first`` whole in the first one; none where there is nothing."""
    batch, size = list(first), 0
    for change in changes:
        if size + change.size > TRANSACTION:
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += change.size
    if batch:
        yield batch


def packed(batch: Sequence[Message]) -> bytes:
    """A transaction as it is sent, its messages numbered from 1.

    The kernel acknowledges the last one; what it refuses it says anyway.
    """
    parts = [_packed(_BATCH_BEGIN, NLM_F_REQUEST, 0, _MARK)]
    for place, message in enumerate(batch, 1):
        flags = NLM_F_REQUEST | message.flags | (NLM_F_ACK if place == len(batch) else 0)
        parts.append(_packed(NFNL_SUBSYS_NFTABLES << 8 | message.kind, flags, place, message.body))
    parts.append(_packed(_BATCH_END, NLM_F_REQUEST, len(batch) + 1, _MARK))
    return b"".join(parts)


def _packed(kind: int, flags: int, place: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, place, 0) + body


# --- what there is but for the forwards


def _encoded(message: Any, *attributes: tuple[str, Any]) -> bytes:
    message["nfgen_family"] = nft.NFPROTO_INET
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data[HEADER.size :])


def table(name: str) -> Message:
    """The table, added where it isn't there."""
    return Message(f"table {name}", nft.NFT_MSG_NEWTABLE, _encoded(nft.nft_table_msg(), ("NFTA_TABLE_NAME", name)))


def no_table(name: str) -> Message:
    """The table, with all that is in it, taken away; ENOENT where it isn't there."""
    body = _encoded(nft.nft_table_msg(), ("NFTA_TABLE_NAME", name))
    return Message(f"table {name}", nft.NFT_MSG_DELTABLE, body, flags=0)


def structure(name: str) -> Iterator[Message]:
    """The table with its maps, empty ones, its chains and rules; where it is there, the rules are there twice."""
    yield table(name)
    for number, family in enumerate(_FAMILIES.values(), 1):
        yield _map(name, family, number)
    for chain, hook in _HOOKS.items():
        body = _encoded(
            nft.nft_chain_msg(),
            ("NFTA_CHAIN_TABLE", name),
            ("NFTA_CHAIN_NAME", chain),
            (
                "NFTA_CHAIN_HOOK",
                {"attrs": [("NFTA_HOOK_HOOKNUM", hook), ("NFTA_HOOK_PRIORITY", _DESTINATION_PRIORITY)]},
            ),
            ("NFTA_CHAIN_TYPE", "nat"),
        )
        yield Message(f"nat chain {chain}", nft.NFT_MSG_NEWCHAIN, body)
        for family in _FAMILIES.values():
            body = _encoded(
                nft.nft_rule_msg(),
                ("NFTA_RULE_TABLE", name),
                ("NFTA_RULE_CHAIN", chain),
                ("NFTA_RULE_EXPRESSIONS", list(_rule(family))),
            )
            yield Message(f"rule of {family.map}", nft.NFT_MSG_NEWRULE, body, NLM_F_CREATE | NLM_F_APPEND)


def _map(name: str, family: _Family, number: int) -> Message:
    """A map; ``number`` is its own within the transaction."""
    protocol, port = nft.DATA_TYPE_INET_PROTOCOL, nft.DATA_TYPE_INET_SERVICE
    body = _encoded(
        nft.nft_set_msg(),
        ("NFTA_SET_TABLE", name),
        ("NFTA_SET_NAME", family.map),
        ("NFTA_SET_FLAGS", {"NFT_SET_MAP"}),
        # nft(8) gives each part of a concatenation 6 bits.
        ("NFTA_SET_KEY_TYPE", family.type << 12 | protocol << 6 | port),
        ("NFTA_SET_KEY_LEN", family.length + 4 + 4),
        ("NFTA_SET_DATA_TYPE", family.type << 6 | port),
        ("NFTA_SET_DATA_LEN", family.length + 4),
        ("NFTA_SET_ID", number),
    )
    return Message(f"map {family.map}", nft.NFT_MSG_NEWSET, body)


def _rule(family: _Family) -> Iterator[Mapping[str, Any]]:
    """``meta nfproto FAMILY dnat to daddr . meta l4proto . th dport map @MAP``."""
    yield _expression("meta", ("NFTA_META_KEY", nft.Meta.NFT_META_NFPROTO), ("NFTA_META_DREG", _FIRST))
    yield _expression(
        "cmp",
        ("NFTA_CMP_SREG", _FIRST),
        ("NFTA_CMP_OP", nft.Cmp.NFT_CMP_EQ),
        ("NFTA_CMP_DATA", {"attrs": [("NFTA_DATA_VALUE", bytes([family.number]))]}),
    )
    yield _load(_NETWORK_HEADER, family.offset, family.length, _FIRST)
    yield _expression("meta", ("NFTA_META_KEY", nft.Meta.NFT_META_L4PROTO), ("NFTA_META_DREG", family.second))
    yield _load(_TRANSPORT_HEADER, _DESTINATION_PORT, 2, family.second + 1)
    yield _expression(
        "lookup", ("NFTA_LOOKUP_SET", family.map), ("NFTA_LOOKUP_SREG", _FIRST), ("NFTA_LOOKUP_DREG", _FIRST)
    )
    yield _expression(
        "nat",
        ("NFTA_NAT_TYPE", _DESTINATION_NAT),
        ("NFTA_NAT_FAMILY", family.number),
        ("NFTA_NAT_REG_ADDR_MIN", _FIRST),
        ("NFTA_NAT_REG_PROTO_MIN", family.second),
    )


def _load(header: int, offset: int, length: int, register: int) -> Mapping[str, Any]:
    """Bytes of the packet into a register; the rest of its word becomes zero, as in the keys of the maps."""
    return _expression(
        "payload",
        ("NFTA_PAYLOAD_DREG", register),
        ("NFTA_PAYLOAD_BASE", header),
        ("NFTA_PAYLOAD_OFFSET", offset),
        ("NFTA_PAYLOAD_LEN", length),
    )


def _expression(name: str, *attributes: tuple[str, Any]) -> Mapping[str, Any]:
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": list(attributes)})]}


# --- the forwards


def changes(name: str, known: Mapping[Frontend, Backend], wanted: Mapping[Frontend, Backend]) -> Iterator[Message]:
    """What makes the maps of a table hold ``wanted`` in the place of ``known``: removals, then what is new.

    Raises:
        ValueError: neither TCP nor UDP, or forwarded to the other family.
    """
    gone = [(_key(each), b"") for each, to in known.items() if wanted.get(each) != to]
    new = [(_key(each), _value(each, to)) for each, to in wanted.items() if known.get(each) != to]
    for kind, pairs, flags in ((nft.NFT_MSG_DELSETELEM, gone, 0), (nft.NFT_MSG_NEWSETELEM, new, NLM_F_CREATE)):
        for family in _FAMILIES.values():
            length = family.length + 4 + 4
            for piece in _pieces(_element(key, value) for key, value in pairs if len(key) == length):
                head = _encoded(
                    nft.nft_set_elem_list_msg(),
                    ("NFTA_SET_ELEM_LIST_TABLE", name),
                    ("NFTA_SET_ELEM_LIST_SET", family.map),
                )
                yield Message(f"elements of {family.map}", kind, head + _attribute(_ELEMENTS, piece), flags, len(piece))


def _key(frontend: Frontend) -> bytes:
    protocol = _PROTOCOLS.get(frontend.protocol)
    if protocol is None:
        raise ValueError(f"{frontend} can't be forwarded: neither TCP nor UDP")
    return frontend.address.packed + struct.pack("!BxxxHxx", protocol, frontend.port)


def _value(frontend: Frontend, backend: Backend) -> bytes:
    if frontend.address.version != backend.address.version:
        raise ValueError(f"{frontend} can't be forwarded to {backend}: that is of the other family")
    return backend.address.packed + struct.pack("!Hxx", backend.port)


def _attribute(kind: int, content: bytes) -> bytes:
    """An attribute of whole words: none is filled up."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content


def _element(key: bytes, value: bytes) -> bytes:
    data = _attribute(_DATA, _attribute(_VALUE, value)) if value else b""
    return _attribute(_ELEMENT, _attribute(_KEY, _attribute(_VALUE, key)) + data)


def _pieces(elements: Iterable[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for element in elements:
        if len(piece) + len(element) > PIECE:
            yield bytes(piece)
            piece.clear()
        piece += element
    if piece:
        yield bytes(piece)

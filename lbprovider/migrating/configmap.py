"""The one ConfigMap of MetalLB up to 0.12, as the objects that came after it (internal/config/config.go of 0.12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.documents import yaml
from lbprovider.documents.metallb import METALLB
from lbprovider.errors import InvalidObject
from lbprovider.migrating.kinds import CONFIG_NAME

_POOLS: Final = "address-pools"
_PEERS: Final = "peers"
_OTHERS: Final = (("bgp-communities", "Community"), ("bfd-profiles", "BFDProfile"))
_FIELDS: Final = {
    "protocol": "protocol",
    "addresses": "addresses",
    "auto-assign": "autoAssign",
    "avoid-buggy-ips": "avoidBuggyIPs",
    "bgp-advertisements": "bgpAdvertisements",
}
"""Of a pool: as it is called there, and in an AddressPool. (That one never had avoidBuggyIPs; its pool does.)"""


def objects(raw: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """What the ConfigMap says: AddressPools, BGPPeers, Communities and BFDProfiles.

    Args:
        raw: the ConfigMap.
        where: what to call it.

    Raises:
        InvalidObject: it isn't what MetalLB would have read.
    """
    at = f"{where} data.{CONFIG_NAME}"
    data = raw.get("data") or {}
    text = data.get(CONFIG_NAME) if isinstance(data, Mapping) else None
    if not isinstance(text, str):
        raise InvalidObject(at, "is missing: MetalLB up to 0.12 has its configuration there")
    said = _read(text, at)
    for number, pool in enumerate(_list(said, _POOLS, at)):
        yield _pool(pool, f"{at} {_POOLS}[{number}]")
    for number, peer in enumerate(_list(said, _PEERS, at), start=1):
        address = peer.get("peer-address") if isinstance(peer, Mapping) else None
        yield _object("BGPPeer", str(address or number), {})
    for key, kind in _OTHERS:
        yield from (_object(kind, name, {}) for name in _names(said.get(key)))


def _read(text: str, at: str) -> Mapping[str, Any]:
    found = list(yaml.documents(text))
    if not found:
        return {}
    first = found[0]
    if isinstance(first, yaml.Unreadable):
        raise InvalidObject(at, f"{first.what}" + (f" in its line {first.line}" if first.line else ""))
    if first.value is not None and not isinstance(first.value, Mapping):
        raise InvalidObject(at, f"is no configuration of MetalLB: {_POOLS} and {_PEERS} are expected in it")
    return first.value or {}


def _list(said: Mapping[str, Any], key: str, at: str) -> Sequence[Any]:
    value = said.get(key) or ()
    if not isinstance(value, (list, tuple)):
        raise InvalidObject(f"{at} {key}", "is no list")
    return value


def _pool(pool: Any, at: str) -> dict[str, Any]:
    if not isinstance(pool, Mapping):
        raise InvalidObject(at, "is no pool: it has no name, protocol and addresses")
    for key in ("name", "protocol", "addresses"):
        if not pool.get(key):
            raise InvalidObject(f"{at}.{key}", "is missing")
    unknown = pool.keys() - _FIELDS.keys() - {"name"}
    if unknown:
        raise InvalidObject(f"{at}.{min(unknown)}", "is nothing that MetalLB knows in a pool")
    return _object("AddressPool", str(pool["name"]), {_FIELDS[key]: pool[key] for key in _FIELDS if key in pool})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": METALLB, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _names(said: Any) -> Sequence[str]:
    """Of a map by name, or of a list of objects with one."""
    if isinstance(said, Mapping):
        return [str(name) for name in said]
    return [str(one.get("name", "")) for one in said or () if isinstance(one, Mapping)]

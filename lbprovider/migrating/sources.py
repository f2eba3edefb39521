"""What MetalLB was told: its objects, out of files or a cluster, sorted by what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lbprovider.documents.metallb import GROUP
from lbprovider.migrating import configmap
from lbprovider.migrating.kinds import CONFIG_NAME

_POOL: Final = "IPAddressPool"
_ADVERTISEMENT: Final = "L2Advertisement"
_LEGACY: Final = "AddressPool"
_BGP: Final = frozenset({"BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"})
_OURS_TO_READ: Final = frozenset({_POOL, _ADVERTISEMENT, _LEGACY}) | _BGP


@dataclass(frozen=True, slots=True)
class Source:
    """One object.

    Args:
        where: what to call it: where it is in a file, or its kind and key in a cluster.
        raw: the object; only ``apiVersion`` and ``kind`` are certain to be there.
    """

    where: str
    raw: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """As in manifests."""
        return str(self.raw["kind"])

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return str(self._metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        """``metadata.namespace``; empty where a file leaves it to kubectl."""
        return str(self._metadata.get("namespace") or "")

    @property
    def spec(self) -> Mapping[str, Any]:
        """``spec``, empty where it is no object."""
        spec = self.raw.get("spec")
        return spec if isinstance(spec, Mapping) else {}

    @property
    def _metadata(self) -> Mapping[str, Any]:
        metadata = self.raw.get("metadata")
        return metadata if isinstance(metadata, Mapping) else {}

    def __str__(self) -> str:
        key = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {key}"


@dataclass(frozen=True, slots=True)
class Metallb:
    """All that MetalLB was told.

    Args:
        pools: IPAddressPools.
        advertisements: L2Advertisements.
        legacy: AddressPools, those of the ConfigMap among them: pool and protocol in one.
        bgp: what is about BGP, which we don't speak.
        elsewhere: what is in another namespace than MetalLB's, where it counts for nothing.
    """

    pools: tuple[Source, ...] = ()
    advertisements: tuple[Source, ...] = ()
    legacy: tuple[Source, ...] = ()
    bgp: tuple[Source, ...] = ()
    elsewhere: tuple[Source, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pools or self.advertisements or self.legacy or self.bgp)


def sort(sources: Iterable[Source], namespace: str) -> Metallb:
    """Takes out what is MetalLB's.

    Args:
        sources: any objects; others are passed by.
        namespace: that MetalLB runs in.

    Raises:
        InvalidObject: the old ConfigMap can't be read.
    """
    found = tuple(_expanded(sources, namespace))
    here = [one for one in found if one.namespace in ("", namespace)]
    return Metallb(
        pools=tuple(one for one in here if one.kind == _POOL),
        advertisements=tuple(one for one in here if one.kind == _ADVERTISEMENT),
        legacy=tuple(one for one in here if one.kind == _LEGACY),
        bgp=tuple(one for one in here if one.kind in _BGP),
        elsewhere=tuple(one for one in found if one.namespace not in ("", namespace)),
    )


def _expanded(sources: Iterable[Source], namespace: str) -> Iterable[Source]:
    for source in sources:
        if str(source.raw.get("apiVersion")).partition("/")[0] == GROUP and source.kind in _OURS_TO_READ:
            yield source
        elif _is_configuration(source, namespace):
            for raw in configmap.objects(source.raw, source.where):
                yield Source(f"{source.where} {raw['kind']} {raw['metadata']['name']}", raw)


def _is_configuration(source: Source, namespace: str) -> bool:
    """Whether it is the ConfigMap that MetalLB up to 0.12 reads; in a file without a namespace it has its key too."""
    if source.raw.get("apiVersion") != "v1" or source.kind != "ConfigMap" or source.name != CONFIG_NAME:
        return False
    data = source.raw.get("data")
    return source.namespace == namespace or (
        not source.namespace and isinstance(data, Mapping) and CONFIG_NAME in data
    )  # fmt: skip

"""A migration on paper: MetalLB's objects and Services out of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

import msgspec

from lbprovider.api.core import Namespace, Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import NAMESPACES, NODES, SERVICES
from lbprovider.deciding.known import Known, Scope
from lbprovider.documents import Document, read, typed
from lbprovider.errors import UserError
from lbprovider.migrating.carrying import Carried, carry
from lbprovider.migrating.outlook import Prospect, lost, prospects
from lbprovider.migrating.sources import Source, sort

_DEFAULT: Final = "default"
"""Where kubectl puts what names no namespace."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What files come to.

    Args:
        carried: what would be written.
        prospects: what becomes of the Services with addresses.
        problems: why it can't be.
    """

    carried: Carried
    prospects: tuple[Prospect, ...]
    problems: tuple[str, ...]


def on_paper(
    paths: Sequence[str],
    stdin: TextIO | None,
    *,
    namespace: str,
    metallb_namespace: str,
    metallb_class: str,
    scope: Scope,
    now: float,
) -> Paper:
    """Reads files, and says what a migration would come to.

    Args:
        paths: as ``documents.read`` takes them.
        stdin: for the path ``-``.
        namespace: that lbprovider is to run in.
        metallb_namespace: that MetalLB runs in.
        metallb_class: the ``spec.loadBalancerClass`` that MetalLB serves; empty: Services without one.
        scope: which Services lbprovider's controller would take for its own.
        now: seconds since 1970.

    Raises:
        InvalidDocument: a file can't be read.
        InvalidObject: MetalLB's old ConfigMap can't be.
        UserError: nothing of MetalLB's is in them.
    """
    documents = read(paths, stdin)
    metallb = sort((Source(one.where, one.raw) for one in documents), metallb_namespace)
    if not metallb:
        raise UserError(
            "there is nothing of MetalLB in these files: objects of metallb.io, or the ConfigMap config, are expected, "
            f"in namespace {metallb_namespace} (--metallb-namespace) or without one"
        )
    services = [_service(one) for one in _of(documents, "v1", SERVICES.kind)]
    namespaces = [typed(one, NAMESPACES) for one in _of(documents, "v1", NAMESPACES.kind)]
    named = {one.metadata.name for one in namespaces}
    missing = sorted({one.metadata.namespace for one in services} - named)
    known = Known(
        services={one.key: one for one in services},
        namespaces={
            one.metadata.name: one
            for one in (*namespaces, *(Namespace(metadata=ObjectMeta(name=name)) for name in missing))
        },
        nodes={node.metadata.name: node for node in (typed(one, NODES) for one in _of(documents, "v1", NODES.kind))},
        pools={},
        advertisements={},
    )
    carried = carry(metallb, namespace, services)
    found = prospects(carried, known, (), scope=scope, metallb_class=metallb_class, now=now)
    return Paper(carried, found, carried.problems or lost(found))


def _of(documents: Sequence[Document], version: str, kind: str) -> list[Document]:
    return [one for one in documents if one.api_version == version and one.kind == kind]


def _service(document: Document) -> Service:
    """With a namespace and a uid, which a file may leave to the API server."""
    service = typed(document, SERVICES)
    namespace = service.metadata.namespace or _DEFAULT
    uid = service.metadata.uid or f"{namespace}/{service.metadata.name}"
    metadata = msgspec.structs.replace(service.metadata, namespace=namespace, uid=uid)
    return msgspec.structs.replace(service, metadata=metadata)

"""What is wrong with manifests: document by document, and all of them together. No cluster is asked.

What an API server would say of one of our objects is ``admission.manifests``'s, what the webhook would say of several
``admission.together``'s, what the controller would say of a Service's requests ``ipam.request``'s, and the rest of a
Service ``planning.checking``'s: ``lbprovider plan`` takes the same files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lbprovider.admission import Refusal, together
from lbprovider.admission.manifests import judged, named
from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Namespace, Service
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, NAMESPACES, POOLS, SEGMENTS, SERVICES, Resource
from lbprovider.cli.printable import printable
from lbprovider.deciding.known import Scope
from lbprovider.documents import Document, Reading, carried, typed, without_nulls
from lbprovider.errors import InvalidDocument
from lbprovider.ipam.ranges import FAMILIES, Family
from lbprovider.ipam.reasons import QUIET, Refused
from lbprovider.ipam.request import is_ours, request_of
from lbprovider.planning import checking
from lbprovider.planning.defaults import NAME_LABEL
from lbprovider.schema import Schema

_OURS: Final[Mapping[str, Resource[Any]]] = {each.kind: each for each in (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)}
_BUILTIN: Final[Mapping[tuple[str, str], Resource[Any]]] = {
    (each.api_version, each.kind): each for each in (SERVICES, NAMESPACES)
}
_CLUSTER_IPS: Final[Mapping[Family, str]] = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}
"""Stand for those that a Service has not got yet: only their family matters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Args:
        file: as it was named.
        number: of the document, from 1; 0 for the whole file.
        item: of a List, from 0; −1 where the document is none.
        text: place and sentence.
        warning: whether it is only odd.
    """

    file: str
    number: int
    item: int
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return printable(f"warning: {self.text}" if self.warning else self.text)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, sorted by file and document.

    Args:
        findings: problems and warnings.
        checked: objects that were looked at.
        passed_over: objects of kinds that aren't.
    """

    findings: tuple[Finding, ...]
    checked: int
    passed_over: int

    @property
    def refused(self) -> bool:
        """Whether anything is wrong, and not only odd."""
        return any(not finding.warning for finding in self.findings)

    @property
    def summary(self) -> str:
        """What is said where nothing is wrong."""
        objects = "1 object" if self.checked == 1 else f"{self.checked} objects"
        others = f"; not looked at: {self.passed_over} of other kinds" if self.passed_over else ""
        return f"{objects}, nothing wrong{others}"


def validated(read: Reading, kinds: Mapping[str, Schema], namespace: str, scope: Scope) -> Report:
    """All that is wrong with what was read.

    Args:
        read: the documents, and what isn't one.
        kinds: the schemas of our kinds.
        namespace: that lbprovider runs in.
        scope: which Services are ours.
    """
    found = _Input()
    one = _One(kinds, namespace, scope, found)
    findings = [_unreadable(problem) for problem in read.problems]
    for document in read.documents:
        findings += one.look(document)
    findings += _together(found, namespace)
    findings.sort(key=lambda finding: (finding.file, finding.number, finding.item))
    return Report(tuple(findings), found.checked, found.passed_over)


@dataclass(slots=True)
class _Input:
    """What the documents hold; of our kinds only what is right by itself, but ``named`` has every pool's name."""

    pools: list[tuple[Document, IPAddressPool]] = field(default_factory=list)
    advertisements: list[tuple[Document, L2Advertisement]] = field(default_factory=list)
    allocations: list[IPAllocation] = field(default_factory=list)
    services: dict[str, Service] = field(default_factory=dict)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    first: dict[tuple[str, str], Document] = field(default_factory=dict)
    checked: int = 0
    passed_over: int = 0

    def labels(self, key: str) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
        """Of the namespace of a Service and its own, where the input has both."""
        service, namespace = self.services.get(key), self.namespaces.get(key.partition("/")[0])
        if service is None or namespace is None:
            return None
        return {**namespace.metadata.labels, NAME_LABEL: namespace.metadata.name}, service.metadata.labels


# --- each by itself


@dataclass(frozen=True, slots=True)
class _One:
    """Looks at one document after the other, and keeps in ``found`` what the whole input is judged by."""

    kinds: Mapping[str, Schema]
    namespace: str
    scope: Scope
    found: _Input

    def look(self, document: Document) -> Iterator[Finding]:
        """What is wrong with it."""
        group = document.api_version.rpartition("/")[0]
        if theirs := carried(document.raw):
            yield from self._custom(dataclasses.replace(document, raw=self._moved(theirs)))
        elif group == names.GROUP:
            yield from self._custom(document) if self._served(document) else self._unknown(document)
        elif resource := _BUILTIN.get((document.api_version, document.kind)):
            yield from self._builtin(document, resource)
        else:
            self.found.passed_over += 1

    def _served(self, document: Document) -> bool:
        return document.api_version == names.API_VERSION and document.kind in self.kinds

    def _unknown(self, document: Document) -> Iterator[Finding]:
        self.found.checked += 1
        served = f"{names.API_VERSION} has {', '.join(sorted(self.kinds))}"
        yield _refused(document, Refusal("kind", f"is no kind of {document.api_version}: {served}", document.kind))

    def _moved(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """An object of MetalLB in our namespace, as ``migrate`` would write it."""
        about = raw.get("metadata")
        return {**raw, "metadata": {**about, "namespace": self.namespace}} if isinstance(about, dict) else dict(raw)

    def _custom(self, document: Document) -> Iterator[Finding]:
        self.found.checked += 1
        resource = _OURS[document.kind]
        document = _placed(document, self.namespace) if resource.namespaced else document
        stored, refusals = judged(document.raw, self.kinds[document.kind], namespaced=resource.namespaced)
        yield from (_refused(document, refusal) for refusal in refusals)
        yield from self._twice(document)
        if resource is POOLS and _meta(document, "namespace") == self.namespace:
            self.found.named.add(_meta(document, "name"))
        if stored is not None:
            yield from self._kept(document, typed(dataclasses.replace(document, raw=stored), resource))

    def _kept(self, document: Document, obj: Object) -> Iterator[Finding]:
        if isinstance(obj, IPAllocation):
            self.found.allocations.append(obj)
        elif isinstance(obj, IPAddressPool | L2Advertisement) and obj.metadata.namespace != self.namespace:
            what = f"is not {self.namespace}, where lbprovider runs, so this counts for nothing"
            yield _refused(document, Refusal("metadata.namespace", what, obj.metadata.namespace), warning=True)
        elif isinstance(obj, IPAddressPool):
            self.found.pools.append((document, obj))
        elif isinstance(obj, L2Advertisement):
            self.found.advertisements.append((document, obj))

    def _builtin(self, document: Document, resource: Resource[Any]) -> Iterator[Finding]:
        """A Service or a Namespace."""
        self.found.checked += 1
        document = _placed(document, "default") if resource.namespaced else document
        yield from self._twice(document)
        document = _named(document)
        try:
            obj = typed(document, resource)
        except InvalidDocument as error:
            yield _said(document, error.field, error.what)
            return
        yield from (_said(document, *each) for each in checking.identity(without_nulls(document.raw), resource))
        if isinstance(obj, Service):
            yield from (_said(document, *each) for each in checking.service(obj))
            self.found.services[obj.key] = obj
            yield from self._requests(document, obj)
        elif isinstance(obj, Namespace):
            self.found.namespaces[obj.key] = obj

    def _requests(self, document: Document, service: Service) -> Iterator[Finding]:
        if is_ours(service, self.scope.lb_class, default_class=self.scope.default_class):
            refused = _request(service)
            if refused is not None:
                yield _said(document, refused.reason, refused.message)

    def _twice(self, document: Document) -> Iterator[Finding]:
        name = _meta(document, "name")
        key = (document.kind, f"{_meta(document, 'namespace')}/{name}")
        first = self.found.first.setdefault(key, document)
        if name and first is not document:
            yield _refused(
                document, Refusal("metadata.name", f"is there twice, first in {first.where}: keep one", name)
            )


def _placed(document: Document, namespace: str) -> Document:
    """The document with the namespace that it is taken to be in where it names none."""
    about = document.raw.get("metadata")
    if not isinstance(about, dict) or about.get("namespace"):
        return document
    return dataclasses.replace(document, raw={**document.raw, "metadata": {**about, "namespace": namespace}})


def _named(document: Document) -> Document:
    about = document.raw.get("metadata")
    return (
        dataclasses.replace(document, raw={**document.raw, "metadata": named(about)})
        if isinstance(about, dict)
        else document
    )


def _request(service: Service) -> Refused | None:
    """Why what the Service asks for makes no sense; where it isn't on a cluster yet, on any cluster."""
    answers = [request_of(each, {}) for each in _as_made(service)]
    refused = [each for each in answers if isinstance(each, Refused) and each.reason not in QUIET]
    return refused[0] if refused and len(refused) == len(answers) else None


def _as_made(service: Service) -> Iterator[Service]:
    """The Service as clusters would make it, of which the families depend (alloc.go, initIPFamilyFields)."""
    spec = service.spec
    if spec.cluster_ip or spec.cluster_ips:
        yield service
        return
    both = spec.ip_family_policy in ("PreferDualStack", "RequireDualStack")
    given = spec.ip_families or (FAMILIES if both else ())
    ways = [tuple(dict.fromkeys((*given, *(FAMILIES if both else ()))))] if given else [(each,) for each in FAMILIES]
    for families in ways:
        made = msgspec.structs.replace(
            spec, ip_families=families, cluster_ips=tuple(_CLUSTER_IPS[family] for family in families)
        )
        yield msgspec.structs.replace(service, spec=made)


# --- all of them together


def _together(found: _Input, namespace: str) -> Iterator[Finding]:
    pools = [pool for _, pool in found.pools]
    overlapping = False
    for at, (document, pool) in enumerate(found.pools):
        # Of two that overlap the later one is told so.
        for refusal in together.pool(pool, None, pools[:at]):
            overlapping = True
            yield _refused(document, refusal)
    # Where a pool is missing, nobody knows what it would cover.
    if not overlapping and len(pools) == len(found.named):
        held = [allocation.spec for allocation in found.allocations]
        for document, pool in found.pools if held else ():
            yield from (_refused(document, each) for each in together.left_out(pool, pools, held, found.labels))
    there = [IPAddressPool(metadata=ObjectMeta(name=name, namespace=namespace)) for name in found.named]
    for document, advertisement in found.advertisements:
        for refusal in together.advertisement(advertisement, there):
            yield _refused(document, refusal, warning=True)


# --- how it is said


def _unreadable(problem: InvalidDocument) -> Finding:
    item = -1 if problem.item is None else problem.item
    return Finding(problem.file, problem.number or 0, item, str(problem))


def _refused(document: Document, refusal: Refusal, *, warning: bool = False) -> Finding:
    return _said(document, "", str(refusal), warning=warning)


def _said(document: Document, where: str, sentence: str, *, warning: bool = False) -> Finding:
    subject = f"{document.kind} {'/'.join(filter(None, (_meta(document, 'namespace'), _meta(document, 'name'))))}"
    text = f"{document.where}: {subject.rstrip()} {f'{where}: ' if where else ''}{sentence}"
    return Finding(document.file, document.number, -1 if document.item is None else document.item, text, warning)


def _meta(document: Document, name: str) -> str:
    """A field of its metadata, empty where there is none that can be read."""
    about = document.raw.get("metadata")
    value = about.get(name) if isinstance(about, Mapping) else None
    return value if isinstance(value, str) else ""

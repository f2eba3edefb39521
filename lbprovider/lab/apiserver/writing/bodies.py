"""A request's body and its options, read: of the right kind, with only fields that the kind has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import yaml

from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal, bad_request, invalid, unsupported
from lbprovider.lab.apiserver.store import Object
from lbprovider.lab.apiserver.writing import protobuf
from lbprovider.lab.apiserver.writing import shapes as built_in
from lbprovider.schema import shapes
from lbprovider.schema.causes import INVALID, NOT_SUPPORTED, Cause, quoted

JSON: Final = "application/json"
YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")
_SHOWN: Final = 30
"""Characters of a body that is not understood that are repeated."""
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is asked for.

    Args:
        dry_run: all checks, and nothing is stored.
        validation: what becomes of unknown fields: Strict, Warn or Ignore.
        warnings: what the answer warns of; grows as the request is worked on.
    """

    dry_run: bool
    validation: str
    warnings: list[str] = field(default_factory=list)

    def judge(self, unknown: tuple[str, ...]) -> str:
        """Why unknown fields refuse the request, empty if they don't; they may become warnings."""
        said = [f'unknown field "{each}"' for each in unknown]
        if self.validation == "Strict":
            return f"strict decoding error: {', '.join(said)}" if said else ""
        if self.validation == "Warn":
            self.warnings.extend(said)
        return ""


def options(query: Mapping[str, str], kind: str) -> Options:
    """The options in a write's query.

    Args:
        query: of the request.
        kind: ``CreateOptions`` and so on, to refuse in its name.

    Raises:
        Refusal: 422.
    """
    dry_run, validation = query.get("dryRun", ""), query.get("fieldValidation", "")
    causes = []
    if dry_run not in ("", "All"):
        causes.append(
            Cause("dryRun", f'Unsupported value: {quoted([dry_run])}: supported values: "All"', NOT_SUPPORTED)
        )
    if validation not in _VALIDATIONS:
        listed = ", ".join(quoted(each) for each in _VALIDATIONS)
        said = f"Unsupported value: {quoted(validation)}: supported values: {listed}"
        causes.append(Cause("fieldValidation", said, NOT_SUPPORTED))
    if causes:
        raise invalid("meta.k8s.io", kind, "", causes)
    return Options(dry_run == "All", validation or "Warn")


def parse(payload: bytes, content_type: str, wanted: str) -> Object:
    """The object in a body: JSON, YAML, or protobuf of the kinds that kubectl sends so.

    Args:
        payload: the body.
        content_type: what it is, empty for JSON.
        wanted: the kind that it should be, for the refusal.

    Raises:
        Refusal: 400, or 415.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == protobuf.MEDIA_TYPE:
        return _from_protobuf(payload, wanted)
    if media_type not in ("", JSON, *YAML):
        raise unsupported((JSON, YAML[0]))
    try:
        # YAML knows dates and keys that are no text; JSON is what is stored.
        read = msgspec.json.encode(yaml.safe_load(payload)) if media_type in YAML else payload
        value = msgspec.json.decode(read)
    except (msgspec.MsgspecError, yaml.YAMLError, TypeError, OverflowError, UnicodeError) as error:
        why = "unexpected end of JSON input" if "truncated" in str(error) else " ".join(str(error).split())
        raise _unrecognized(wanted, f"couldn't get version/kind; json parse error: {why}", payload) from None
    if not isinstance(value, dict):
        why = (
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {type(value).__name__} into Go value"
        )
        raise _unrecognized(wanted, why, payload)
    return value


def _from_protobuf(payload: bytes, wanted: str) -> Object:
    try:
        return protobuf.decode(payload)
    except protobuf.UnknownKind:
        raise unsupported((JSON, YAML[0])) from None
    except protobuf.Unreadable as error:
        raise _unrecognized(wanted, str(error), b"") from None


def _unrecognized(wanted: str, why: str, payload: bytes) -> Refusal:
    text = payload.decode("utf-8", errors="replace")
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
    return bad_request(f"the object provided is unrecognized (must be of type {wanted}): {why} ({shown or '<empty>'})")


def check_kind(kind: Kind, obj: Object, payload: bytes) -> None:
    """Whether an object says that it is of a kind; built-in ones need not say it.

    Raises:
        Refusal: 400.
    """
    said, version = obj.get("kind"), obj.get("apiVersion")
    if kind.custom and not said:
        text = payload.decode("utf-8", errors="replace")
        raise _unrecognized(kind.kind, f"Object 'Kind' is missing in '{text}'", payload)
    if kind.custom and version != kind.api_version:
        expected = f"does not match the expected API version ({kind.api_version})"
        raise bad_request(f"the API version in the data ({version or ''}) {expected}")
    if kind.custom and said != kind.kind:
        raise _not_of(kind, obj, "kind", kind.kind)
    said, version = said or kind.kind, version or kind.api_version
    if version != kind.api_version:
        what = f'no kind "{said}" is registered for version "{version}"'
        raise bad_request(f'{said} in version "{_short(version)}" cannot be handled as a {kind.kind}: {what}')
    if said != kind.kind:
        what = f"it is of the kind {said}"
        raise bad_request(f'{said} in version "{_short(version)}" cannot be handled as a {kind.kind}: {what}')


def _not_of(kind: Kind, obj: Mapping[str, Any], field: str, wanted: str) -> Refusal:
    """422, in the name of the kind that the object says it is of."""
    metadata = obj.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    group = kind.group if field == "kind" else str(obj.get("apiVersion")).rpartition("/")[0]
    cause = Cause(field, f"Invalid value: {quoted(obj.get(field))}: must be {wanted}", INVALID)
    return invalid(group, str(obj.get("kind")), name, [cause])


def _short(api_version: Any) -> str:
    return str(api_version).rpartition("/")[2]


def known(kind: Kind, served: Served, obj: Mapping[str, Any]) -> tuple[Object, tuple[str, ...]]:
    """An object with only the fields that its kind has, and the paths of the others.

    Raises:
        shapes.TypeMismatch: a value isn't of its field's type (of metadata only, where a schema looks at the rest).
    """
    given = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    head = {"kind": kind.kind, "apiVersion": kind.api_version}
    if not kind.custom:
        read, unknown = built_in.read(kind, {"metadata": {}, **given})
        return {**head, **read}, unknown
    metadata, unknown = shapes.read_metadata(given.pop("metadata", None) or {})
    pruned, more = served.schema(kind).prune({**head, **given})
    # A schema may say something of the name; of metadata's other fields it knows nothing.
    return {**head, "metadata": metadata, **pruned}, (*unknown, *more)


def decoded(kind: Kind, served: Served, payload: bytes, content_type: str, asked: Options) -> Object:
    """The object in the body of a POST or PUT.

    Raises:
        Refusal: 400, or 415.
    """
    obj = parse(payload, content_type, kind.kind)
    check_kind(kind, obj, payload)
    try:
        read, unknown = known(kind, served, obj)
        refused = asked.judge(unknown)
    except shapes.TypeMismatch as error:
        refused = str(error)
        read = {}
    if refused:
        raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {refused}')
    return read


def patched(kind: Kind, served: Served, obj: Any, asked: Options) -> Object:
    """The object that a patch made, read as a body is.

    Raises:
        Refusal: 422: it is no object of the kind any more.
    """
    try:
        text = msgspec.json.encode(obj).decode()
    except (OverflowError, UnicodeError) as error:
        raise bad_request(f"error decoding patch: {error}") from None
    if not isinstance(obj, dict):
        raise _unpatchable(text, "it is no object")
    for name, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if obj.get(name) != wanted:
            raise _not_of(kind, obj, name, wanted)
    try:
        read, unknown = known(kind, served, obj)
        refused = asked.judge(unknown)
    except shapes.TypeMismatch as error:
        raise _unpatchable(text, str(error)) from None
    if refused:
        raise _unpatchable(text, refused)
    return read


def _unpatchable(text: str, why: str) -> Refusal:
    return invalid("", "", "", [Cause("patch", f"Invalid value: {quoted(text)}: {why}", INVALID)])

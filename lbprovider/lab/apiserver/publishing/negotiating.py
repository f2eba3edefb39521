"""In what form an answer is wanted: the Accept header, and the answers as JSON, tables or metadata alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from aiohttp import web

from lbprovider.lab.apiserver.statuses import Refusal

JSON: Final = "application/json"
TABLE: Final = "Table"
PARTIAL: Final = "PartialObjectMetadata"
_PLAIN: Final = (JSON, "application/*", "*/*", "")
_FORMS: Final = {"Table": TABLE, "PartialObjectMetadata": PARTIAL, "PartialObjectMetadataList": PARTIAL}
_REFUSED: Final = "only the following media types are accepted: application/json"


@lru_cache(maxsize=256)
def form(accept: str) -> str:
    """In what form the objects of an answer are wanted: ``TABLE``, ``PARTIAL``, or empty for as they are.

    Raises:
        Refusal: 406.
    """
    for clause in accept.split(","):
        media_type, *given = (each.strip() for each in clause.split(";"))
        parameters = dict(each.partition("=")[::2] for each in given)
        if media_type not in _PLAIN:
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return ""
        if wanted in _FORMS and parameters.get("g") == "meta.k8s.io" and parameters.get("v") in ("v1", "v1beta1"):
            return _FORMS[wanted]
    raise Refusal(406, "NotAcceptable", _REFUSED)


def answer(body: Mapping[str, Any] | bytes, code: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(body=payload, status=code, content_type=JSON, headers=headers)


def text(body: str, code: int = 200) -> web.Response:
    """An answer in words."""
    return web.Response(text=body, status=code)

"""Questions that are answered and not kept: may I do that, and a token for a ServiceAccount."""

from __future__ import annotations

import datetime as dt
from typing import Final

from lbprovider.lab.apiserver import statuses
from lbprovider.lab.apiserver.access.authentication import ISSUER, Authenticator, User
from lbprovider.lab.apiserver.access.authorization import Authorizer
from lbprovider.lab.apiserver.asked import Asked
from lbprovider.lab.apiserver.store import Object
from lbprovider.schema.causes import Cause, quoted

TOKEN_VERSION: Final = "authentication.k8s.io/v1"  # noqa: S105  (a version, no secret)
_SECONDS: Final = 3600
_LEAST_SECONDS: Final = 600
_NEITHER: Final = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def access(authorizer: Authorizer, user: User, review: Object) -> Object:
    """The answer to a SelfSubjectAccessReview.

    Raises:
        Refusal: 422.
    """
    spec = review.get("spec", {})
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        cause = Cause("spec.resourceAttributes", f"Invalid value: null: {_NEITHER}")
        raise statuses.invalid("authorization.k8s.io", "", "", [cause])
    if resource is not None:
        asked = Asked(
            verb=resource.get("verb", ""),
            path="",
            group=resource.get("group", ""),
            version=resource.get("version", ""),
            plural=resource.get("resource", ""),
            namespace=resource.get("namespace", ""),
            name=resource.get("name", ""),
            subresource=resource.get("subresource", ""),
        )
    else:
        asked = Asked(path.get("verb", ""), path.get("path", ""))
    return {**review, "metadata": {}, "status": {"allowed": authorizer.allowed(user, asked)}}


def issue(authenticator: Authenticator, account: Object, request: Object, now: float) -> Object:
    """The answer to a TokenRequest.

    Args:
        authenticator: signs.
        account: the ServiceAccount.
        request: its body.
        now: seconds since 1970.

    Raises:
        Refusal: 422.
    """
    spec = request.get("spec") or {}
    seconds = spec.get("expirationSeconds", _SECONDS)
    if not isinstance(seconds, int) or seconds < _LEAST_SECONDS:
        why = "may not specify a duration less than 10 minutes"
        cause = Cause("spec.expirationSeconds", f"Invalid value: {quoted(seconds)}: {why}")
        raise statuses.invalid("authentication.k8s.io", "TokenRequest", "", [cause])
    named = spec.get("audiences")
    audiences = named if isinstance(named, list) and named else [ISSUER]
    token = authenticator.token(account, now, seconds, audiences)
    metadata = {key: account["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "kind": "TokenRequest",
        "apiVersion": TOKEN_VERSION,
        "metadata": {**metadata, "creationTimestamp": rfc3339(now)},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
        "status": {"token": token, "expirationTimestamp": rfc3339(int(now) + seconds)},
    }


def rfc3339(seconds: float) -> str:
    """A time as objects have it: whole seconds, UTC."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Admission webhooks: how the API server is told of ours, what it asks us, and what we answer."""

from __future__ import annotations

import msgspec

from lbprovider.api.meta import Object, Struct


class WebhookClientConfig(Struct, frozen=True):
    """How the API server reaches a webhook. ``ca_bundle``: PEM in base64, the authorities that it believes there."""

    ca_bundle: str = ""


class ValidatingWebhook(Struct, frozen=True):
    """One webhook of a configuration."""

    name: str
    client_config: WebhookClientConfig = WebhookClientConfig()


class ValidatingWebhookConfiguration(Object, frozen=True):
    """An admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration."""

    webhooks: tuple[ValidatingWebhook, ...] = ()


class ReviewedResource(Struct, frozen=True):
    """What kind of object a review is about."""

    group: str = ""
    version: str = ""
    resource: str = ""


class AdmissionRequest(Struct, frozen=True, kw_only=True):
    """What is about to be done. ``object`` is null for DELETE, ``old_object`` for CREATE (admission/v1)."""

    uid: str
    resource: ReviewedResource
    operation: str
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")


class ReviewStatus(Struct, frozen=True):
    """Why something is refused: what the user reads."""

    code: int
    reason: str
    message: str


class AdmissionResponse(Struct, frozen=True, kw_only=True):
    """Our answer. ``warnings`` are shown to whoever asked, each cut after 256 characters."""

    uid: str
    allowed: bool
    status: ReviewStatus | None = None
    warnings: tuple[str, ...] = ()


class AdmissionReview(Struct, frozen=True, kw_only=True):
    """An admission.k8s.io/v1 AdmissionReview: the question has a request, the answer a response."""

    api_version: str
    kind: str
    request: AdmissionRequest | None = None
    response: AdmissionResponse | None = None

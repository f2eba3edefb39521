"""Requests to the API server over aiohttp; implements ``ports.Api``."""

from __future__ import annotations

from lbprovider.kube.access import Access


class Client:
    """``ports.Api`` over HTTP; an async context manager.

    Args:
        access: the server, and who we are.
        user_agent: ``lbprovider-controller``, …; the API server makes the field manager's name of it.
    """

    def __init__(self, access: Access, *, user_agent: str) -> None:
        raise NotImplementedError

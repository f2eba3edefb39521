"""The webhook as one task of the controller's process."""

from __future__ import annotations

from lbprovider.controller.webhook.judging import Judge
from lbprovider.controller.webhook.keeping import Keeper
from lbprovider.controller.webhook.serving import ReviewServer
from lbprovider.kube.ports import Api


async def serve(api: Api, namespace: str, port: int) -> None:
    """Serves reviews until cancelled; ends for no other reason.

    Args:
        api: the API server; written to whether we lead or not.
        namespace: the controller's own.
        port: where to listen.
    """
    server = ReviewServer(port, Judge(api, namespace).review)
    try:
        await Keeper(api, namespace, server.show).run()
    finally:
        await server.stop()

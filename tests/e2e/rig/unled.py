"""A controller that leads without asking: no Lease, so that two of them work on everything at once.

``python -m tests.e2e.rig.unled KUBECONFIG NAMESPACE NAME``: says ``adopted`` in its log when it begins to work, and
goes on until it is killed. As ``lbprovider controller`` otherwise, with the same watches and the same client, but each
request, answer and event may take its time, and the clock that people read may be wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(prog="unled")
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("namespace")
    parser.add_argument("name")
    parser.add_argument("--latency", type=float, default=0, help="seconds at most, each way, of each request")
    parser.add_argument("--lag", type=float, default=0, help="seconds at most until a watch tells")
    parser.add_argument("--ahead", type=float, default=0, help="seconds that its clock is ahead")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    # Before anything that takes a clock as a default is imported.
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + given.ahead
    time.time_ns = lambda: right_ns() + int(given.ahead * 1e9)
    asyncio.run(_lead(given))


async def _lead(given: argparse.Namespace) -> None:
    import structlog  # noqa: PLC0415  (after the clock is set)

    from lbprovider.api.names import CONTROLLER_MANAGER  # noqa: PLC0415
    from lbprovider.controller.inventory import Inventory  # noqa: PLC0415  (the same)
    from lbprovider.controller.leading import lead  # noqa: PLC0415
    from lbprovider.controller.watching import Watches  # noqa: PLC0415
    from lbprovider.kube.access import from_kubeconfig  # noqa: PLC0415
    from lbprovider.kube.client import Client  # noqa: PLC0415
    from lbprovider.settings import ControllerSettings  # noqa: PLC0415
    from lbprovider.telemetry import configure_logging  # noqa: PLC0415
    from tests.fakes.late_api import LateApi, LateStore  # noqa: PLC0415

    configure_logging()
    log = structlog.get_logger("unled")
    dice = random.Random(given.seed)  # noqa: S311  (not a secret)
    access = await from_kubeconfig(given.kubeconfig, os.environ)

    def watch(inventory: Inventory, relisted: Callable[[], None]) -> Coroutine[Any, Any, None]:
        stores = (inventory.services, inventory.namespaces, inventory.nodes, inventory.segments, inventory.allocations)
        late: list[Any] = [LateStore(store, lambda: dice.uniform(0, given.lag)) for store in stores]
        return Watches(access, late, relisted).run()

    settings = ControllerSettings(namespace=given.namespace, identity=given.name)
    async with Client(access, user_agent=CONTROLLER_MANAGER) as client:
        api = LateApi(client, lambda: dice.uniform(0, given.latency))
        await lead(api, settings, watch, lambda: log.info("adopted by an unled controller", name=given.name))


if __name__ == "__main__":
    main()

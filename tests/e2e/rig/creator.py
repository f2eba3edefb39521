"""Makes Services as fast as the API server takes them, from a process of its own.

``python -m tests.e2e.rig.creator SERVER AUTHORITY TOKEN COUNT LANES``: ``burst-00000`` and so on in namespace default,
without endpoints and node ports. Says how long it took.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys
import time

import aiohttp


async def create(server: str, authority: str, token: str, count: int, lanes: int) -> None:
    """Create them; RuntimeError with what the API server says where it doesn't take one."""
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=lanes, ssl=ssl.create_default_context(cafile=authority))
    headers = {"Authorization": f"Bearer {token}"}

    async def lane(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.post("/api/v1/namespaces/default/services", json=_service(number)) as answer:
                if not answer.ok:
                    raise RuntimeError(await answer.text())
                await answer.read()

    async with (
        aiohttp.ClientSession(server, connector=connector, headers=headers) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in itertools.repeat(None, lanes):
            group.create_task(lane(session))


def _service(number: int) -> object:
    spec = {
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": False,
        "ports": [{"port": 80, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"burst-{number:05}"}, "spec": spec}


if __name__ == "__main__":
    began = time.monotonic()
    asyncio.run(create(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
    print(f"created in {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201  (who started it reads this)

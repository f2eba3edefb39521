"""A client that opens a new connection again and again: ``caller.py ADDRESS PORT PERIOD PATIENCE``, in seconds.

One HTTP request a period, each over a TCP connection of its own and none waiting for another. A line of JSON as each
comes to its end: ``{"at": ns, "opened": ns, "ended": ns, "node": …}``; with ``"error": …`` instead of the node where it
failed, and without ``opened`` where it did so before it was established. The end of standard input ends it, once every
connection has come to its end. It runs where no rig is, so it needs nothing but Python's standard library.
"""

import asyncio
import json
import sys
import threading
import time


async def _call(address: str, port: int, patience: float) -> None:
    record: dict[str, object] = {"at": time.monotonic_ns()}
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(address, port)
            record["opened"] = time.monotonic_ns()
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                _, _, content = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        record["node"] = json.loads(content)["node"]
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        record["error"] = repr(error)
    record["ended"] = time.monotonic_ns()
    print(json.dumps(record), flush=True)  # noqa: T201 - the answer


async def _run(address: str, port: int, period: float, patience: float) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def listen() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=listen, daemon=True).start()
    due = loop.time()
    async with asyncio.TaskGroup() as calls:
        while not ended.is_set():
            calls.create_task(_call(address, port, patience))
            # What it was too late for is left out: to catch up would be a load that nobody asked for.
            due += period * max(1, -((due - loop.time()) // period))
            try:
                await asyncio.wait_for(ended.wait(), max(0, due - loop.time()))
            except TimeoutError:
                continue


def main(address: str, port: str, period: str, patience: str) -> None:
    asyncio.run(_run(address, int(port), float(period), float(patience)))


if __name__ == "__main__":
    main(*sys.argv[1:])

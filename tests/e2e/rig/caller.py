"""A client that opens a new connection again and again and writes down what came of each.

``caller.py ADDRESS PORT PERIOD PATIENCE OUTPUT``, in seconds: one HTTP request a period, each over a TCP connection of
its own and none waiting for another; JSON lines ``{"at": ns, "took": ns, "node": …}`` or ``{…, "error": …}``.
"""

import argparse
import asyncio
import json
import signal
import time
from pathlib import Path
from typing import TextIO


async def _call(address: str, port: int, patience: float, output: TextIO) -> None:
    at = time.monotonic_ns()
    record: dict[str, object] = {"at": at}
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                _, _, content = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        record["node"] = json.loads(content)["node"]
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        record["error"] = repr(error)
    record["took"] = time.monotonic_ns() - at
    output.write(json.dumps(record) + "\n")
    output.flush()


async def _run(address: str, port: int, period: float, patience: float, output: TextIO) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with asyncio.TaskGroup() as calls:
        while not ended.is_set():
            calls.create_task(_call(address, port, patience, output))
            try:
                await asyncio.wait_for(ended.wait(), period)
            except TimeoutError:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("period", type=float)
    parser.add_argument("patience", type=float)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with given.output.open("a", encoding="utf-8") as output:
        asyncio.run(_run(given.address, given.port, given.period, given.patience, output))


if __name__ == "__main__":
    main()

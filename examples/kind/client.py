"""A client that asks a web server anew a hundred times a second, and says whenever another node answers.

``python3 -c … ADDRESS`` on a machine of its own: the demo gives it to a container as text, so it stands alone. A JSON
object a line: ``{"node": …, "silence": milliseconds since the answer before}``. It ends when its standard input does.
"""

import asyncio
import contextlib
import json
import sys
import time

PERIOD = 0.01
"""Seconds between two requests, each over a connection of its own; none waits for another."""
PATIENCE = 2.0
"""Seconds until a request is given up."""


async def ask(address: str, heard: asyncio.Queue[str]) -> None:
    """One request; an answer's node goes into the queue, and no answer is what is measured."""
    with contextlib.suppress(OSError, ValueError, LookupError):  # a timeout is an OSError
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address, 80)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                _, _, content = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        heard.put_nowait(json.loads(content)["node"])


async def tell(heard: asyncio.Queue[str]) -> None:
    """Say who answers, first and whenever it is another."""
    last, node = time.monotonic(), ""
    while True:
        now_heard = await heard.get()
        now = time.monotonic()
        if now_heard != node:
            node = now_heard
            print(json.dumps({"node": node, "silence": round((now - last) * 1000)}), flush=True)
        last = now


async def main(address: str) -> None:
    """Ask until the standard input ends."""
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    heard: asyncio.Queue[str] = asyncio.Queue()
    telling = asyncio.create_task(tell(heard))
    asking = set()
    while not ended.done():
        request = asyncio.create_task(ask(address, heard))
        asking.add(request)
        request.add_done_callback(asking.discard)
        await asyncio.sleep(PERIOD)
    for each in (telling, *asking):
        each.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""A client that asks a few times: ``asker.py ADDRESS PORT TIMES PATIENCE``, the last in seconds.

One HTTP request after another, each over a TCP connection of its own. A line of JSON for each: what the server said, or
``{"error": …}``. It runs where no rig is, so it needs nothing but Python's standard library.
"""

import http.client
import json
import sys


def _ask(address: str, port: int, patience: float) -> dict[str, str]:
    connection = http.client.HTTPConnection(address, port, timeout=patience)
    try:
        connection.request("GET", "/")
        said: dict[str, str] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"error": repr(error)}
    finally:
        connection.close()
    return said


def main(address: str, port: str, times: str, patience: str) -> None:
    for _ in range(int(times)):
        print(json.dumps(_ask(address, int(port), float(patience))), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])

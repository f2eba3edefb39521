"""The program in a Pod: a small HTTP server that says where it is and whom it sees.

``webserver.py NODE POD PORT ADDRESS…``
"""

import argparse
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # http.server's own asks the DNS for its name: 10 s without one


class _Server6(_Server):
    address_family = socket.AF_INET6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node")
    parser.add_argument("pod")
    parser.add_argument("port", type=int)
    parser.add_argument("addresses", nargs="+")
    given = parser.parse_args()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"node": given.node, "pod": given.pod, "client": self.client_address[0]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: a test makes thousands of requests."""

    servers = [(_Server6 if ":" in address else _Server)((address, given.port), Handler) for address in given.addresses]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    print("serving", flush=True)  # noqa: T201 - whoever reads the log waits for it
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

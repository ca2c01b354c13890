"""Small HTTP servers that tests ask, and that end with the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer


@contextmanager
def answering(server: HTTPServer) -> Iterator[str]:
    """Let a server answer; yield its address. However the test ends, the server ends first and is closed then."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def spinning() -> list[HTTPServer]:
    """Return the servers that were closed and not shut down: each polls a closed socket, which takes a core for good."""
    targets = [getattr(thread, "_target", None) for thread in threading.enumerate()]
    servers = [getattr(target, "__self__", None) for target in targets]
    return [server for server in servers if isinstance(server, HTTPServer) and server.socket.fileno() < 0]

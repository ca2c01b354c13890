"""Ports of this host's loopback, and what answers there."""

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping


def free_port() -> int:
    """Return a port of loopback that nothing uses now, and that the kernel gives to nobody else for a minute.

    Of a connection whose server closes it first, the server's port is kept (TIME_WAIT, RFC 9293, 3.6.1): only a server that
    asks for this very port gets it, if it sets SO_REUSEADDR, as servers do. A port that was only looked at might be another
    program's before its service has started.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()) as client:
            connection, _ = listener.accept()
            connection.close()
            client.recv(1)  # the end: the server's side was closed first
        return int(listener.getsockname()[1])


def free(port: int) -> bool:
    """Return whether nothing listens on a port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def status(address: str, seconds: float = 2) -> int:
    """Return the status code that a GET of an address of our own is answered with; 0 if nothing answers in time."""
    try:
        with urllib.request.urlopen(address, timeout=seconds) as reply:  # noqa: S310  our own address
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:  # which holds the connection
            return error.code
    except (OSError, http.client.HTTPException):
        return 0


def read(address: str, headers: Mapping[str, str] | None = None, seconds: float = 10) -> bytes:
    """Return what an address of our own answers. Raise `OSError` if it does not answer in time, or with an error."""
    request = urllib.request.Request(address, headers=dict(headers or {}))  # noqa: S310  our own address
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:  # noqa: S310
            return bytes(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            raise ConnectionError(f"{error.code} {error.reason}") from None
    except http.client.HTTPException as error:
        raise ConnectionError(f"it broke off: {error!r}") from None


def ready(url: str) -> bool:
    """Return whether a service is ready for requests."""
    return status(f"{url}/health/ready") == 200

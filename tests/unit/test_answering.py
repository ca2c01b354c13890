"""A server of a test that was closed and not shut down is found: it would slow down every later test."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from answering import answering, spinning


def test_a_server_that_was_closed_and_not_shut_down_is_found() -> None:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.server_close()
    try:
        assert spinning() == [server]
    finally:
        server.shutdown()
        thread.join()


def test_a_server_ends_also_where_its_test_fails() -> None:
    with pytest.raises(ValueError, match="failed"), answering(HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)):
        raise ValueError("failed")
    assert spinning() == []

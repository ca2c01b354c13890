"""Ports of loopback that are chosen now and used later."""

import socket

import pytest

from delivery.deploy.targets import loopback


def test_a_free_port_stays_free_until_it_is_used() -> None:
    port = loopback.free_port()
    assert loopback.free(port)
    assert loopback.status(f"http://127.0.0.1:{port}") == 0, "nothing answers there"
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))  # as a client's port, or one that the kernel chooses
    with socket.create_server(("127.0.0.1", port)):
        assert not loopback.free(port)

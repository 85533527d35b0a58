"""What is set on the listening socket holds for the connections that come out of it."""

import socket

from stentor.edge.http import Limits
from stentor.edge.listening import USER_TIMEOUT_MS, prepare


def test_connections_inherit_the_options() -> None:
    limits = Limits()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        prepare(listening, limits)
        prepare(listening, limits)
        with socket.create_connection(listening.getsockname()):
            listening.settimeout(5)
            accepted, _ = listening.accept()
    with accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        # The kernel books twice what is asked for.
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * limits.send_buffer_bytes

"""The socket on which listeners arrive, whoever bound it: one edge alone, or the supervisor for all edges.

What is set here is inherited by every connection that is accepted, so that an arrival costs no system call for it.
"""

import socket

from stentor.edge.http import Limits

# How many connections may wait to be accepted; the kernel holds it down to net.core.somaxconn.
BACKLOG = 4_096
# Data that nobody acknowledges ends a connection after this; one that is idle is probed, and ends in the same time.
USER_TIMEOUT_MS = 10_000
_PROBE_AFTER_S = 60
_PROBE_EVERY_S = 5


def prepare(listening: socket.socket, limits: Limits) -> None:
    """Make a bound TCP socket listen, with the options that its connections are to have; repeating it is harmless."""
    listening.settimeout(0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer_bytes)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_S)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY_S)
    listening.listen(BACKLOG)

"""The socket on which listeners arrive, whoever bound it: one edge alone, or the supervisor for all edges.

What is set here is inherited by every connection that is accepted, so that an arrival costs no system call for it.
"""

import socket
from contextlib import suppress

from stentor.edge.http import Limits

# How many connections may wait to be accepted; the kernel holds it down to net.core.somaxconn.
BACKLOG = 4_096
# Data that nobody acknowledges ends a connection after this; one that is idle is probed, and ends in the same time.
USER_TIMEOUT_MS = 9_000
# After an outage the stream goes on with the next retransmission, so these stay close together: measured, sound came
# back 0.8 s after the line instead of 1.5 s. By number, as Python has no names for them; the second is of Linux 6.15.
_TCP_THIN_LINEAR_TIMEOUTS, _TCP_RTO_MAX_MS, _RTO_MAX_MS = 16, 44, 1_000
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
        for option, value in ((_TCP_THIN_LINEAR_TIMEOUTS, 1), (_TCP_RTO_MAX_MS, _RTO_MAX_MS)):
            with suppress(OSError):  # an older kernel
                listening.setsockopt(socket.IPPROTO_TCP, option, value)
    listening.listen(BACKLOG)

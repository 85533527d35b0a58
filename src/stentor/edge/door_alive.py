"""Whether a listener's client still acknowledges what it is sent, as the kernel knows (tcp_info, linux/tcp.h)."""

import socket
import struct

from stentor.edge.fanout import Listener

SILENT_MS = 1_500
"""Nothing acknowledged for so long while something is owed: longer than any round trip, shorter than patience."""
_INFO = struct.Struct("=24xI28xI")
"""tcpi_unacked (packets), and tcpi_last_ack_recv (ms)."""


def acknowledges(listener: Listener) -> bool:
    """Tell whether the client is there: all it was sent is acknowledged, or some of it was a moment ago."""
    if listener.bucket is None or listener.line.closed:
        return False
    try:
        info = listener.line.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        unacked, since_ms = _INFO.unpack(info)
    except (OSError, struct.error):
        return False
    return not unacked or since_ms < SILENT_MS

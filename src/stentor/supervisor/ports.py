"""TCP listeners that several processes share (SO_REUSEPORT), and the parent's hold on their ports."""

import errno
import os
import socket

from stentor.errors import ConfigError

BACKLOG = 4_096


def bind_shared(host: str, port: int, flag: str) -> socket.socket:
    """Return a TCP socket bound so that other processes of ours may bind the same port; port 0: any free one.

    Bound but not listening it gets no connection: so the supervisor holds a port whatever its children do.
    Raises ConfigError naming ``flag``, the setting to change, when the port is taken or the address is not ours.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"The address {host} is not known here ({error.strerror}): see {flag}-host.") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigError(_why(host, port, flag, error)) from error
    bound.settimeout(0)
    return bound


def check_free(host: str, port: int, flag: str, *, udp: bool = False) -> None:
    """Raise ConfigError when anybody, ourselves included, uses the port."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            if not udp:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(_why(host, port, flag, error)) from error


def _why(host: str, port: int, flag: str, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what uses it, or choose another with {flag}-port."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} may not be used by this user: choose one above 1023 with {flag}-port."
    return f"Port {port} on {host} cannot be used ({reason}): see {flag}-host and {flag}-port."

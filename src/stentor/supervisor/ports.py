"""TCP ports and their sockets: bound here, or inherited from whoever bound them before us.

The audience port of one machine is one socket, bound by the supervisor and inherited by every edge: what waits in its
queue is lost with none of them. Lone edges share a port by SO_REUSEPORT, each with a queue of its own.
"""

import errno
import os
import socket

from stentor.errors import ConfigError

LISTEN_VARIABLE = "STENTOR_LISTEN_FD"
# systemd's socket activation, sd_listen_fds(3): the first descriptor is always 3.
_SYSTEMD_PID, _SYSTEMD_COUNT, _SYSTEMD_FIRST = "LISTEN_PID", "LISTEN_FDS", 3


def inherited() -> socket.socket | None:
    """Return the audience socket that our parent, or systemd, has bound for us, if one did."""
    number = os.environ.get(LISTEN_VARIABLE)
    if number is None and activated():
        number = str(_SYSTEMD_FIRST)
    if number is None:
        return None
    os.set_inheritable(int(number), False)  # noqa: FBT003 - as os has it
    return socket.socket(fileno=int(number))


def activated() -> bool:
    """Tell whether systemd started this process with a listening socket."""
    return os.environ.get(_SYSTEMD_PID) == str(os.getpid()) and os.environ.get(_SYSTEMD_COUNT, "0") != "0"


def bind(host: str, port: int, flag: str, *, shared: bool) -> socket.socket:
    """Return a bound TCP socket that does not listen yet; port 0: any free one.

    ``shared``: other processes of ours may bind the same port. Bound but not listening it gets no connection: so the
    supervisor holds the staff's port while control comes and goes.
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
        if shared:
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

"""The kernel's part of the guard: a socket filter drops what no session can want before it takes a place in the queue.

Without it a flood fills the socket's buffer, and what speakers say is lost in front of the guard. The filter is coarse
and the mux decides again: what passes is STUN that carries the port's tag, and DTLS or SRTP from addresses that a
session knows. Classic BPF (Linux, socket(7): SO_ATTACH_FILTER), which needs no privilege; elsewhere the mux is alone.
"""

import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

from stentor.origin.guard import MAX_DATAGRAM_BYTES

TAG_BYTES = 4
"""How our username fragments and transactions begin, so that a filter without loops or tables can know them."""
MAX_ADDRESSES = 300
"""Beyond so many known addresses DTLS and SRTP pass from anywhere, and the mux alone decides."""

_SO_ATTACH_FILTER = 26
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8

_UDP_BYTES = 8
_STUN_BYTES = 20
_STUN_COOKIE = 0x2112A442
_STUN_RESPONSE = 0x0100
_STUN_USERNAME = 6
_MAX_ATTRIBUTES = 8

# linux/filter.h. Offset 0 is the UDP header; from _NETWORK on it is the IP header.
_NETWORK = 0xFFF00000
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_LENGTH = 0x20, 0x28, 0x30, 0x80
_LOAD_WORD_AT_X, _LOAD_HALF_AT_X, _LOAD_X = 0x40, 0x48, 0x01
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_BITS = 0x15, 0x25, 0x35, 0x45
_ADD, _ADD_X, _AND, _TO_X, _RETURN = 0x04, 0x0C, 0x54, 0x07, 0x06


class Instruction(NamedTuple):
    """One ``struct sock_filter``: what to do, how far to jump if it is so and if it is not, and with what."""

    code: int
    if_true: int
    if_false: int
    value: int


_PASS = Instruction(_RETURN, 0, 0, 0xFFFFFFFF)
_DROP = Instruction(_RETURN, 0, 0, 0)


def program(version: int, tag: bytes, addresses: Sequence[tuple[str, int]]) -> list[Instruction]:
    """Return the filter of a socket.

    Args:
        version: of IP, 4 or 6.
        tag: the first ``TAG_BYTES`` of our username fragments and of our transactions.
        addresses: (host, port) from which DTLS and SRTP pass.
    """
    wanted = int.from_bytes(tag, "big")
    stun = [*_stun_response(wanted), *_stun_request(wanted)]
    return [
        Instruction(_LOAD_LENGTH, 0, 0, 0),
        Instruction(_IF_GREATER, 0, 1, _UDP_BYTES + MAX_DATAGRAM_BYTES),
        _DROP,
        Instruction(_LOAD_BYTE, 0, 0, _UDP_BYTES),
        # RFC 7983: below 4 STUN, 20 to 63 DTLS, 128 to 191 SRTP and SRTCP; nothing else is ours.
        Instruction(_IF_AT_LEAST, 0, 5, 4),
        Instruction(_IF_AT_LEAST, 0, 3, 20),
        Instruction(_IF_GREATER, 0, 3 + len(stun), 63),
        Instruction(_IF_AT_LEAST, 0, 1, 128),
        Instruction(_IF_GREATER, 0, 1 + len(stun), 191),
        _DROP,
        *stun,
        *_from_one_of(version, addresses),
    ]


def _stun_response(tag: int) -> list[Instruction]:
    """Pass responses to transactions that begin with our tag, and go on with requests (RFC 8489, section 5)."""
    return [
        Instruction(_LOAD_WORD, 0, 0, _UDP_BYTES + 4),
        Instruction(_IF_EQUAL, 1, 0, _STUN_COOKIE),
        _DROP,
        Instruction(_LOAD_HALF, 0, 0, _UDP_BYTES),
        Instruction(_IF_BITS, 0, 4, _STUN_RESPONSE),
        Instruction(_LOAD_WORD, 0, 0, _UDP_BYTES + 8),
        Instruction(_IF_EQUAL, 0, 1, tag),
        _PASS,
        _DROP,
    ]


def _stun_request(tag: int) -> list[Instruction]:
    """Pass requests whose USERNAME, among the first attributes, begins with our tag. Reading past the end drops."""
    look = 7  # instructions for one attribute
    found = _MAX_ATTRIBUTES * look + 1
    code = [Instruction(_LOAD_X, 0, 0, _UDP_BYTES + _STUN_BYTES)]
    for number in range(_MAX_ATTRIBUTES):
        to_found = found - number * look - 2
        code += [
            Instruction(_LOAD_HALF_AT_X, 0, 0, 0),
            Instruction(_IF_EQUAL, to_found, 0, _STUN_USERNAME),
            Instruction(_LOAD_HALF_AT_X, 0, 0, 2),
            Instruction(_ADD, 0, 0, 4 + 3),
            Instruction(_AND, 0, 0, 0x1FFFC),
            Instruction(_ADD_X, 0, 0, 0),
            Instruction(_TO_X, 0, 0, 0),
        ]
    return [
        *code,
        _DROP,
        Instruction(_LOAD_WORD_AT_X, 0, 0, 4),
        Instruction(_IF_EQUAL, 0, 1, tag),
        _PASS,
        _DROP,
    ]


def _from_one_of(version: int, addresses: Sequence[tuple[str, int]]) -> list[Instruction]:
    if len(addresses) > MAX_ADDRESSES:
        return [_PASS]
    source = _NETWORK + (12 if version == 4 else 8)
    code: list[Instruction] = []
    for host, port in addresses:
        packed = ipaddress.ip_address(host.partition("%")[0]).packed
        words = struct.unpack(f"!{len(packed) // 4}I", packed)
        tests = [(Instruction(_LOAD_HALF, 0, 0, 0), port)]
        tests += [(Instruction(_LOAD_WORD, 0, 0, source + 4 * n), word) for n, word in enumerate(words)]
        for number, (load, value) in enumerate(tests):
            to_next = 2 * (len(tests) - number - 1) + 1
            code += [load, Instruction(_IF_EQUAL, 0, to_next, value)]
        code.append(_PASS)
    return [*code, _DROP]


def attach(sock: socket.socket, code: Sequence[Instruction]) -> None:
    """Put a filter in place of the socket's present one, without a gap. Raises OSError where there are none."""
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(code), ctypes.addressof(held)))


def dropped(sock: socket.socket) -> int:
    """Return how many datagrams the kernel has dropped in front of this socket: by the filter, or for want of room."""
    try:
        counters = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    except OSError:
        return 0
    return int.from_bytes(counters[4 * _SK_MEMINFO_DROPS :], sys.byteorder)

"""Whose address a request counts for, where a front stands between: pure functions over what the front says."""

import ipaddress
import socket
from collections.abc import Sequence
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_HOPS = 16
_MAPPED = bytes(10) + b"\xff\xff"
MAX_CHARS = 1_024
"""What of the header's end is looked at, more than so many hops need: the answers are kept."""


def networks(words: Sequence[str]) -> tuple[Network, ...]:
    """Return addresses and networks (``10.0.0.0/8``, ``::1``) as networks; raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(word, strict=False) for word in words)


@lru_cache(maxsize=4_096)
def client_address(peer: str, header: str, trusted: tuple[Network, ...]) -> str:
    """Return the address of the client behind ``peer``.

    ``header`` is X-Forwarded-For: each front adds at the right whom it was asked by, and what stands left of the last
    front that is ours was written by strangers. So it is read from the right, past the fronts in ``trusted``, and the
    first other address is the client. A peer that is not trusted is the client, whatever its header says; the same
    holds for whoever is next to a word that is no address.
    """
    if not trusted or not _trusts(trusted, _address(peer)):
        return peer
    client = peer
    for word in reversed(header.split(",")[-MAX_HOPS:]):
        address = _address(_bare(word.strip()))
        if address is None:
            break
        client = str(address)
        if not _trusts(trusted, address):
            break
    return client


def network_of(address: str) -> str:
    """Return what one house has at most: an address of IPv4, the first 64 bits of one of IPv6 (``2001:db8::``)."""
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8))


def wide_network(address: str) -> str:
    """Return the network around an address, as logs and meters may show it: IPv4 /24, IPv6 /48."""
    if ":" not in address:
        first, dot, _ = address.rpartition(".")
        return f"{first}.0/24" if dot else address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address)
    except OSError:
        return address
    return f"{socket.inet_ntop(socket.AF_INET6, packed[:6] + bytes(10))}/48"


def _trusts(trusted: tuple[Network, ...], address: Address | None) -> bool:
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> Address | None:
    """Return an address, one of IPv4 written as IPv6 (``::ffff:192.0.2.1``) as what it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _bare(text: str) -> str:
    """Return the address without the port that some fronts write: ``192.0.2.1:4000``, ``[2001:db8::1]:4000``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text

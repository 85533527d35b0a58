"""Token buckets by address and by network: how often somebody may ask, in bounded memory.

A bucket is one number (the generic cell rate algorithm, ITU-T I.371, annex A): the time at which it will be full again.
So one that is full is as good as none, and what is forgotten to make room is only what says nothing.

An *address* is one of IPv4 or 64 bits of IPv6, which is what one house or one carrier's translator has; a *network* is
the /24 or /48 around it and may ask 32 times as much. Whoever listens from an address earns it a quarter more.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from heapq import nlargest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.addresses import Network, network_of, wide_network
from stentor.room.crowd_meter import LISTENED_S, Did

MOST_ADDRESSES = 65_536
BURST_S = 20
"""A full bucket holds what may be asked in so many seconds."""
NETWORK_FACTOR = 32
DEEPEST = 16
"""A bucket that is asked on although it is empty goes below zero by so many times what it holds, and no further."""
_EARNS = 4
_BURST_NS = BURST_S * NS_PER_S
_DEEPEST_NS = _BURST_NS * DEEPEST
_LISTENED_NS = LISTENED_S * NS_PER_S
_LISTENED = int(Did.LISTENED)
REMEMBERED_NS = 600 * NS_PER_S


class Ask(IntEnum):
    """What is counted. ``MEDIA``: playlists and what they name; ``INSIST``: asking on after a refusal."""

    CONNECTION = 0
    HANDSHAKE = 1
    REQUEST = 2
    TICKET = 3
    PAGE = 4
    INSIST = 5
    MEDIA = 6


class Standing(IntEnum):
    """What the lists say of an address."""

    ORDINARY = 0
    ALLOWED = 1
    DENIED = 2
    FRONT = 3


@dataclass(frozen=True, slots=True)
class Rates:
    """What one address may ask of one edge, a second; ``open`` and ``heads`` at a time.

    ``open``: connections; ``heads``: those of them that have not sent a whole request yet. ``media``: a player of
    LL-HLS asks four times a second for as long as it plays, and hundreds may stand behind one address.
    """

    connections: float = 200.0
    handshakes: float = 100.0
    requests: float = 100.0
    tickets: float = 5.0
    pages: float = 20.0
    insists: float = 5.0
    media: float = 2_000.0
    open: int = 4_096
    heads: int = 512

    @classmethod
    def of(cls, words: Iterable[str]) -> "Rates":
        """Return the rates with some changed, by words such as ``requests=50`` that the settings have checked."""
        changed = {name: int(number) for name, _, number in (word.partition("=") for word in words)}
        return replace(cls(), **changed)

    def each(self) -> tuple[float, ...]:
        """Return the rates in the order of ``Ask``."""
        return (self.connections, self.handshakes, self.requests, self.tickets, self.pages, self.insists, self.media)


class Source:
    """One address, or one network of addresses: its buckets, and what is known of it while it is remembered.

    ``did`` are bits of ``room/crowd_meter.Did``; ``since`` is when somebody there began to listen or to ask for
    playlists, ``seen`` when anything came; ``asked`` and ``refused`` count
    requests (a network's: since the last report).
    """

    __slots__ = (
        *("agent", "asked", "born", "did", "due", "heads", "listening", "name", "network", "open", "refused", "room"),
        *("seen", "since", "standing"),
    )

    def __init__(self, name: str, network: "Source | None", now: int, standing: Standing = Standing.ORDINARY) -> None:
        self.name = name
        self.network = network
        self.born = self.seen = now
        self.due = [0] * len(Ask)
        self.open = self.heads = self.listening = self.asked = self.refused = self.did = self.since = 0
        self.agent = self.room = ""
        self.standing = standing

    def idle(self, now: int) -> bool:
        """Tell whether forgetting it changes nothing."""
        return not self.open and max(self.due) <= now


class Visit:
    """One connection. ``peer`` is who connected; ``client`` who asks: another one where the peer is a front.

    Held by its line, which says when somebody listens by it, and when it is over.
    """

    __slots__ = ("client", "peer", "_fresh", "_since")

    def __init__(self, peer: Source) -> None:
        self.peer = self.client = peer
        self._fresh, self._since = True, 0
        peer.open += 1
        peer.heads += 1

    def asked(self) -> None:
        """Note that a whole request has come."""
        if self._fresh:
            self._fresh = False
            self.peer.heads -= 1

    def listens(self, now: MonotonicNs) -> None:
        """Note that the client listens by this connection from now on."""
        self._since = now
        if not self.client.listening:
            self.client.since = now
        self.client.listening += 1

    def over(self, now: MonotonicNs) -> None:
        """Note that the connection has gone."""
        self.asked()
        self.peer.open -= 1
        if self._since:
            self.client.listening -= 1
            if now - self._since >= _LISTENED_NS:
                self.client.did |= _LISTENED


class NetworkSet:
    """Networks, to be looked through in as many steps as there are sizes of networks."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._by_size: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            self._by_size.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: str) -> bool:
        """Tell whether an address is in one of them; what is no address is not."""
        if not self._by_size:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        number, version = int(parsed), parsed.version
        return any(number >> shift in known for (kind, shift), known in self._by_size.items() if kind == version)


class Buckets:
    """The buckets of an edge. ``standing`` says what the lists say of an address that is new here."""

    def __init__(self, rates: Rates, standing: Callable[[str], Standing], most: int = MOST_ADDRESSES) -> None:
        self.rates = rates
        self.tightness = 1
        self.arrived: Callable[[Source], None] = _unnoted
        self._standing = standing
        self._most = most
        self._known: dict[str, Source] = {}
        self._networks: dict[str, Source] = {}
        self._interval_ns = [int(NS_PER_S / rate) for rate in rates.each()]

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._known)

    def tighten(self, factor: int) -> None:
        """Make the budgets of requests and pages so many times smaller than they are set; never that of media."""
        self.tightness = factor
        rates = self.rates.each()
        for kind in (Ask.REQUEST, Ask.PAGE):
            self._interval_ns[kind] = int(NS_PER_S * factor / rates[kind])

    def judge(self, standing: Callable[[str], Standing]) -> None:
        """Take new lists, also for who is known."""
        self._standing = standing
        for name, source in self._known.items():
            source.standing = standing(name)

    def of(self, address: str, now: MonotonicNs) -> Source:
        """Return who has an address: one look-up for whoever is known."""
        name = network_of(address) if ":" in address else address
        return self._known.get(name) or self._meet(name, now)

    def _meet(self, name: str, now: MonotonicNs) -> Source:
        if len(self._known) >= self._most:
            self._known = _tidied(self._known, now, self._most)
        wide = wide_network(name)
        network = self._networks.get(wide)
        if network is None:
            if len(self._networks) >= self._most:
                self._networks = _tidied(self._networks, now, self._most)
            network = self._networks[wide] = Source(wide, None, now)
        source = self._known[name] = Source(name, network, now, self._standing(name))
        self.arrived(source)
        return source

    def tidy(self, now: MonotonicNs) -> None:
        """Forget who has not been seen for ten minutes: whoever comes after that has arrived anew."""
        old = now - REMEMBERED_NS
        for known in (self._known, self._networks):
            for name in [name for name, source in known.items() if source.seen < old and source.idle(now)]:
                del known[name]

    def loudest(self, count: int) -> list[tuple[str, int, int]]:
        """Return the networks that asked most since the last time, how often, and how often they were refused."""
        asked = [network for network in self._networks.values() if network.asked]
        found = [(network.name, network.asked, network.refused) for network in nlargest(count, asked, key=_loudness)]
        for network in asked:
            network.asked = network.refused = 0
        return found

    def take(self, source: Source, kind: Ask, now: MonotonicNs, *, deep: bool = False) -> bool:
        """Take one token of an address and of its network; return False when either has none.

        ``deep``: take it all the same, so that ``excess`` grows with each.
        """
        interval = self._interval_ns[kind]
        if source.listening:
            interval = interval * _EARNS // (_EARNS + source.listening)
        full = now + _BURST_NS
        network = source.network
        fits = source.due[kind] <= full and (network is None or network.due[kind] <= full)
        if fits or deep:
            due = source.due
            due[kind] = min(now + _DEEPEST_NS, max(due[kind], now) + interval)
            if network is not None:
                due = network.due
                due[kind] = min(now + _DEEPEST_NS, max(due[kind], now) + interval // NETWORK_FACTOR)
        return fits

    @staticmethod
    def has(source: Source, kind: Ask, now: MonotonicNs) -> bool:
        """Tell whether an address has a token, without taking it; its network does not count."""
        return source.due[kind] <= now + _BURST_NS

    @staticmethod
    def excess(source: Source, kind: Ask, now: MonotonicNs) -> float:
        """Return by how many times its budget an address or its network is over it: 0 within, at most ``DEEPEST``."""
        latest = max(source.due[kind], source.network.due[kind] if source.network else 0)
        return max(0.0, (latest - now) / _BURST_NS - 1.0)


def _loudness(network: Source) -> int:
    return network.asked


def _unnoted(_source: Source) -> None:
    """Note nothing of a new address."""


def _tidied(known: dict[str, Source], now: int, most: int) -> dict[str, Source]:
    """Return who has something to be remembered; if they are still too many, the newer half and who is connected."""
    kept = {name: source for name, source in known.items() if not source.idle(now)}
    if len(kept) <= most * 3 // 4:
        return kept
    old = len(kept) - most // 2
    return {name: source for at, (name, source) in enumerate(kept.items()) if at >= old or source.open}

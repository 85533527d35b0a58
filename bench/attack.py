"""Attacks for bench.guard and bench.hostile, each in a process of its own; what they do goes to loopback alone.

``python -m bench.attack KIND`` takes one JSON line on stdin and answers with one on stdout:

- ``flood``: ``{"host", "port", "count", "rate", "ufrag"}``: datagrams of every kind from ever new addresses in
  127.0.0.0/8 and ports; ``ufrag`` is one of a live session. Answers ``{"sent", "seconds"}``.
- ``speak``: ``{"whip", "token", "count", "rate"}``: a speaker with a valid link who sends random and mutated packets.
  Says ``connected`` first. Answers ``{"sent", "seconds", "sessions"}``.
- ``payloads``, ``offers``: ``{"count", "seed"}``: the same at the receive path and at the parser, in this process.
  Answers ``{"done", "faults"}``; a process that dies answers nothing.
- ``post``: ``{"whip", "tokens", "count", "seed"}``: mutated offers over the port, with each of the links in
  turn (divided by spaces). One that comes too soon after others of its link (429) is sent again. Answers
  ``{"statuses"}``.
"""

import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import cycle
from urllib.parse import urlsplit

import numpy as np
from aioice import stun
from aiortc.rtp import RtpPacket
from pylibsrtp import Error as SrtpError

from bench.speech import BrowserEncoder
from stentor.clock import SystemClock
from stentor.demo.peer import PAYLOAD_TYPE, Peer
from stentor.demo.whip import HttpWhip
from stentor.errors import MediaError, RequestError, Unavailable
from stentor.media.grid import TICK_SAMPLES
from stentor.media.playout import Playout
from stentor.origin import sdp
from stentor.origin.streams import Incoming
from tests.unit.origin.offers import CHROMIUM, FFMPEG

Told = dict[str, str | int]
TICK_NS = 20_000_000
TOO_MANY = 429
_POOL = 4_096
_MAX_PAYLOAD_BYTES = 1_300
_SOCKETS = 64
_MOVE_EVERY = 2_000
_BATCH_S = 0.002
_LOCAL = sdp.LocalMedia(1, "ufrag", "password", "sha-256 AB", ["1 1 udp 1 192.0.2.1 1 typ host"], 9, 1, "cname")


# --- what is sent


def mutated(dice: random.Random, data: bytes) -> bytes:
    """Return ``data`` with something wrong with it, or something else altogether."""
    kind = dice.randrange(6)
    if kind == 0 or not data:
        return dice.randbytes(dice.randrange(1_400))
    if kind == 1:
        return data[: dice.randrange(len(data))]
    if kind == 2:
        return data + dice.randbytes(dice.randrange(200))
    if kind == 3:
        at, size = dice.randrange(len(data)), dice.randrange(1, 40)
        return data[:at] + data[at + size :]
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 9)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def opus_packets() -> list[bytes]:
    """Return some seconds of a voice's packets, of noise and tones."""
    at = np.arange(150 * TICK_SAMPLES) / 48_000
    noise = np.random.default_rng(3).standard_normal(len(at))
    sound = 0.2 * np.sin(2 * np.pi * (200 + 80 * at) * at) * (1 + np.sin(9 * at)) + 0.01 * noise
    return BrowserEncoder(64_000).encode(sound.astype(np.float32))


def rtp_packets(dice: random.Random) -> Iterator[tuple[bytes, bool]]:
    """Yield RTP packets without end, with a sender's own numbers on most, and whether they are as RTP has it."""
    voice = opus_packets()
    ssrc, sequence, timestamp = dice.getrandbits(32), dice.getrandbits(15), dice.getrandbits(32)
    while True:
        sequence, timestamp = sequence + 1 & 0xFFFF, timestamp + TICK_SAMPLES & 0xFFFFFFFF
        payload = mutated(dice, dice.choice(voice))[:_MAX_PAYLOAD_BYTES]
        packet = RtpPacket(PAYLOAD_TYPE, 0, sequence, timestamp, ssrc, payload)
        strange = dice.random()
        if strange < 0.02:
            packet.ssrc = dice.getrandbits(32)
        elif strange < 0.04:
            packet.sequence_number, packet.timestamp = dice.getrandbits(16), dice.getrandbits(32)
        elif strange < 0.06:
            packet.payload_type = dice.randrange(128)
        data = packet.serialize()
        if dice.random() < 0.1:
            yield bytes([0x80 | dice.randrange(64)]) + mutated(dice, data)[1:], False
        else:
            yield data, True


def datagrams(dice: random.Random, ufrag: str) -> list[bytes]:
    """Return what strangers may send to a media port: STUN right and wrong, DTLS, SRTP, SRTCP, garbage."""

    def check(username: str, kind: stun.Class = stun.Class.REQUEST) -> bytes:
        message = stun.Message(stun.Method.BINDING, kind)
        message.attributes["USERNAME"] = username
        message.attributes["PRIORITY"] = dice.getrandbits(31)
        message.attributes["ICE-CONTROLLING"] = dice.getrandbits(63)
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(dice.randbytes(24))
        return bytes(message)

    hello = bytes.fromhex("16fefd0000000000000000") + b"\x00\xc8\x01"
    kinds: list[Callable[[], bytes]] = [
        lambda: check(f"{ufrag}:them"),
        lambda: check(f"{ufrag[:4]}{dice.getrandbits(40):010x}:them"),
        lambda: check(f"{dice.getrandbits(32):08x}:them"),
        lambda: mutated(dice, check(f"{ufrag}:them")),
        lambda: check(ufrag, stun.Class.RESPONSE),
        lambda: hello + dice.randbytes(199),
        lambda: bytes([dice.randrange(20, 64)]) + dice.randbytes(dice.randrange(1_200)),
        lambda: b"\x80\x6f" + dice.randbytes(90),
        lambda: b"\x81\xc8" + dice.randbytes(60),
        lambda: dice.randbytes(dice.randrange(2_500)),
        lambda: b"",
    ]
    return [kinds[number % len(kinds)]() for number in range(_POOL)]


# --- who sends it


async def paced(count: int, rate: int, send: Callable[[int], Awaitable[None]]) -> float:
    """Call ``send`` with how many are due, again and again, until ``count`` are; return the seconds it took."""
    begun, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, int((time.monotonic() - begun) * rate))
        if due > sent:
            await send(due - sent)
            sent = due
        await asyncio.sleep(_BATCH_S)
    return time.monotonic() - begun


async def flood(told: Told) -> dict[str, object]:
    """Send from strangers' addresses."""
    dice = random.Random(4)
    pool = datagrams(dice, str(told["ufrag"]))
    target, sent = (str(told["host"]), int(told["port"])), 0

    def stranger() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}", 0))
        return made

    strangers = [stranger() for _ in range(_SOCKETS)]

    async def some(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sent += 1
            if sent % _MOVE_EVERY == 0:
                leaving = dice.randrange(_SOCKETS)
                strangers[leaving].close()
                strangers[leaving] = stranger()
            strangers[sent % _SOCKETS].sendto(pool[dice.randrange(_POOL)], target)

    seconds = await paced(int(told["count"]), int(told["rate"]), some)
    for each in strangers:
        each.close()
    return {"sent": sent, "seconds": seconds}


class HostileSpeaker:
    """A valid speaker who sends what it likes, and connects again whenever it is thrown out."""

    def __init__(self, whip: HttpWhip, dice: random.Random) -> None:
        self._whip = whip
        self._packets = rtp_packets(dice)
        self._peer: Peer | None = None
        self.sessions = 0
        self.sent = 0

    async def connect(self) -> None:
        """Join. Raises Unavailable."""
        await self.close()
        peer = self._peer = Peer(SystemClock(), lambda _heard: None)
        await peer.connect(await self._whip.post(await peer.offer()))
        self.sessions += 1

    async def send(self, count: int) -> None:
        """Send so many packets, protected as they ought to be where that can be done."""
        if self._peer is None or self._peer.lost.is_set():
            try:
                await self.connect()
            except Unavailable:
                return
        assert self._peer is not None
        for _ in range(count):
            data, whole = next(self._packets)
            self.sent += 1
            if whole:
                with suppress(SrtpError, ValueError):  # this end refuses it, too: a number that SRTP takes for a replay
                    await self._peer._send(data)  # noqa: SLF001 - what no client would send has no public way
            else:
                await self._peer._ice._send(data)  # noqa: SLF001 - as above, and not even encrypted

    async def close(self) -> None:
        """Leave."""
        if self._peer is not None:
            await self._peer.close()


async def speak(told: Told) -> dict[str, object]:
    """Send as a valid speaker."""
    speaker = HostileSpeaker(HttpWhip(str(told["whip"]), str(told["token"])), random.Random(5))
    await speaker.connect()
    print("connected", flush=True)
    seconds = await paced(int(told["count"]), int(told["rate"]), speaker.send)
    await speaker.close()
    return {"sent": speaker.sent, "seconds": seconds, "sessions": speaker.sessions}


async def payloads(told: Told) -> dict[str, object]:
    """Send packets through the receive path of a seat: RTP, statistics, jitter buffer, decoder."""
    dice = random.Random(told["seed"])
    incoming, playout, faults = Incoming(PAYLOAD_TYPE, 1), Playout(), Counter[str]()
    packets = rtp_packets(dice)
    for number in range(int(told["count"])):
        now_ns = (number + 1) * TICK_NS
        data, _ = next(packets)
        try:
            for voice in incoming.take(data, now_ns):
                playout.push(voice.sequence, voice.timestamp, voice.payload, now_ns)
        except MediaError:
            pass
        except Exception as error:  # noqa: BLE001 - this is what is counted
            faults[repr(error)[:80]] += 1
        try:
            heard = playout.pull(now_ns)
            assert heard.shape == (1, TICK_SAMPLES), heard.shape
            assert bool(np.isfinite(heard).all()), "no numbers"
        except Exception as error:  # noqa: BLE001 - this is what is counted
            faults[repr(error)[:80]] += 1
    return {"done": told["count"], "faults": faults}


def mutated_offer(dice: random.Random) -> bytes:
    """Return an offer in which lines are missing, doubled, moved or cut, or bytes are others."""
    lines = dice.choice((CHROMIUM, FFMPEG)).split("\r\n")
    for _ in range(dice.randrange(1, 6)):
        at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
        kind = dice.randrange(6)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(other, lines[at])
        elif kind == 2:
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 3:
            lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
        elif kind == 4:
            lines[at] += dice.choice((" ", "\0", "é", ":", "9" * 400, " 1", "\t", "\ud83c"))
        else:
            name, _, value = lines[at].partition(":")
            lines[at] = f"{name}:{dice.choice(('', '-1', '4294967296', '0', value[::-1], value * 50))}"
        lines = lines or [""]
    data = "\r\n".join(lines).encode(errors="surrogatepass")
    return mutated(dice, data) if dice.random() < 0.3 else data


async def offers(told: Told) -> dict[str, object]:
    """Have offers read, and answered where they can be read."""
    dice, faults, read = random.Random(told["seed"]), Counter[str](), 0
    for _ in range(int(told["count"])):
        text = mutated_offer(dice).decode("utf-8", errors="replace")
        try:
            sdp.answer(sdp.parse_offer(text), _LOCAL)
            read += 1
        except RequestError:
            pass
        except Exception as error:  # noqa: BLE001 - this is what is counted
            faults[repr(error)[:80]] += 1
    return {"done": told["count"], "faults": faults, "read": read}


async def post(told: Told) -> dict[str, object]:
    """Post offers over two connections that are kept."""
    address = urlsplit(str(told["whip"]))
    statuses: Counter[int] = Counter()
    tokens = cycle(str(told["tokens"]).split())

    async def client(seed: int, count: int) -> None:
        dice = random.Random(seed)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        body = mutated_offer(dice)
        while count:
            token = next(tokens)
            head = (
                f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/sdp\r\n"
                f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(b" ", 2)[1])
            statuses[status] += 1
            fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if b": " in line)
            await reader.readexactly(int(fields.get(b"content-length", b"0")))
            if status == TOO_MANY:
                await asyncio.sleep(0.02)
            else:
                count, body = count - 1, mutated_offer(dice)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(client(int(told["seed"]) + number, int(told["count"]) // 2))
    return {"statuses": statuses}


KINDS = {each.__name__: each for each in (flood, speak, payloads, offers, post)}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(KINDS[sys.argv[1]](json.loads(sys.stdin.readline())))), flush=True)

"""WHIP's offer and answer (RFC 9725, RFC 8866, RFC 9429), and trickled candidates (RFC 8840). Text in, text out.

The offer is read strictly and only as far as a stage needs it: one Opus stream over DTLS-SRTP. Whatever is wrong
with it becomes BadRequest, TooLarge or NotAcceptable, and nothing else.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

from aioice import Candidate

from stentor.errors import BadRequest, NotAcceptable, RequestError, TooLarge

MAX_BYTES = 64 * 1024
MAX_LINES = 2_000
MAX_SECTIONS = 16
MAX_CANDIDATES = 32
MAX_FINGERPRINTS = 8
LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
# What we want to receive (RFC 7587, section 6.1). Every voice is encoded twice on its way, so the first time must be
# better than the second: with a browser's own 32 kbit/s speech keeps PESQ 3.8 to the listener, with 64 kbit/s 4.1.
# Stereo is not asked for: it doubles the rate, and the stage mixes voices down to one channel. With DTX who is silent
# sends a packet each 400 ms.
OPUS_FMTP = "minptime=10;useinbandfec=1;usedtx=1;maxaveragebitrate=64000"

_PROTOCOLS = {"UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"}
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_LINE = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f\x7f]*")
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,32}")
_MEDIA = re.compile(
    r"([a-z]{1,16}) (\d{1,5})(?:/\d{1,5})? ([A-Z/]{1,32}) ([!-~]{1,16}(?: [!-~]{1,16}){0,255})", re.ASCII
)
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_OPUS = re.compile(r"opus/48000/2", re.IGNORECASE)
_RED = re.compile(r"red/48000/2", re.IGNORECASE)
_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{1,16}) +((?:[0-9A-Fa-f]{2}:)+[0-9A-Fa-f]{2})")
_EXTENSION = re.compile(r"(\d{1,3})(?:/[a-z]+)? ([!-~]{1,200})(?: .*)?", re.ASCII)
_CANDIDATE = re.compile(
    r"([A-Za-z0-9+/]{1,32}) (\d{1,3}) ([A-Za-z]{1,8}) (\d{1,10}) ([!-~]{1,255}) (\d{1,5}) typ ([a-z]{1,8})(?: .*)?",
    re.ASCII,
)
_T = TypeVar("_T")


class Direction(StrEnum):
    """Which way media goes, seen from whoever says it (RFC 8866, 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def mirrored(self) -> "Direction":
        """Return what the other side answers."""
        return {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}.get(self, self)


@dataclass(frozen=True, slots=True)
class Section:
    """One m-section: its m-line in parts, and its attributes as (name, value) in order."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of every attribute of this name."""
        return [value for key, value in self.attributes if key == name]

    @property
    def mid(self) -> str | None:
        """Return the section's identification, if it has one."""
        mids = self.values("mid")
        if mids and not _TOKEN.fullmatch(mids[0]):
            raise BadRequest("The offer's a=mid is no token.")
        return mids[0] if mids else None


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer asks for. ``direction`` is the offerer's; ``candidates`` have IP addresses and are UDP.

    ``red_type`` is the payload type of RED with this Opus in it (RFC 2198); ``nack``: lost packets may be asked for
    again (RFC 4585).
    """

    sections: tuple[Section, ...]
    audio: int
    bundled: bool
    payload_type: int
    red_type: int | None
    nack: bool
    level_extension: int | None
    direction: Direction
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    candidates: tuple[Candidate, ...]

    @property
    def we_are_client(self) -> bool:
        """Tell whether we open the DTLS handshake: always, unless the offerer insists on doing so."""
        return self.setup != "active"


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our side of an answer. ``fingerprint`` and ``candidates`` are the attributes' values."""

    session: int
    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[str]
    port: int
    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle ICE fragment; ``ufrag`` is None if it does not say for which generation it is.

    ``password`` is there when it begins a new one: an ICE restart.
    """

    ufrag: str | None
    password: str | None
    candidates: tuple[Candidate, ...]


def parse_offer(text: str) -> Offer:
    """Read a WHIP offer. Raises BadRequest, TooLarge, or NotAcceptable if it has no Opus we could receive or send."""
    return _strictly(text, _offer)


def parse_fragment(text: str) -> Fragment:
    """Read a trickle ICE fragment (RFC 8840, section 9). Raises BadRequest or TooLarge."""
    return _strictly(text, _fragment)


def _strictly(text: str, read: Callable[[str], _T]) -> _T:
    try:
        if len(text.encode()) > MAX_BYTES:
            raise TooLarge("The SDP is larger than 64 kB.")
        return read(text)
    except RequestError:
        raise
    except Exception as error:  # whatever a stranger's text makes a parser do, it is the text that is wrong
        raise BadRequest("The SDP cannot be read.", slug="bad-sdp") from error


def _lines(text: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if len(lines) > MAX_LINES:
        raise BadRequest("The SDP has too many lines.", slug="bad-sdp")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise BadRequest("The body is not SDP: every line is a letter, '=' and a value.", slug="bad-sdp")
    return lines


def _attributes(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    split = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return tuple((name, value.strip()) for name, _, value in split)


def _offer(text: str) -> Offer:
    lines = _lines(text)
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    head = lines[: starts[0]] if starts else lines
    if head[0] != "v=0" or not {"o", "s", "t"} <= {line[0] for line in head}:
        raise BadRequest("The SDP does not begin with v=0, o=, s= and t=.", slug="bad-sdp")
    if len(starts) > MAX_SECTIONS:
        raise BadRequest("The SDP has too many media sections.", slug="bad-sdp")
    session = Section("session", 0, "", (), _attributes(head))
    sections = tuple(_section(lines[start:end]) for start, end in pairwise([*starts, len(lines)]))
    mids = [section.mid for section in sections]
    chosen, payload_type = _choose_audio(sections)
    audio = sections[chosen]
    bundle = _bundle(session)
    bundled = mids[chosen] in bundle
    # Transport attributes stand in the section, for all sections at the top, or in the section that leads the bundle.
    leaders = [each for each in sections if bundled and each.mid in bundle]
    places = [audio, session, *leaders]
    if "rtcp-mux" not in {name for place in [audio, *leaders] for name, _ in place.attributes}:
        raise NotAcceptable("RTP and RTCP need one port: offer a=rtcp-mux.", slug="no-rtcp-mux")
    return Offer(
        sections=sections,
        audio=chosen,
        bundled=bundled,
        payload_type=payload_type,
        red_type=_red_type(audio, payload_type),
        nack=any(value.split() in ([str(payload_type), "nack"], ["*", "nack"]) for value in audio.values("rtcp-fb")),
        level_extension=_level_extension(audio),
        direction=_direction(audio, session),
        ufrag=_first(places, "ice-ufrag", _UFRAG),
        password=_first(places, "ice-pwd", _PASSWORD),
        fingerprints=_fingerprints(places),
        setup=_first(places, "setup", re.compile("actpass|active|passive")),
        candidates=_candidates(_all(places, "candidate")),
    )


def _section(lines: Sequence[str]) -> Section:
    found = _MEDIA.fullmatch(lines[0][2:])
    if not found:
        raise BadRequest("The SDP has a broken m= line.", slug="bad-sdp")
    kind, port, protocol, formats = found.groups()
    return Section(kind, int(port), protocol, tuple(formats.split()), _attributes(lines))


def _choose_audio(sections: Sequence[Section]) -> tuple[int, int]:
    """Return the index of the first section with Opus, and its payload type."""
    audible = [(number, each) for number, each in enumerate(sections) if each.kind == "audio"]
    if not audible:
        raise NotAcceptable("The offer has no audio; a stage is for voices.", slug="no-audio")
    for number, section in audible:
        if section.port == 0 and "bundle-only" not in {name for name, _ in section.attributes}:
            continue
        if section.protocol not in _PROTOCOLS:
            continue
        for value in section.values("rtpmap"):
            payload, _, codec = value.partition(" ")
            if payload in section.formats and _OPUS.fullmatch(codec) and _is_payload_type(payload):
                return number, int(payload)
    raise NotAcceptable("The offer has no Opus over DTLS-SRTP (opus/48000/2).", slug="no-opus")


def _red_type(audio: Section, opus_type: int) -> int | None:
    """Return the payload type of RED whose every block is this Opus."""
    inner = {payload: blocks for payload, _, blocks in (value.partition(" ") for value in audio.values("fmtp"))}
    for value in audio.values("rtpmap"):
        payload, _, codec = value.partition(" ")
        named = payload in audio.formats and _RED.fullmatch(codec) and _is_payload_type(payload)
        if named and set(inner.get(payload, "").split("/")) == {str(opus_type)}:
            return int(payload)
    return None


def _is_payload_type(text: str) -> bool:
    """Tell whether it is one that cannot be mistaken for RTCP (RFC 5761, section 4)."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128 and not 64 <= int(text) < 96


def _bundle(session: Section) -> list[str]:
    groups = [value.split() for value in session.values("group")]
    return [mid for group in groups if group and group[0] == "BUNDLE" for mid in group[1:]]


def _direction(audio: Section, session: Section) -> Direction:
    said = [name for place in (audio, session) for name, _ in place.attributes if name in set(Direction)]
    direction = Direction(said[0]) if said else Direction.SENDRECV
    if direction is Direction.INACTIVE:
        raise NotAcceptable("The offer's audio is inactive: nobody would hear anything.", slug="no-audio")
    return direction


def _all(places: Sequence[Section], name: str) -> list[str]:
    """Return an attribute's values from the first place that has any."""
    return next((values for place in places if (values := place.values(name))), [])


def _first(places: Sequence[Section], name: str, pattern: re.Pattern[str]) -> str:
    values = _all(places, name)
    if not values or not pattern.fullmatch(values[0]):
        raise BadRequest(f"The offer's a={name} is missing or broken.", slug="bad-sdp")
    return values[0]


def _fingerprints(places: Sequence[Section]) -> tuple[tuple[str, str], ...]:
    known = []
    for value in _all(places, "fingerprint")[:MAX_FINGERPRINTS]:
        found = _FINGERPRINT.fullmatch(value)
        if not found:
            raise BadRequest("The offer's a=fingerprint is broken.", slug="bad-sdp")
        algorithm, digest = found.group(1).lower(), found.group(2).upper()
        if algorithm in _DIGEST_BYTES:
            if len(digest) != 3 * _DIGEST_BYTES[algorithm] - 1:
                raise BadRequest("The offer's a=fingerprint has the wrong length.", slug="bad-sdp")
            known.append((algorithm, digest))
    if not known:
        raise BadRequest("The offer has no fingerprint of a kind we check (sha-256, -384, -512).", slug="bad-sdp")
    return tuple(known)


def _level_extension(audio: Section) -> int | None:
    for value in audio.values("extmap"):
        found = _EXTENSION.fullmatch(value)
        if found and found.group(2) == LEVEL_URI and 1 <= int(found.group(1)) <= 14:
            return int(found.group(1))
    return None


def _candidates(values: Sequence[str]) -> tuple[Candidate, ...]:
    """Keep what we can use: UDP, component 1, an address and not a name (mDNS names would stall the agent)."""
    kept: list[Candidate] = []
    for value in values:
        found = _CANDIDATE.fullmatch(value)
        if not found:
            raise BadRequest("The SDP has a broken a=candidate.", slug="bad-sdp")
        foundation, component, transport, priority, host, port, kind = found.groups()
        usable = transport.lower() == "udp" and component == "1" and kind in ("host", "srflx", "relay")
        if usable and 0 < int(port) < 65_536 and _is_peer_address(host) and len(kept) < MAX_CANDIDATES:
            kept.append(Candidate(foundation, 1, "udp", int(priority) & 0xFFFFFFFF, host, int(port), kind))
    return tuple(kept)


def _is_peer_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    limited_broadcast = address == ipaddress.IPv4Address("255.255.255.255")
    return not (address.is_multicast or address.is_unspecified or limited_broadcast)


def _fragment(text: str) -> Fragment:
    attributes = Section("fragment", 0, "", (), _attributes(_lines(text)))
    said: dict[str, str] = {}
    for name, pattern in (("ice-ufrag", _UFRAG), ("ice-pwd", _PASSWORD)):
        for value in attributes.values(name)[:1]:
            if not pattern.fullmatch(value):
                raise BadRequest(f"The fragment's a={name} is broken.", slug="bad-sdp")
            said[name] = value
    return Fragment(said.get("ice-ufrag"), said.get("ice-pwd"), _candidates(attributes.values("candidate")))


def restarted(offer: Offer, ufrag: str, password: str, candidates: Sequence[str]) -> str:
    """Return the fragment that answers an ICE restart (RFC 9725, 4.3.3): our new credentials and all candidates."""
    section = offer.sections[offer.audio]
    group = [f"a=group:BUNDLE {section.mid}"] if offer.bundled else []
    lines = ["a=ice-options:trickle", *group, f"m=audio 9 {section.protocol} {offer.payload_type}"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    lines += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}", *(f"a=candidate:{each}" for each in candidates)]
    return "".join(f"{line}\r\n" for line in [*lines, "a=end-of-candidates"])


def answer(offer: Offer, local: LocalMedia) -> str:
    """Return the answer: Opus in the chosen section, every other section rejected."""
    lines = ["v=0", f"o=- {local.session} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if offer.bundled:
        lines.append(f"a=group:BUNDLE {offer.sections[offer.audio].mid}")
    lines += ["a=msid-semantic:WMS *", "a=ice-options:trickle"]
    for number, section in enumerate(offer.sections):
        lines += _accepted(offer, local) if number == offer.audio else _rejected(section)
    return "".join(f"{line}\r\n" for line in lines)


def _accepted(offer: Offer, local: LocalMedia) -> list[str]:
    section, payload_type = offer.sections[offer.audio], offer.payload_type
    direction = offer.direction.mirrored
    # Opus is first, so it is what a browser sends until its page chooses RED.
    formats = [payload_type] if offer.red_type is None else [payload_type, offer.red_type]
    lines = [f"m=audio {local.port} {section.protocol} {' '.join(map(str, formats))}", "c=IN IP4 0.0.0.0"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    lines += [
        "a=rtcp-mux",
        f"a=rtpmap:{payload_type} opus/48000/2",
        f"a=fmtp:{payload_type} {OPUS_FMTP}",
    ]
    if offer.nack:
        lines.append(f"a=rtcp-fb:{payload_type} nack")
    if offer.red_type is not None:
        lines += [f"a=rtpmap:{offer.red_type} red/48000/2", f"a=fmtp:{offer.red_type} {payload_type}/{payload_type}"]
    if offer.level_extension is not None:
        lines.append(f"a=extmap:{offer.level_extension} {LEVEL_URI}")
    lines.append(f"a={direction}")
    if direction is not Direction.RECVONLY:
        lines += ["a=msid:stentor mix-minus", f"a=ssrc:{local.ssrc} cname:{local.cname}"]
    lines += [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:{local.fingerprint}",
        f"a=setup:{'active' if offer.we_are_client else 'passive'}",
    ]
    return [*lines, *(f"a=candidate:{each}" for each in local.candidates), "a=end-of-candidates"]


def _rejected(section: Section) -> list[str]:
    mid = [f"a=mid:{section.mid}"] if section.mid is not None else []
    return [
        f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        *mid,
        "a=inactive",
    ]

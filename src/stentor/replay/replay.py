"""Answers for a room's replay: playlists, segments, recordings and the proof, from what the archive has stored.

While a room runs, its playlist is of type EVENT and reaches from the start to what is stored; afterwards it is VOD.
Only what the index names is served, and the index names nothing from before the start.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import ValidationError

from stentor.clock import NS_PER_S, Clock, MonotonicNs, UnixNs, iso_utc
from stentor.errors import NotFound, StoreUnavailable
from stentor.media.grid import Segment, first_step
from stentor.media.playlist import Hold, ReplaySegment, multivariant_playlist, replay_playlist
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.replay.ranges import RangeError, byte_range
from stentor.store.object_port import ObjectInfo, Objects
from stentor.store.recording import (
    RECORDINGS,
    RecordingIndex,
    duration_s,
    index_path,
    init_path,
    played_s,
    proof_path,
    recording_path,
    segment_path,
    segments,
    step_sample,
)

_TTL_RUNNING_NS = NS_PER_S
_TTL_COMPLETE_NS = 10 * NS_PER_S
_MAX_ROOMS = 256
_HLS_RENDITIONS = frozenset({RenditionName.AAC, RenditionName.OPUS})
_PLAYLIST = "application/vnd.apple.mpegurl"
_RECORDING_TYPES = {"m4a": "audio/mp4", "opus": "audio/ogg", "mp3": "audio/mpeg"}
_IMMUTABLE = "public, max-age=31536000, immutable"
_MEDIA_PLAYLIST = re.compile(r"replay/(aac|opus)\.m3u8")
_SEGMENT = re.compile(r"replay/(aac|opus)/([0-9]{1,10})/(?:init\.mp4|([0-9]{1,12})\.m4s)")
_RECORDING = re.compile(r"recording\.(m4a|opus|mp3)")

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``body`` for HEAD is what GET would send: whoever sends the answer leaves it out.

    ``headers`` carry Content-Length only where ``body`` is an iterator.
    """

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes]


@dataclass(slots=True)
class _Known:
    """What was last read of a room, until when it is fresh, and the playlists made of it."""

    index: RecordingIndex | None
    until: MonotonicNs
    playlists: dict[RenditionName, bytes]


class Replay:
    """The replay of every room of the installation."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def reply(self, room: str, path: str, method: str, range_header: str | None) -> Reply:
        """Answer a request for what follows ``/r/{room}/``.

        Raises:
            NotFound: there is no such thing, or it is not there yet.
            StoreUnavailable: the object store is away.
        """
        if method not in ("GET", "HEAD"):
            return Reply(405, _headers("text/plain", "no-store", ("Allow", "GET, HEAD")), b"Only GET and HEAD.\n")
        known = await self._read(room)
        index = known.index
        if index is None or index.start_step is None:
            raise NotFound("There is no recording of this room, or it has not begun.", slug="no-recording")
        if path == "replay.m3u8":
            text = multivariant_playlist(RENDITIONS[RenditionName.AAC], "replay/aac.m3u8")
            return Reply(200, _headers(_PLAYLIST, "public, max-age=10"), text.encode())
        if match := _MEDIA_PLAYLIST.fullmatch(path):
            return _playlist(known, index, RenditionName(match[1]))
        if match := _SEGMENT.fullmatch(path):
            return await self._segment(index, RenditionName(match[1]), int(match[2]), match[3])
        if index.complete and (match := _RECORDING.fullmatch(path)) and match[1] in index.recordings:
            return await self._recording(index, match[1], range_header)
        if index.complete and path == "proof.json":
            return await self._proof(room)
        raise NotFound("The recording has no such part, or it is not ready yet.", slug="no-recording")

    async def summary(self, room: str) -> dict[str, object] | None:
        """Return the field ``replay`` of state.json, or None while there is no whole recording."""
        index = (await self._read(room)).index
        if index is None or not index.complete or index.start_step is None:
            return None
        end = index.end_step or index.start_step
        return {
            "hls": f"/r/{room}/replay.m3u8",
            "recordings": {ending: f"/r/{room}/recording.{ending}" for ending in index.recordings},
            "proof": f"/r/{room}/proof.json",
            "duration_s": round(duration_s(index), 3),
            "holds": [
                {"start_s": round(played_s(index, first), 3), "end_s": round(played_s(index, after or end), 3)}
                for first, after in index.holds()
            ],
        }

    async def _read(self, room: str) -> _Known:
        now = self._clock.monotonic_ns()
        known = self._known.get(room)
        if known is not None and now < known.until:
            self._known.move_to_end(room)
            return known
        stored = await self._objects.get(index_path(room))
        try:
            index = RecordingIndex.model_validate_json(stored) if stored else None
        except ValidationError as error:
            raise StoreUnavailable("The index of this recording cannot be read.") from error
        settled = index is not None and len(index.recordings) == len(RECORDINGS)
        fresh_ns = _TTL_COMPLETE_NS if settled else _TTL_RUNNING_NS
        playlists = known.playlists if known is not None and known.index == index else {}
        known = self._known[room] = _Known(index, MonotonicNs(now + fresh_ns), playlists)
        self._known.move_to_end(room)
        while len(self._known) > _MAX_ROOMS:
            self._known.popitem(last=False)
        return known

    async def _segment(self, index: RecordingIndex, name: RenditionName, epoch: int, number: str | None) -> Reply:
        runs = [run for run in index.runs(name) if run.epoch == epoch]
        if number is None:
            there, path = bool(runs), init_path(index.room, name, epoch)
        else:
            first, last = first_step(Segment(int(number))), first_step(Segment(int(number) + 1)) - 1
            there = any(run.first_step <= last and run.last_step >= first for run in runs)
            path = segment_path(index.room, name, epoch, int(number))
        data = await self._objects.get(path) if there else None
        if data is None:
            raise NotFound("The recording has no such segment.", slug="no-segment")
        return Reply(200, _headers("audio/mp4", _IMMUTABLE), data)

    async def _recording(self, index: RecordingIndex, ending: str, range_header: str | None) -> Reply:
        path = recording_path(index.room, ending)
        info = await self._objects.info(path)
        if info is None:
            raise NotFound("This recording is not in the object store.", slug="no-recording")
        headers = _headers(
            _RECORDING_TYPES[ending],
            "public, max-age=3600",
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{info.etag}"'),
            ("Content-Disposition", _disposition(index, ending)),
        )
        return self._ranged(info, headers, range_header)

    def _ranged(self, info: ObjectInfo, headers: Headers, range_header: str | None) -> Reply:
        """Return the whole object or one range of it (RFC 9110, 14)."""
        size = info.size_bytes
        try:
            wanted = byte_range(range_header, size)
        except RangeError:
            return Reply(416, [*headers, ("Content-Range", f"bytes */{size}")], b"")
        if wanted is None:
            body = self._objects.stream(info.path, start=0, length=size)
            return Reply(200, [*headers, ("Content-Length", str(size))], body)
        start, length = wanted
        body = self._objects.stream(info.path, start=start, length=length)
        span = ("Content-Range", f"bytes {start}-{start + length - 1}/{size}")
        return Reply(206, [*headers, span, ("Content-Length", str(length))], body)

    async def _proof(self, room: str) -> Reply:
        info = await self._objects.info(proof_path(room))
        if info is None:
            raise NotFound("There is no proof of this recording.", slug="no-proof")
        headers = _headers("application/json", "public, max-age=3600", ("Content-Length", str(info.size_bytes)))
        return Reply(200, headers, self._objects.stream(info.path, start=0, length=info.size_bytes))


def _playlist(known: _Known, index: RecordingIndex, name: RenditionName) -> Reply:
    """Return a media playlist, made once for each state of the index."""
    if name not in known.playlists:
        entries = [
            ReplaySegment(entry.number, entry.epoch, entry.epoch, entry.first_sample, entry.samples)
            for entry in segments(name, index.runs(name))
        ]
        if not entries:
            raise NotFound("Nothing of this room has been stored yet.", slug="no-recording")
        holds = [Hold(step_sample(first), step_sample(after)) for first, after in index.holds() if after is not None]
        text = replay_playlist(RENDITIONS[name], entries, zero_ns=index.zero_ns, holds=holds, ended=index.complete)
        if not index.complete:  # 4.4.2.2: players would begin an EVENT at its end; here, as FFmpeg trips over it above
            text = text.replace("#EXT-X-PLAYLIST-TYPE", "#EXT-X-START:TIME-OFFSET=0\n#EXT-X-PLAYLIST-TYPE", 1)
        known.playlists[name] = text.encode()
    age_s = 10 if index.complete else 1
    return Reply(200, _headers(_PLAYLIST, f"public, max-age={age_s}"), known.playlists[name])


def _headers(kind: str, cache: str, *more: tuple[str, str]) -> Headers:
    return [
        ("Content-Type", kind),
        ("Cache-Control", cache),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", "Content-Length, Content-Range"),
        ("X-Content-Type-Options", "nosniff"),
        *more,
    ]


def _disposition(index: RecordingIndex, ending: str) -> str:
    """Return a Content-Disposition with the room's name and date (RFC 6266, RFC 8187)."""
    day = iso_utc(UnixNs(index.started_ns))[:10] if index.started_ns else ""
    plain = " ".join(word for word in (index.room, day) if word)
    title = " ".join("".join(c if c.isalnum() or c in "-_.," else " " for c in index.title).split())[:80]
    full = " ".join(word for word in (title or index.room, day) if word)
    return f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{quote(full, safe='')}.{ending}"

"""A listener who takes LL-HLS (RFC 8216bis): blocking reloads of one media playlist, and each part as it comes."""

import re
from collections import deque
from datetime import datetime
from functools import partial
from typing import Any

from stentor.media.grid import SEGMENT_NS
from stentor.rehearsal.listener import Exchange, Listener
from stentor.rehearsal.sound import Ear
from stentor.rehearsal.wire import Answer

_PARTS = 4
_PART_NS = SEGMENT_NS // _PARTS
_START_PARTS = 3
"""PART-HOLD-BACK: a player begins so many parts behind the newest."""
_PART = re.compile(rb'#EXT-X-PART:[^\n]*?URI="(?:[^"]*/)?(\d+)/(\d+)\.(\d+)\.m4s[^"]*"')
_FIRST = re.compile(rb"#EXT-X-MEDIA-SEQUENCE:(\d+)")
_DATE = re.compile(rb"#EXT-X-PROGRAM-DATE-TIME:(\S+)")
_MEDIA = re.compile(rb"^aac\.m3u8\S*", re.MULTILINE)
_LATENCY_EVERY = 16


class HlsPlayer:
    """Follows the AAC playlist of one room over one connection."""

    transport = "hls"

    def __init__(self, listener: Listener) -> None:
        self.ear = Ear()
        self._listener = listener
        self._crowd = listener.crowd
        self._exchange = Exchange(listener.crowd, self._failed)
        self._media = ""
        self._zero_ns: int | None = None
        self._newest: tuple[int, int, int] | None = None
        self._wanted: deque[tuple[int, int, int]] = deque()
        self._taken = 0
        self._life = 0

    def begin(self, ticket: str) -> None:
        """Load the multivariant playlist; who comes back goes on with the media playlist that it named."""
        self._newest = None
        self._wanted.clear()
        self._life += 1
        if self._media:
            self._get(self._media, self._first)
        else:
            self._get(f"live.m3u8?ticket={ticket}", self._multivariant)

    def cut(self) -> None:
        """Break the connection."""
        self._life += 1
        self._exchange.close()

    def _get(self, path: str, then: Any) -> None:
        life = self._life

        def answered(answer: Answer) -> None:
            if life == self._life and not self._crowd.over:
                then(answer)

        self._exchange.ask("GET", f"{self._crowd.base}/{path}", answered)

    def _multivariant(self, answer: Answer) -> None:
        if not self._is_good(answer):
            return
        named = _MEDIA.search(answer.body)
        if named is None:
            self._failed("playlist")
            return
        self._media = named[0].decode()
        self._get(self._media, self._first)

    def _first(self, answer: Answer) -> None:
        if not self._is_good(answer):
            return
        first, date = _FIRST.search(answer.body), _DATE.search(answer.body)
        parts = self._parts(answer.body)
        if first is None or date is None or not parts:
            self._failed("playlist")
            return
        begun = datetime.fromisoformat(date[1].decode())
        self._zero_ns = int(begun.timestamp() * 1e9) - int(first[1]) * SEGMENT_NS
        self._listener.connected()
        start = parts[-_START_PARTS:]
        self._newest = parts[-1]
        self._wanted.extend(start)
        self._get(f"aac/{parts[-1][0]}/init.mp4", partial(self._next_part, initial=True))

    @staticmethod
    def _parts(playlist: bytes) -> list[tuple[int, int, int]]:
        return [(int(epoch), int(number), int(part)) for epoch, number, part in _PART.findall(playlist)]

    def _next_part(self, answer: Answer, *, initial: bool = False) -> None:
        if not self._is_good(answer):
            return
        if not initial:
            self._play(self._wanted.popleft())
        if self._wanted:
            epoch, number, part = self._wanted[0]
            self._get(f"aac/{epoch}/{number}.{part}.m4s", self._next_part)
        else:
            self._reload()

    def _reload(self) -> None:
        assert self._newest is not None  # noqa: S101 - only after the first playlist
        _, number, part = self._newest
        number, part = (number + 1, 0) if part + 1 >= _PARTS else (number, part + 1)
        joint = "&" if "?" in self._media else "?"
        self._get(f"{self._media}{joint}_HLS_msn={number}&_HLS_part={part}&_HLS_skip=YES", self._reloaded)

    def _reloaded(self, answer: Answer) -> None:
        if not self._is_good(answer):
            return
        if b"#EXT-X-ENDLIST" in answer.body:
            self._failed("over")
            return
        newest = self._newest
        new = [part for part in self._parts(answer.body) if newest is None or part[1:] > newest[1:]]
        if not new:
            self._failed("nothing-new")
            return
        self._newest = new[-1]
        self._wanted.extend(new)
        epoch, number, part = self._wanted[0]
        self._get(f"aac/{epoch}/{number}.{part}.m4s", self._next_part)

    def _play(self, taken: tuple[int, int, int]) -> None:
        now = self._crowd.engine.now()
        self.ear.take(now, _PART_NS)
        self._crowd.tally.sums["blocks"] += 1
        self._taken += 1
        if self._taken % _LATENCY_EVERY == 4 and self._zero_ns is not None:
            _, number, part = taken
            newest_ns = self._zero_ns + number * SEGMENT_NS + (part + 1) * _PART_NS
            behind = self.ear.behind_ns(now, self._crowd.engine.clock.wall_ns(), newest_ns)
            self._crowd.tally.spreads["latency_hls_ms"].add(behind / 1e6)
        self._listener.heard()

    def _is_good(self, answer: Answer) -> bool:
        if answer.status == 200:
            return True
        self._end(f"hls-{answer.status}")
        self._media = ""
        if answer.status == 503 and b"problem:door" in answer.body:
            self._listener.ask_anew(self._crowd.random.uniform(0.5, 2.0))
        else:
            self._listener.return_in(self._crowd.random.uniform(0.5, 2.0))
        return False

    def _failed(self, why: str) -> None:
        if self._crowd.over:
            return
        self._end(why)
        self._listener.return_in(self._crowd.random.uniform(0.3, 2.0))

    def _end(self, why: str) -> None:
        self._crowd.tally.sums[f"failed.{why}"] += 1
        self.cut()
        self._listener.silent()

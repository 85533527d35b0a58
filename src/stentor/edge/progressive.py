"""Progressive: one endless response for ``<audio>``, media players and radios, with Icecast's headers."""

from collections import deque

from stentor.edge.cadence import Cadence
from stentor.edge.connection import Connection
from stentor.edge.fanout import Fanout, Listener
from stentor.edge.http import CORS, NO_STORE, Response
from stentor.edge.metrics import Leave
from stentor.edge.tally import Tally
from stentor.media import adts, ogg
from stentor.media.chunk import Chunk
from stentor.media.grid import SAMPLE_RATE_HZ, Step
from stentor.media.rendition import Rendition, RenditionName

BURST_STEPS = 8
_RING_STEPS = 128
_SERIAL = 0x53544E54
_MIME = {RenditionName.AAC: "audio/aac", RenditionName.MP3: "audio/mpeg", RenditionName.OPUS: "audio/ogg"}


class Progressive:
    """The progressive listeners of one rendition of a room."""

    def __init__(self, rendition: Rendition, cadence: Cadence, tally: Tally) -> None:
        self._rendition = rendition
        self._cadence = cadence
        self._tally = tally
        self._ring: deque[tuple[Step, bytes]] = deque(maxlen=_RING_STEPS)
        self._preamble = ogg.headers(_SERIAL, pre_skip=0) if rendition.name is RenditionName.OPUS else b""
        self._page = self._preamble.count(b"OggS")
        self._caught_up = False
        self.listeners = Fanout("progressive", self, cadence, tally)

    def head(self, title: str) -> Response:
        """Return the headers of the stream. No length: the connection's end is the stream's."""
        name = "".join(character for character in title if character.isprintable())[:200]
        headers = {
            "Content-Type": _MIME[self._rendition.name],
            "Cache-Control": NO_STORE,
            "Accept-Ranges": "none",
            "X-Content-Type-Options": "nosniff",
            "icy-name": name,
            "icy-br": str(self._rendition.bitrate_bps // 1000),
            "icy-sr": str(SAMPLE_RATE_HZ),
            "icy-pub": "0",
            **CORS,
        }
        return Response(200, headers, endless=True)

    def join(self, connection: Connection, title: str, date_line: bytes) -> Listener:
        """Take a listener on and return them: headers, a small burst, and then each block as it comes."""
        bucket = self.listeners.seat()
        first = self.head(title).head + date_line + b"Connection: close\r\n\r\n" + self._preamble
        if self._caught_up:
            first += self._burst(bucket.position)
        listener = Listener(connection, self.listeners)
        self.listeners.add(listener, bucket, first)
        if self._caught_up and self._ring:
            self._tally.first_sound("progressive", connection.age_s())
        return listener

    def _burst(self, upto: Step) -> bytes:
        return self.block(Step(upto - BURST_STEPS - self._cadence.at(self.listeners.step) + 1), upto)

    def take(self, chunk: Chunk) -> None:
        """Wrap a chunk and send everybody whose turn it is their block."""
        self._ring.append((chunk.step, self._wrap(chunk)))
        if self._caught_up:
            self.listeners.advance(chunk.step)

    def block(self, after: Step, upto: Step) -> bytes:
        """Return the frames or pages of all steps of (after, upto]."""
        return b"".join(data for step, data in self._ring if after < step <= upto)

    def _wrap(self, chunk: Chunk) -> bytes:
        match self._rendition.name:
            case RenditionName.AAC:
                return adts.adts(chunk.units)
            case RenditionName.MP3:
                return b"".join(chunk.units)
            case RenditionName.OPUS:
                page = self._page
                self._page += 1
                end = chunk.first_sample + len(chunk.units) * self._rendition.frame_samples
                return ogg.page(_SERIAL, page, end, chunk.units)

    def ready(self) -> None:
        """Give whoever joined while the relay was catching up the burst that they wait for."""
        self._caught_up = True
        if self._ring:
            step = self._ring[-1][0]
            self.listeners.begin(step)
            burst = self._burst(step)
            for listener in self.listeners:
                listener.send(burst)

    def finish(self) -> None:
        """Let everybody go after the last chunk."""
        if self._caught_up and self._ring:
            self.listeners.complete(self._ring[-1][0])
        self.let_go(Leave.ROOM_ENDED)

    def let_go(self, reason: Leave) -> None:
        """End every listener's response here."""
        for listener in self.listeners:
            self.listeners.discard(listener, reason)
            listener.line.close()

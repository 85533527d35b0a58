"""Progressive: one endless response for ``<audio>``, media players and radios, with Icecast's headers."""

from collections import deque

from stentor.edge.connection import Connection
from stentor.edge.fanout import Fanout
from stentor.edge.http import CORS, NO_STORE, Limits, Response
from stentor.media import adts, ogg
from stentor.media.chunk import Chunk
from stentor.media.grid import SAMPLE_RATE_HZ
from stentor.media.rendition import Rendition, RenditionName

BURST_STEPS = 8
_SERIAL = 0x53544E54
_MIME = {RenditionName.AAC: "audio/aac", RenditionName.MP3: "audio/mpeg", RenditionName.OPUS: "audio/ogg"}


class Progressive:
    """The progressive listeners of one rendition of a room."""

    def __init__(self, rendition: Rendition, limits: Limits) -> None:
        self._rendition = rendition
        self._recent: deque[bytes] = deque(maxlen=BURST_STEPS)
        self._preamble = ogg.headers(_SERIAL, pre_skip=0) if rendition.name is RenditionName.OPUS else b""
        self._page = self._preamble.count(b"OggS")
        self._caught_up = False
        self.listeners = Fanout("progressive", limits.backlog_bytes, self._too_slow)

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

    def join(self, connection: Connection, title: str, date_line: bytes) -> None:
        """Take a listener on: headers, a small burst, and then each chunk as it comes."""
        burst = self._preamble + (b"".join(self._recent) if self._caught_up else b"")
        connection.burst_bytes = len(burst)
        head = self.head(title).head + date_line + b"Connection: close\r\n\r\n"
        connection.keep(head + burst, lambda: self.listeners.discard(connection))
        self.listeners.add(connection)

    def take(self, chunk: Chunk) -> None:
        """Wrap a chunk and write it to everybody."""
        data = self._wrap(chunk)
        self._recent.append(data)
        if self._caught_up:
            self.listeners.send(data)

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
        if self._recent:
            self.listeners.send(b"".join(self._recent))

    def finish(self) -> None:
        """Let everybody go after the last chunk."""
        for connection in self.listeners:
            self.listeners.discard(connection)
            connection.close()

    @staticmethod
    def _too_slow(connection: Connection) -> None:
        connection.abort()

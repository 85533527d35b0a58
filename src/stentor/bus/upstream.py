"""The bus of an edge without NATS: what the edge above says over one WebSocket (docs/design.md, "Edge behind edge").

It carries the rooms' and stages' documents, stages and audience reports live, and chunks of what this edge has
subscribed to. A chunk subscription begins with everything after the last step that is held here, so that nothing is
missing after a reconnect, and the origin's ring needs not be asked: what the edge above has not said it has not got.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge

from stentor.bus.port import Deliver, Document, live_chunk_subject, matches
from stentor.bus.upstream_absent import Absent
from stentor.bus.upstream_http import AWAY, UpstreamAddress, ask, describe
from stentor.bus.upstream_key import SCHEME, answer, nonce_of
from stentor.bus.upstream_socket import UpstreamSocket, upgraded
from stentor.bus.upstream_wire import (
    PATH,
    VERSION,
    Kind,
    pack,
    pack_after,
    pack_numbered,
    unpack,
    unpack_numbered,
)
from stentor.bus.wire import step_of
from stentor.clock import Clock
from stentor.errors import BusUnavailable, StentorError, Unauthenticated
from stentor.room.requests import RingRead
from stentor.telemetry import logger

_SILENT_S = 3.0
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
_REFUSED_PAUSE_S = 5.0
_NO_ANSWER = "The edge above has no answer at the moment. Try again in a few seconds."
_TARGET = f"{PATH}?version={VERSION}"

_connected = Gauge("stentor_bus_upstream_connected", "1 while the edge above answers and is ready")
_connects = Counter("stentor_bus_upstream_connects", "How often the connection to the edge above was made")
_received = Counter("stentor_bus_upstream_received_bytes", "Bytes of messages from the edge above")
_dropped = Counter("stentor_bus_upstream_dropped_messages", "Messages to the edge above that were not sent")

log = logger("bus")


class _Stream:
    """One chunk subject that is subscribed to: by whom, how far, and whether the past has been said."""

    def __init__(self) -> None:
        self.delivers: list[Deliver] = []
        self.step = -1
        self.caught_up = asyncio.Event()


class _Shelf:
    """The documents of one bucket as the edge above says them, each with the number of its last change here."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.said: set[str] = set()
        self.bells: set[asyncio.Event] = set()

    def put(self, key: str, value: bytes | None, revision: int) -> None:
        """Take a document, or with None that it is gone."""
        self.said.add(key)
        known = self.documents.get(key)
        if known is not None and known.value is None is value:
            return
        self.documents[key] = Document(key, value, revision)
        for bell in self.bells:
            bell.set()


class UpstreamBus(Absent):
    """Implements ``bus.port.Bus`` as far as an edge asks it. Made by ``connect``, closed by leaving its context.

    ``synced`` is set once the rooms are known; ``problem`` says in a sentence why ``connected`` is false. Audience
    reports go up if the relay key was proven, and are kept to this edge and those below it if there is none.
    """

    def __init__(self, address: UpstreamAddress, clock: Clock, *, edge: str, key: str) -> None:
        self.synced = asyncio.Event()
        self.problem = f"the edge above, {address.url}, was not asked yet"
        self._address = address
        self._clock = clock
        self._edge = edge
        self._key = key
        self._socket: UpstreamSocket | None = None
        self._told = False
        self._revision = 0
        self._shelves = {bucket: _Shelf() for bucket in ("rooms", "stages", "installation", "doors")}
        self._streams: dict[str, _Stream] = {}
        self._patterns: list[tuple[str, Deliver]] = []
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._asks = 0

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, clock: Clock, *, edge: str, key: str) -> AsyncIterator["UpstreamBus"]:
        """Hold a connection to the edge above inside the context, and make it again whenever it breaks.

        Args:
            url: its audience port.
            clock: the clock.
            edge: our name in audience reports.
            key: the relay key, or nothing.

        Raises:
            ConfigError: ``url`` is no address.
        """
        bus = cls(UpstreamAddress.parse(url), clock, edge=edge, key=key)
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(bus._hold())
            try:
                yield bus
            finally:
                holding.cancel()

    @property
    def connected(self) -> bool:
        """Tell whether the edge above answers, and is ready itself."""
        return not self.problem

    # The connection

    async def _hold(self) -> None:
        pauses = 0
        while True:
            self._told = False
            try:
                async with upgraded(self._address, _TARGET, await self._credentials()) as socket:
                    await self._listen(socket)
            except Unauthenticated as error:
                self._away(error.detail)
                await self._clock.sleep(_REFUSED_PAUSE_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
                continue
            except StentorError as error:
                self._away(error.detail)
            except AWAY as error:
                self._away(f"The edge above does not answer ({describe(error)}).")
            pauses = 0 if self._told else pauses + 1
            pause_s = _PAUSES_S[min(pauses, len(_PAUSES_S) - 1)]
            await self._clock.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret

    async def _credentials(self) -> dict[str, str]:
        """Fetch a challenge and answer it; nothing where there is no key."""
        if not self._key:
            return {}
        asked = await ask(self._address, "GET", _TARGET, {"Authorization": SCHEME})
        await asked.body.aclose()
        nonce = nonce_of(asked.header("www-authenticate"))
        if nonce is None:
            raise StentorError(f"The edge above knows no relay (it answers {asked.status}).")
        return {"Authorization": answer(self._key, nonce, self._edge)}

    async def _listen(self, socket: UpstreamSocket) -> None:
        """Ask for what is subscribed to and take what comes, until the connection breaks."""
        self._socket = socket
        _connects.inc()
        for shelf in self._shelves.values():
            shelf.said = set()
        for subject, stream in self._streams.items():
            socket.send(pack(Kind.SUBSCRIBE, subject, pack_after(stream.step)))
        try:
            while True:
                for message in await socket.receive(_SILENT_S):
                    _received.inc(len(message))
                    self._take(socket, *unpack(message))
        finally:
            self._socket = None
            for stream in self._streams.values():
                stream.caught_up.clear()
            for answered in self._asked.values():
                if not answered.done():
                    answered.set_exception(BusUnavailable(_NO_ANSWER))

    def _take(self, socket: UpstreamSocket, kind: Kind, name: str, payload: bytes) -> None:
        if kind is Kind.MESSAGE:
            self._deliver(name, payload)
        elif kind in (Kind.DOCUMENT, Kind.GONE):
            bucket, _, key = name.partition("/")
            if bucket in self._shelves:
                self._put(bucket, key, payload if kind is Kind.DOCUMENT else None)
        elif kind is Kind.COMPLETE:
            self._complete()
        elif kind is Kind.CAUGHT_UP:
            if name in self._streams:
                self._streams[name].caught_up.set()
        elif kind is Kind.ANSWER:
            number, answer = unpack_numbered(payload)
            answered = self._asked.get(number)
            if answered is not None and not answered.done():
                answered.set_result(answer)
        elif kind is Kind.STATUS:
            socket.send(pack(Kind.ALIVE))
            why = payload.decode(errors="replace")
            self._away(f"The edge above is not ready itself: {why}.") if why else self._back()

    def _put(self, bucket: str, key: str, value: bytes | None) -> None:
        self._revision += 1
        self._shelves[bucket].put(key, value, self._revision)

    def _complete(self) -> None:
        """Forget the documents that have gone while we were away."""
        self._told = True
        for bucket, shelf in self._shelves.items():
            for key in [key for key in shelf.documents if key not in shelf.said]:
                self._put(bucket, key, None)
        self.synced.set()

    def _deliver(self, subject: str, payload: bytes) -> None:
        stream = self._streams.get(subject)
        if stream is not None:
            stream.step = max(stream.step, step_of(payload))
            for deliver in list(stream.delivers):
                deliver(subject, payload)
        for pattern, deliver in list(self._patterns):
            if matches(pattern, subject):
                deliver(subject, payload)

    def _away(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("upstream_away", reason=problem, url=self._address.url)
        self.problem = problem
        _connected.set(0)

    def _back(self) -> None:
        if self.problem and self.synced.is_set():
            log.info("upstream_back", url=self._address.url)
            self.problem = ""
            _connected.set(1)

    # bus.port.Core

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send a report up: of the audience, which comes back from there as from any bus, or of this edge's load."""
        if not self._key:
            self._deliver(subject, payload)
        elif self._socket is None or not self._socket.send(pack(Kind.MESSAGE, subject, payload)):
            _dropped.inc()

    @asynccontextmanager
    async def subscribe(self, subject: str, deliver: Deliver) -> AsyncIterator[None]:
        """Deliver messages inside the context; a chunk subject begins with what the edge above holds."""
        if "*" in subject or ">" in subject:
            entry = (subject, deliver)
            self._patterns.append(entry)
            try:
                yield
            finally:
                self._patterns.remove(entry)
            return
        stream = self._streams.get(subject)
        if stream is None:
            stream = self._streams[subject] = _Stream()
        else:  # a room that began anew, before the end of the old program was through
            stream.step = -1
            stream.caught_up.clear()
            self._say(pack(Kind.UNSUBSCRIBE, subject))
        self._say(pack(Kind.SUBSCRIBE, subject, pack_after(-1)))
        stream.delivers.append(deliver)
        try:
            yield
        finally:
            stream.delivers.remove(deliver)
            if not stream.delivers:
                del self._streams[subject]
                self._say(pack(Kind.UNSUBSCRIBE, subject))

    def _say(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send(message)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Pass a listener's hand up; answer for an origin's ring with nothing, once all that is held above was said."""
        role, room, verb = subject.split(".")
        if (role, verb) == ("control", "hand"):
            return await self._ask(subject, payload, timeout_s)
        if verb != "ring":
            raise BusUnavailable("An edge behind an edge has no way to an origin.")
        stream = self._streams.get(live_chunk_subject(room, RingRead.model_validate_json(payload).rendition))
        try:
            async with asyncio.timeout(timeout_s):
                if stream is not None:
                    await stream.caught_up.wait()
        except TimeoutError as error:
            raise BusUnavailable(f"The edge above says nothing of {subject}.") from error
        return b""

    async def _ask(self, subject: str, payload: bytes, timeout_s: float) -> bytes:
        number = self._asks = (self._asks + 1) % 2**32
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            if self._socket is None or not self._socket.send(pack(Kind.ASK, subject, pack_numbered(number, payload))):
                raise BusUnavailable(_NO_ANSWER)
            async with asyncio.timeout(timeout_s):
                answer = await answered
        except TimeoutError as error:
            raise BusUnavailable(_NO_ANSWER) from error
        finally:
            del self._asked[number]
        if not answer:
            raise BusUnavailable(_NO_ANSWER)
        return answer

    # bus.port.Documents

    async def watch(self, bucket: str) -> AsyncIterator[Document | None]:
        """Yield every document of a bucket, one None, then each change; everything again after an outage."""
        shelf, bell = self._shelves[bucket], asyncio.Event()
        shelf.bells.add(bell)
        known: set[str] = set()
        said, complete = 0, False
        try:
            await self.synced.wait()
            while True:
                bell.clear()
                waiting = [each for each in shelf.documents.values() if each.revision > said]
                for document in sorted(waiting, key=lambda each: each.revision):
                    said = document.revision
                    if document.value is not None or document.key in known:
                        known.add(document.key)
                        yield document
                if not complete:
                    complete = True
                    yield None
                await bell.wait()
        finally:
            shelf.bells.discard(bell)

"""The connection to NATS and its core messages: at most once, now, never waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress

import nats.errors
import nats.js.errors
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from stentor.bus.port import Answer, Deliver
from stentor.bus.serving import Requests
from stentor.clock import Clock
from stentor.errors import BusUnavailable
from stentor.telemetry import RateLimitedLog, logger

AWAY = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)
"""What the client raises when the server cannot be asked; an APIError among them is the server's own answer."""

# A frozen server is noticed after 1 to 1.5 s; the client's default takes minutes.
_PING_INTERVAL_S = 0.5
_PINGS_UNANSWERED = 2
_CONNECT_TIMEOUT_S = 2.0
_RECONNECT_WAIT_S = 0.1
# More than this unsent means that the server is not reading: a chunk that waited would come too late to be of use.
_MAX_UNSENT_BYTES = 262_144

_connected = Gauge("stentor_bus_connected", "1 while the bus answers")
_reconnects = Counter("stentor_bus_reconnects_total", "How often the connection to the bus came back")
_dropped = Counter("stentor_bus_dropped_messages_total", "Core messages not sent because the bus was away")

log = logger("bus")


class LastingClient(Client):
    """A client that reconnects after whatever the server says; the library's own closes for good at most errors.

    Both methods are private: a test in tests/ports refuses a running bus, and fails when they are no longer called.
    """

    async def _process_err(self, err_msg: str) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        if "permissions violation" in err_msg.lower():
            await super()._process_err(err_msg)
        else:
            await self._process_op_err(nats.errors.Error(f"the server says {err_msg}"))

    async def _connect_to_server(self, s: Srv) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        # The library forgets the socket of an attempt that was refused.
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # the library leaves it without types
        await super()._connect_to_server(s)


class NatsCore:
    """One connection to NATS, and what ``bus.port.Core`` promises on it.

    Nothing is buffered while the server is away (``pending_size=0``): publishing drops, everything else fails at once.
    Subscriptions are the client's own and are renewed by it. ``_on_return`` bells are rung at each reconnect.
    """

    def __init__(self, client: Client, clock: Clock) -> None:
        self._nats = client
        self._clock = clock
        self._outages = 0
        self._renewed = False
        self._on_return: set[asyncio.Event] = set()
        self._last_error: Exception | None = None
        self._errors = RateLimitedLog(log, "bus_error", clock)

    @property
    def connected(self) -> bool:
        """Tell whether the server answers and knows our subscriptions; false within 1.5 s of its freezing."""
        return self._renewed and self._nats.is_connected

    async def publish(self, subject: str, payload: bytes) -> None:
        """Hand a message to the socket; drop it while the server is away or does not read."""
        if self._nats.is_connected and self._nats.pending_data_size < _MAX_UNSENT_BYTES:
            with suppress(nats.errors.Error):
                await self._nats.publish(subject, payload)
                return
        _dropped.inc()

    @asynccontextmanager
    async def subscribe(self, subject: str, deliver: Deliver) -> AsyncIterator[None]:
        """Deliver matching messages inside the context; on entry the server knows, if it is there."""

        async def on_message(message: Msg) -> None:
            deliver(message.subject, message.data)

        async with self._subscription(subject, on_message):
            yield

    @asynccontextmanager
    async def _subscription(self, subject: str, on_message: Callable[[Msg], Awaitable[None]]) -> AsyncIterator[None]:
        with unavailable("subscribe"):
            subscription = await self._nats.subscribe(subject, cb=on_message)
        with suppress(*AWAY):
            await self._nats.flush(timeout=2)
        try:
            yield
        finally:
            with suppress(*AWAY):
                await subscription.unsubscribe()

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Return the reply of whoever serves ``subject``."""
        try:
            return (await self._nats.request(subject, payload, timeout=timeout_s)).data
        except nats.errors.NoRespondersError as error:
            raise BusUnavailable(f"Nobody answers on {subject}.") from error
        except AWAY as error:
            raise BusUnavailable(f"No answer on {subject} within {timeout_s:g} s.") from error

    def serve(self, subject: str, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Answer requests inside the context."""
        return self._serve(subject, Requests(answer))

    @asynccontextmanager
    async def _serve(self, subject: str, requests: Requests) -> AsyncIterator[None]:
        async def on_message(message: Msg) -> None:
            async def reply(answer: bytes) -> None:
                with suppress(*AWAY):
                    await message.respond(answer)

            if message.reply:
                requests.take(message.subject, message.data, reply)

        async with requests, self._subscription(subject, on_message):
            yield

    async def _open(
        self,
        servers: Sequence[str],
        role: str,
        name: str,
        credentials: dict[str, str],
        timeout_s: float,
    ) -> None:
        """Connect, or say in one sentence why not. From then on the client reconnects by itself for ever."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._nats.connect(
                    list(servers),
                    name=f"stentor {role} {name}".strip(),
                    inbox_prefix=f"_INBOX.{role}",
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_reconnected,
                    closed_cb=self._on_closed,
                    ping_interval=_PING_INTERVAL_S,  # type: ignore[arg-type]  # annotated int, used as seconds of sleep
                    max_outstanding_pings=_PINGS_UNANSWERED,
                    connect_timeout=_CONNECT_TIMEOUT_S,  # type: ignore[arg-type]  # annotated int, used as a time-out
                    reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]  # annotated int, seconds of sleep
                    max_reconnect_attempts=-1,
                    pending_size=0,
                    **credentials,  # type: ignore[arg-type]  # user, password and token, all strings
                )
        except AWAY as error:
            await self._nats.close()
            raise BusUnavailable(_reason(self._last_error or error, servers, timeout_s)) from error
        self._renewed = True
        _connected.set(1)

    async def _close(self) -> None:
        """Send what is unsent and leave."""
        with suppress(*AWAY):
            if self._nats.is_connected:
                await self._nats.flush(timeout=1)
        await self._nats.close()

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error
        self._errors.note(error)

    async def _on_disconnected(self) -> None:
        self._outages += 1
        self._renewed = False
        _connected.set(0)
        if not self._nats.is_closed:
            log.warning("bus_away")

    async def _on_reconnected(self) -> None:
        self._renewed = True
        _connected.set(1)
        _reconnects.inc()
        log.info("bus_back")
        for bell in self._on_return:
            bell.set()

    async def _on_closed(self) -> None:
        _connected.set(0)


@contextmanager
def unavailable(doing: str) -> Iterator[None]:
    """Turn the client's errors into BusUnavailable."""
    try:
        yield
    except AWAY as error:
        raise BusUnavailable(f"The bus does not answer ({doing}: {describe(error)}).") from error


def describe(error: BaseException) -> str:
    """Return an error of the client as a short text."""
    if isinstance(error, nats.js.errors.APIError):
        return error.description or f"code {error.err_code}"
    return str(error) or type(error).__name__


def _reason(error: BaseException, servers: Sequence[str], timeout_s: float) -> str:
    where = ", ".join(server.rpartition("@")[2] for server in servers)
    if "authorization" in describe(error).lower():
        return f"The NATS server at {where} refuses our credentials: check the token, or user and password."
    if isinstance(error, ConnectionRefusedError):
        return f"No NATS server listens at {where}: start it, or correct the address."
    return f"The NATS server at {where} does not answer within {timeout_s:g} s ({describe(error)})."

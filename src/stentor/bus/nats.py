"""The bus in production: core NATS for what is live, JetStream for what must last.

``nats_core`` has the connection and core messages, ``nats_records`` reading, ``nats_log`` the log,
``nats_documents`` the documents.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats.js.errors
from nats.aio.client import Client

from stentor.bus.nats_core import AWAY, LastingClient, describe
from stentor.bus.nats_documents import BUCKETS, NatsDocuments, bucket_config
from stentor.bus.nats_log import NatsLog, stream_config
from stentor.clock import Clock
from stentor.errors import BusUnavailable
from stentor.telemetry import logger

_ACK_TIMEOUT_S = 2.0
_OTHER_CONFIG = 10058

log = logger("bus")


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """How to use a server.

    ``replicas``: copies of stream and buckets in a cluster. ``lease_ttl_s``: how long a lease lives after it was
    written; whoever creates the bucket decides. ``timeout_s``: how long ``connect`` tries.
    """

    replicas: int = 1
    lease_ttl_s: float = 15.0
    timeout_s: float = 10.0


class NatsBus(NatsLog, NatsDocuments):
    """Implements ``bus.port.Bus``. Made by ``NatsBus.connect``, closed by leaving its context."""

    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(client, clock)
        self._jetstream = client.jetstream(timeout=_ACK_TIMEOUT_S)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        servers: str | Sequence[str],
        clock: Clock,
        *,
        role: str,
        name: str = "",
        credentials: dict[str, str] | None = None,
        options: NatsOptions = NatsOptions(),
    ) -> AsyncIterator["NatsBus"]:
        """Connect, create the stream and the buckets if nobody has, and close on leaving.

        Args:
            servers: one ``nats://`` address or several of one cluster.
            clock: the clock.
            role: control, origin, edge or archive; also the prefix of reply subjects (``_INBOX.<role>``).
            name: which one of that role, for the server's list of connections.
            credentials: ``{"token": …}`` or ``{"user": …, "password": …}``.
            options: see ``NatsOptions``.

        Raises:
            BusUnavailable: with a sentence that says what to mend.
        """
        addresses = [servers] if isinstance(servers, str) else list(servers)
        bus = cls(LastingClient(), clock)
        await bus._open(addresses, role, name, credentials or {}, options.timeout_s)
        try:
            await bus._create(options)
            yield bus
        finally:
            await bus._close()

    async def _create(self, options: NatsOptions) -> None:
        """Create what is missing; JetStream answers a little later than the server does."""
        problem: BaseException | None = None
        try:
            async with asyncio.timeout(options.timeout_s):
                while True:
                    try:
                        await self._create_once(options)
                        return
                    except AWAY as error:
                        problem = error
                    await self._clock.sleep(0.1)
        except TimeoutError:
            raise BusUnavailable(
                f"NATS answers, but not its JetStream ({describe(problem) if problem else 'no answer'}): "
                "it must be switched on (-js), and this role be allowed to use it."
            ) from problem

    async def _create_once(self, options: NatsOptions) -> None:
        try:
            await self._jetstream.add_stream(stream_config(options.replicas))
        except nats.js.errors.BadRequestError as error:
            _keep_existing(error, "LOG")
        for bucket in BUCKETS:
            try:
                await self._jetstream.create_key_value(bucket_config(bucket, options.replicas, options.lease_ttl_s))
            except nats.js.errors.BadRequestError as error:
                _keep_existing(error, bucket)


def _keep_existing(error: nats.js.errors.BadRequestError, name: str) -> None:
    """Go on with a stream that has other settings, for example another number of copies; an operator chose them."""
    if error.err_code != _OTHER_CONFIG:
        raise error
    log.info("bus_keeps_existing_settings", stream=name)

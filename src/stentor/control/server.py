"""Control as a process: the app under uvicorn, and what runs beside it. Stops within 1 s; renews its certificate."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from stentor.bus.port import Bus, hand_subject
from stentor.clock import Clock
from stentor.control.access import make_rules
from stentor.control.api import app_over
from stentor.control.connection import StaffConnection
from stentor.control.parts import make_parts
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.errors import BadRequest, ConfigError, StentorError
from stentor.room.requests import Reply
from stentor.store.catalogue import Catalogue
from stentor.telemetry import logger

PUBLISHED_SUBJECT = "control.published"
# Shorter than the supervisor's patience (supervisor/machine), so that tasks and catalogue end in order after it.
_GRACE_S = 0.5
_CERTIFICATE_CHECK_S = 2.0
_USER_TIMEOUT_MS = 10_000
_EXPEDITED = 46 << 2
"""DSCP EF (RFC 3246), inherited by connections: the staff before the crowd, where the networks heed it."""

log = logger("control")


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificate and its key are; read again when they change."""

    certificate: Path
    key: Path


class _Server(uvicorn.Server):
    """uvicorn's, which looks ten times a second whether it is to stop; this one is told."""

    def __init__(self, config: uvicorn.Config, clock: Clock) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()
        self._clock = clock

    async def main_loop(self) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        """Serve until ``stop`` is set."""
        async with asyncio.TaskGroup() as group:
            dating = group.create_task(self._date())
            await self.stop.wait()
            dating.cancel()

    async def _date(self) -> None:
        while True:
            await self.on_tick(0)  # makes the Date header
            await self._clock.sleep(1)


class Control:
    """One control: rules, app, and the tasks that keep both true.

    Who closes whom: ``run`` ends the event streams, then the server, then the tasks. Bus and catalogue belong to
    the caller.
    """

    def __init__(
        self, *, bus: Bus, catalogue: Catalogue, clock: Clock, keys: ControlKeys, settings: ControlSettings
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._clock = clock
        self.rules = make_rules(make_parts(bus=bus, catalogue=catalogue, clock=clock, keys=keys, settings=settings))
        self.app = app_over(self.rules)

    async def first_operator_link(self) -> str | None:
        """Return a new operator's link at the first start; None later."""
        return await self.rules.staff.first_operator_link()

    async def new_operator_link(self) -> str:
        """Return one more operator's link."""
        return await self.rules.staff.new_operator_link()

    async def command_line_link(self) -> str:
        """Return the operator's link of the command line."""
        return await self.rules.staff.command_line_link()

    async def readiness(self) -> dict[str, bool]:
        """Tell what control needs and whether it is there."""
        try:
            await self._catalogue.ping()
        except StentorError:
            return {"bus": self._bus.connected, "catalogue": False}
        return {"bus": self._bus.connected, "catalogue": True}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep bus, doors and pages up to date inside the context."""
        async with (
            self._bus.serve(PUBLISHED_SUBJECT, self._published),
            self._bus.serve(hand_subject("*"), self.rules.hands.answer),
            asyncio.TaskGroup() as group,
        ):
            tasks = [
                group.create_task(self.rules.parts.publisher.run(), name="publisher"),
                group.create_task(self.rules.parts.installation.run(), name="installation"),
                group.create_task(self.rules.parts.hub.run(self._bus), name="hub"),
                group.create_task(self.rules.meters.run(self._bus), name="meters"),
                group.create_task(self.rules.rooms.run(), name="doors"),
                group.create_task(self.rules.succession.run(), name="succession"),
                group.create_task(self.rules.hands.run(), name="hands"),
                group.create_task(self.rules.door.run(), name="door"),
                group.create_task(self.rules.ladder.run(), name="ladder"),
                group.create_task(self.rules.status.run(), name="status"),
            ]
            try:
                yield
            finally:
                self.rules.parts.hub.close()
                for task in tasks:
                    task.cancel()

    async def run(
        self,
        host: str,
        port: int,
        *,
        stop: asyncio.Event,
        tls: Tls | None = None,
        started: Callable[[int], None] | None = None,
    ) -> None:
        """Serve until ``stop`` is set. ``started`` is called with the port (of use with port 0).

        Raises ConfigError when the port is taken or the certificate cannot be read.
        """
        context = None if tls is None else _context(tls)
        listener = listen(host, port)
        server = _Server(self._config(context), self._clock)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # signals are our caller's
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(listener.close)
            await stack.enter_async_context(self.running())
            group = await stack.enter_async_context(asyncio.TaskGroup())
            serving = group.create_task(server.serve(sockets=[listener]), name="server")
            renewing = None
            if tls is not None and context is not None:
                renewing = group.create_task(self._renew(tls, context), name="certificate")
            if started is not None:
                started(listener.getsockname()[1])
            await stop.wait()
            self.rules.parts.hub.close()
            server.stop.set()
            await serving
            if renewing is not None:
                renewing.cancel()

    def _config(self, context: ssl.SSLContext | None) -> uvicorn.Config:
        return uvicorn.Config(
            self.app,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            http=partial(StaffConnection, lanes=self.rules.lanes),  # type: ignore[arg-type]  # called like a class; on h11: httptools bounds no header
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,  # type: ignore[arg-type]  # annotated int, used as seconds of asyncio.timeout
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )

    async def _published(self, _subject: str, payload: bytes) -> bytes:
        try:
            room = json.loads(payload)["room"]
            if not isinstance(room, str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            return Reply(problem=BadRequest('Send {"room": "…"}.').problem()).to_bytes()
        try:
            await self.rules.rooms.published(room)
        except StentorError as error:
            return Reply(problem=error.problem()).to_bytes()
        return Reply(result={}).to_bytes()

    async def _renew(self, tls: Tls, context: ssl.SSLContext) -> None:
        """Read the certificate again when its files change; a pair that does not fit is left until it does."""
        seen = _stamp(tls)
        while True:
            await self._clock.sleep(_CERTIFICATE_CHECK_S)
            stamp = _stamp(tls)
            if stamp == seen:
                continue
            try:
                _context(tls)
                context.load_cert_chain(tls.certificate, tls.key)
            except (ConfigError, OSError) as error:
                log.warning("certificate_kept", error=str(error))
            else:
                log.info("certificate_renewed")
                seen = stamp


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ConfigError that says what to do when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        listener.settimeout(0)
        with contextlib.suppress(OSError):
            level, option = (
                (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ":" in host else (socket.IPPROTO_IP, socket.IP_TOS)
            )
            listener.setsockopt(level, option, _EXPEDITED)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A page whose network is gone is not there: who follows a room is told something each second.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The staff port {host}:{port} cannot be opened ({error.strerror}). "
            "Stop what uses it, or choose another with --staff-port."
        ) from error
    return listener


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificate {tls.certificate} and key {tls.key} cannot be used ({error}): "
            "give a PEM chain and its private key with --tls-cert and --tls-key."
        ) from error
    return context


def _stamp(tls: Tls) -> tuple[int, ...]:
    try:
        return tuple(path.stat().st_mtime_ns for path in (tls.certificate, tls.key))
    except OSError:
        return ()

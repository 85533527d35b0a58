"""``stentor serve``: the whole of one machine, from holding its folder and ports to the last process stopped."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Coroutine

from stentor.clock import SystemClock
from stentor.config import Settings
from stentor.supervisor.machine import hold_folder, hold_ports, machine, socket_dir, with_secrets
from stentor.supervisor.nats_server import NatsServer
from stentor.supervisor.private import private_endpoint
from stentor.supervisor.serve import Supervisor

_FIRST_LINK_FILE = "first-operator-link"

Ready = Callable[[Settings, str | None], None]
"""Called once all is ready, with the settings (every port known) and, at the first start, the operator's link."""

Beside = Callable[[Settings], Coroutine[object, object, None]]
"""Work in the parent's own process once all is ready, cancelled when it stops; the demo is one."""


Listen = Callable[[socket.socket], None]
"""Makes the audience's socket listen, with the options that edges want for their connections."""


async def run_serve(settings: Settings, ready: Ready, listen: Listen, beside: Beside | None = None) -> None:
    """Run every process of one machine until SIGTERM or SIGINT; a second one kills them at once.

    SIGHUP has the edges started anew, one after the other.

    Raises ConfigError in a sentence when something is taken, missing or refused.
    """
    clock, stop = SystemClock(), asyncio.Event()
    with hold_folder(settings), hold_ports(settings, listen) as (held, audience):
        held = with_secrets(held)
        (held.run_dir / _FIRST_LINK_FILE).unlink(missing_ok=True)
        nats = NatsServer(held) if held.embedded_bus else None
        sockets = socket_dir(held)
        supervisor = Supervisor(machine(held, nats, sockets, audience), clock, sockets)
        _stop_then_kill(stop, supervisor.kill)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervisor.roll)
        endpoint = private_endpoint(supervisor.answer, path=None, host=held.private_host, port=held.private_port)
        async with endpoint as private_port, asyncio.TaskGroup() as group:
            held = held.model_copy(update={"private_port": private_port})

            async def until_stopped(work: Coroutine[object, object, None]) -> None:
                task = group.create_task(work)
                await stop.wait()
                task.cancel()

            def on_ready() -> None:
                _write_addresses(held)
                ready(held, _take_first_link(held))
                if beside is not None:
                    group.create_task(until_stopped(beside(held)))

            await supervisor.run(stop, on_ready)


def _stop_then_kill(stop: asyncio.Event, kill: Callable[[], None]) -> None:
    def asked() -> None:
        if stop.is_set():
            kill()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)


def leave_first_link(settings: Settings, link: str) -> None:
    """Leave the operator's link where the supervisor finds it, for this user alone."""
    file = settings.run_dir / _FIRST_LINK_FILE
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(link)


def _take_first_link(settings: Settings) -> str | None:
    file = settings.run_dir / _FIRST_LINK_FILE
    if not file.exists():
        return None
    link = file.read_text()
    file.unlink()
    return link


def _write_addresses(settings: Settings) -> None:
    """Write down where everything is, for scripts that start Stentor on free ports."""
    private_url = f"http://{settings.private_host}:{settings.private_port}"
    addresses = {"pid": os.getpid(), "public_url": settings.public_url, "staff_url": settings.staff_url}
    (settings.run_dir / "serve.json").write_text(json.dumps({**addresses, "private_url": private_url}) + "\n")

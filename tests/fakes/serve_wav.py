"""Serve a demo room from a WAV or from synthetic voices, for working on the pages: one edge, no NATS, no speakers.

    python -m tests.fakes.serve_wav --port 8000 --state live
    curl http://127.0.0.1:8000/r/demo/state.json

``--state`` is the room's first state; a line on standard input (lobby, live, held, ended, published, …) changes it.
"""

import argparse
import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

import uvloop

from stentor.bus.memory import MemoryBus
from stentor.clock import SystemClock
from stentor.edge.server import Edge, EdgeSettings
from stentor.errors import NotFound
from stentor.room.documents import Announcement, RoomDocument
from stentor.room.states import OPEN_STATES, RoomState
from tests.fakes.wav_origin import Mono, WavOrigin, read_wav, room_document, talk


class NoRecording:
    """A replay desk that says there is a recording and has none to give."""

    async def reply(self, _room: str, path: str, _method: str, _range: str | None) -> "NoRecording":
        """Answer a request for the recording."""
        raise NotFound(f"The demo has no {path}.", slug="no-recording")

    async def summary(self, room: str) -> dict[str, object] | None:
        """Return what a published room would say."""
        base = f"/r/{room}"
        return {
            "hls": f"{base}/replay.m3u8",
            "recordings": {kind: f"{base}/recording.{kind}" for kind in ("m4a", "opus", "mp3")},
            "proof": f"{base}/proof.json",
            "duration_s": 1834.6,
            "holds": [{"start_s": 600.0, "end_s": 660.0}],
        }

    status, headers, body = 404, [("Content-Type", "text/plain")], b""


async def main(arguments: argparse.Namespace) -> None:
    """Run until interrupted."""
    clock = SystemClock()
    bus = MemoryBus(clock)
    document = room_document(arguments.room, clock, RoomState(arguments.state), title=arguments.title)
    pages = Path(arguments.pages)
    settings = EdgeSettings(name="demo", staff_url=arguments.staff_url, pages=pages)
    edge = Edge(bus=bus, clock=clock, settings=settings, replay=NoRecording())
    listening = socket.create_server(("127.0.0.1", arguments.port), reuse_port=True)
    pcm = read_wav(Path(arguments.wav)) if arguments.wav else talk()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/r/{arguments.room}", flush=True)  # noqa: T201 - it is for a person at a terminal
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(edge.run(listening))
        tasks.create_task(_follow_input(bus, clock, document, pcm, tasks))


async def _follow_input(
    bus: MemoryBus, clock: SystemClock, document: RoomDocument, pcm: Mono, tasks: asyncio.TaskGroup
) -> None:
    """Say the room's state, run an origin while it is open, and take new states from standard input."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    if sys.stdin is not None and (sys.stdin.isatty() or stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    else:
        lines.feed_eof()
    origin: asyncio.Task[None] | None = None
    wav: WavOrigin | None = None
    state = document.state
    while True:
        zero = document.zero_ns if document.zero_ns or state not in OPEN_STATES else room_document("x", clock).zero_ns
        document = document.model_copy(update={"state": state, "zero_ns": zero, **_times(document, state, clock)})
        if origin is not None and state not in OPEN_STATES:
            origin.cancel()
            origin = None
        if origin is None and state in OPEN_STATES:
            wav = WavOrigin(bus, clock, document, pcm, log=False)
            origin = tasks.create_task(wav.run())
        if wav is not None:
            wav.on_air = state is RoomState.LIVE
        await bus.put("rooms", document.room, document.to_bytes())
        line = (await lines.readline()).decode().strip()
        if not line:
            await asyncio.Event().wait()
        if line.startswith("say "):
            said = Announcement(text=line[4:], at_ns=clock.wall_ns())
            document = document.model_copy(update={"announcement": said})
        elif line in RoomState.__members__.values():
            state = RoomState(line)


def _times(document: RoomDocument, state: RoomState, clock: SystemClock) -> dict[str, object]:
    ended = state in (RoomState.ENDED, RoomState.PUBLISHED)
    return {
        "started_ns": document.started_ns or (clock.wall_ns() if state is RoomState.LIVE else None),
        "ended_ns": (document.ended_ns or clock.wall_ns()) if ended else None,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--state", default="live", choices=[str(state) for state in RoomState])
    parser.add_argument("--room", default="demo")
    parser.add_argument("--title", default="A demo room")
    parser.add_argument("--wav", help="48 kHz, 16-bit mono; played in a loop")
    parser.add_argument("--pages", default="src/stentor/web/dist")
    parser.add_argument("--staff-url", default="http://127.0.0.1:8001")
    uvloop.run(main(parser.parse_args()))

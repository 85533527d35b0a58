"""The process of one room: warm until it is given a room, then the room's origin until the room ends.

It reads one JSON line on standard input, ``{"room": …, "udp_port": …}``, and writes ``{"ready": true}`` on standard
output once it could start at once, and again with the epoch when it answers for the room.
"""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stentor.bus.port import Bus
from stentor.clock import Clock, UnixNs
from stentor.errors import Fenced, MediaError, NotFound
from stentor.media.hold import Loop, hold_loop
from stentor.media.proof import first_head
from stentor.media.rendition import RENDITIONS
from stentor.origin.live_room import LiveRoom, RoomParts
from stentor.origin.log_writer import LogWriter
from stentor.origin.mux import UdpMux
from stentor.origin.priority import go_first
from stentor.origin.program import Program
from stentor.origin.session import MediaSession, SessionEvents
from stentor.origin.tenure import Tenure, take_over
from stentor.room.documents import RoomDocument
from stentor.telemetry import logger

_HOLD_FILE = "hold-sound.stl"

_log = logger("origin")


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """Where a room's process keeps its files and which addresses speakers are told.

    ``bind``: local addresses of the UDP port, all but loopback when empty. ``advertise``: further addresses that
    are written into answers, for servers behind NAT.
    """

    data_dir: Path
    spool_dir: Path
    bind: Sequence[str]
    advertise: Sequence[str]
    node: str


def load_hold_sound(data_dir: Path) -> Loop:
    """Return the hold sound, encoded once for all rooms and kept in the data folder."""
    file = data_dir / _HOLD_FILE
    try:
        return Loop.from_bytes(file.read_bytes())
    except (OSError, MediaError):
        loop = hold_loop()
    fresh = file.with_suffix(f".{os.getpid()}.new")
    with suppress(OSError):  # a full disk keeps no room from being heard: the next process encodes it again
        fresh.write_bytes(loop.to_bytes())
        fresh.replace(file)
    return loop


def say(**line: object) -> None:
    """Tell the host, in one JSON line on standard output."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def run_room(bus: Bus, clock: Clock, settings: RoomSettings, hold: Loop, room: str, udp_port: int) -> bool:
    """Run a room until it has ended; return False when a later epoch took it from us."""
    document = await _document(bus, room)
    kept = True
    mux = UdpMux(settings.bind, udp_port, advertise=settings.advertise)
    mux.open()
    try:
        note = json.dumps({"node": settings.node, "udp_port": udp_port}).encode()
        zero_ns = UnixNs(document.zero_ns or 0)
        tenure = await take_over(bus, clock, settings.spool_dir, room, note, zero_ns=zero_ns)
        if not document.recorded:
            # Nothing of it is stored, so the discontinuity cannot be read back: each tenure counts.
            tenure = dataclasses.replace(tenure, discontinuity=tenure.epoch - 1)

        def open_session(events: SessionEvents) -> MediaSession:
            return MediaSession(mux, clock, events)

        def claim_processor() -> None:
            _log.info("room_ticks", room=room, real_time=go_first())

        parts = RoomParts(
            bus=bus,
            clock=clock,
            document=document,
            tenure=tenure,
            writer=LogWriter(bus, clock, tenure.fence, tenure.spool),
            program=_program(room, tenure, hold),
            open_session=open_session,
            on_tick=claim_processor,
            receive=mux.read,
        )
        await LiveRoom(parts).run(lambda: say(serving=room, epoch=tenure.epoch))
    except* Fenced:
        _log.warning("fenced_out", room=room)
        kept = False
    finally:
        mux.close()
    return kept


async def _document(bus: Bus, room: str) -> RoomDocument:
    found = await bus.get("rooms", room)
    if found is None or found.value is None:
        raise NotFound(f"There is no room {room} on the bus.")
    document = RoomDocument.model_validate_json(found.value)
    if document.zero_ns is None:
        raise NotFound(f"Room {room} has not opened its doors.", slug="not-open")
    return document


def _program(room: str, tenure: Tenure, hold: Loop) -> Program:
    heads = {name: tenure.heads.get(name) or first_head(room, name) for name in RENDITIONS}
    return Program(
        room,
        epoch=tenure.epoch,
        discontinuity=tenure.discontinuity,
        first=tenure.first_step,
        heads=heads,
        hold=hold,
    )


async def assignment() -> tuple[str, int] | None:
    """Wait for the line that names room and port; None when the host closes the pipe."""
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line.strip():
        return None
    given = json.loads(line)
    return str(given["room"]), int(given["udp_port"])

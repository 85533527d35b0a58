"""state.json: what the page shows, merged from control's document, the origin's and the edges' counts."""

from dataclasses import dataclass

from stentor.clock import UnixNs, iso_utc
from stentor.media.grid import SAMPLE_RATE_HZ, STEP_SAMPLES
from stentor.room.documents import RoomDocument, StageDocument, StagePerson
from stentor.room.installation import LadderWord
from stentor.room.ladder import CAP, RUNGS, is_slower
from stentor.room.states import OPEN_STATES, RoomState

POLL_S, SLOW_POLL_S = 2.0, 10.0
"""After how long, at the soonest, a page asks for state.json again."""


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses beside this edge: of the staff port, and of a CDN before playlists and media ("" where none is)."""

    staff_url: str = ""
    media_url: str = ""


def state_json(
    room: RoomDocument,
    stage: StageDocument | None,
    audience: dict[str, int],
    block_steps: int,
    places: Places,
    replay: dict[str, object] | None,
) -> dict[str, object]:
    """Return the fields of state.json but ``server_time`` (docs/design.md), which changes while nothing else does."""
    heard = stage if room.state in OPEN_STATES else None
    return {
        "room": room.room,
        "title": room.title,
        "description": room.description,
        "language": room.language,
        "state": str(room.state),
        "on_air": bool(heard and heard.on_air),
        "epoch": heard.epoch if heard else 0,
        "planned_start": _iso(room.planned_start_ns),
        "time_zone": room.time_zone,
        "started_at": _iso(room.started_ns),
        "ended_at": _iso(room.ended_ns),
        "people": [_person(person) for person in heard.people if person.connected] if heard else [],
        "audience": audience,
        "delivery": {"block_steps": block_steps, "block_s": block_steps * STEP_SAMPLES / SAMPLE_RATE_HZ},
        "announcement": _announcement(room),
        "hands_open": room.hands_open and room.state in OPEN_STATES,
        "recorded": room.recorded,
        "key_fingerprint": room.key_fingerprint,
        "staff_url": places.staff_url,
        "streams": streams_json(room.room, places),
        "replay": replay if room.state in (RoomState.ENDED, RoomState.PUBLISHED) else None,
    }


def ladder_json(ladder: LadderWord) -> dict[str, object]:
    """Return what state.json says of the ladder's step in force, and from it: when to ask again at the soonest."""
    return {
        "ladder": {"step": ladder.step, "text": RUNGS[min(ladder.step, CAP)].text},
        "poll_s": SLOW_POLL_S if is_slower(ladder) else POLL_S,
    }


def streams_json(room: str, places: Places) -> dict[str, object]:
    """Return the addresses of a room's streams; a CDN takes the playlists and what they name, nothing else."""
    base = f"/r/{room}"
    return {
        "push": f"{base}/push",
        "hls": f"{places.media_url}{base}/live.m3u8",
        "hls_opus": f"{places.media_url}{base}/live-opus.m3u8",
        "listen": {name: f"{base}/listen.{name}" for name in ("aac", "mp3", "opus")},
    }


def summary_json(room: RoomDocument, listeners: int) -> dict[str, object]:
    """Return a room's line in rooms.json."""
    return {
        "room": room.room,
        "title": room.title,
        "state": str(room.state),
        "planned_start": _iso(room.planned_start_ns),
        "listeners": listeners,
        "recorded": room.recorded,
    }


def _person(person: StagePerson) -> dict[str, object]:
    return {
        "person": person.person,
        "name": person.name,
        "role": str(person.role),
        "speaking": person.speaking and person.muted_by is None,
        "muted": person.muted_by is not None,
    }


def _announcement(room: RoomDocument) -> dict[str, object] | None:
    said = room.announcement
    return {"text": said.text, "at": iso_utc(UnixNs(said.at_ns))} if said else None


def _iso(moment: int | None) -> str | None:
    return None if moment is None else iso_utc(UnixNs(moment))

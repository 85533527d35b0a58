"""The rules of rooms: making, changing, moving them through their states, and opening them when it is time."""

import json
import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from zoneinfo import available_timezones

from prometheus_client import Counter

from stentor.clock import NS_PER_S
from stentor.control.parts import Parts
from stentor.control.shapes import Command, EditRoom, NewRoom, RoomOut, to_ns
from stentor.control.staff import Staff, StaffRules
from stentor.errors import BadRequest, Conflict, NotFound, StentorError, StoreUnavailable
from stentor.media.grid import SEGMENT_NS
from stentor.room.documents import Dials, Role, StageDocument
from stentor.room.ids import room_id
from stentor.room.names import TITLE_MAX_CHARACTERS, one_line, paragraph
from stentor.room.requests import Announced
from stentor.room.stage import SPEAKING_ROLES
from stentor.room.states import OPEN_STATES, RoomInput, RoomState, advance
from stentor.store.catalogue import AuditEntry, Recording, Room, RoomChanges
from stentor.telemetry import logger

_ANNOUNCEMENT_MAX_CHARACTERS = 500
_CHECK_S = 1.0
_LOOK_AHEAD_NS = 10 * NS_PER_S
"""The catalogue is asked that seldom whose time comes next: each question costs what a hundred wake-ups do."""
_NEVER_OPENED = frozenset({RoomState.DRAFT, RoomState.SCHEDULED})
_TRIES = 5

CHANGES = Counter("stentor_control_state_changes_total", "Changes of rooms' states", ["state"])

log = logger("control")


@dataclass(frozen=True, slots=True)
class _Actor:
    person: str
    name: str


_THE_CLOCK = _Actor("clock", "the clock")
_THE_ARCHIVE = _Actor("archive", "the archive")


class RoomRules:
    """All rooms of the installation."""

    def __init__(self, parts: Parts, staff: StaffRules) -> None:
        self._catalogue = parts.catalogue
        self._publisher = parts.publisher
        self._hub = parts.hub
        self._origins = parts.origins
        self._clock = parts.clock
        self._shaper = parts.shaper
        self._bus = parts.bus
        self._key_fingerprint = parts.keys.key_fingerprint
        self._staff = staff
        self._next_look_ns = 0  # wall time

    # Making and changing

    async def create(self, who: Staff, new: NewRoom) -> tuple[Room, dict[str, str]]:
        """Make a room with its first links; return it and their URLs by role, and the listener's."""
        title = one_line(new.title, what="the title", max_characters=TITLE_MAX_CHARACTERS)
        planned_ns = to_ns(new.planned_start) if new.planned_start else None
        room = Room(
            room=room_id(new.room) if new.room is not None else "",
            title=title,
            created_ns=self._clock.wall_ns(),
            description=paragraph(new.description, what="the description"),
            language=new.language,
            state=RoomState.DRAFT if planned_ns is None else RoomState.SCHEDULED,
            planned_start_ns=planned_ns,
            time_zone=_time_zone(new.time_zone),
            recorded=new.recorded,
            changed_by=who.link.name,
        )
        for _ in range(_TRIES):
            named = room if room.room else replace(room, room=_address(title))
            links = tuple(
                self._staff.new_link(named.room, role, name)
                for role, name in ((Role.HOST, "Host"), (Role.SPEAKER, "Speaker"))
            )
            if await self._catalogue.add_room(named, links):
                self._next_look_ns = 0
                await self._publisher.say(named.room)
                await self._audit(who.link.link, who.link.name, named.room, "create")
                urls = {str(link.role): self._staff.url_of(link) for link in links}
                return named, {**urls, "listener": self._shaper.audience_url(named.room)}
            if room.room:
                break
        raise Conflict("There is a room at this address already. Choose another address.", slug="room-exists")

    async def get(self, room: str) -> Room:
        """Return a room; raises NotFound."""
        stored = await self._catalogue.room(room)
        if stored is None:
            raise NotFound("There is no such room. Check the address.", slug="no-such-room")
        return stored

    async def rooms(self) -> list[Room]:
        """Return all rooms."""
        return await self._catalogue.rooms()

    def shown(self, room: Room) -> RoomOut:
        """Return a room as the API shows it."""
        return self._shaper.room(room, self._hub.stage(room.room), now_ns=self._clock.wall_ns())

    async def edit(self, who: Staff, room: str, edits: EditRoom) -> Room:
        """Change what was given of a room."""
        stored = await self.get(room)
        changes: RoomChanges = {}
        given = edits.model_fields_set
        if "title" in given:
            changes["title"] = one_line(edits.title, what="the title", max_characters=TITLE_MAX_CHARACTERS)
        if "description" in given:
            changes["description"] = paragraph(edits.description, what="the description")
        if "language" in given:
            changes["language"] = edits.language
        if "time_zone" in given:
            changes["time_zone"] = _time_zone(edits.time_zone)
        if "planned_start" in given:
            planned_ns = to_ns(edits.planned_start) if edits.planned_start else None
            changes["planned_start_ns"] = _plannable(stored, planned_ns)
        if "recorded" in given and edits.recorded != stored.recorded:
            changes["recorded"] = _recordable(stored, recorded=edits.recorded)
        changes |= _of_the_stage(edits)
        if not changes:
            return stored
        # The state decides what may be changed: refuse rather than change a room that has moved on meanwhile.
        changed = await self._catalogue.update_room(room, changes, expected=stored.state)
        if changed is None:
            raise self._overtaken(await self.get(room), "be changed like this")
        self._next_look_ns = 0
        await self._say(changed, who.link.link, who.link.name, "edit", sorted(given))
        return changed

    async def delete(self, who: Staff, room: str) -> None:
        """Forget a room that never opened: off the bus first, so that nothing is half gone if the bus is away.

        Once opened, its address is that of its log and recording for ever.
        """
        stored = await self.get(room)
        if stored.state not in _NEVER_OPENED:
            raise Conflict(
                f"This room is {stored.state}: its doors have opened, so its address is its recording's for ever. "
                "Only rooms that never opened can be deleted.",
                slug="wrong-state",
                state=str(stored.state),
            )
        await self._publisher.unsay(room)
        if not await self._catalogue.delete_room(room, expected=stored.state):
            await self._publisher.say(room)
            raise self._overtaken(await self.get(room), "be deleted")
        self._hub.forget_room(room)
        await self._audit(who.link.link, who.link.name, room, "delete")

    async def announce(self, who: Staff, room: str, text: str | None) -> Room:
        """Say something to everybody, or take it back with None."""
        stored = await self.get(room)
        said = None
        if text is not None:
            said = one_line(text, what="the announcement", max_characters=_ANNOUNCEMENT_MAX_CHARACTERS)
        await self._catalogue.announce(room, said, at_ns=self._clock.wall_ns(), by=who.link.name)
        changed = await self.get(room)
        await self._say(changed, who.link.link, who.link.name, "announce", said)
        if said is not None and stored.state in OPEN_STATES:
            try:
                await self._origins.ask(room, "announce", Announced(text=said))
            except StentorError as error:
                # Pages have it from the room's document; only the log of the night lacks it.
                log.warning("announcement_not_logged", room=room, error=error.detail)
        return changed

    async def deliver(self, who: Staff, room: str, block_steps: int | None) -> Room:
        """Set the least size of blocks (1, 2, 4, 8 or 16 steps), or leave it to the edges with None."""
        changed = await self._catalogue.update_room(room, {"block_steps": block_steps}) or await self.get(room)
        await self._say(changed, who.link.link, who.link.name, "delivery", block_steps)
        return changed

    async def turn_dials(self, who: Staff, room: str, dials: Dials) -> Room:
        """Set how many may listen, and how many may come in each second; None: as many as come."""
        turned: RoomChanges = {"cap": dials.cap, "per_second": dials.per_second}
        changed = await self._catalogue.update_room(room, turned) or await self.get(room)
        await self._say(changed, who.link.link, who.link.name, "door", turned)
        return changed

    async def open_line(self, who: Staff, room: str, *, is_open: bool) -> Room:
        """Let listeners raise their hands, or no more of them."""
        changed = await self._catalogue.update_room(room, {"hands_open": is_open}) or await self.get(room)
        await self._say(changed, who.link.link, who.link.name, "hands", is_open)
        return changed

    # States

    async def change(self, who: Staff, room: str, given: RoomInput, command: Command) -> Room:
        """Move a room through its states as a person asks; of several at once one wins.

        Raises Conflict: ``wrong-state``, saying what happened, or ``speakers-not-ready``, naming them.
        """
        stored = await self.get(room)
        if command.expected is not None and stored.state is not command.expected:
            raise self._overtaken(stored, given)
        planned_ns = to_ns(command.planned_start) if command.planned_start else stored.planned_start_ns
        if given is RoomInput.SCHEDULE and planned_ns is None:
            raise BadRequest("Say when: `planned_start` is missing.", slug="planned-start-missing")
        try:
            advance(stored.state, given)
        except Conflict:
            raise self._overtaken(stored, given) from None
        if given is RoomInput.START and not command.force:
            await self._require_ready(room)
        actor = _Actor(who.link.link, who.link.name)
        return await self._advance(stored, given, actor, planned_ns=planned_ns)

    async def _advance(self, stored: Room, given: RoomInput, actor: _Actor, *, planned_ns: int | None = None) -> Room:
        now_ns = self._clock.wall_ns()
        state = advance(stored.state, given)
        changes: RoomChanges = {"state": state, "changed_by": actor.name}
        if given is RoomInput.SCHEDULE:
            changes["planned_start_ns"] = planned_ns
        elif given is RoomInput.OPEN and stored.zero_ns is None:
            changes["zero_ns"] = now_ns // SEGMENT_NS * SEGMENT_NS
        elif given is RoomInput.START:
            changes["started_ns"] = now_ns
        elif given is RoomInput.END:
            changes["ended_ns"] = now_ns
        changed = await self._catalogue.update_room(stored.room, changes, expected=stored.state)
        if changed is None:
            raise self._overtaken(await self.get(stored.room), given)
        self._next_look_ns = 0
        log.info("room_state", room=stored.room, was=str(stored.state), now=str(state), by=actor.person)
        CHANGES.labels(state=str(state)).inc()
        await self._say(changed, actor.person, actor.name, str(given), None)
        return changed

    async def _require_ready(self, room: str) -> None:
        stage = self._hub.stage(room) or await self._stored_stage(room)
        people = {person.person: person for person in stage.people if person.connected} if stage else {}
        waiting = [
            {
                "person": person.person,
                "name": person.name,
                "reason": "muted" if person.muted_by is not None else "not-heard",
            }
            for person in people.values()
            if person.role in SPEAKING_ROLES and (person.muted_by is not None or not person.heard)
        ]
        waiting += [
            {"person": link.link, "name": link.name, "reason": "not-heard"}
            for link in await self._catalogue.links(room)
            if link.role is Role.SPEAKER and link.session and link.revoked_ns is None and link.link not in people
        ]
        if waiting:
            names = ", ".join(f"{who['name']} ({who['reason'].replace('-', ' ')})" for who in waiting)
            raise Conflict(
                f"Not everybody is ready: {names}. Start anyway?", slug="speakers-not-ready", speakers=waiting
            )

    async def _stored_stage(self, room: str) -> StageDocument | None:
        try:
            held = await self._bus.get("stages", room)
            return StageDocument.model_validate_json(held.value) if held and held.value else None
        except (StentorError, ValueError) as error:
            log.warning("stage_unknown", room=room, error=str(error))
            return None

    def _overtaken(self, room: Room, given: str) -> Conflict:
        by = f", by {room.changed_by}" if room.changed_by else ""
        return Conflict(
            f"This room is {room.state} now{by}; it cannot {given}.", slug="wrong-state", state=str(room.state)
        )

    # By itself

    async def open_due(self) -> None:
        """Open the doors of every room whose time has come, also after control was away; note when to look again."""
        now_ns = self._clock.wall_ns()
        self._next_look_ns = until_ns = now_ns + _LOOK_AHEAD_NS
        for room in await self._catalogue.due_rooms(until_ns):
            if room.planned_start_ns is not None and room.planned_start_ns > now_ns:
                self._next_look_ns = min(self._next_look_ns, room.planned_start_ns)
                break
            try:
                await self._advance(room, RoomInput.OPEN, _THE_CLOCK)
            except (Conflict, NotFound) as error:
                log.info("room_not_opened", room=room.room, why=error.detail)

    def _is_time(self) -> bool:
        """Tell whether to look; also when the machine's clock was set back meanwhile."""
        ahead_ns = self._next_look_ns - self._clock.wall_ns()
        return not 0 < ahead_ns <= _LOOK_AHEAD_NS

    async def run(self) -> None:
        """Open rooms at their time, for ever."""
        while True:
            try:
                if self._is_time():
                    await self.open_due()
            except StoreUnavailable as error:
                self._next_look_ns = 0
                log.warning("doors_wait", error=error.detail)
            await self._clock.sleep(_CHECK_S)

    async def published(self, room: str) -> None:
        """Note that a room's recording is complete; saying it twice is harmless. Raises Conflict, NotFound."""
        stored = await self.get(room)
        if stored.state is not RoomState.PUBLISHED:
            advance(stored.state, RoomInput.PUBLISH)
        await self._catalogue.add_recording(Recording(room, self._clock.wall_ns(), self._key_fingerprint))
        if stored.state is not RoomState.PUBLISHED:
            await self._advance(stored, RoomInput.PUBLISH, _THE_ARCHIVE)

    # Shared

    async def _say(self, room: Room, person: str, name: str, action: str, detail: object) -> None:
        await self._publisher.say(room.room)
        self._hub.tell_room(room.room, "room", self.shown(room).model_dump_json())
        await self._audit(person, name, room.room, action, detail)

    async def _audit(self, person: str, name: str, room: str, action: str, detail: object = None) -> None:
        text = json.dumps(detail, ensure_ascii=False)
        await self._catalogue.write_audit(AuditEntry(self._clock.wall_ns(), room, person, name, action, text))


def _address(title: str) -> str:
    """Return an address made from a title: its Latin letters and digits, and eight that cannot be guessed."""
    latin = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", latin)[:40].strip("-")
    return f"{words or 'room'}-{secrets.token_hex(4)}"


def _time_zone(name: str | None) -> str | None:
    """Return a name of the time zone database; raises BadRequest. Without a database any name is taken."""
    known = available_timezones()
    if name is not None and known and name not in known:
        raise BadRequest("This time zone is not known. Give one like Asia/Beirut.", slug="bad-time-zone")
    return name


def _of_the_stage(edits: EditRoom) -> RoomChanges:
    """Return what may be changed at any time; the room's origin follows its document."""
    changes: RoomChanges = {}
    if "seats" in edits.model_fields_set:
        changes["seats"] = edits.seats
    if "noise_gate" in edits.model_fields_set:
        changes["noise_gate"] = edits.noise_gate
    return changes


def _plannable(room: Room, planned_ns: int | None) -> int | None:
    if room.state not in _NEVER_OPENED:
        raise Conflict(f"This room is {room.state}; its planned start is past.", slug="wrong-state")
    if planned_ns is None and room.state is RoomState.SCHEDULED:
        raise Conflict("This room is scheduled and needs a planned start; give another one.", slug="wrong-state")
    return planned_ns


def _recordable(room: Room, *, recorded: bool) -> bool:
    if room.state not in _NEVER_OPENED:
        raise Conflict(
            f"This room is {room.state}; whether it is recorded is settled before its doors open.", slug="wrong-state"
        )
    return recorded

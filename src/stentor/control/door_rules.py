"""The rules of the door's dials: who turns them, what that does, and what pages are told of the line."""

import ipaddress
import json

from stentor.bus.port import door_word_subject
from stentor.control.door_shapes import (
    DialsBody,
    DialsOut,
    DoorOut,
    ForecastOut,
    InForceOut,
    InstallationBody,
    InstallationDoorOut,
    InstallationOut,
    LadderOut,
    LineOut,
    PreviewOut,
    RoomLineOut,
)
from stentor.control.door_watch import DoorWatch, foretold, in_force, no_word, together
from stentor.control.installation import InstallationChanges
from stentor.control.parts import Parts
from stentor.control.service import RoomRules
from stentor.control.staff import Staff
from stentor.errors import BadRequest
from stentor.room.documents import Dials
from stentor.room.door_words import DoorWord
from stentor.store.catalogue import AuditEntry, Room

_TELL_S = 1.0


class DoorRules:
    """The doors of all rooms, and of the installation."""

    def __init__(self, parts: Parts, rooms: RoomRules) -> None:
        self._bus = parts.bus
        self._clock = parts.clock
        self._hub = parts.hub
        self._catalogue = parts.catalogue
        self._installation = parts.installation
        self._rooms = rooms
        self._watch = DoorWatch(parts.clock)
        self._dials: dict[str, Dials] = {}
        self._told: dict[str, str] = {}

    # One room

    async def shown(self, room: str) -> DoorOut:
        """Return a room's door as the API shows it; raises NotFound."""
        dials = _dials(await self._rooms.get(room))
        self._dials[room] = dials
        return self._door(room, dials)

    async def turn(self, who: Staff, room: str, body: DialsBody) -> DoorOut:
        """Turn a room's dials, and tell its pages what that does. Nobody who is inside is thrown out."""
        stored = await self._rooms.get(room)
        dials = body.over(_dials(stored))
        if dials != _dials(stored):
            await self._rooms.turn_dials(who, room, dials)
        self._dials[room] = dials
        self._tell(room)
        return self._door(room, dials)

    async def preview(self, room: str, body: DialsBody) -> PreviewOut:
        """Return what dials would do, without turning them; raises NotFound."""
        dials = body.over(_dials(await self._rooms.get(room)))
        word = self._word(room)
        force = in_force(dials, word, self._installation.document)
        return PreviewOut(dials=_out(dials), in_force=force, forecast=self._foretold(word, _in(force)))

    # The installation

    async def installation(self) -> InstallationOut:
        """Return what holds for the whole installation."""
        document = await self._installation.read()
        ladder = document.ladder
        return InstallationOut(
            door=_out(document.door),
            challenge=document.challenge,
            allow=list(document.allow),
            deny=list(document.deny),
            ladder=LadderOut(step=ladder.step, by_hand=ladder.by_hand, why=ladder.why),
        )

    async def change_installation(self, who: Staff, body: InstallationBody) -> InstallationOut:
        """Change what was given; raises BadRequest for what is no network."""
        given = body.model_fields_set
        changes: InstallationChanges = {}
        if "door" in given:
            changes["door"] = body.door.over((await self._installation.read()).door)
        if "challenge" in given:
            changes["challenge"] = body.challenge
        if "allow" in given:
            changes["allow"] = _networks(body.allow)
        if "deny" in given:
            changes["deny"] = _networks(body.deny)
        if changes:
            await self._installation.change(**changes)
            await self._audit(who, body.model_dump(mode="json", exclude_unset=True))
        return await self.installation()

    async def shown_installation(self) -> InstallationDoorOut:
        """Return the door over all rooms together."""
        dials = (await self._installation.read()).door
        words = self._watch.words()
        lines = [
            RoomLineOut(**self._line(word).model_dump(), room=word.room, cap=word.cap, per_second=word.per_second)
            for word in sorted(words, key=lambda word: (-word.waiting, word.room))
        ]
        whole = together(words, self._clock.wall_ns())
        overflow = sum(line.overflow for line in lines)
        return InstallationDoorOut(
            **self._line(whole).model_copy(update={"overflow": overflow}).model_dump(),
            cap=dials.cap,
            per_second=dials.per_second,
            guarded=dials.guarded,
            forecast=self._foretold(whole, dials),
            rooms=lines,
        )

    async def turn_installation(self, who: Staff, body: DialsBody) -> InstallationDoorOut:
        """Turn the installation's dials."""
        if body.model_fields_set:
            await self.change_installation(who, InstallationBody(door=body))
        return await self.shown_installation()

    async def preview_installation(self, body: DialsBody) -> PreviewOut:
        """Return what dials over all rooms would do, without turning them."""
        dials = body.over((await self._installation.read()).door)
        whole = together(self._watch.words(), self._clock.wall_ns())
        force = InForceOut(cap=dials.cap, per_second=dials.per_second)
        return PreviewOut(dials=_out(dials), in_force=force, forecast=self._foretold(whole, dials))

    # Live

    async def run(self) -> None:
        """Listen to the leader, and tell each room's pages what has changed once a second, for ever."""
        async with self._bus.subscribe(door_word_subject("*"), self._watch.hear):
            while True:
                await self._clock.sleep(_TELL_S)
                followed = self._hub.rooms()
                self._told = {room: told for room, told in self._told.items() if room in followed}
                self._dials = {room: dials for room, dials in self._dials.items() if room in followed}
                for room in self._dials:
                    self._tell(room)

    def _tell(self, room: str) -> None:
        said = self._door(room, self._dials[room]).model_dump_json()
        if self._told.get(room) != said:
            self._told[room] = said
            self._hub.tell_room(room, "door", said)

    def _word(self, room: str) -> DoorWord:
        return self._watch.word(room) or no_word(room, self._hub.crowd.listeners(room), self._clock.wall_ns())

    def _door(self, room: str, dials: Dials) -> DoorOut:
        word = self._word(room)
        force = in_force(dials, word, self._installation.document)
        return DoorOut(
            **self._line(word).model_dump(),
            cap=dials.cap,
            per_second=dials.per_second,
            guarded=_in(force).guarded,
            in_force=force,
            because=word.because,
            forecast=self._foretold(word, _in(force)),
        )

    def _line(self, word: DoorWord) -> LineOut:
        return LineOut(
            inside=word.inside,
            held=word.held,
            waiting=word.waiting,
            admitted_per_s=round(word.admitted_per_s, 2),
            leaving_per_s=round(word.leaving_per_s, 2),
            overflow=self._hub.crowd.by_beacon(word.room),
        )

    def _foretold(self, word: DoorWord, dials: Dials) -> ForecastOut:
        return foretold(word, dials, self._clock.wall_ns())

    async def _audit(self, who: Staff, detail: dict[str, object]) -> None:
        at_ns = self._clock.wall_ns()
        text = json.dumps(detail, ensure_ascii=False)
        await self._catalogue.write_audit(AuditEntry(at_ns, None, who.person, who.link.name, "installation", text))


def _dials(room: Room) -> Dials:
    return Dials(cap=room.cap, per_second=room.per_second)


def _out(dials: Dials) -> DialsOut:
    return DialsOut(cap=dials.cap, per_second=dials.per_second)


def _in(shown: DialsOut) -> Dials:
    return Dials(cap=shown.cap, per_second=shown.per_second)


def _networks(words: list[str]) -> tuple[str, ...]:
    """Return networks as they are written, each once; raises BadRequest naming the first that is none."""
    networks = []
    for word in words:
        try:
            networks.append(str(ipaddress.ip_network(word.strip(), strict=False)))
        except ValueError:
            raise BadRequest(
                f"{word!r} is no network. Write it like 192.0.2.0/24 or 2001:db8::/32.", slug="bad-network"
            ) from None
    return tuple(dict.fromkeys(networks))

"""The rules of raised hands: one line a room, for listeners (who ask through edges) and for those on stage.

Lines are held in memory and written to the catalogue with every change, so that a restart forgets nobody. A listener
whose page has not asked for three minutes has gone, and so has their hand; with the room's end all of them go.
"""

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from hashlib import sha256

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from stentor.clock import NS_PER_S
from stentor.control.hand_shapes import MOST_SHOWN, HandsOut, shown_hand
from stentor.control.hub import Follower
from stentor.control.parts import Parts
from stentor.control.service import RoomRules
from stentor.control.staff import Staff, StaffRules
from stentor.control.stage_rules import StageRules
from stentor.errors import BadRequest, Conflict, NotFound, StentorError, StoreUnavailable
from stentor.room.documents import Role, StagePerson
from stentor.room.hands import Hand, HandAnswer, HandAsk, HandState, Line
from stentor.room.names import one_line
from stentor.room.requests import Reply
from stentor.room.stage import Action, allowed
from stentor.room.states import OPEN_STATES, RoomState
from stentor.store.catalogue import Room
from stentor.telemetry import logger

_TICK_S = 0.5
_OVER_EVERY_TICKS = 20
_GONE_NS = 180 * NS_PER_S
_AWAY_NS = 30 * NS_PER_S
_INVITED_NS = 180 * NS_PER_S
_CALLED = frozenset({HandState.INVITED, HandState.JOINED})
_SOON = 10
_SOON_S, _LATER_S, _FULL_S = 3.0, 10.0, 30.0

RAISED = Gauge("stentor_control_hands_count", "Hands that are up, in all rooms")
ANSWERS = Counter("stentor_control_hand_answers_total", "What listeners were told of their hands", ["state"])

log = logger("control")


@dataclass(eq=False, slots=True)
class _Desk:
    """A room's line, whose turn it is to change it, when each listener's page asked last, and when who was invited.

    Times are monotonic.
    """

    line: Line
    began_ns: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: dict[str, int] = field(default_factory=dict)
    invited: dict[str, int] = field(default_factory=dict)
    open: bool = False
    told: object = None


class HandRules:
    """The lines of all rooms."""

    def __init__(self, parts: Parts, staff: StaffRules, stage: StageRules, rooms: RoomRules) -> None:
        self._catalogue = parts.catalogue
        self._clock = parts.clock
        self._hub = parts.hub
        self._staff = staff
        self._stage = stage
        self._rooms = rooms
        self._desks: dict[str, _Desk] = {}

    # Listeners, through edges

    async def answer(self, subject: str, payload: bytes) -> bytes:
        """Answer an edge that asks for a listener (bus.port.hand_subject)."""
        try:
            ask = HandAsk.model_validate_json(payload)
            answer = await self._listener(subject.split(".")[1], ask)
        except ValidationError:
            return Reply(problem=BadRequest("This asks for nothing that a hand can do.").problem()).to_bytes()
        except StentorError as error:
            return Reply(problem=error.problem()).to_bytes()
        ANSWERS.labels(state=answer.state).inc()
        return Reply(result=answer.model_dump()).to_bytes()

    async def _listener(self, room: str, ask: HandAsk) -> HandAnswer:
        desk = await self._desk(room)
        key = sha256(ask.key.encode()).hexdigest()
        if desk.line.of(key) is not None:
            desk.seen[key] = self._clock.monotonic_ns()
        if ask.verb == "raise":
            return await self._raise(room, desk, key, ask)
        if ask.verb == "lower":
            return await self._withdraw(room, desk, key)
        hand = desk.line.of(key)
        stands = await self._how_it_stands(desk, hand)
        if hand is not None and hand.state in _CALLED and stands.state == "declined":  # the link was revoked
            async with desk.turn:
                if desk.line.of(key) is hand:
                    await self._put(desk, replace(hand, state=HandState.DECLINED))
        return stands

    async def _raise(self, room: str, desk: _Desk, key: str, ask: HandAsk) -> HandAnswer:
        name = one_line(ask.name, what="your name")
        async with desk.turn:
            stored = await self._rooms.get(room)
            there = desk.line.of(key)
            stands = await self._how_it_stands(desk, there)
            if stands.state in ("waiting", "invited") or (there is not None and there.state is HandState.BARRED):
                return stands
            if not stored.hands_open or stored.state not in OPEN_STATES:
                return HandAnswer(state="closed", retry_after_s=_FULL_S)
            if desk.line.is_full(ask.source):
                return HandAnswer(state="full", retry_after_s=_FULL_S)
            hand = self._hand(room, desk, key, name, source=ask.source)
            await self._put(desk, hand)
        return await self._how_it_stands(desk, hand)

    async def _withdraw(self, room: str, desk: _Desk, key: str) -> HandAnswer:
        """Lower a listener's own hand; who has been on stage keeps what their browser is known by."""
        async with desk.turn:
            hand = desk.line.of(key)
            if hand is not None and hand.state not in (HandState.JOINED, HandState.BARRED):
                await self._take_back(hand)
                await self._remove(desk, hand)
                log.info("hand_withdrawn", room=room)
        return HandAnswer(state="none")

    async def _how_it_stands(self, desk: _Desk, hand: Hand | None) -> HandAnswer:
        if hand is None:
            return HandAnswer(state="none")
        if hand.state is HandState.WAITING:
            position = desk.line.position(hand) or 1
            return HandAnswer(
                state="waiting", position=position, retry_after_s=_SOON_S if position <= _SOON else _LATER_S
            )
        link = await self._catalogue.link(hand.link) if hand.link is not None else None
        if hand.state in _CALLED and link is not None and link.revoked_ns is None:
            return HandAnswer(state="invited", url=self._staff.url_of(link))
        return HandAnswer(state="declined")

    # Those on stage

    async def raise_own(self, who: Staff, room: str) -> HandsOut:
        """Raise a hand on stage; raises Conflict for who is not there. Twice is once."""
        desk = await self._desk(room)
        if who.person not in self._on_stage(room):
            raise Conflict("Join the stage first; then raise your hand.", slug="not-on-stage")
        async with desk.turn:
            if desk.line.of(who.person) is None:
                hand = self._hand(room, desk, who.person, who.link.name)
                await self._put(desk, replace(hand, person=who.person))
        return await self.shown(room, who.role, who.person)

    async def lower_own(self, who: Staff, room: str) -> HandsOut:
        """Lower one's own hand."""
        desk = await self._desk(room)
        async with desk.turn:
            hand = desk.line.of(who.person)
            if hand is not None:
                await self._remove(desk, hand)
        return await self.shown(room, who.role, who.person)

    # Those who call on people

    async def open(self, who: Staff, room: str, *, is_open: bool) -> HandsOut:
        """Let listeners raise their hands, or no more of them; who is in line stays there."""
        desk = await self._desk(room)
        desk.open = (await self._rooms.open_line(who, room, is_open=is_open)).hands_open
        return await self.shown(room, who.role, who.person)

    async def invite(self, who: Staff, room: str, hand_id: str) -> HandsOut:
        """Call on somebody: a listener gets a speaker's link; on stage a host's mute ends, and the hand comes down.

        Raises NotFound for a hand that is no longer up, Conflict ``stage-full``.
        """
        desk = await self._desk(room)
        hand = self._up(desk, hand_id)
        if hand.person is not None:
            await self._let_speak(who, room, hand.person)
        async with desk.turn:
            hand = self._up(desk, hand_id)
            if hand.person is not None:
                await self._remove(desk, hand)
            elif hand.state is HandState.WAITING:
                self._require_seat(await self._rooms.get(room), desk)
                link = await self._staff.make_link(who, room, Role.SPEAKER, hand.name)
                await self._put(desk, replace(hand, state=HandState.INVITED, link=link.link))
                desk.invited[hand.key] = self._clock.monotonic_ns()
        return await self.shown(room, who.role, who.person)

    async def lower(self, who: Staff, room: str, hand_id: str) -> None:
        """Lower somebody's hand; a listener is told, and an invitation that was not taken up ends."""
        desk = await self._desk(room)
        async with desk.turn:
            hand = self._up(desk, hand_id)
            if hand.person is not None:
                await self._remove(desk, hand)
            else:
                await self._take_back(hand)
                await self._put(desk, replace(hand, state=HandState.DECLINED))
        log.info("hand_lowered", room=room, by=who.person)

    async def bar(self, room: str, person: str) -> None:
        """Let whoever came on stage by a raised hand raise none any more; a hand that they have up comes down."""
        desk = await self._desk(room)
        async with desk.turn:
            own, invited = desk.line.of(person), desk.line.invited_as(person)
            if own is not None:
                await self._remove(desk, own)
            if invited is not None:
                await self._put(desk, replace(invited, state=HandState.BARRED))

    async def unbar(self, room: str, person: str) -> None:
        """Let them raise their hand again."""
        desk = await self._desk(room)
        async with desk.turn:
            invited = desk.line.invited_as(person)
            if invited is not None and invited.state is HandState.BARRED:
                await self._remove(desk, invited)

    async def shown(self, room: str, role: Role, person: str) -> HandsOut:
        """Return the line as somebody may see it."""
        desk = await self._desk(room)
        desk.open = (await self._rooms.get(room)).hands_open
        return self._shown(room, desk, role, person)

    # What lines are made of

    async def _desk(self, room: str) -> _Desk:
        desk = self._desks.get(room)
        if desk is None:
            stored = await self._rooms.get(room)
            line = Line(await self._catalogue.hands(room))
            desk = self._desks.setdefault(room, _Desk(line, self._clock.monotonic_ns(), open=stored.hands_open))
        return desk

    def _hand(self, room: str, desk: _Desk, key: str, name: str, *, source: str = "") -> Hand:
        raised_ns = desk.line.next_ns(self._clock.wall_ns())
        return Hand(secrets.token_hex(8), room, key, name, raised_ns, source=source)

    async def _put(self, desk: _Desk, hand: Hand) -> None:
        await self._catalogue.put_hand(hand)
        desk.line.put(hand)
        desk.seen[hand.key] = self._clock.monotonic_ns()

    async def _remove(self, desk: _Desk, hand: Hand) -> None:
        await self._catalogue.delete_hand(hand.hand)
        desk.line.remove(hand)
        desk.seen.pop(hand.key, None)
        desk.invited.pop(hand.key, None)

    async def _take_back(self, hand: Hand) -> None:
        """End an invitation that nobody has taken up."""
        link = await self._catalogue.link(hand.link) if hand.state is HandState.INVITED and hand.link else None
        if link is not None and link.device is None and link.whip_session is None and link.revoked_ns is None:
            await self._staff.change(link, {"revoked_ns": self._clock.wall_ns()})

    async def _let_speak(self, who: Staff, room: str, person: str) -> None:
        link = await self._staff.person(room, person)
        if link.host_muted:
            await self._stage.mute(who, room, person, muted=False)

    def _on_stage(self, room: str) -> dict[str, StagePerson]:
        stage = self._hub.stage(room)
        return {person.person: person for person in stage.people} if stage else {}

    def _require_seat(self, room: Room, desk: _Desk) -> None:
        connected = sum(person.connected for person in self._on_stage(room.room).values())
        invited = sum(hand.state is HandState.INVITED for hand in desk.line.all())
        if connected + invited >= room.seats:
            raise Conflict(
                f"All {room.seats} seats of the stage are taken or promised. Remove somebody, lower an invitation, or "
                "give the stage more seats; then invite again.",
                slug="stage-full",
            )

    @staticmethod
    def _up(desk: _Desk, hand_id: str) -> Hand:
        hand = desk.line.find(hand_id)
        if hand is None or hand.state not in (HandState.WAITING, HandState.INVITED):
            raise NotFound("This hand is no longer up.", slug="no-such-hand")
        return hand

    def _shown(self, room: str, desk: _Desk, role: Role, person: str) -> HandsOut:
        up = desk.line.in_line()
        own = desk.line.of(person)
        calls = allowed(role, Action.CALL_HANDS)
        now, there = self._clock.monotonic_ns(), self._on_stage(room)
        following = self._hub.following(room)
        hands = []
        for hand in up[:MOST_SHOWN] if calls else []:
            known = there.get(hand.person or "")
            asked_ns = desk.seen.get(hand.key, desk.began_ns)
            here = known.connected if known else hand.person is None and now - asked_ns < _AWAY_NS
            here = here or hand.link in following  # they have opened their invitation
            hands.append(shown_hand(hand, desk.line, known.name if known else hand.name, here=here))
        mine = desk.line.position(own) if own is not None else None
        return HandsOut(open=desk.open, total=len(up), mine=mine, hands=hands)

    # By itself

    async def run(self) -> None:
        """Tell pages what has changed, and let go of the hands of those who have gone, for ever."""
        ticks, loaded = 0, False
        while True:
            try:
                if not loaded:
                    for room in await self._catalogue.rooms_with_hands():
                        await self._desk(room)
                    loaded = True
                for room, desk in list(self._desks.items()):
                    await self._tidy(room, desk)
                    if ticks % _OVER_EVERY_TICKS == 0 and desk.line.all():
                        await self._end_if_over(room, desk)
            except StoreUnavailable as error:
                log.warning("hands_wait", error=error.detail)
            for room, desk in self._desks.items():
                self._tell(room, desk)
            RAISED.set(sum(len(desk.line.in_line()) for desk in self._desks.values()))
            ticks += 1
            await self._clock.sleep(_TICK_S)

    async def _tidy(self, room: str, desk: _Desk) -> None:
        """Note who has come on stage, and forget who has left."""
        there, now = self._on_stage(room), self._clock.monotonic_ns()
        following = self._hub.following(room)
        async with desk.turn:
            for hand in desk.line.in_line():
                if hand.state is HandState.INVITED:
                    if hand.link in there:
                        await self._put(desk, replace(hand, state=HandState.JOINED))
                    elif hand.link not in following and now - desk.invited.get(hand.key, desk.began_ns) > _INVITED_NS:
                        await self._take_back(hand)
                        await self._put(desk, replace(hand, state=HandState.DECLINED))
                        log.info("invitation_ended", room=room)
                elif hand.person is not None:
                    if there and hand.person not in there:
                        await self._remove(desk, hand)
                elif now - desk.seen.get(hand.key, desk.began_ns) > _GONE_NS:
                    await self._remove(desk, hand)
                    log.info("hand_gone", room=room)
            for hand in desk.line.too_old():
                await self._remove(desk, hand)

    async def _end_if_over(self, room: str, desk: _Desk) -> None:
        async with desk.turn:
            try:
                stored = await self._rooms.get(room)
            except NotFound:
                self._desks.pop(room, None)
                return
            if stored.state in (RoomState.ENDED, RoomState.PUBLISHED):
                await self._catalogue.delete_hands(room)
                self._desks.pop(room, None)

    def _tell(self, room: str, desk: _Desk) -> None:
        """Tell a room's pages of the line if that has changed."""
        line = self._shown(room, desk, Role.HOST, "").model_dump_json()
        places = [(hand.person, desk.line.position(hand)) for hand in desk.line.in_line() if hand.person is not None]
        if desk.told == (line, places):
            return
        desk.told = (line, places)

        def told(page: Follower) -> str:
            return self._shown(room, desk, page.role, page.person).model_dump_json()

        self._hub.tell_each(room, "hands", told)

"""What the door's leader says of each room, and what its dials would do: for those who turn them."""

from pydantic import ValidationError

from stentor.clock import NS_PER_S, Clock, UnixNs, iso_utc
from stentor.control.door_shapes import ForecastOut, HeldBy, InForceOut
from stentor.room.documents import Dials
from stentor.room.door_forecast import forecast
from stentor.room.door_words import DoorWord
from stentor.room.installation import InstallationDocument
from stentor.room.ladder import CAP, RATE, ladder_dials
from stentor.telemetry import logger

_FRESH_NS = 5 * NS_PER_S

log = logger("control")


class DoorWatch:
    """The newest word on each room that has a line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._words: dict[str, tuple[int, DoorWord]] = {}

    def hear(self, subject: str, payload: bytes) -> None:
        """Take a word off the bus; one of an earlier term than the last is not believed."""
        room = subject.split(".")[1]
        try:
            word = DoorWord.model_validate_json(payload)
        except ValidationError as error:
            log.warning("door_word_garbled", room=room, errors=error.error_count())
            return
        held = self.word(room)
        if held is None or (word.term, word.number) >= (held.term, held.number):
            self._words[room] = (self._clock.monotonic_ns(), word)

    def word(self, room: str) -> DoorWord | None:
        """Return what was said of a room within the last 5 s."""
        at_ns, word = self._words.get(room, (0, None))
        return word if word is not None and at_ns >= self._clock.monotonic_ns() - _FRESH_NS else None

    def words(self) -> list[DoorWord]:
        """Return the fresh words of all rooms, and forget the others."""
        oldest = self._clock.monotonic_ns() - _FRESH_NS
        self._words = {room: held for room, held in self._words.items() if held[0] >= oldest}
        return [word for _, word in self._words.values()]


def no_word(room: str, inside: int, now_ns: int) -> DoorWord:
    """Return what the leader would say of a room without a line."""
    return DoorWord(room=room, term=0, number=0, at_ns=now_ns, leader="", is_open=True, inside=inside)


def together(words: list[DoorWord], now_ns: int) -> DoorWord:
    """Return the rooms' lines as if they were one."""
    return no_word("", sum(word.inside for word in words), now_ns).model_copy(
        update={
            name: sum(getattr(word, name) for word in words)
            for name in ("waiting", "called", "held", "admitted_per_s", "leaving_per_s")
        }
    )


def least(one: Dials, other: Dials) -> Dials:
    """Return the lower of each dial; None is the highest."""
    caps = [each.cap for each in (one, other) if each.cap is not None]
    rates = [each.per_second for each in (one, other) if each.per_second is not None]
    return Dials(cap=min(caps, default=None), per_second=min(rates, default=None))


def in_force(own: Dials, word: DoorWord, document: InstallationDocument) -> InForceOut:
    """Return the dials that hold in a room whose own dials are ``own``, and who holds them lower.

    Where rooms share the installation's dials the room's part of them is the leader's to say.
    """
    shared = least(own, document.door)
    if document.door.cap is not None:
        shared = least(shared, Dials(cap=word.cap))
    if document.door.per_second is not None:
        shared = least(shared, Dials(per_second=word.per_second))
    held = ladder_dials(document.ladder.step, shared, word.admitted_per_s, word.inside + word.held)
    return InForceOut(
        cap=held.cap,
        per_second=held.per_second,
        cap_by=_by(own.cap, held.cap, by_ladder=document.ladder.step >= CAP and held.cap != document.door.cap),
        per_second_by=_by(
            own.per_second,
            held.per_second,
            by_ladder=document.ladder.step >= RATE and held.per_second != document.door.per_second,
        ),
    )


def _by(own: float | None, held: float | None, *, by_ladder: bool) -> HeldBy | None:
    if held is None or (own is not None and held >= own):
        return None
    return "ladder" if by_ladder else "installation"


def foretold(word: DoorWord, dials: Dials, now_ns: int) -> ForecastOut:
    """Return what becomes of a line with other dials."""
    seen = forecast(word, dials, word.leaving_per_s)
    last_ns = seen.last_enters_ns if seen.waiting else None
    return ForecastOut(
        waiting=seen.waiting,
        free=seen.free,
        last_enters_at=None if last_ns is None else iso_utc(UnixNs(last_ns)),
        last_enters_in_s=None if last_ns is None else max(0, round((last_ns - now_ns) / NS_PER_S)),
        per_minute=list(seen.per_minute),
    )

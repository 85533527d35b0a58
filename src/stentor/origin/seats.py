"""The people on a room's stage, as its origin has them: one seat a person.

A seat outlives the connection of the person in it: mute and "has been heard" stay when a page reloads. The
live room owns all seats; sessions and playouts belong to their seat.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.playout import Playout
from stentor.origin.session import MediaSession
from stentor.origin.sound import SoundMeter
from stentor.room.documents import Role, SoundReport, StagePerson
from stentor.telemetry import logger

Pcm = NDArray[np.float32]

SILENCE: Pcm = np.zeros((1, TICK_SAMPLES), np.float32)
GONE_MS = 1_500
"""Media silence after which a person is shown as not connected."""
GHOST_MS = 15_000
"""Media silence after which a session is ended."""
FORGOTTEN_TICKS = 50 * 60
"""Ticks (a minute) after which the seat of a person who left is given up."""
GIVEN_UP_TICKS = 50 * 10
"""The same where no other seat is left: a reload takes a second or two."""
HAND_OVER_TICKS = 100
"""Ticks (2 s) for which an older session is heard while the newer one has not sounded."""
START_TICKS = 10
"""Ticks from a session's first packet after which its playout counts as sounding, even if that is silence."""
FADE_IN: Pcm = np.linspace(0.0, 1.0, TICK_SAMPLES, dtype=np.float32).reshape(1, -1)
_SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1_000

_log = logger("origin")


@dataclass(slots=True)
class _Voice:
    """A session and what is buffered of its sound. ``session`` is None once it has ended."""

    session: MediaSession | None
    make_playout: Callable[[], Playout]
    ticks: int = 0
    heard_ticks: int | None = None
    """Ticks since its first packet."""
    playout: Playout = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing buffered."""
        self.playout = self.make_playout()

    def rest(self) -> None:
        """Forget what is buffered: what nobody is to hear is not made up either, tick after tick."""
        if self.playout.stats.received:
            self.playout = self.make_playout()

    def pull(self, due_ns: int) -> Pcm:
        """Return the tick that is due, (1, 960) float32."""
        self.ticks += 1
        if self.heard_ticks is not None:
            self.heard_ticks += 1
        if self.session is not None:
            self.session.patience_ms = self.playout.stats.depth_samples / _SAMPLES_PER_MS
        try:
            return self.playout.pull(due_ns)
        except Exception:  # noqa: BLE001  # whatever their packets brought about is their silence, not the room's end
            _log.exception("playout_failed")
            self.playout = self.make_playout()
            return SILENCE


@dataclass(slots=True)
class Seat:
    """One person's place on stage.

    A newer session of theirs takes over as soon as it sounds: until then the older one is heard and hears, and one
    tick of both, faded into each other, is all that is ever heard of two at once.
    """

    person: str
    name: str
    role: Role
    make_playout: Callable[[], Playout]
    device: str | None = None
    muted_by: str | None = None
    speaking: bool = False
    heard: bool = False
    level_dbfs: float = -90.0
    away_ticks: int = 0
    meter: SoundMeter = field(default_factory=SoundMeter)
    sound: SoundReport | None = None
    _voice: _Voice = field(init=False)
    _before: _Voice | None = None

    def __post_init__(self) -> None:
        """Give the seat its first playout."""
        self._voice = _Voice(None, self.make_playout)

    @property
    def session(self) -> MediaSession | None:
        """Return the person's newest session, None while they are away."""
        return self._voice.session

    @property
    def playout(self) -> Playout:
        """Return the jitter buffer of the newest session."""
        return self._voice.playout

    @property
    def sessions(self) -> list[MediaSession]:
        """Return the newest session and the one that it is taking over from: all that the mix is sent to."""
        voices = (self._voice, self._before)
        return [voice.session for voice in voices if voice is not None and voice.session is not None]

    @property
    def connected(self) -> bool:
        """Tell whether the person's sound arrives."""
        return any(session.silent_ms < GONE_MS for session in self.sessions)

    def sit(self, session: MediaSession) -> None:
        """Let a new session take over from the present one; one that has not sounded is not waited for."""
        spare: _Voice | None = self._voice
        if self._voice.heard_ticks is not None:
            spare, self._before = self._before, self._voice
        self._voice = _Voice(session, self.make_playout)
        if self._before is not None:
            self._before.ticks = 0
        _end(spare)

    def stand(self, session: MediaSession) -> None:
        """Forget a session that has ended; the one it was taking over from, if it still lives, is theirs again."""
        if self._before is not None and self._before.session is session:
            self._before.session = None
        elif self._voice.session is session:
            self._voice.session = None
            if self._before is not None and self._before.session is not None:
                self._voice, self._before = self._before, None
            elif self._before is None:
                # What is left of the last word is faded out.
                self._before, self._voice = self._voice, _Voice(None, self.make_playout)
        if self.session is None:
            self.speaking = False
            self.level_dbfs = -90.0

    def push(self, session: MediaSession, packet: tuple[int, int, bytes, int | None]) -> None:
        """Take a packet of a session: sequence, timestamp, payload, arrival. What is said while muted is dropped."""
        for voice in (self._voice, self._before):
            if voice is not None and voice.session is session:
                voice.heard_ticks = voice.heard_ticks or 0
                if not self.muted_by:
                    voice.playout.push(*packet)

    def pull(self, due_ns: int) -> Pcm:
        """Return the tick of this person's sound that is due, (1, 960) float32: silence when muted or away."""
        self.away_ticks = 0 if self.sessions else self.away_ticks + 1
        if self._before is None and self._voice.session is None:
            return SILENCE
        if self.muted_by and self._before is None:
            self._voice.rest()
            return SILENCE
        pcm = self._voice.pull(due_ns)
        if self._before is not None:
            before = self._before.pull(due_ns)
            if self._is_over(self._before, pcm):
                ended, self._before = self._before, None
                _end(ended)
                pcm = pcm * FADE_IN + before * FADE_IN[:, ::-1]
            else:
                pcm = before
        return SILENCE if self.muted_by else pcm

    def _is_over(self, before: _Voice, pcm: Pcm) -> bool:
        """Tell whether the newest session is to be heard from this tick on, whose sound is ``pcm``."""
        if self._voice.session is None or before.ticks >= HAND_OVER_TICKS:
            return True
        if before.session is None and before.ticks > START_TICKS:
            return True
        waited = self._voice.heard_ticks
        return waited is not None and (waited >= START_TICKS or bool(np.any(pcm)))

    def listen_to(self, *, sent: float, came: float, look: bool) -> None:
        """Tell the sound meter the mean squares of what was sent and what came in this tick; ``look`` each second."""
        self.meter.tick(sent=sent, came=came, speaking=self.speaking, level_dbfs=self.level_dbfs)
        if look and self.session is not None:
            self.sound = self.meter.look(self.session.stats(), self.playout.stats)

    @property
    def forgotten(self) -> bool:
        """Tell whether the person has been away for so long that the seat can go."""
        return not self.sessions and self.away_ticks > FORGOTTEN_TICKS

    @property
    def given_up(self) -> bool:
        """Tell whether somebody else may have the seat if no other is left."""
        return not self.sessions and self.away_ticks > GIVEN_UP_TICKS

    def shown(self) -> StagePerson:
        """Return the seat as the stage document shows it."""
        return StagePerson(
            person=self.person,
            name=self.name,
            role=self.role,
            connected=self.connected,
            muted_by=self.muted_by,
            speaking=self.speaking and self.connected and not self.muted_by,
            heard=self.heard,
            level_dbfs=round(self.level_dbfs, 1),
            sound=self.sound if self.session is not None else None,
        )


def _end(voice: _Voice | None) -> None:
    if voice is not None and voice.session is not None:
        voice.session.end("replaced")

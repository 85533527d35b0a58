"""The people on a room's stage, as its origin has them: one seat a person.

A seat outlives the connection of the person in it: mute and "has been heard" stay when a page reloads. The
live room owns all seats; sessions and playouts belong to their seat.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stentor.media.grid import TICK_SAMPLES
from stentor.media.playout import Playout
from stentor.origin.session import MediaSession
from stentor.room.documents import Role, StagePerson

Pcm = NDArray[np.float32]

SILENCE: Pcm = np.zeros((1, TICK_SAMPLES), np.float32)
GONE_MS = 1_500
"""Media silence after which a person is shown as not connected."""
GHOST_MS = 15_000
"""Media silence after which a session is ended."""
FORGOTTEN_TICKS = 50 * 60
"""Ticks (a minute) after which the seat of a person who left is given up."""


@dataclass(slots=True)
class Seat:
    """One person's place on stage."""

    person: str
    name: str
    role: Role
    make_playout: Callable[[], Playout]
    session: MediaSession | None = None
    muted_by: str | None = None
    speaking: bool = False
    heard: bool = False
    level_dbfs: float = -90.0
    away_ticks: int = 0
    playout: Playout = field(init=False)

    def __post_init__(self) -> None:
        """Give the seat its first playout."""
        self.playout = self.make_playout()

    @property
    def connected(self) -> bool:
        """Tell whether the person's sound arrives."""
        return self.session is not None and self.session.silent_ms < GONE_MS

    def sit(self, session: MediaSession) -> MediaSession | None:
        """Put a new session in place of the old one, which is returned for closing. The old sound ends here."""
        old, self.session = self.session, session
        self.playout = self.make_playout()
        self.away_ticks = 0
        return old

    def stand(self, session: MediaSession) -> None:
        """Forget a session that has ended, unless a newer one has taken its place."""
        if self.session is session:
            self.session = None
            self.speaking = False
            self.level_dbfs = -90.0

    def pull(self) -> Pcm:
        """Return the next tick of this person's sound, (1, 960) float32: silence when muted or away."""
        if self.session is None:
            self.away_ticks += 1
            return SILENCE
        pcm = self.playout.pull()
        return SILENCE if self.muted_by else pcm

    @property
    def forgotten(self) -> bool:
        """Tell whether the person has been away for so long that the seat can go."""
        return self.session is None and self.away_ticks > FORGOTTEN_TICKS

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
        )

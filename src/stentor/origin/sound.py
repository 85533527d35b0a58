"""How each person's sound travels, in numbers and as a light: the sound meter of the host's page.

Counters of the last 5 s are compared once a second. What is said first is what a person could mend first: their line
in, their line out, their loudspeaker, their microphone.
"""

from collections import deque
from dataclasses import dataclass

from stentor.media.echo import EchoMeter
from stentor.media.grid import SAMPLE_RATE_HZ
from stentor.media.playout import PlayoutStats
from stentor.origin.session import SessionStats
from stentor.room.documents import SoundReport

LOOK_TICKS = 50
_LOOKS = 6
_SAMPLES_PER_MS = SAMPLE_RATE_HZ / 1000
_QUIET_DBFS = -45.0
_SILENT_MS = 1_500
_SPEECH_SMOOTHING = 0.02


@dataclass(frozen=True, slots=True)
class _Look:
    received: int
    lost: int
    played: int
    concealed: int
    recovered: int


@dataclass(frozen=True, slots=True)
class _Limit:
    """From which value on a figure is fair, and from which poor. Echo counts the other way round."""

    cause: str
    fair: float
    poor: float

    def light(self, value: float) -> str:
        """Return what a value is."""
        return "poor" if value >= self.poor else "fair" if value >= self.fair else "good"


_LOSS = _Limit("uplink-loss", 0.03, 0.10)
_CONCEALED = _Limit("uplink-loss", 0.01, 0.05)
_HELD_MS = _Limit("uplink-jitter", 120.0, 250.0)
_LOSS_THERE = _Limit("downlink-loss", 0.03, 0.10)
_ECHO_DB = _Limit("echo", -35.0, -20.0)
_WORSE = {"good": 0, "fair": 1, "poor": 2}


def verdict(
    report: SoundReport, *, held_ms: float, silent_ms: float, speech_dbfs: float | None
) -> tuple[str, str | None]:
    """Return light and cause of a report's numbers: the worst, and of equals the first that can be mended."""
    if silent_ms > _SILENT_MS:
        return "poor", "uplink-silence"
    judged = [
        (_LOSS.light(report.loss), _LOSS.cause),
        (_CONCEALED.light(report.concealed), _CONCEALED.cause),
        (_HELD_MS.light(held_ms), _HELD_MS.cause),
        (_LOSS_THERE.light(report.loss_there), _LOSS_THERE.cause),
        ("good" if report.echo_db is None else _ECHO_DB.light(-report.echo_db), _ECHO_DB.cause),
        ("fair" if speech_dbfs is not None and speech_dbfs < _QUIET_DBFS else "good", "quiet"),
    ]
    light, cause = max(judged, key=lambda each: _WORSE[each[0]])
    return light, None if light == "good" else cause


class SoundMeter:
    """Watches one seat: ``tick`` each tick, ``look`` each second while somebody is connected."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=_LOOKS)
        self._echo = EchoMeter()
        self._speech_dbfs: float | None = None

    def tick(self, *, sent: float, came: float, speaking: bool, level_dbfs: float) -> None:
        """Take the mean squares of the mix that was sent and of the voice that came, and the voice's level."""
        self._echo.add(sent, came)
        if speaking:
            before = level_dbfs if self._speech_dbfs is None else self._speech_dbfs
            self._speech_dbfs = before + (level_dbfs - before) * _SPEECH_SMOOTHING

    def look(self, session: SessionStats, playout: PlayoutStats) -> SoundReport:
        """Return how it is, from what has changed in 5 s."""
        now = _Look(
            session.packets_received, session.packets_lost, playout.played, playout.concealed, playout.recovered
        )
        if self._looks and now.received < self._looks[-1].received:
            self._looks.clear()  # another session
        self._looks.append(now)
        then = self._looks[0]
        received, lost = now.received - then.received, max(0, now.lost - then.lost)
        concealed, recovered = max(0, now.concealed - then.concealed), max(0, now.recovered - then.recovered)
        frames = max(1, now.played - then.played + concealed + recovered)
        report = SoundReport(
            loss=round(lost / max(1, received + lost), 3),
            concealed=round(concealed / frames, 3),
            recovered=round(recovered / frames, 3),
            jitter_ms=round(session.jitter_ms, 1),
            depth_ms=round(playout.depth_samples / _SAMPLES_PER_MS, 1),
            loss_there=round(session.loss_there, 3),
            round_trip_ms=None if session.round_trip_ms is None else round(session.round_trip_ms, 1),
            echo_db=_rounded(self._echo.echo_db()),
        )
        light, cause = verdict(
            report,
            held_ms=playout.held_samples / _SAMPLES_PER_MS,
            silent_ms=session.silent_ms,
            speech_dbfs=self._speech_dbfs,
        )
        return report.model_copy(update={"light": light, "cause": cause})


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

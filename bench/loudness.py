"""How even the program is: five speakers between -35 and -10 LUFS take turns, in virtual time through the real mixer.

Each is another voice at another microphone with a noise of its own, coded as a browser codes it. The judge is
libebur128 (EBU R 128, true peak by ITU-R BS.1770). It hears the program as it goes to the encoder and again after Opus
at 32 kbit/s; each figure is the worse of the two. The first words of each speaker count, too.
"""

import asyncio
import sys
from dataclasses import dataclass

import numpy as np
import pyebur128
from numpy.typing import NDArray

from bench.report import Goal, arguments, machine, report
from bench.room import run
from bench.speech import BrowserEncoder, decoded, whole_ticks
from stentor.demo.conversation import TURNS
from stentor.demo.speech import speak
from stentor.media.encoder import Encoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.limiter import DELAY_SAMPLES
from stentor.media.mixer import Mixer
from stentor.media.rendition import RENDITIONS, RenditionName

Pcm = NDArray[np.float32]

GOALS = [
    Goal("lufs", "program, integrated", "LUFS", at_most=-15.0, at_least=-17.0),
    Goal("true_peak_dbtp", "program, true peak", "dBTP", at_most=-1.0),
    Goal("spread_lu", "between the quietest and the loudest speaker", "LU", at_most=3.0),
]
_NOISE_DBFS = -75.0
_PAUSE_S = 0.35
_BITRATE_BPS = 48_000


@dataclass(frozen=True)
class Speaker:
    """A voice, how loud it comes, and how it sounds."""

    lufs: float
    english: str
    arabic: str
    pitch: int


SPEAKERS = (
    Speaker(-22.0, "en-us", "ar", 38),
    Speaker(-35.0, "en+f3", "ar+f3", 55),
    Speaker(-10.0, "en-us+m3", "ar+m3", 45),
    Speaker(-29.0, "en+f2", "ar+f2", 65),
    Speaker(-16.0, "en+m7", "ar+m7", 30),
)


def loudness(pcm: Pcm) -> float:
    """Return integrated loudness in LUFS."""
    return float(pyebur128.get_loudness_global(_judge(pcm)))


def true_peak(pcm: Pcm) -> float:
    """Return the true peak in dBTP."""
    return 20 * float(np.log10(pyebur128.get_true_peak(_judge(pcm), 0)))


def _judge(pcm: Pcm) -> pyebur128.R128State:
    modes = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_TRUE_PEAK
    state = pyebur128.R128State(1, SAMPLE_RATE_HZ, modes)
    state.add_frames(np.ascontiguousarray(pcm, np.float32), len(pcm))
    return state


def at_loudness(pcm: Pcm, lufs: float) -> Pcm:
    """Return ``pcm`` at a loudness; what goes beyond full scale is clipped, as a microphone does."""
    for _ in range(4):
        pcm = np.clip(pcm * 10 ** ((lufs - loudness(pcm)) / 20), -1.0, 1.0)
    return pcm


def microphones(rounds: int) -> tuple[list[Pcm], list[list[slice]]]:
    """Return what each microphone hears, all equally long, and where each speaker alone speaks (in samples)."""
    said: list[list[Pcm]] = [[] for _ in SPEAKERS]
    for turn in range(rounds):
        for number, each in enumerate(SPEAKERS):
            words = []
            for more in range(2):
                text = TURNS[(turn * 3 + number * 5 + more) % len(TURNS)]
                voice = each.english if text.language == "en" else each.arabic
                words.append(speak(text.text, voice=voice, pitch=each.pitch))
            said[number].append(np.concatenate(words))
    spans: list[list[slice]] = [[] for _ in SPEAKERS]
    at = SAMPLE_RATE_HZ
    for turn in range(rounds):
        for number in range(len(SPEAKERS)):
            spans[number].append(slice(at, at + len(said[number][turn])))
            at += len(said[number][turn]) + int(_PAUSE_S * SAMPLE_RATE_HZ)
    heard = []
    for number, each in enumerate(SPEAKERS):
        levelled = at_loudness(np.concatenate(said[number]), each.lufs)
        noise = np.random.default_rng(number).standard_normal(at + SAMPLE_RATE_HZ) * 10 ** (_NOISE_DBFS / 20)
        microphone = noise.astype(np.float32)
        for span in spans[number]:
            length = span.stop - span.start
            microphone[span] += levelled[:length]
            levelled = levelled[length:]
        heard.append(decoded(BrowserEncoder(_BITRATE_BPS).encode(whole_ticks(microphone))))
    return heard, spans


def program(heard: list[Pcm]) -> Pcm:
    """Return the program of these microphones, the limiter's delay taken off."""
    mixer = Mixer()
    ticks = min(map(len, heard)) // TICK_SAMPLES
    cut = [pcm[: ticks * TICK_SAMPLES].reshape(ticks, 1, TICK_SAMPLES) for pcm in heard]
    out = [
        mixer.mix({str(number): pcm[tick] for number, pcm in enumerate(cut)}).program[0].copy() for tick in range(ticks)
    ]
    return np.concatenate(out)[DELAY_SAMPLES:]


def after_opus(pcm: Pcm) -> Pcm:
    """Return the program as a listener's Opus decoder gives it."""
    return decoded(Encoder(RENDITIONS[RenditionName.OPUS]).encode(pcm[None, : len(pcm) // TICK_SAMPLES * TICK_SAMPLES]))


def each_loudness(pcm: Pcm, spans: list[list[slice]]) -> list[float]:
    """Return each speaker's loudness in the program, first words and all."""
    return [loudness(np.concatenate([pcm[span] for span in turns])) for turns in spans]


def measure(rounds: int) -> tuple[dict[str, float], list[str]]:
    """Return the figures and what stands behind them."""
    heard, spans = microphones(rounds)
    encoded = program(heard)
    came = [loudness(np.concatenate([pcm[span] for span in turns])) for pcm, turns in zip(heard, spans, strict=True)]
    length = min(map(len, heard))
    notes = [
        f"{len(encoded) / SAMPLE_RATE_HZ:.0f} s, {rounds} turns each",
        "came at (LUFS): " + ", ".join(f"{value:.1f}" for value in came),
        f"their plain sum: {loudness(np.sum([pcm[:length] for pcm in heard], axis=0)):.1f} LUFS, "
        f"spread {max(came) - min(came):.1f} LU",
    ]
    integrated, peaks, spreads = [], [], []
    for name, pcm in (("to the encoder", encoded), ("after Opus", after_opus(encoded))):
        each = each_loudness(pcm, spans)
        integrated.append(loudness(pcm))
        peaks.append(true_peak(pcm))
        spreads.append(max(each) - min(each))
        speakers = ", ".join(f"{value:.1f}" for value in each)
        notes.append(f"{name}: {integrated[-1]:.2f} LUFS, {peaks[-1]:.2f} dBTP, speakers {speakers}")
    figures = {
        "lufs": round(max(integrated, key=lambda value: abs(value + 16)), 2),
        "true_peak_dbtp": round(max(peaks), 2),
        "spread_lu": round(max(spreads), 2),
    }
    return figures, notes


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    figures, notes = await asyncio.to_thread(measure, 2 if options.quick else 5)
    return report("loudness", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=300) else 1)

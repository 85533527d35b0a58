"""Real people's speech for benches, and how good what is heard of it is (PESQ).

The three people are those of Debian's Asterisk prompts (asterisk-core-sounds-{en,fr,it}-g722, CC BY-SA 3.0): recorded
in studios, 16 kHz, which is all that wide-band PESQ listens to. scripts/setup-bench installs them.
"""

from pathlib import Path

import av
import numpy as np
from pesq import pesq
from scipy.signal import correlate, resample_poly  # type: ignore[import-untyped]  # scipy says no types

from bench.speech import Pcm, whole_ticks
from stentor.media.grid import SAMPLE_RATE_HZ

PIECE_S = 8
_FOLDER = Path("/usr/share/asterisk/sounds")
_FILES = {
    "Allison (en)": "en_US_f_Allison/demo-instruct.g722",
    "June (fr)": "fr_CA_f_June/demo-instruct.g722",
    "Carlo (it)": "it_IT_m_Carlo/demo-instruct.g722",
}
_RATE_HZ = 16_000
_LEVEL_DBFS = -24.0
_SEARCH_S = 0.4
_WARM_UP_S = 8.0
_PAUSE_S = 2.0


def clips(seconds: float) -> dict[str, Pcm]:
    """Return ``seconds`` (whole pieces of 8 s, at most 64) of each person at 48 kHz, shape ``(samples,)``, -24 dBFS."""
    said: dict[str, Pcm] = {}
    for name, file in _FILES.items():
        path = _FOLDER / file
        if not path.exists():
            raise SystemExit(f"{path} is not installed; scripts/setup-bench installs what benches need.")
        with av.open(str(path), format="g722") as container:
            pcm = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        cut = pcm[: int(seconds * _RATE_HZ)].astype(np.float64) / 32_768
        cut *= 10 ** (_LEVEL_DBFS / 20) / np.sqrt(np.mean(np.square(cut)))
        said[name] = whole_ticks(np.clip(resample_poly(cut, 3, 1), -0.98, 0.98).astype(np.float32))
    return said


def place(heard: Pcm, wanted: Pcm, near: int, within_s: float) -> int:
    """Return the sample of ``heard`` at which ``wanted`` begins: at most ``within_s`` from ``near``."""
    reach = int(within_s * SAMPLE_RATE_HZ)
    first = max(0, near - reach)
    window = heard[first : near + reach + len(wanted)]
    return first + int(np.argmax(np.abs(correlate(window, wanted, mode="valid", method="fft"))))


def scores(said: Pcm, heard: Pcm, near: int = 0, within_s: float = 2.0) -> list[float]:
    """Return PESQ wide band (ITU-T P.862.2) of each piece of eight seconds.

    Args:
        said: what was said, at 48 kHz.
        heard: what came out, at 48 kHz.
        near: about where ``said`` begins in ``heard``.
        within_s: how far off that may be. After the first piece, each is looked for close to where it should be: a
            jitter buffer may stretch.
    """
    piece = PIECE_S * SAMPLE_RATE_HZ
    values = []
    for start in range(0, len(said) - piece + 1, piece):
        wanted = said[start : start + piece]
        at = place(heard, wanted, near, within_s)
        degraded = heard[at : at + piece]
        near, within_s = at + piece, _SEARCH_S
        reference, degraded = (resample_poly(each, 1, 3) for each in (wanted, degraded))
        values.append(float(pesq(_RATE_HZ, reference, degraded, "wb")))
    return values


def programme(seconds: float, people: int) -> tuple[Pcm, list[int]]:
    """Return what is said in a run, and at which sample each person's clip of so many seconds begins in it."""
    length, warm_up = int(seconds * SAMPLE_RATE_HZ), int(_WARM_UP_S * SAMPLE_RATE_HZ)
    said = list(clips(seconds + _WARM_UP_S).values())[:people]
    pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    # What is said for warming up is said nowhere else, or the clips could not be told from it.
    parts = [said[0][length : length + warm_up], pause]
    begins = []
    for clip in said:
        begins.append(sum(map(len, parts)))
        parts += [clip[:length], pause]
    return np.concatenate(parts), begins


def judge(sound: Pcm, seconds: float, people: int) -> list[float]:
    """Return PESQ of each piece of the programme in a recording of it that begins anywhere."""
    said, begins = programme(seconds, people)
    first = begins[0]
    offset = place(sound, said[first : first + 5 * SAMPLE_RATE_HZ], first, 15.0) - first
    length = int(seconds * SAMPLE_RATE_HZ)
    return [value for at in begins for value in scores(said[at : at + length], sound, at + offset, 0.5)]

"""Speech for the demo, tests and benches: espeak-ng, from the wheel that carries it.

espeak-ng keeps global state and is not thread-safe: one process speaks from one thread.
"""

import ctypes
from functools import cache
from typing import Final

import av
import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from stentor.errors import MediaError
from stentor.media.grid import SAMPLE_RATE_HZ

_SYNCHRONOUS: Final = 2  # espeak_AUDIO_OUTPUT: AUDIO_OUTPUT_SYNCHRONOUS
_CHARS_UTF8: Final = 1
_POSITION_CHARACTER: Final = 1
_RATE: Final = 1
_PITCH: Final = 3
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = int(library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0))
    if rate_hz <= 0:
        raise MediaError("espeak-ng could not start: its voice data is missing. Install the Debian package espeak-ng.")
    return library, rate_hz


def speak(
    text: str, *, voice: str = "en", words_per_minute: int = 165, pitch: int = 50, level_dbfs: float = -22.0
) -> NDArray[np.float32]:
    """Return ``text`` as mono speech at 48 kHz, shape ``(samples,)`` float32.

    ``voice`` is espeak-ng's (``en``, ``ar``, ``en-us+f3``, …), ``pitch`` 0 to 99, ``level_dbfs`` the RMS of the result.
    Raises MediaError when the voice does not exist or nothing was spoken.
    """
    library, rate_hz = _library()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise MediaError(f"espeak-ng has no voice {voice!r}.")
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    blocks: list[NDArray[np.int16]] = []

    def collect(wav: object, count: int, _events: object) -> int:
        if wav and count:
            blocks.append(np.ctypeslib.as_array(wav, shape=(count,)).copy())
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    if not blocks:
        raise MediaError(f"espeak-ng said nothing for {text!r}.")
    return _levelled(resample(np.concatenate(blocks), rate_hz), level_dbfs)


def resample(pcm: NDArray[np.int16], rate_hz: int) -> NDArray[np.float32]:
    """Return mono 16-bit samples at ``rate_hz`` as float32 at 48 kHz, shape ``(samples,)``."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray().reshape(-1) for part in frames]).astype(np.float32)


def _levelled(pcm: NDArray[np.float32], level_dbfs: float) -> NDArray[np.float32]:
    loudness = float(np.sqrt(np.mean(np.square(pcm)))) or 1.0
    gain = 10 ** (level_dbfs / 20) / loudness
    levelled: NDArray[np.float32] = np.clip(pcm * gain, -0.98, 0.98).astype(np.float32)
    return levelled

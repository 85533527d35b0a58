"""Speech made shorter or longer by one period of its pitch, without a jump and without a change of pitch.

A period is taken out, or put in once more, where two neighbouring ones are alike, and the seam is cross-faded
(overlap-add at the pitch, as in WSOLA: Verhelst and Roelands, ICASSP 1993). Sound is ``(1, n)`` float32 at 48 kHz.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stentor.media.encoder import Pcm

SHORTEST_PERIOD = 120  # 400 Hz
LONGEST_PERIOD = 720  # 67 Hz
_COARSE = 6  # the search begins at 8 kHz
ALIKE = 0.9
"""The correlation of neighbouring periods from which the seam is not heard."""
ALIKE_IN_HASTE = 0.5
_QUIET_MEAN_SQUARE = 1e-6  # -60 dBFS: any length may go

_Samples = NDArray[np.float32]


class _Period(NamedTuple):
    samples: int
    alike: float


def shorten(pcm: Pcm, most: float, *, haste: bool = False) -> Pcm:
    """Return ``pcm`` without one period of at most ``most`` samples, or ``pcm`` itself where none can go unheard."""
    sound = pcm[0]
    longest = min(LONGEST_PERIOD, len(sound) // 2, int(most))
    period = _period(sound, longest, reach=len(sound) - longest) if longest > SHORTEST_PERIOD else None
    if period is None or period.alike < (ALIKE_IN_HASTE if haste else ALIKE):
        return pcm
    length = period.samples
    fade = _ramp(length)
    seam = sound[:length] * (1 - fade) + sound[length : 2 * length] * fade
    return np.concatenate([seam, sound[2 * length :]])[None]


def lengthen(before: Pcm, pcm: Pcm, most: float) -> Pcm:
    """Return ``pcm`` with one period of what came ``before`` it said once more, or ``pcm`` itself.

    ``before`` is the sound that ends where ``pcm`` begins, at least ``LONGEST_PERIOD`` samples.
    """
    longest = min(LONGEST_PERIOD, pcm.shape[1], before.shape[1], int(most))
    if longest <= SHORTEST_PERIOD:
        return pcm
    joint = np.concatenate([before[0, -longest:], pcm[0]])
    # Backwards, so that the lag is counted from the seam into what came before.
    period = _period(joint[::-1], longest, reach=len(joint) - longest)
    if period is None or period.alike < ALIKE:
        return pcm
    length = period.samples
    fade = _ramp(length)
    seam = pcm[0, :length] * (1 - fade) + before[0, -length:] * fade
    return np.concatenate([seam, pcm[0]])[None]


def _period(sound: _Samples, longest: int, *, reach: int) -> _Period | None:
    """Return the lag at which the first ``reach`` samples are most like what follows them."""
    if float(np.dot(sound, sound)) < _QUIET_MEAN_SQUARE * len(sound):
        return _Period(longest, 1.0)
    coarse = sound[: len(sound) // _COARSE * _COARSE].reshape(-1, _COARSE).mean(axis=1)
    least, most = SHORTEST_PERIOD // _COARSE, longest // _COARSE
    window = min(reach // _COARSE, len(coarse) - most)
    if most <= least or window < least:
        return None
    rough = (least + int(_likeness(coarse, window, least, most).argmax())) * _COARSE
    low, high = max(SHORTEST_PERIOD, rough - _COARSE), min(longest, rough + _COARSE)
    fine = _likeness(sound, min(reach, len(sound) - high), low, high)
    best = int(fine.argmax())
    return _Period(low + best, float(fine[best]))


def _likeness(sound: _Samples, window: int, least: int, most: int) -> NDArray[np.float32]:
    """Return the normalised correlation of the first ``window`` samples with themselves at lags least to most."""
    head = sound[:window]
    shifted = sliding_window_view(sound[least : most + window], window)
    energies = np.einsum("ij,ij->i", shifted, shifted)
    scale = np.sqrt(energies * np.float32(np.dot(head, head))) + np.float32(1e-12)
    likeness: NDArray[np.float32] = (shifted @ head) / scale
    return likeness


def _ramp(length: int) -> NDArray[np.float32]:
    ramp: NDArray[np.float32] = (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(length)
    return ramp

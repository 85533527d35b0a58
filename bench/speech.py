"""What a browser says in bench.fidelity: speech and audio that numbers its own frames, as Opus packets."""

import ctypes
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stentor.demo.conversation import TURNS
from stentor.demo.speech import speak
from stentor.media import opus
from stentor.media.decoder import OpusDecoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES

Pcm = NDArray[np.float32]

_PEOPLE = (("en+f3", "ar+f3", 55), ("en-us", "ar", 38), ("en-us+m3", "ar+m3", 45), ("en+f2", "ar+f2", 65))
_PAUSE_S = 0.4
_BROWSER_COMPLEXITY = 9
_SET_DTX = 4016
DTX_BYTES = 2
"""A packet that is no longer says: nothing (RFC 6716, 3.1)."""

DIGITS = 12
_NUMBERED_HZ = tuple(500 + 200 * digit for digit in range(DIGITS))
_PRIMING_SAMPLES = 312


def speech(seconds: float) -> Pcm:
    """Return at least so much conversation of four voices in two languages, -22 dBFS, whole ticks."""
    said: list[Pcm] = []
    length, turn = 0, 0
    while length < seconds * SAMPLE_RATE_HZ:
        text = TURNS[turn % len(TURNS)]
        english, arabic, pitch = _PEOPLE[turn % len(_PEOPLE)]
        words = speak(text.text, voice=english if text.language == "en" else arabic, pitch=pitch)
        pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE_HZ), np.float32)
        said += [words, pause]
        length += len(words) + len(pause)
        turn += 1
    return whole_ticks(np.concatenate(said))


def whole_ticks(pcm: Pcm) -> Pcm:
    """Return ``pcm`` padded with silence to whole ticks."""
    return np.pad(pcm, (0, -len(pcm) % TICK_SAMPLES)).astype(np.float32)


def digits(count: int) -> NDArray[np.int64]:
    """Return the numbers of so many frames: no digit twice in a row, any dozen of them found nowhere else."""
    steps = np.random.default_rng(7).integers(1, DIGITS, count)
    return np.cumsum(steps) % DIGITS


def numbered(count: int) -> Pcm:
    """Return ``count`` frames of 20 ms, each with the pitch of its digit, without a jump of phase between them."""
    hz = np.repeat(np.array(_NUMBERED_HZ, float)[digits(count)], TICK_SAMPLES)
    return (0.25 * np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ)).astype(np.float32)


def read_digits(pcm: Pcm) -> NDArray[np.int64]:
    """Return the digit that each whole 20 ms frame of ``pcm`` carries in its middle."""
    frames = pcm[: len(pcm) // TICK_SAMPLES * TICK_SAMPLES].reshape(-1, TICK_SAMPLES)[:, 240:720]
    at = np.arange(240, 720) / SAMPLE_RATE_HZ
    probes = np.exp(-2j * np.pi * np.outer(at, _NUMBERED_HZ)) * np.hanning(480)[:, None]
    found: NDArray[np.int64] = np.abs(frames @ probes).argmax(axis=1)
    return found


def missing_or_repeated(sent: NDArray[np.int64], heard: NDArray[np.int64], *, band: int = 40) -> tuple[int, int]:
    """Return how many frames must be left out or put in to get from ``sent`` to ``heard``, and how many differ.

    Edit distance within a band around the diagonal, a difference costing as much as one frame.
    """
    far = 10**9
    ways = {0: (0, 0, 0)}  # by lag: (cost, edits, differences)
    for index, digit in enumerate(sent):
        following: dict[int, tuple[int, int, int]] = {}
        for lag in range(-band, band + 1):
            at = index + lag
            straight, skipped = ways.get(lag), ways.get(lag + 1)
            best = (far, 0, 0)
            if straight is not None and 0 <= at < len(heard):
                wrong = int(heard[at] != digit)
                best = (straight[0] + wrong, straight[1], straight[2] + wrong)
            if skipped is not None and skipped[0] + 1 < best[0]:
                best = (skipped[0] + 1, skipped[1] + 1, skipped[2])
            repeated = following.get(lag - 1)
            if repeated is not None and repeated[0] + 1 < best[0]:
                best = (repeated[0] + 1, repeated[1] + 1, repeated[2])
            if best[0] < far:
                following[lag] = best
        ways = following
    _, edits, differences = min(ways.values())
    return edits, differences


class BrowserEncoder:
    """Opus as Chromium's WebRTC sets it for one voice: VoIP, complexity 9, in-band FEC allowed, no loss reported.

    ``fec`` and ``dtx`` are what the answer's useinbandfec and usedtx say.
    """

    def __init__(self, bitrate_bps: int, *, fec: bool = True, dtx: bool = False) -> None:
        error = ctypes.c_int()
        self._state = opus.encoder_create(SAMPLE_RATE_HZ, 1, opus.APPLICATION_VOIP, ctypes.byref(error))
        opus.checked(error.value)
        self._packet = ctypes.create_string_buffer(opus.MAX_PACKET_BYTES)
        for request, value in (
            (opus.SET_BITRATE, bitrate_bps),
            (opus.SET_COMPLEXITY, _BROWSER_COMPLEXITY),
            (opus.SET_INBAND_FEC, int(fec)),
            (_SET_DTX, int(dtx)),
        ):
            opus.checked(opus.encoder_control(self._state, request, value))

    def __del__(self) -> None:
        """Free libopus's state."""
        opus.encoder_destroy(self._state)

    def set_packet_loss(self, share: float) -> None:
        """Take the loss (0 to 1) that the receiver reports. Chromium believes in no more than 20 %."""
        percent = int(100 * min(share, 0.2) + 0.5)
        opus.checked(opus.encoder_control(self._state, opus.SET_PACKET_LOSS_PERC, percent))

    def encode(self, pcm: Pcm) -> list[bytes]:
        """Return the packets of whole ticks of sound, shape ``(samples,)``."""
        packets = []
        for tick in pcm.reshape(-1, TICK_SAMPLES):
            frame = np.ascontiguousarray(tick)
            size = opus.encode_float(self._state, frame.ctypes.data, TICK_SAMPLES, self._packet, opus.MAX_PACKET_BYTES)
            packets.append(self._packet.raw[: opus.checked(size)])
        return packets


def decoded(units: Iterable[bytes]) -> Pcm:
    """Return the sound of a run of Opus packets, the encoder's delay taken off."""
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(unit)[0].copy() for unit in units])[_PRIMING_SAMPLES:]

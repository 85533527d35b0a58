"""Encodes of what speakers hear: one for all who are silent, an own one for who makes a sound, and a while after."""

import numpy as np

from stentor.media.mixer import Mixer
from stentor.origin.minus import MinusEncoders

SILENCE = np.zeros((1, 960), np.float32)
PEOPLE = ("ana", "ben", "cem")


def tone(tick, amplitude=0.2):
    at = np.arange(960) + tick * 960
    return (amplitude * np.sin(2 * np.pi * 400 * at / 48_000)).astype(np.float32)[None]


def sharers(frames):
    """Return who got the very same packet as somebody else."""
    return {name for name in frames if any(frames[name] is frames[each] for each in frames if each != name)}


class Room:
    def __init__(self):
        self.mixer, self.encoders, self.tick = Mixer(), MinusEncoders(), 0

    def frames(self, *speaking, together=None):
        self.tick += 1
        voices = {name: tone(self.tick) if name in speaking else SILENCE for name in PEOPLE}
        return self.encoders.encode(self.mixer.mix(voices, together), PEOPLE)


def test_the_silent_share_one_encode_and_who_speaks_has_their_own():
    room = Room()
    assert sharers(room.frames()) == set(PEOPLE)
    assert sharers(room.frames("ana")) == {"ben", "cem"}
    assert sharers(room.frames("ana", "ben")) == set()


def test_who_has_spoken_keeps_their_own_for_two_seconds():
    room = Room()
    room.frames("ana")
    ticks = 0
    while "ana" not in sharers(room.frames()):
        ticks += 1
    assert 99 <= ticks <= 101


def test_who_sits_beside_a_speaker_has_their_own_too():
    room = Room()
    assert sharers(room.frames("ana", together={"ana": "desk", "ben": "desk"})) == set()

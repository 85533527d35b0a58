"""The noise gate: closes slowly after a hold, opens with the first sound, and is out of the way when switched off."""

import numpy as np
import pytest

from stentor.media.gate import CLOSED_DB, CLOSING_DB_PER_S, HOLD_MS, Gate

NOISE, VOICE = np.array([False]), np.array([True])


def a_gate(enabled=True):
    gate = Gate()
    gate.rearrange(np.array([-1]))
    gate.enabled = enabled
    return gate


def after(gate, voiced, ticks):
    for _ in range(ticks):
        knots = gate.knots(voiced)
    return knots[0]


def test_it_holds_then_closes_slowly():
    gate = a_gate()
    gate.knots(VOICE)
    assert not after(gate, NOISE, HOLD_MS // 20 - 1).any()
    closing = after(gate, NOISE, 1)
    assert closing[0] == 0
    assert closing[-1] == pytest.approx(-CLOSING_DB_PER_S / 50)
    assert after(gate, NOISE, 20).tolist() == [CLOSED_DB] * 5


def test_it_opens_in_the_first_5_ms_of_the_tick_that_has_the_voice():
    gate = a_gate()
    after(gate, NOISE, 100)
    assert gate.knots(VOICE)[0].tolist() == [CLOSED_DB, 0, 0, 0, 0]


def test_there_is_no_step_between_ticks():
    gate, last = a_gate(), 0.0
    rng = np.random.default_rng(2)
    for _ in range(500):
        gate.enabled = bool(rng.random() < 0.97)
        knots = gate.knots(np.array([rng.random() < 0.02]))[0]
        assert knots[0] == last
        last = knots[-1]


def test_switched_off_it_opens_and_stays_open():
    gate = a_gate()
    after(gate, NOISE, 100)
    gate.enabled = False
    assert gate.knots(NOISE)[0].tolist() == [CLOSED_DB, 0, 0, 0, 0]
    assert not after(gate, NOISE, 100).any()


def test_who_is_new_is_heard_at_once():
    gate = a_gate()
    after(gate, NOISE, 100)
    gate.rearrange(np.array([-1, 0]))
    assert gate.knots(np.array([False, False]))[:, 0].tolist() == [0, CLOSED_DB]

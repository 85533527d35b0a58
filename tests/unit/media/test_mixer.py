"""The mix: sums, what each hears, levels, loudness, and that nothing clips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.demo.speech import speak
from stentor.media.limiter import CEILING, DELAY_SAMPLES
from stentor.media.mixer import SILENCE, LevelMeter, Mixer, ProgramMeter

FIRST_GAIN = 10 ** (2 / 20)  # from speakers at -18 LUFS to a program at -16
PITCH_HZ = {"ana": 300, "ben": 700, "cem": 1_100, "dua": 1_900}


def tone(amplitude, frequency=500, tick=0):
    time = (np.arange(960) + tick * 960) / 48_000
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None]


def voices(tick, **amplitudes):
    return {name: tone(amplitude, PITCH_HZ[name], tick) for name, amplitude in amplitudes.items()}


def parts(pcm):
    """Return the amplitude of each person's pitch in the last 20 ms, (1, 960)."""
    at = np.arange(960) / 48_000
    return {name: 2 * abs(np.mean(pcm[0] * np.exp(-2j * np.pi * hertz * at))) for name, hertz in PITCH_HZ.items()}


def heard(pcm, least=0.01):
    return {name for name, amplitude in parts(pcm).items() if amplitude > least}


def test_everybody_hears_the_others_and_the_silent_hear_all():
    mixer = Mixer()
    for tick in range(3):
        mix = mixer.mix(voices(tick, ana=0.2, ben=0.1, cem=0, dua=0))
    assert heard(mix.program) == {"ana", "ben"}
    assert set(mix.minus) == {"ana", "ben"}
    assert heard(mix.heard_by("ana"), 1e-4) == {"ben"}
    assert heard(mix.heard_by("ben"), 1e-4) == {"ana"}
    assert mix.heard_by("cem") is mix.program
    assert mix.heard_by("dua") is mix.program


def test_every_mix_is_equally_late():
    mixer = Mixer()
    ana, ben = tone(0.2, 300), tone(0.1, 700)
    mix = mixer.mix({"ana": ana, "ben": ben})
    late = DELAY_SAMPLES
    assert not mix.program[:, :late].any()
    assert np.allclose(mix.program[:, late:], FIRST_GAIN * (ana + ben)[:, :-late], atol=1e-6)
    assert np.allclose(mix.heard_by("ana")[:, late:], FIRST_GAIN * ben[:, :-late], atol=1e-6)
    after = mixer.mix({"ana": SILENCE, "ben": SILENCE})
    assert np.allclose(after.program[:, :late], FIRST_GAIN * (ana + ben)[:, -late:], atol=1e-6)
    assert np.allclose(after.heard_by("ana")[:, :late], FIRST_GAIN * ben[:, -late:], atol=1e-6)


def test_nobody_hears_themself_at_the_edges_of_what_they_say():
    mixer, without = Mixer(), Mixer()
    for tick in range(40):
        ana = 0.3 if tick % 5 == 2 else 0.0
        mix = mixer.mix(voices(tick, ana=ana, ben=0.1))
        alone = without.mix(voices(tick, ana=0.0, ben=0.1))
        assert np.allclose(mix.heard_by("ana"), alone.program, atol=1e-5)


def test_people_on_one_device_are_never_fed_each_other():
    mixer = Mixer()
    together = {"ana": "laptop", "ben": "laptop", "cem": "phone"}
    for tick in range(3):
        mix = mixer.mix(voices(tick, ana=0.2, ben=0.1, cem=0.1, dua=0), together)
    assert heard(mix.heard_by("ana"), 1e-4) == {"cem"}
    assert heard(mix.heard_by("ben"), 1e-4) == {"cem"}
    assert heard(mix.heard_by("cem"), 1e-4) == {"ana", "ben"}
    assert heard(mix.heard_by("dua")) == {"ana", "ben", "cem"}
    # One of them silent: the other's voice is still not for them.
    mixer = Mixer()
    for tick in range(3):
        mix = mixer.mix(voices(tick, ana=0, ben=0.1, cem=0.1, dua=0), together)
    assert heard(mix.heard_by("ana"), 1e-4) == {"cem"}


def test_who_only_makes_noise_shares_the_mix():
    rng, mixer = np.random.default_rng(1), Mixer()
    for tick in range(150):
        noise = (0.002 * rng.standard_normal((1, 960))).astype(np.float32)
        mix = mixer.mix(voices(tick, ana=0.2) | {"fan": noise, "mute": SILENCE})
    assert set(mix.minus) == {"ana"}
    assert mix.voices["fan"].speaking is False
    # Their first sound gives them their own mix in the very tick it comes.
    mix = mixer.mix(voices(150, ana=0.2) | {"fan": tone(0.05), "mute": SILENCE})
    assert set(mix.minus) == {"ana", "fan"}


def test_an_empty_stage_is_silence_and_what_was_said_last_is_heard():
    mixer = Mixer()
    mix = mixer.mix({})
    assert mix.program.shape == (1, 960)
    assert not mix.program.any()
    mixer.mix(voices(0, ana=0.2))
    assert mixer.mix({}).program[:, :DELAY_SAMPLES].any()
    assert not mixer.mix({}).program.any()


def test_what_is_put_in_is_not_changed_and_nonsense_is_no_harm():
    mixer = Mixer()
    for nonsense in (np.nan, np.inf, -np.inf, 1e30):
        bad, ana = np.full((1, 960), nonsense, np.float32), tone(0.2)
        for _ in range(3):
            mix = mixer.mix({"ana": ana, "bad": bad})
        assert np.max(np.abs(mix.program)) <= CEILING * 1.0001
        assert np.all(np.isfinite(mix.heard_by("ana")))
        assert np.array_equal(bad, np.full((1, 960), nonsense, np.float32), equal_nan=True)
        assert np.array_equal(ana, tone(0.2))
    for tick in range(300):
        mix = mixer.mix(voices(tick, ana=0.1, ben=0))
    assert heard(mix.heard_by("ben")) == {"ana"}


def test_levels_are_rms_of_the_last_200_ms_as_it_came():
    mixer = Mixer()
    for tick in range(10):
        voice = mixer.mix({"ana": tone(0.5, tick=tick)}).voices["ana"]
    assert voice.level_dbfs == pytest.approx(-9.03, abs=0.05)
    assert voice.speaking is True
    for _ in range(10):
        voice = mixer.mix({"ana": SILENCE}).voices["ana"]
    assert voice.level_dbfs == -90
    mixer.forget("ana")
    assert mixer.mix({"ana": SILENCE}).voices["ana"].speaking is False


def test_a_quiet_and_a_loud_speaker_end_equally_loud():
    said = speak("Good evening, and welcome. This is a voice, and it goes on for some seconds without a stop.")
    said = said[: len(said) // 960 * 960].reshape(-1, 1, 960)
    ends = {}
    for name, factor in (("quiet", 0.15), ("loud", 2.5)):
        mixer = Mixer()
        program = [mixer.mix({name: factor * said[tick % len(said)]}).program for tick in range(900)]
        ends[name] = np.sqrt(np.mean(np.square(np.concatenate(program[-400:]))))
    assert 20 * np.log10(ends["loud"] / ends["quiet"]) == pytest.approx(0, abs=1.5)


def test_the_gate_takes_the_noise_out_and_leaves_the_voice():
    rng, mixer = np.random.default_rng(1), Mixer()

    def noise_after(ticks):
        for _ in range(ticks):
            mix = mixer.mix({"fan": (0.003 * rng.standard_normal((1, 960))).astype(np.float32)})
        return 20 * np.log10(np.sqrt(np.mean(np.square(mix.program))))

    open_db = noise_after(150)
    mixer.gate = True
    assert mixer.gate is True
    assert noise_after(100) == pytest.approx(open_db - 24, abs=1)
    for tick in range(2):
        mix = mixer.mix({"fan": tone(0.1, 700, tick)})
    assert parts(mix.program)["ben"] == pytest.approx(0.1 * FIRST_GAIN, rel=0.05)


def test_coming_and_going_makes_no_click():
    """Ben sits between the others and goes and comes back; the others' tones go on without a step."""
    mixer, out = Mixer(), []
    for tick in range(40):
        now = voices(tick, ana=0.18, ben=0.0, cem=0.18)  # -18 LUFS: no gain moves
        if tick % 7 > 3:
            del now["ben"]
        if tick == 20:
            mixer.forget("ben")
        out.append(mixer.mix(now).program[0])
    sound = np.concatenate(out)[960:]
    steepest = 0.18 * FIRST_GAIN * 2 * np.pi * (300 + 1_100) / 48_000
    assert np.max(np.abs(np.diff(sound))) < 1.1 * steepest


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(0, 3)] * 4), min_size=1, max_size=12))
def test_nothing_clips(ticks):
    mixer = Mixer()
    for tick, (ana, ben, cem, dua) in enumerate(ticks):
        mix = mixer.mix(voices(tick, ana=ana, ben=ben, cem=cem, dua=dua))
        for pcm in (mix.program, *mix.minus.values()):
            assert np.max(np.abs(pcm)) <= CEILING * 1.0001


def test_the_same_input_gives_the_same_mix():
    one, two = Mixer(), Mixer()
    for tick in range(20):
        mixes = [mixer.mix(voices(tick, ana=0.5, ben=0.4, cem=0.1)) for mixer in (one, two)]
        assert np.array_equal(mixes[0].program, mixes[1].program)


def test_durations_are_arguments():
    by_ten, by_fifty = LevelMeter(200), LevelMeter(200)
    for n in range(60):
        by_ten.add(0.01 if n < 50 else 0.04, 10)
    for n in range(12):
        by_fifty.add(0.01 if n < 10 else 0.04, 50)
    assert by_ten.level_dbfs == pytest.approx(by_fifty.level_dbfs)


def test_the_program_says_how_long_it_has_been_silent():
    meter = ProgramMeter()
    for _ in range(50):
        meter.add(1e-3, 20)
    assert meter.silent_s == 0
    for _ in range(5 * 50 + 20):
        meter.add(1e-6, 20)
    assert meter.silent_s == pytest.approx(5.0, abs=0.1)
    meter.add(1e-2, 20)
    assert meter.silent_s == 0

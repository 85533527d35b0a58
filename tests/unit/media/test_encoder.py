"""Where a marker comes out: the renditions' priming must really be the encoders'."""

import av
import numpy as np
import pytest

from stentor.errors import MediaError
from stentor.media.decoder import OpusDecoder, packet_samples
from stentor.media.encoder import Encoder, OpusEncoder, Pcm
from stentor.media.fmp4 import AUDIO_SPECIFIC_CONFIG
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName

_BURST = (0.5 * np.sin(2 * np.pi * 2000 * np.arange(480) / 48_000) * np.hanning(480)).astype(np.float32)


def decode_units(rendition: Rendition, units: list[bytes]) -> Pcm:
    """Decode access units of any rendition; returns (samples,) float32."""
    if rendition.name is RenditionName.OPUS:
        decoder = OpusDecoder()
        return np.concatenate([decoder.decode(unit)[0].copy() for unit in units])
    name, config = ("aac", AUDIO_SPECIFIC_CONFIG) if rendition.name is RenditionName.AAC else ("mp3float", None)
    context = av.CodecContext.create(name, "r")
    context.extradata = config
    context.sample_rate = 48_000
    context.layout = "mono"
    frames = [frame.to_ndarray()[0] for unit in units for frame in context.decode(av.Packet(unit))]
    return np.concatenate(frames)


def find_burst(pcm: Pcm) -> int:
    """Return at which sample the marker stands."""
    return int(np.argmax(np.correlate(pcm, _BURST, "valid")))


@pytest.mark.parametrize("name", list(RenditionName))
def test_priming_is_the_delay_of_encoder_and_decoder(name):
    rendition = RENDITIONS[name]
    pcm = np.zeros((1, 960 * 100), np.float32)
    at = 48_123
    pcm[0, at : at + 480] += _BURST
    encoder = Encoder(rendition)
    units = [unit for tick in range(100) for unit in encoder.encode(pcm[:, tick * 960 : (tick + 1) * 960])]
    decoded = decode_units(rendition, units)
    assert len(decoded) == len(units) * rendition.frame_samples
    assert abs(find_burst(decoded) - at - rendition.priming_samples) <= 4


@pytest.mark.parametrize(("name", "least_db"), [("opus", 20), ("aac", 45), ("mp3", 20)])
def test_a_tone_comes_through_clean(name, least_db):
    rendition = RENDITIONS[RenditionName(name)]
    tone = (0.3 * np.sin(2 * np.pi * 260 * np.arange(96_000) / 48_000)).astype(np.float32)
    decoded = decode_units(rendition, Encoder(rendition).encode(tone[None]))[rendition.priming_samples :]
    middle = slice(12_000, 72_000)
    error = decoded[middle] - tone[middle]
    assert 10 * np.log10(np.sum(tone[middle] ** 2) / np.sum(error**2)) > least_db


def test_every_mp3_access_unit_is_a_whole_frame_of_the_same_size():
    encoder = Encoder(RENDITIONS[RenditionName.MP3])
    noise = np.random.default_rng(1).standard_normal((1, 1152 * 50)).astype(np.float32) * 0.1
    units = encoder.encode(noise)
    assert len(units) >= 48
    assert {len(unit) for unit in units} == {192}
    assert all(unit[:2] == b"\xff\xfb" for unit in units)


def test_a_mix_minus_carries_fec_that_beats_concealment():
    rng = np.random.default_rng(2)
    # Syllables: a new pitch and loudness every 60 ms, which concealment cannot guess.
    pitch, loud = (np.repeat(rng.uniform(low, high, 40), 2880) for low, high in ((110, 330), (0.0, 0.15)))
    phase = 2 * np.pi * np.cumsum(pitch) / 48_000
    pcm = (loud * sum(np.sin(n * phase) / n for n in (1, 2, 3, 5))).astype(np.float32)[None]
    encoder = OpusEncoder(packet_loss_percent=30)
    packets = [encoder.encode(pcm[:, n * 960 : (n + 1) * 960]) for n in range(120)]
    clean, fec, plc = OpusDecoder(), OpusDecoder(), OpusDecoder()
    errors = {"fec": 0.0, "plc": 0.0}
    for n, packet in enumerate(packets):
        truth = clean.decode(packet)[0].copy()
        if n % 5 == 4 and n + 1 < len(packets):
            errors["fec"] += float(np.sum((fec.recover(packets[n + 1], 960)[0] - truth) ** 2))
            errors["plc"] += float(np.sum((plc.conceal(960)[0] - truth) ** 2))
        else:
            fec.decode(packet)
            plc.decode(packet)
    assert errors["fec"] < errors["plc"] / 2


def test_a_broken_packet_is_an_error_and_the_decoder_goes_on():
    decoder, encoder = OpusDecoder(), OpusEncoder()
    good = encoder.encode(np.zeros((1, 960), np.float32))
    for payload in (b"", b"\xff", b"\xff\x3f" + bytes(5), b"\x0b\xff\xff", b"\x03\x00"):
        with pytest.raises(MediaError):
            decoder.decode(payload)
        with pytest.raises(MediaError):
            packet_samples(payload) or decoder.decode(payload)
    assert decoder.decode(good).shape == (1, 960)


def test_a_packet_of_120_ms_fits():
    encoder = OpusEncoder(speech=False)
    frames = [encoder.encode(np.zeros((1, 960), np.float32)) for _ in range(6)]
    # RFC 6716, 3.2.5: code 3, six frames, variable bit rate
    body = b"".join(bytes((len(f) - 1,)) for f in frames[:-1]) + b"".join(f[1:] for f in frames)
    packet = bytes((frames[0][0] | 3, 0x80 | 6)) + body
    assert OpusDecoder().decode(packet).shape == (1, 5760)

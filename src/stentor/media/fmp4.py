"""Fragmented MP4 (CMAF) by hand: one initialisation segment per rendition, one moof and mdat per part.

Sources: ISO/IEC 14496-12 (boxes), ISO/IEC 14496-14 and 14496-3 (AAC), "Encapsulation of Opus in ISO Base Media
File Format" 0.6.8 (Opus, dOps). The timescale is 48000 everywhere, so decode times are samples from the room's
zero. There is no edit list: the program already skips each encoder's priming.
"""

import struct
from collections.abc import Sequence
from functools import cache

from stentor.media.grid import SAMPLE_RATE_HZ, Samples
from stentor.media.rendition import Rendition, RenditionName

# AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): AAC LC, 48 kHz, one channel, 1024 samples a frame.
AUDIO_SPECIFIC_CONFIG = bytes((0x11, 0x88))
_UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_TRACK = 1
_TFHD_DEFAULT_BASE_IS_MOOF = 0x020000
_TFHD_DEFAULT_DURATION = 0x000008
_TFHD_DEFAULT_FLAGS = 0x000020
_TRUN_DATA_OFFSET = 0x000001
_TRUN_SIZES = 0x000200
_SAMPLE_DEPENDS_ON_NONE = 0x02000000


@cache
def init_segment(rendition: Rendition) -> bytes:
    """Return the initialisation segment (ftyp and moov) of a rendition; empty for MP3, which needs none.

    It depends on the rendition alone, so every edge, epoch and recording has the same bytes and the proof can
    name it by its hash.
    """
    if rendition.name is RenditionName.MP3:
        return b""
    return _box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6mp41cmfc") + _box(
        b"moov", _mvhd(), _trak(rendition), _box(b"mvex", _full(b"trex", 0, 0, struct.pack(">5I", _TRACK, 1, 0, 0, 0)))
    )


def fragment(rendition: Rendition, sequence: int, decode_time: Samples, units: Sequence[bytes]) -> bytes:
    """Return one moof and mdat with consecutive access units.

    ``sequence`` is the number in mfhd (low 32 bits); ``decode_time`` the start of the first unit in samples
    (tfdt version 1, 64 bits).
    """
    sizes = [len(unit) for unit in units]
    tfhd = _full(
        b"tfhd",
        0,
        _TFHD_DEFAULT_BASE_IS_MOOF | _TFHD_DEFAULT_DURATION | _TFHD_DEFAULT_FLAGS,
        struct.pack(">3I", _TRACK, rendition.frame_samples, _SAMPLE_DEPENDS_ON_NONE),
    )
    tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    mfhd = _full(b"mfhd", 0, 0, struct.pack(">I", sequence & 0xFFFFFFFF))
    trun_size = 12 + 8 + 4 * len(sizes)
    moof_size = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + trun_size
    trun = _full(
        b"trun",
        0,
        _TRUN_DATA_OFFSET | _TRUN_SIZES,
        struct.pack(f">Ii{len(sizes)}I", len(sizes), moof_size + 8, *sizes),
    )
    return _box(b"moof", mfhd, _box(b"traf", tfhd, tfdt, trun)) + _box(b"mdat", *units)


def _box(kind: bytes, *payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, payload)), kind) + b"".join(payload)


def _full(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *payload)


def _mvhd() -> bytes:
    times = struct.pack(">4I", 0, 0, SAMPLE_RATE_HZ, 0)
    rate_and_volume = struct.pack(">IH10x", 0x10000, 0x0100)
    return _full(b"mvhd", 0, 0, times, rate_and_volume, _UNITY_MATRIX, bytes(24), struct.pack(">I", _TRACK + 1))


def _trak(rendition: Rendition) -> bytes:
    tkhd = _full(
        b"tkhd",
        0,
        0x000003,  # enabled, in the movie
        struct.pack(">5I8x4H", 0, 0, _TRACK, 0, 0, 0, 0, 0x0100, 0),
        _UNITY_MATRIX,
        bytes(8),
    )
    mdhd = _full(b"mdhd", 0, 0, struct.pack(">4IHH", 0, 0, SAMPLE_RATE_HZ, 0, 0x55C4, 0))  # language "und"
    hdlr = _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"soun"), b"Stentor\0")
    dinf = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    stbl = _box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), _sample_entry(rendition)),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    minf = _box(b"minf", _full(b"smhd", 0, 0, bytes(4)), dinf, stbl)
    return _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf))


def _sample_entry(rendition: Rendition) -> bytes:
    """Return the AudioSampleEntry: 16-bit samples by convention, rate in 16.16 fixed point."""
    common = struct.pack(">6xH8xHHHHI", 1, rendition.channels, 16, 0, 0, SAMPLE_RATE_HZ << 16)
    if rendition.name is RenditionName.OPUS:
        # dOps: version, channels, pre-skip, input rate, output gain, mapping family 0 (all big-endian).
        dops = struct.pack(">BBHIhB", 0, rendition.channels, rendition.priming_samples, SAMPLE_RATE_HZ, 0, 0)
        return _box(b"Opus", common, _box(b"dOps", dops))
    return _box(b"mp4a", common, _full(b"esds", 0, 0, _es_descriptor(rendition)))


def _es_descriptor(rendition: Rendition) -> bytes:
    """Return the ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5) of an AAC stream."""
    specific = _descriptor(0x05, AUDIO_SPECIFIC_CONFIG)
    buffer_bytes = 768 * rendition.channels  # 6144 bits a channel (ISO/IEC 14496-3, 4.5.3)
    rates = struct.pack(">II", 2 * rendition.bitrate_bps, rendition.bitrate_bps)
    config = _descriptor(0x04, bytes((0x40, 0x15)) + buffer_bytes.to_bytes(3, "big") + rates + specific)
    return _descriptor(0x03, struct.pack(">HB", _TRACK, 0) + config + _descriptor(0x06, b"\x02"))


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, len(body))) + body

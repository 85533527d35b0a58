"""Renditions: a codec at a bitrate, encoded once for everybody."""

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType


class RenditionName(StrEnum):
    """The names that stand in addresses, subjects and chunks."""

    OPUS = "opus"
    AAC = "aac"
    MP3 = "mp3"


@dataclass(frozen=True, slots=True)
class Rendition:
    """What is fixed about one encoding of the program.

    ``codec`` is the RFC 6381 name; ``frame_samples`` the length of an access unit at 48 kHz;
    ``priming_samples`` how much the encoder delays its input: the program skips that many samples when
    an encoder starts, so that access unit k decodes to program samples ``[k, k + 1) * frame_samples``.
    """

    name: RenditionName
    codec: str
    frame_samples: int
    priming_samples: int
    bitrate_bps: int
    channels: int


RENDITIONS = MappingProxyType(
    {
        RenditionName.OPUS: Rendition(RenditionName.OPUS, "opus", 960, 312, 32_000, 1),
        RenditionName.AAC: Rendition(RenditionName.AAC, "mp4a.40.2", 1024, 1024, 64_000, 1),
        RenditionName.MP3: Rendition(RenditionName.MP3, "mp3", 1152, 1105, 64_000, 1),
    }
)

_THRIFTY_BPS = MappingProxyType({RenditionName.OPUS: 16_000, RenditionName.AAC: 32_000})


def thrifty(rendition: Rendition) -> Rendition:
    """Return a rendition at the bitrate that it has when the line is too narrow (room/ladder); MP3 has one alone.

    It is the same rendition otherwise: containers, names and addresses do not tell the two apart.
    """
    return replace(rendition, bitrate_bps=_THRIFTY_BPS.get(rendition.name, rendition.bitrate_bps))

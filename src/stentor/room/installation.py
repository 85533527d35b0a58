"""What holds for the whole installation, as control tells it: bucket ``installation``, key ``installation``."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from stentor.room.documents import Dials
from stentor.room.permits import Permit

KEY = "installation"


class Challenge(StrEnum):
    """When arrivals must solve a proof of work before they get a ticket."""

    OFF = "off"
    AUTO = "auto"
    ON = "on"


class LadderWord(BaseModel):
    """Which step of the ladder (room/ladder) is in force: 0 is none. ``by_hand``: it stays until somebody says else.

    ``why`` is a sentence for people, ``cause`` the same as a word (room/ladder.Cause); ``since_ns`` Unix nanoseconds.
    ``block_steps``: from the first step on, how large blocks are at least.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: int = 0
    by_hand: bool = False
    since_ns: int = 0
    why: str = ""
    cause: str = ""
    block_steps: int = 1


class InstallationDocument(BaseModel):
    """What edges, origins and the archive follow. Control is its only writer.

    ``door``: the dials over all rooms together. ``allow`` and ``deny`` are networks, ``192.0.2.0/24`` or
    ``2001:db8::/32``: the first are never limited, the second never answered. ``grants_key`` is the raw Ed25519
    public key, in hex, that verifies grants (room/grants). ``permits`` are those to rehearse that are in force
    (room/permits).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    door: Dials = Dials()
    ladder: LadderWord = LadderWord()
    challenge: Challenge = Challenge.AUTO
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    grants_key: str = ""
    permits: tuple[Permit, ...] = ()

    @property
    def unlimited(self) -> tuple[str, ...]:
        """Return the networks that are never limited by address: ``allow``, and where rehearsals come from."""
        return self.allow + tuple(network for permit in self.permits for network in permit.networks)

    def to_bytes(self) -> bytes:
        """Return the document as JSON."""
        return self.model_dump_json().encode()

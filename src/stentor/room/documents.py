"""The live documents of a room: what control, origin and edges tell each other, as JSON.

Each has a single writer. ``RoomDocument`` (bucket ``rooms``) is control's: what the room is and which state it
is in. ``StageDocument`` (bucket ``stages``, and ``live.{room}.stage`` up to five times a second) is the
origin's: who is there and what is heard. Edges merge both into state.json.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from stentor.room.states import RoomState

DEFAULT_SEATS = 13


class Role(StrEnum):
    """What a person may do in a room; ``operator`` is for the whole installation."""

    OPERATOR = "operator"
    HOST = "host"
    COHOST = "cohost"
    SPEAKER = "speaker"
    MODERATOR = "moderator"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_bytes(self) -> bytes:
        """Return the document as JSON."""
        return self.model_dump_json(exclude_none=False).encode()


class Announcement(_Document):
    """A sentence to everybody; ``at_ns`` in Unix nanoseconds."""

    text: str
    at_ns: int


class Dials(_Document):
    """How many may listen at once, and how many may come in each second; None: as many as come."""

    cap: int | None = None
    per_second: float | None = None

    @property
    def guarded(self) -> bool:
        """Tell whether there is a door at all."""
        return self.cap is not None or self.per_second is not None


class RoomDocument(_Document):
    """What a room is. Times in Unix nanoseconds.

    ``zero_ns`` is the wall time of sample 0, a multiple of 1.92 s, set when the doors first open.
    ``key_fingerprint`` is the lower-case hex SHA-256 of the raw Ed25519 public key that signs the proof.
    ``block_steps`` is the operator's word on delivery: edges put out blocks of at least so many steps (1, 2, 4,
    8 or 16); None: each edge decides. ``seats`` is how many people the stage has room for; ``noise_gate``: whether
    what lies below a voice is turned down. ``hands_open``: listeners may raise their hands. ``door``: who gets in.
    """

    room: str
    title: str
    description: str = ""
    language: str = "en"
    state: RoomState
    planned_start_ns: int | None = None
    time_zone: str | None = None
    zero_ns: int | None = None
    started_ns: int | None = None
    ended_ns: int | None = None
    recorded: bool = True
    announcement: Announcement | None = None
    key_fingerprint: str = ""
    block_steps: int | None = None
    seats: int = DEFAULT_SEATS
    noise_gate: bool = False
    hands_open: bool = False
    door: Dials = Dials()


class SoundReport(_Document):
    """How one person's sound travels, over the last 5 s. Shares are 0 to 1.

    ``light`` is "good", "fair" or "poor"; ``cause`` says why it is not good: "uplink-loss", "uplink-jitter",
    "uplink-silence", "downlink-loss", "echo" or "quiet". ``loss``: packets of theirs that did not come; ``concealed``
    and ``recovered``: frames that were made up, or had from FEC; ``loss_there``: packets of ours that they miss;
    ``echo_db``: how far below what they hear their microphone gives it back (None: not heard).
    """

    light: str = "good"
    cause: str | None = None
    loss: float = 0.0
    concealed: float = 0.0
    recovered: float = 0.0
    jitter_ms: float = 0.0
    depth_ms: float = 0.0
    loss_there: float = 0.0
    round_trip_ms: float | None = None
    echo_db: float | None = None


class StagePerson(_Document):
    """One person on stage, as the origin hears them.

    ``heard``: has been above the voice threshold since joining. ``level_dbfs``: RMS of the last 200 ms.
    ``person`` is the link's id. ``muted_by`` is None, "self" or "host".
    """

    person: str
    name: str
    role: Role
    connected: bool = True
    muted_by: str | None = None
    speaking: bool = False
    heard: bool = False
    level_dbfs: float = -90.0
    sound: SoundReport | None = None


class StageDocument(_Document):
    """Who is on stage and what the program is, as of ``at_ns``.

    ``on_air`` follows the program, not the button: true from the step in which voices go out.
    ``silent_s`` is for how long the program has been below -50 LUFS while on air.
    """

    room: str
    epoch: int
    at_ns: int
    on_air: bool = False
    people: tuple[StagePerson, ...] = ()
    level_dbfs: float = -90.0
    silent_s: float = 0.0


JOIN_BOUNDS_MS = (100, 200, 350, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)
LATENCY_BOUNDS_MS = (250, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 20_000, 30_000)


class PlayersReport(_Document):
    """What players said of themselves to one edge, by one transport: sums since that edge began.

    ``join`` (from the click to sound) and ``latency`` (mouth to ear) count players by the bounds above, the last one
    being those beyond; ``stall_ms`` and ``played_ms`` are milliseconds of all players together.
    """

    beacons: int = 0
    join: tuple[int, ...] = ()
    latency: tuple[int, ...] = ()
    stalls: int = 0
    stall_ms: int = 0
    played_ms: int = 0


class AudienceNews(_Document):
    """What edges tell each other so as to count nobody twice: keys of 8 bytes, joined, in Base64.

    ``came`` and ``stopped``: players of LL-HLS who began or ceased to ask this edge; ``whole``: all of the 16th part
    ``slice`` who ask it. ``heard``: whose beacon came here, each key followed by that of its address and User-Agent;
    ``gone``: whose beacons count no more.
    """

    came: str = ""
    stopped: str = ""
    slice: int = -1
    whole: str = ""
    heard: str = ""
    gone: str = ""


class AudienceReport(_Document):
    """Who listens to a room at one edge, sent each ``every_s`` (2 s); forgotten after ``good_for_ns`` (7 s).

    ``by_beacon``: players over all edges whom only their beacons show, not in ``listeners``; every edge says the
    same, so it is not added up. ``joins`` (by transport), ``leaves`` and ``cuts`` (by transport and reason) and
    ``players`` are sums since ``started_ns`` (Unix), when the edge began. ``rehearsal``: a generator's listeners
    (room/permits), who are in none of the other numbers.
    """

    edge: str
    listeners: int
    by_transport: dict[str, int] = {}
    by_beacon: int = 0
    started_ns: int = 0
    block_steps: int = 1
    joins: dict[str, int] = {}
    leaves: dict[str, dict[str, int]] = {}
    cuts: dict[str, dict[str, int]] = {}
    players: dict[str, PlayersReport] = {}
    rehearsal: int = 0
    news: AudienceNews | None = None
    every_s: float = 2.0

    @property
    def good_for_ns(self) -> int:
        """Return after how long without another one it is forgotten."""
        return int(3.5e9 * min(max(self.every_s, 1.0), 30.0))


class EventKind(StrEnum):
    """What happened in a room, in the log."""

    EPOCH = "epoch"
    STATE = "state"
    ROSTER = "roster"
    ANNOUNCEMENT = "announcement"
    BITRATE = "bitrate"


class RoomEvent(_Document):
    """One record on ``room.{room}.event``.

    ``step``: the first step for which it holds (for ``state``: from this step the program is on air, on hold,
    or over). ``state`` is set for kind ``state``; ``text`` for announcements and bitrates; ``people`` for rosters.
    """

    kind: EventKind
    at_ns: int
    step: int
    epoch: int
    state: RoomState | None = None
    text: str | None = None
    people: tuple[str, ...] = ()

"""What coordinator and workers say to each other: JSON lines over pipes, or messages on the bus."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from stentor.rehearsal.plan import Plan
from stentor.rehearsal.tally import Counts


class Verb(StrEnum):
    """What a worker is to do.

    ``call``: say that you are there. ``go``: listeners come, from ``at_ns`` on. ``cut``: break all connections at
    once. ``stop``: let everybody leave, tell the last counts, and end.
    """

    CALL = "call"
    GO = "go"
    CUT = "cut"
    STOP = "stop"


class Order(BaseModel):
    """Told by the coordinator: to one worker, or ("") to all. ``at_ns`` is Unix time."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verb: Verb
    worker: str = ""
    plan: Plan | None = None
    at_ns: int = 0


class Machine(BaseModel):
    """What a worker runs on; ``descriptors`` is how many sockets its process may have."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    cpu: str = ""
    cores: int = 0
    kernel: str = ""
    python: str = ""
    descriptors: int = 0


class Report(BaseModel):
    """Told by a worker: once when it is called, and each second of wall time from then on.

    ``wall_s`` is the second (Unix) whose end it tells of; ``cpu`` is which share of a core it used in it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker: str
    wall_s: int
    machine: Machine = Machine()
    counts: Counts = Counts()
    cpu: float = 0.0
    refused: int = 0
    last: bool = False

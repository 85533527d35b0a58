"""The ladder (room/ladder) at an edge: how the edge is goes up to control, which step is in force comes down.

Control says steps in the installation's document. Larger blocks and slower words are brought about here; the bitrate is
the origins', arrivals are the door's.
"""

from collections.abc import Iterable

from stentor.bus.port import Core, load_subject
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.headroom import Sample
from stentor.edge.metrics import LADDER, SENT
from stentor.edge.room import Room
from stentor.room.installation import InstallationDocument, LadderWord
from stentor.room.ladder import LoadReport, is_slower, least_blocks

REPORT_EVERY_NS = 2 * NS_PER_S


class EdgeLadder:
    """Follows the step in force, and reports how busy this edge is. ``may_send_mbit``: 0 is no bound."""

    def __init__(self, bus: Core, clock: Clock, name: str, may_send_mbit: float = 0.0) -> None:
        self._bus = bus
        self._clock = clock
        self._name = name
        self._may_send_bytes_per_s = may_send_mbit * 1e6 / 8
        self._word = LadderWord()
        self._sent_bytes = 0
        self._reported = clock.monotonic_ns()

    def take(self, said: InstallationDocument) -> None:
        """Take what control says."""
        self._word = said.ladder
        LADDER.set(self._word.step)

    @property
    def word(self) -> LadderWord:
        """Return which step is in force, and why."""
        return self._word

    @property
    def slower(self) -> bool:
        """Tell whether reactions and counts are slower."""
        return is_slower(self._word)

    @property
    def block_steps(self) -> int:
        """Return how large every room's blocks are at least."""
        return least_blocks(self._word)

    async def tick(self, rooms: Iterable[Room], sample: Sample, *, connections: int, unread: int, sent: int) -> None:
        """Report each 2 s how this edge is; call each second. ``sent``: bytes to all lines since the edge began."""
        now = self._clock.monotonic_ns()
        passed_ns = MonotonicNs(now - self._reported)
        if passed_ns < REPORT_EVERY_NS:
            return
        rooms = list(rooms)
        sent += sum(room.tally.sent_bytes for room in rooms)
        fresh = max(0, sent - self._sent_bytes)
        SENT.inc(fresh)
        report = LoadReport(
            edge=self._name,
            loop_lag_s=round(max(0.0, sample.loop_lag_s), 4),
            pass_share=round(sample.pass_share, 4),
            cpu_share=round(sample.cpu_share, 4),
            connections=connections,
            unread=unread,
            accept_queue=sample.accept_queue,
            sent_bytes_per_s=round(fresh * NS_PER_S / passed_ns, 1),
            line_share=round(fresh * NS_PER_S / passed_ns / self._may_send_bytes_per_s, 3)
            if self._may_send_bytes_per_s
            else 0.0,
            block_steps=min((room.block_steps for room in rooms if room.sent_to()), default=1),
        )
        self._reported, self._sent_bytes = now, sent
        await self._bus.publish(load_subject(self._name), report.to_bytes())

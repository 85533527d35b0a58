"""The room goes on without its host: after 20 s without one, the co-host who has been on stage longest becomes host."""

from stentor.clock import NS_PER_S
from stentor.control.attendance import Attendance
from stentor.control.parts import Parts
from stentor.control.staff import StaffRules
from stentor.control.stage_rules import StageRules
from stentor.errors import StentorError
from stentor.room.documents import Role, StageDocument
from stentor.telemetry import logger

_CHECK_S = 1.0
_ABSENT_NS = 20 * NS_PER_S

log = logger("control")


class Succession:
    """Watches every open room. A host is there who is connected on stage or has the room's page open.

    A restarted control begins to count anew.
    """

    def __init__(self, parts: Parts, attendance: Attendance, staff: StaffRules, stage: StageRules) -> None:
        self._hub = parts.hub
        self._clock = parts.clock
        self._attendance = attendance
        self._staff = staff
        self._stage = stage
        self._without_host_since: dict[str, int] = {}

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            self._attendance.look()
            for room in self._hub.rooms() | set(self._without_host_since):  # those that are over, too: forget them
                try:
                    await self._look(room)
                except StentorError as error:
                    log.warning("succession_waits", room=room, error=error.detail)
            await self._clock.sleep(_CHECK_S)

    async def _look(self, room: str) -> None:
        stage = self._hub.present_stage(room)
        if stage is None or self._has_host(stage):
            self._without_host_since.pop(room, None)
            return
        now_ns = self._clock.monotonic_ns()
        since_ns = self._without_host_since.setdefault(room, now_ns)
        cohosts = [person.person for person in stage.people if person.connected and person.role is Role.COHOST]
        if not cohosts or now_ns - since_ns < _ABSENT_NS or not await self._staff.is_open(room):
            return
        for person in cohosts:  # in the order in which they came; the catalogue has the last word on what they are
            if await self._stage.promote(room, person):
                self._without_host_since.pop(room, None)
                return

    def _has_host(self, stage: StageDocument) -> bool:
        on_stage = any(person.connected and person.role is Role.HOST for person in stage.people)
        return on_stage or self._hub.is_followed_by(stage.room, Role.HOST)

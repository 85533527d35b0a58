"""Who is in which room: heard on stage, or with a page open that follows it."""

from stentor.clock import NS_PER_S, Clock
from stentor.control.hub import Hub

_REMEMBERED_NS = 1_800 * NS_PER_S


class Attendance:
    """Remembers for half an hour when somebody was last there; ``look`` is called once a second.

    A restarted control knows nothing of before, and so lets nobody be replaced but by those who may move links.
    """

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._seen: dict[tuple[str, str], int] = {}

    def look(self) -> None:
        """Note who is there now."""
        now_ns = self._clock.monotonic_ns()
        self._seen = {who: at for who, at in self._seen.items() if at > now_ns - _REMEMBERED_NS}
        for room in self._hub.rooms():
            self._seen.update(dict.fromkeys(((room, person) for person in self.there(room)), now_ns))

    def there(self, room: str) -> set[str]:
        """Return who is in a room now."""
        stage = self._hub.present_stage(room)
        on_stage = {person.person for person in stage.people if person.connected} if stage else set[str]()
        return on_stage | self._hub.following(room)

    def away_s(self, room: str, person: str) -> float | None:
        """Return for how long somebody has been gone: 0 while they are there, None if they were not seen lately."""
        if person in self.there(room):
            return 0.0
        seen_ns = self._seen.get((room, person))
        return None if seen_ns is None else (self._clock.monotonic_ns() - seen_ns) / NS_PER_S

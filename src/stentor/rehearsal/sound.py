"""What a player would hear: when it has nothing left to play, and how old that is which it plays."""

from dataclasses import dataclass

MS = 1_000_000
_UNHEARD_NS = 10 * MS
"""A gap so short is what a player's own buffer covers."""


@dataclass(slots=True)
class Ear:
    """A player that plays what it has at once and at its own speed. Times in nanoseconds; ``until_ns`` is monotonic.

    ``heard_ns`` is up to when it has been counted. Larger blocks that are announced ahead cost no pause: our players
    slow down before and put the difference aside (``brace``).
    """

    until_ns: int = 0
    heard_ns: int = 0
    stalls: int = 0
    stall_ns: int = 0
    played_ns: int = 0
    _kept_ns: int = 0

    @property
    def plays(self) -> bool:
        """Tell whether anything was ever heard."""
        return self.until_ns > 0

    def take(self, now_ns: int, sound_ns: int, *, most_ns: int | None = None) -> None:
        """Take so much more sound.

        ``most_ns``: who had stopped goes on with what was left to play and this, and skips what is more than that.
        """
        if not self.until_ns:
            self.until_ns = self.heard_ns = now_ns
            if most_ns is not None:
                sound_ns = min(most_ns, sound_ns + max(0, self._kept_ns - now_ns))
        self.listen(now_ns)
        self.until_ns = max(self.until_ns, now_ns) + sound_ns

    def listen(self, now_ns: int) -> None:
        """Count what was heard up to now, and what was silence."""
        if not self.until_ns or now_ns <= self.heard_ns:
            return
        played = min(now_ns, self.until_ns) - self.heard_ns
        if played > 0:
            self.played_ns += played
        silent = now_ns - max(self.heard_ns, self.until_ns)
        if silent > _UNHEARD_NS:
            self.stalls += self.heard_ns <= self.until_ns
            self.stall_ns += silent
        self.heard_ns = now_ns

    def brace(self, sound_ns: int) -> None:
        """Put so much aside, for larger blocks."""
        if self.until_ns and sound_ns > 0:
            self.until_ns += sound_ns

    def behind_ns(self, now_ns: int, wall_ns: int, newest_ns: int) -> int:
        """Return how old the sound is that is played now; ``newest_ns`` is the wall time of the end of what it has."""
        return wall_ns - newest_ns + max(0, self.until_ns - now_ns)

    def stop(self) -> None:
        """Count no more until sound comes again: the connection has gone, and what is left to play is kept."""
        self._kept_ns = self.until_ns or self._kept_ns
        self.until_ns = self.heard_ns = 0

"""What a joiner is told: also of blocks that others have been told of already. And what a listener may say."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode

from stentor.edge.cadence import Cadence, Change
from stentor.edge.connection import Connection
from stentor.edge.http import Request
from stentor.edge.push import Push
from stentor.edge.reactor import Line, Reactor
from stentor.edge.tally import Tally
from stentor.edge.websocket import MAX_FRAMES
from stentor.media.grid import Step
from stentor.media.rendition import RENDITIONS, RenditionName
from tests.fakes.clock import VirtualClock
from tests.unit.edge.test_connection import Desk
from tests.unit.edge.test_websocket import HANDSHAKE


def test_who_joins_before_an_announced_change_is_told_of_it_and_not_after() -> None:
    push = Push(RENDITIONS[RenditionName.OPUS], 0, Cadence(), Tally())
    push.listeners.begin(Step(10))
    push.announce(Change(2, Step(27), emergency=False))
    assert b'"from_step": 27' in push._greeting()
    push.listeners.begin(Step(27))
    push.set_retry_spread(4.0)
    assert b'"cadence"' not in push._greeting()


class Visit:
    """One listener of push on a socket pair."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.reactor = Reactor(asyncio.get_running_loop(), VirtualClock(), 7.0)
        ours, self.theirs = socket.socketpair()
        for each in (ours, self.theirs):
            each.settimeout(0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.line = Line(ours, self.reactor)
        connection = Connection(Desk(), self.line, "")
        self.line.open(connection)
        push = Push(RENDITIONS[RenditionName.OPUS], 0, Cadence(), self.tally)
        push.join(connection, Request("GET", "/r/demo/push", {}, HANDSHAKE, "", keep_alive=True), None)
        self.read()

    def read(self) -> bytes:
        try:
            return self.theirs.recv(1 << 20)
        except BlockingIOError:
            return b""

    def say(self, opcode: TheirOpcode, payload: bytes = b"", *, times: int = 1, fin: bool = True) -> None:
        """Have the line read so many frames at once."""
        self.line.owner.received(Frame(opcode, payload, fin=fin).serialize(mask=True) * times)

    def close(self) -> None:
        self.line.abort()
        self.reactor.close()
        self.theirs.close()


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    made = Visit()
    yield made
    made.close()


async def test_pings_are_answered_while_the_answers_are_read(visit: Visit) -> None:
    visit.say(TheirOpcode.PING, b"there?", times=2)
    assert visit.read() == Frame(TheirOpcode.PONG, b"there?").serialize(mask=False) * 2
    for _ in range(1_000):
        visit.say(TheirOpcode.PING, bytes(125), times=MAX_FRAMES)
    owed = sum(map(len, visit.line.owed))
    assert 0 < owed <= MAX_FRAMES * 127, "of who does not read, one answer piles up and no more"


@pytest.mark.parametrize(
    ("opcode", "fin", "times", "reason"),
    [
        (TheirOpcode.PING, True, MAX_FRAMES, None),
        (TheirOpcode.PING, True, MAX_FRAMES + 1, "over-limit"),
        (TheirOpcode.TEXT, True, MAX_FRAMES + 1, "over-limit"),
        (TheirOpcode.CONT, False, MAX_FRAMES + 1, "over-limit"),  # empty fragments of a message that never ends
        (TheirOpcode.CONT, True, 1, "protocol"),
    ],
)
async def test_who_says_too_much_is_cut(
    visit: Visit, opcode: TheirOpcode, fin: bool, times: int, reason: str | None
) -> None:
    if not fin:
        visit.say(TheirOpcode.TEXT, fin=False)
    visit.say(opcode, times=times, fin=fin)
    assert visit.tally.cuts == ({} if reason is None else {"push": {reason: 1}})
    assert visit.line.closing is (reason is not None)

"""The ladder at an edge: its report, larger blocks in every room, slower words; what matters is said at once."""

import json

from stentor.bus.memory import MemoryBus
from stentor.clock import UnixNs
from stentor.edge.audience import Audience
from stentor.edge.delivery import Delivery
from stentor.edge.downstream import Downstream, RelaySettings
from stentor.edge.hands import Hands
from stentor.edge.headroom import Sample
from stentor.edge.http import Limits
from stentor.edge.ladder import EdgeLadder
from stentor.edge.room import Room, Surroundings
from stentor.edge.state_json import Places, ladder_json
from stentor.media.rendition import RenditionName
from stentor.room.documents import Announcement, AudienceReport, Role, RoomDocument, StageDocument, StagePerson
from stentor.room.hands import HandAnswer
from stentor.room.installation import InstallationDocument, LadderWord
from stentor.room.ladder import BITRATE, BLOCKS, SLOWER, LoadReport
from stentor.room.states import RoomState
from tests.fakes.clock import START_NS, VirtualClock
from tests.unit.edge.test_delivery import room, tick


def said(step: int, block_steps: int = 1) -> InstallationDocument:
    return InstallationDocument(ladder=LadderWord(step=step, block_steps=block_steps))


async def test_an_edge_says_every_two_seconds_how_it_is() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    heard: list[tuple[str, LoadReport]] = []
    ladder = EdgeLadder(bus, clock, "edge.1/a", may_send_mbit=16.0)
    rooms = [room("crowd", 5_000, clock, block_steps=2), room("empty", 0, clock)]
    async with bus.subscribe("load.*", lambda to, load: heard.append((to, LoadReport.model_validate_json(load)))):
        for second in range(1, 5):
            await clock.advance(1)
            rooms[0].tally.sent_bytes += 1_000_000
            sample = Sample(loop_lag_s=0.01, pass_share=0.4, cpu_share=0.7, accept_queue=3)
            await ladder.tick(rooms, sample, connections=5_100, unread=7, sent=second * 500)
    assert [to for to, _ in heard] == ["load.edge_1_a"] * 2
    report = heard[-1][1]
    assert (report.edge, report.connections, report.unread, report.accept_queue) == ("edge.1/a", 5_100, 7, 3)
    assert (report.loop_lag_s, report.pass_share, report.cpu_share) == (0.01, 0.4, 0.7)
    assert (report.sent_bytes_per_s, report.line_share) == (1_000_500, 0.5)


def test_larger_blocks_are_for_every_room_and_no_smaller_than_the_operator_wants() -> None:
    clock = VirtualClock()
    delivery, ladder = Delivery(clock), EdgeLadder(MemoryBus(clock), clock, "edge-1")
    rooms = [room("crowd", 5_000, clock), room("small", 4, clock), room("late", 4, clock, block_steps=16)]
    for document, sizes in ((said(BLOCKS, 4), [4, 4, 16]), (said(SLOWER), [16, 16, 16]), (said(0), [1, 1, 16])):
        ladder.take(document)
        delivery.least_steps = ladder.block_steps
        assert tick(delivery, rooms) == sizes


def test_pages_are_told_the_step_and_to_ask_less_often() -> None:
    assert ladder_json(LadderWord()) == {"ladder": {"step": 0, "text": "Nothing is given up."}, "poll_s": 2.0}
    told = ladder_json(LadderWord(step=BITRATE))
    assert told["poll_s"] == 10.0
    assert json.loads(json.dumps(told))["ladder"]["step"] == BITRATE


def test_a_raised_hand_is_asked_about_less_often() -> None:
    clock = VirtualClock()
    hands = Hands(MemoryBus(clock), clock, lambda work: work.close(), b"key")

    def asked_after_s(seconds: float) -> float:
        answer = hands._said(HandAnswer(state="waiting", position=1, retry_after_s=seconds))
        return float(json.loads(answer.body)["retry_after_s"])

    assert [asked_after_s(seconds) for seconds in (3, 10, 30)] == [3, 10, 30]
    hands.slower = lambda: True
    assert [asked_after_s(seconds) for seconds in (3, 10, 30)] == [15, 25, 30]


async def test_who_speaks_is_told_each_5_s_and_what_matters_at_once() -> None:
    clock, word = VirtualClock(), LadderWord(step=SLOWER)
    bus = MemoryBus(clock)
    below = Downstream(bus, clock, RelaySettings())
    around = Surroundings(
        bus,
        clock,
        Limits(),
        Places(),
        lambda work: work.close(),
        lambda output: output,
        ladder=lambda: word,
        downstream=below,
    )
    document = RoomDocument(room="demo", title="Demo", state=RoomState.LIVE, zero_ns=START_NS)
    made = Room(document, around, Audience("edge-1", started_ns=UnixNs(START_NS)))
    push = made.program(RenditionName.OPUS).push
    assert push is not None

    def told(*, speaking: bool, on_air: bool = True) -> int:
        """Let the origin say something; return how many words listeners have been told by then."""
        ana = StagePerson(person="ana", name="Ana", role=Role.HOST, speaking=speaking)
        made.set_stage(StageDocument(room="demo", epoch=1, at_ns=1, on_air=on_air, people=(ana,)))
        return push.listeners.number

    first = told(speaking=True)
    await clock.advance(1)
    assert told(speaking=False) == first
    await clock.advance(4)
    made.tick()
    assert push.listeners.number == first + 1
    assert told(speaking=True) == first + 1
    assert told(speaking=True, on_air=False) == first + 2
    made.set_document(document.model_copy(update={"announcement": Announcement(text="Soon.", at_ns=1)}))
    assert push.listeners.number == first + 3
    word = LadderWord()
    assert told(speaking=False, on_air=False) == first + 4
    assert told(speaking=True, on_air=False) == first + 5


def test_a_report_that_comes_each_5_s_is_good_for_longer() -> None:
    assert AudienceReport(edge="a", listeners=1).good_for_ns == 7_000_000_000
    assert AudienceReport(edge="a", listeners=1, every_s=5.0).good_for_ns == 17_500_000_000
    assert AudienceReport(edge="a", listeners=1, every_s=1e9).good_for_ns == 105_000_000_000

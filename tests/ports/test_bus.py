"""What bus/port promises, of every implementation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from stentor.bus.port import Bus, Document, Fence, Record
from stentor.errors import BusUnavailable, Fenced
from tests.fakes.buses import CASES, Case, until


@pytest.fixture(params=sorted(CASES))
async def case(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Case]:
    async with CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def bus(case: Case) -> Bus:
    return case.bus


@contextlib.asynccontextmanager
async def collecting(source) -> AsyncIterator[list]:
    """Gather what an endless iterator yields, inside the context."""
    seen: list = []

    async def gather() -> None:
        async for item in source:
            seen.append(item)  # noqa: PERF401 - an endless iterator cannot extend a list

    async with asyncio.TaskGroup() as group:
        task = group.create_task(gather())
        yield seen
        task.cancel()


# Core


async def test_a_message_reaches_every_matching_subscriber_in_order(case: Case) -> None:
    exact, wild, rest, other = [], [], [], []
    async with contextlib.AsyncExitStack() as stack:
        for subject, seen in (("a.b.c", exact), ("a.*.c", wild), ("a.>", rest), ("a.b", other)):
            await stack.enter_async_context(case.bus.subscribe(subject, lambda s, p, seen=seen: seen.append((s, p))))
        for number in range(50):
            await case.rival.publish("a.b.c", str(number).encode())
        await until(lambda: min(len(exact), len(wild), len(rest)) == 50, "messages are missing")
    wanted = [("a.b.c", str(number).encode()) for number in range(50)]
    assert exact == wild == rest == wanted
    assert other == []


async def test_nothing_is_delivered_after_the_context(bus: Bus) -> None:
    early: list[bytes] = []
    late: list[bytes] = []
    async with bus.subscribe("s", lambda _, payload: early.append(payload)):
        await bus.publish("s", b"1")
        await until(lambda: early == [b"1"], "the message does not come")
    async with bus.subscribe("s", lambda _, payload: late.append(payload)):
        await bus.publish("s", b"2")
        await until(lambda: late == [b"2"], "the message does not come")
    assert early == [b"1"]


async def test_publishing_while_away_is_lost_and_never_comes_late(case: Case) -> None:
    seen: list[bytes] = []
    async with case.bus.subscribe("s", lambda _, payload: seen.append(payload)):
        await case.away()
        for _ in range(1000):
            await case.rival.publish("s", b"x" * 3000)
        await case.back()
        await case.rival.publish("s", b"new")
        await until(lambda: b"new" in seen, "the subscription did not survive")
    assert seen == [b"new"]


async def test_a_request_is_answered(case: Case) -> None:
    async def answer(subject: str, payload: bytes) -> bytes:
        return subject.encode() + b":" + payload

    async with case.bus.serve("origin.demo.*", answer):
        assert await case.rival.request("origin.demo.mute", b"q", timeout_s=5) == b"origin.demo.mute:q"


async def test_requests_are_answered_side_by_side(case: Case) -> None:
    together = asyncio.Barrier(10)

    async def answer(_subject: str, payload: bytes) -> bytes:
        await together.wait()
        return payload

    async with case.bus.serve("s", answer), asyncio.TaskGroup() as group:
        asked = [group.create_task(case.rival.request("s", bytes([n]), timeout_s=5)) for n in range(10)]
    assert [task.result() for task in asked] == [bytes([n]) for n in range(10)]


async def test_no_server_a_failing_one_and_a_silent_one_are_unavailable(case: Case) -> None:
    async def fail(_subject: str, _payload: bytes) -> bytes:
        raise ValueError("a fault of the one who answers")

    async def hang(_subject: str, _payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(BusUnavailable, match="Nobody answers on nobody"):
        await case.rival.request("nobody", b"", timeout_s=5)
    for answer in (fail, hang):
        async with case.bus.serve("s", answer):
            with pytest.raises(BusUnavailable, match="on s"):
                await case.rival.request("s", b"", timeout_s=0.1)


async def test_an_error_inside_serve_comes_out_as_it_is(bus: Bus) -> None:
    async def answer(_subject: str, payload: bytes) -> bytes:
        return payload

    with pytest.raises(Fenced):
        async with bus.serve("s", answer):
            raise Fenced("as it is")


# Log


async def test_epochs_count_from_one_per_room(case: Case) -> None:
    assert (await case.bus.claim("a", b"{}")).epoch == 1
    assert (await case.rival.claim("a", b"{}")).epoch == 2
    assert (await case.bus.claim("b", b"{}")).epoch == 1
    last = await case.bus.last("room.a.epoch")
    assert last is not None
    assert b"note" in last.payload


async def test_racing_claims_all_succeed_with_different_epochs(case: Case) -> None:
    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(each.claim("a", b"{}")) for each in (case.bus, case.rival) * 4]
    fences = [task.result() for task in claims]
    assert sorted(fence.epoch for fence in fences) == list(range(1, 9))
    newest = max(fences, key=lambda fence: fence.epoch)
    for fence in fences:
        if fence is newest:
            await case.bus.append(fence, "room.a.event", f"a.{fence.epoch}", b"x")
        else:
            with pytest.raises(Fenced):
                await case.bus.append(fence, "room.a.event", f"a.{fence.epoch}", b"x")


async def test_an_older_fence_is_refused_for_good_and_other_rooms_go_on(case: Case) -> None:
    old = await case.bus.claim("a", b"{}")
    other = await case.bus.claim("b", b"{}")
    new = await case.rival.claim("a", b"{}")
    for attempt in range(2):
        with pytest.raises(Fenced):
            await case.bus.append(old, "room.a.event", f"old.{attempt}", b"stale")
    await case.rival.append(new, "room.a.event", "new", b"fresh")
    await case.bus.append(other, "room.b.event", "b", b"fresh")
    assert [record.payload for record in await case.bus.read("room.a.event", after=0, limit=9)] == [b"fresh"]


async def test_two_rivals_flapping_leave_no_stale_record(case: Case) -> None:
    acked: list[tuple[int, int, int]] = []

    async def origin(bus: Bus, me: int) -> None:
        for _ in range(10):
            fence = await bus.claim("a", b"{}")
            with contextlib.suppress(Fenced):
                for number in range(8):
                    payload = f"{fence.epoch}.{number}".encode()
                    await bus.append(fence, f"room.a.chunk.{me}", f"a.{fence.epoch}.{number}", payload)
                    acked.append((fence.epoch, number, me))
                    await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(origin(case.bus, 1))
        group.create_task(origin(case.rival, 2))
    stored = await case.bus.read("room.a.chunk.*", after=0, limit=10_000)
    order = [tuple(int(part) for part in record.payload.decode().split(".")) for record in stored]
    assert order == sorted(set(order)), "stale, twice, or out of order"
    assert {(epoch, number) for epoch, number, _ in acked} <= set(order), "an acknowledged record is missing"


async def test_a_repeated_message_id_is_stored_once(bus: Bus) -> None:
    fence = await bus.claim("a", b"{}")
    first = await bus.append(fence, "room.a.event", "id", b"x")
    assert await bus.append(fence, "room.a.event", "id", b"x") == first
    assert [record.payload for record in await bus.read("room.a.>", after=fence.sequence, limit=9)] == [b"x"]


async def test_last_and_read(bus: Bus) -> None:
    assert await bus.last("room.a.chunk.opus") is None
    assert await bus.read("room.>", after=0, limit=10) == []
    fence = await bus.claim("a", b"{}")
    sequences = []
    for number in range(600):
        subject = f"room.a.chunk.{('opus', 'aac')[number % 2]}"
        sequences.append(await bus.append(fence, subject, f"a.{number}", bytes([number % 251])))
    last = await bus.last("room.a.chunk.opus")
    assert last == Record(sequences[598], "room.a.chunk.opus", bytes([598 % 251]))
    everything = await bus.read("room.a.chunk.*", after=0, limit=10_000)
    assert [record.sequence for record in everything] == sequences
    assert [r.sequence for r in await bus.read("room.a.chunk.aac", after=sequences[1], limit=2)] == [
        sequences[3],
        sequences[5],
    ]
    assert await bus.read("room.b.>", after=0, limit=10) == []


async def test_an_empty_payload_is_a_payload(bus: Bus) -> None:
    fence = await bus.claim("a", b"{}")
    sequence = await bus.append(fence, "room.a.event", "id", b"")
    assert await bus.last("room.a.event") == Record(sequence, "room.a.event", b"")
    assert await bus.read("room.a.event", after=0, limit=1) == [Record(sequence, "room.a.event", b"")]


async def append_firmly(bus: Bus, fence: Fence, number: int) -> None:
    while True:
        with contextlib.suppress(BusUnavailable):
            await bus.append(fence, "room.a.event", f"a.{number}", str(number).encode())
            return
        await asyncio.sleep(0.01)


async def test_follow_yields_old_and_new_and_survives_an_outage(case: Case) -> None:
    fence = await case.rival.claim("a", b"{}")
    for number in range(300):
        await append_firmly(case.rival, fence, number)
    async with collecting(case.bus.follow("room.a.event", after=0)) as seen:
        await until(lambda: len(seen) == 300, "old records are missing")
        for number in range(300, 320):
            await append_firmly(case.rival, fence, number)
        await until(lambda: len(seen) == 320, "new records do not come")
        async with asyncio.TaskGroup() as group:
            group.create_task(case.away())
            for number in range(320, 340):
                group.create_task(append_firmly(case.rival, fence, number))
            await until(lambda: not case.bus.connected, "the outage does not begin")
            await case.back()
        await until(lambda: len(seen) >= 340, "records after the outage do not come")
    assert [record.payload for record in seen[:320]] == [str(number).encode() for number in range(320)]
    assert len({record.sequence for record in seen}) == len(seen) == 340
    assert [record.sequence for record in seen] == sorted(record.sequence for record in seen)


async def test_follow_begins_after_a_sequence(bus: Bus) -> None:
    fence = await bus.claim("a", b"{}")
    first = await bus.append(fence, "room.a.event", "1", b"1")
    await bus.append(fence, "room.a.event", "2", b"2")
    async with collecting(bus.follow("room.*.event", after=first)) as seen:
        await until(lambda: len(seen) == 1, "the second record does not come")
    assert seen[0].payload == b"2"


async def test_purge_forgets_one_room(bus: Bus) -> None:
    for room in ("a", "b"):
        fence = await bus.claim(room, b"{}")
        await bus.append(fence, f"room.{room}.chunk.opus", f"{room}.1", b"x")
        await bus.append(fence, f"room.{room}.event", f"{room}.2", b"x")
    old = await bus.claim("a", b"{}")
    await bus.purge("a")
    assert await bus.read("room.a.>", after=0, limit=9) == []
    assert len(await bus.read("room.b.>", after=0, limit=9)) == 3
    with pytest.raises(Fenced):
        await bus.append(old, "room.a.event", "a.3", b"stale")


# Documents


async def test_documents(bus: Bus) -> None:
    assert await bus.get("rooms", "a") is None
    first = await bus.put("rooms", "a", b"1")
    assert await bus.get("rooms", "a") == Document("a", b"1", first)
    assert await bus.create("rooms", "a", b"2") is None
    second = await bus.update("rooms", "a", b"2", revision=first)
    assert second is not None
    assert second > first
    assert await bus.update("rooms", "a", b"3", revision=first) is None
    assert await bus.get("rooms", "a") == Document("a", b"2", second)
    await bus.delete("rooms", "a")
    await bus.delete("rooms", "a")
    await bus.delete("rooms", "never")
    assert await bus.get("rooms", "a") is None
    assert await bus.update("rooms", "a", b"4", revision=second) is None
    third = await bus.create("rooms", "a", b"5")
    assert third is not None
    assert third > second
    assert await bus.get("stages", "a") is None


async def test_one_of_many_creates_wins(case: Case) -> None:
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(each.create("leases", "a", b"x")) for each in (case.bus, case.rival) * 5]
    assert sum(task.result() is not None for task in tries) == 1


def said(seen: list[Document | None]) -> list[tuple[str, bytes | None] | None]:
    return [(item.key, item.value) if item else None for item in seen]


async def test_watch_says_everything_then_none_then_changes(case: Case) -> None:
    await case.bus.put("rooms", "gone", b"0")
    await case.bus.delete("rooms", "gone")
    await case.bus.put("rooms", "a", b"1")
    await case.bus.put("rooms", "b.host", b"2")
    async with collecting(case.bus.watch("rooms")) as seen:
        await until(lambda: None in seen, "the first round does not end")
        assert said(seen) == [("a", b"1"), ("b.host", b"2"), None]
        await case.rival.put("rooms", "a", b"3")
        await until(lambda: len(seen) == 4, "a change is not said")
        await case.rival.delete("rooms", "a")
        await until(lambda: len(seen) == 5, "a deletion is not said")
    assert said(seen[3:]) == [("a", b"3"), ("a", None)]


async def test_watch_of_an_empty_bucket(bus: Bus) -> None:
    async with collecting(bus.watch("stages")) as seen:
        await until(lambda: seen == [None], "an empty bucket does not say so")


async def test_watch_says_everything_again_after_an_outage(case: Case) -> None:
    await case.bus.put("rooms", "a", b"1")
    async with collecting(case.bus.watch("rooms")) as seen:
        await until(lambda: None in seen, "the first round does not end")
        await case.away()
        await case.back()
        await case.rival.put("rooms", "b", b"2")
        await until(lambda: ("b", b"2") in said(seen), "a change after the outage is not said")
    assert said(seen).count(("a", b"1")) == 2
    assert seen.count(None) == 1


async def test_a_lease_expires_unless_renewed(case: Case) -> None:
    kept = await case.bus.create("leases", "kept", b"me")
    lost = await case.bus.create("leases", "lost", b"me")
    assert kept is not None
    assert lost is not None
    async with collecting(case.rival.watch("leases")) as seen:
        while ("lost", None) not in said(seen):
            await asyncio.sleep(0.1)
            kept = await case.bus.update("leases", "kept", b"me", revision=kept)
            assert kept is not None, "the lease was lost although it was renewed in time"
    assert ("kept", None) not in said(seen)
    assert await case.bus.get("leases", "lost") is None
    assert await case.bus.update("leases", "lost", b"me", revision=lost) is None
    assert await case.rival.create("leases", "lost", b"other") is not None
    assert await case.rival.create("leases", "kept", b"other") is None


# Outages


async def test_while_away_everything_says_so_and_then_it_is_back(case: Case) -> None:
    fence = await case.bus.claim("a", b"{}")
    assert case.bus.connected
    await case.away()
    assert not case.bus.connected
    for call in (
        case.bus.request("s", b"", timeout_s=0.1),
        case.bus.claim("a", b"{}"),
        case.bus.append(fence, "room.a.event", "id", b"x"),
        case.bus.last("room.a.event"),
        case.bus.read("room.a.event", after=0, limit=1),
        case.bus.get("rooms", "a"),
        case.bus.put("rooms", "a", b"x"),
        case.bus.create("rooms", "a", b"x"),
        case.bus.update("rooms", "a", b"x", revision=1),
        case.bus.delete("rooms", "a"),
    ):
        with pytest.raises(BusUnavailable):
            await call
    await case.back()
    await append_firmly(case.bus, fence, 1)
    assert [record.payload for record in await case.bus.read("room.a.event", after=0, limit=9)] == [b"1"]

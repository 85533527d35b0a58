"""Workers of a rehearsal on the bus, against a real edge: they come, hear, are cut, come back, and leave nothing."""

import asyncio
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.clock import NS_PER_S
from stentor.errors import Forbidden
from stentor.rehearsal.crews import OverBus, work_on_bus
from stentor.rehearsal.orders import Order, Report, Verb
from stentor.rehearsal.plan import Plan
from stentor.rehearsal.tally import Tally
from stentor.rehearsal.timeline import Timeline
from stentor.rehearsal.worker import Worker
from stentor.room.installation import KEY, InstallationDocument
from stentor.room.keys import raw_public
from stentor.room.permits import Permit, sign_permit
from tests.fakes.wav_room import WavRoom, wav_room

EACH = 10


async def permitted(room: WavRoom) -> Plan:
    """Have the edge accept a permit, and return a plan with it."""
    key = Ed25519PrivateKey.generate()
    now_s = room.clock.wall_ns() // NS_PER_S
    permit = Permit(id="permit-1", room="demo", listeners=50, per_second=100, begins_s=now_s - 1, expires_s=now_s + 99)
    document = InstallationDocument(grants_key=raw_public(key.public_key()).hex(), permits=(permit,))
    await room.bus.put("installation", KEY, document.to_bytes())
    await room.until(lambda: room.edge.installation.document == document, "the edge follows the installation")
    return Plan(
        id="r1",
        url=f"http://127.0.0.1:{room.port}",
        room="demo",
        listeners=2 * EACH,
        per_second=40,
        push_share=0.5,
        permit=sign_permit(permit, key),
    )


async def test_workers_take_their_share_and_come_back_after_a_cut() -> None:
    timeline = Timeline()
    called: set[str] = set()

    def take(report: Report) -> None:
        called.add(report.worker)
        timeline.take(report)

    def total() -> Tally:
        return timeline.total()

    async with wav_room() as room, OverBus(room.bus, "r1", take).listening(), asyncio.TaskGroup() as group:
        plan, crew = await permitted(room), OverBus(room.bus, "r1", take)
        for name in ("one", "two"):
            group.create_task(work_on_bus(name, room.clock, room.bus, asyncio.Event()))

        async def call_until(reached: Callable[[], bool], order: Order | None, why: str) -> None:
            for _ in range(100):
                if reached():
                    return
                if order is not None:
                    await crew.tell(order)
                await asyncio.sleep(0.2)
            raise AssertionError(f"{why}: {dict(total().sums)} {dict(total().gauges)}")

        await call_until(lambda: len(called) == 2, Order(verb=Verb.CALL), "both say that they are there")
        for number, name in enumerate(("one", "two")):
            share = plan.share(number, 2)
            await crew.tell(Order(verb=Verb.GO, worker=name, plan=share, at_ns=room.clock.wall_ns()))
        await call_until(lambda: total().gauges["playing"] == 2 * EACH, None, "everybody hears something")
        assert room.edge.rooms.get("demo").rehearsal() == 2 * EACH
        assert room.edge.rooms.get("demo").listeners() == 0
        await crew.tell(Order(verb=Verb.CUT))
        await call_until(lambda: total().sums["came_back"] == 2 * EACH, None, "everybody comes back")
        await crew.tell(Order(verb=Verb.STOP))
        await call_until(lambda: all(each.last for each in timeline.newest.values()), None, "they say a last word")
        await room.until(lambda: room.edge.connections <= 1, "no socket of theirs is left")
    sums = total().sums
    assert (sums["arrived"], sums["admitted"], sums["played"], sums["cut"]) == (20, 20, 20, 20)
    assert not {name: count for name, count in sums.items() if name.startswith(("status.4", "status.5", "again"))}
    assert len(total().spreads["latency_push_ms"]) > 0


async def test_a_worker_comes_nowhere_without_a_permit() -> None:
    async def tell(_report: Report) -> None:
        return

    async with wav_room() as room:
        plan = (await permitted(room)).model_copy(update={"permit": ""})
        worker = Worker("one", room.clock, tell)
        worker.order(Order(verb=Verb.GO, plan=plan, at_ns=room.clock.wall_ns()))
        with pytest.RaisesGroup(Forbidden):
            await worker.run()
        assert room.edge.rooms.get("demo").rehearsal() == 0

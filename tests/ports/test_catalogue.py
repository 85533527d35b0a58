"""One suite for the catalogue: SQLite in a file, and a real PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from stentor.errors import ConfigError, StoreUnavailable
from stentor.room.documents import Announcement, Role
from stentor.room.hands import Hand, HandState
from stentor.room.states import RoomState
from stentor.store.catalogue import AuditEntry, Block, Link, Recording, Room
from stentor.store.sql import SqlCatalogue
from stentor.store.sql_engine import create_engine
from stentor.store.sql_migrate import migrate
from stentor.store.sql_tables import METADATA
from tests.fakes.postgres import running_postgres

ROOM = Room("demo", "Demo", created_ns=1)
LINK = Link("ln1", "demo", Role.SPEAKER, "Amal", created_ns=1, expires_s=10_000)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/data/catalogue.db"
    else:
        url = request.getfixturevalue("postgres_url")
    await migrate(url)
    if request.param == "postgres":
        await _empty(url)
    return url


async def _empty(url: str) -> None:
    engine = create_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(METADATA.tables)}"))
    await engine.dispose()


@pytest.fixture
async def catalogue(url: str) -> AsyncIterator[SqlCatalogue]:
    catalogue = SqlCatalogue(url)
    yield catalogue
    await catalogue.close()


async def test_a_full_disk_says_so(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/data/catalogue.db"
    await migrate(url)
    catalogue = SqlCatalogue(url)
    async with catalogue._transaction() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1"))  # as large as it is: SQLite says what a disk would
    with pytest.raises(StoreUnavailable, match="disk is full. Nothing was changed; have somebody free some space"):
        await catalogue.add_room(replace(ROOM, description="x" * 500_000))
    assert await catalogue.rooms() == []
    await catalogue.close()


async def test_migrations_make_exactly_the_tables_and_may_run_again(url: str) -> None:
    await migrate(url)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    engine = create_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_rooms_of_an_older_catalogue_have_what_a_new_room_has(url: str) -> None:
    catalogue = SqlCatalogue(url)
    await catalogue.add_room(ROOM)
    async with catalogue._transaction() as connection:
        for column in ("block_steps", "seats", "noise_gate", "hands_open", "cap", "per_second"):
            await connection.execute(text(f"ALTER TABLE rooms DROP COLUMN {column}"))
        for table in ("blocks", "hands", "installation"):
            await connection.execute(text(f"DROP TABLE {table}"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    await migrate(url)
    assert await catalogue.room("demo") == ROOM
    changed = await catalogue.update_room("demo", {"block_steps": 16})
    assert changed == replace(ROOM, block_steps=16)
    assert await catalogue.update_room("demo", {"block_steps": None}) == ROOM
    await catalogue.close()


async def test_migrations_of_two_processes_at_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for url in (f"sqlite+aiosqlite:///{tmp_path}/new/catalogue.db", await _new_database(request)):
        program = f"import asyncio; from stentor.store.sql_migrate import migrate; asyncio.run(migrate({url!r}))"
        processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(2)]
        assert [await process.wait() for process in processes] == [0, 0]


async def _new_database(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("postgres_url")
    engine = create_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DATABASE another"))
    await engine.dispose()
    return url.replace("/postgres?", "/another?")


async def test_room_is_stored_with_its_links_and_survives_reopening(url: str) -> None:
    full = Room(
        "night", "ليلة", created_ns=5, description="Two\nlines", language="ar", state=RoomState.SCHEDULED,
        planned_start_ns=1_795_000_000_000_000_001, time_zone="Asia/Beirut", zero_ns=7, started_ns=8, ended_ns=9,
        recorded=False, changed_by="Noor", block_steps=4, seats=50, noise_gate=True, cap=5_000, per_second=0.5,
    )  # fmt: skip
    first = SqlCatalogue(url)
    assert await first.add_room(full, (replace(LINK, room="night"),))
    await first.close()
    second = SqlCatalogue(url)
    assert await second.room("night") == full
    assert await second.links("night") == [replace(LINK, room="night")]
    await second.close()


async def test_taken_id_stores_nothing(catalogue: SqlCatalogue) -> None:
    assert await catalogue.add_room(ROOM)
    assert not await catalogue.add_room(replace(ROOM, title="Other"), (LINK,))
    assert await catalogue.room("demo") == ROOM
    assert await catalogue.links("demo") == []


async def test_unknown_things_are_none(catalogue: SqlCatalogue) -> None:
    assert await catalogue.room("nowhere") is None
    assert await catalogue.link("nowhere") is None
    assert await catalogue.recording("nowhere") is None
    assert await catalogue.update_room("nowhere", {"title": "x"}) is None
    assert await catalogue.update_link("nowhere", {"name": "x"}) is None
    assert await catalogue.claim_link("nowhere", device="d", session="s") is None
    assert not await catalogue.delete_room("nowhere", expected=RoomState.DRAFT)


async def test_state_is_compare_and_set(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(replace(ROOM, state=RoomState.LIVE))
    won: list[str] = []

    async def click(name: str, state: RoomState) -> None:
        changed = await catalogue.update_room("demo", {"state": state, "changed_by": name}, expected=RoomState.LIVE)
        if changed is not None:
            won.append(name)
            assert (changed.state, changed.changed_by) == (state, name)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(click(f"host {number}", RoomState.HELD if number % 2 else RoomState.ENDED))
    assert len(won) == 1
    room = await catalogue.room("demo")
    assert room is not None
    assert room.changed_by == won[0]


async def test_due_rooms(catalogue: SqlCatalogue) -> None:
    for number, (state, planned) in enumerate(
        [(RoomState.SCHEDULED, 200), (RoomState.SCHEDULED, 100), (RoomState.SCHEDULED, 301), (RoomState.DRAFT, 100)]
    ):
        await catalogue.add_room(Room(f"r{number}", "t", created_ns=number, state=state, planned_start_ns=planned))
    await catalogue.add_room(Room("r9", "t", created_ns=9, state=RoomState.SCHEDULED))
    assert [room.room for room in await catalogue.due_rooms(300)] == ["r1", "r0"]
    assert [room.room for room in await catalogue.rooms()] == ["r9", "r3", "r2", "r1", "r0"]


async def test_announcement_is_replaced_and_taken_away(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM)
    await catalogue.announce("demo", "First", at_ns=10, by="Noor")
    await catalogue.announce("demo", "Second", at_ns=11, by="Noor")
    room = await catalogue.room("demo")
    assert room is not None
    assert room.announcement == Announcement(text="Second", at_ns=11)
    await catalogue.announce("demo", None, at_ns=12, by="Noor")
    assert await catalogue.room("demo") == ROOM


async def test_link_is_bound_to_the_first_of_many_devices(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    won: list[str] = []

    async def open_link(device: str) -> None:
        if await catalogue.claim_link("ln1", device=device, session=f"session of {device}"):
            won.append(device)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(open_link(f"device {number}"))
    assert len(won) == 1
    link = await catalogue.link("ln1")
    assert link is not None
    assert (link.device, link.session) == (won[0], f"session of {won[0]}")


async def test_same_device_gets_a_new_session_and_asks_no_longer(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    await catalogue.claim_link("ln1", device="one", session="a")
    await catalogue.update_link("ln1", {"asked_device": "two"})
    again = await catalogue.claim_link("ln1", device="one", session="b")
    assert again is not None
    assert (again.session, again.asked_device) == ("b", "two")
    await catalogue.update_link("ln1", {"device": "two"})
    moved = await catalogue.claim_link("ln1", device="two", session="c")
    assert moved is not None
    assert (moved.session, moved.asked_device) == ("c", None)


async def test_link_is_taken_over_from_the_device_that_is_meant_and_no_other(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    await catalogue.claim_link("ln1", device="one", session="a")
    assert await catalogue.claim_link("ln1", device="two", session="b", instead_of="three") is None
    won: list[str] = []

    async def take_over(device: str) -> None:
        if await catalogue.claim_link("ln1", device=device, session=device, instead_of="one"):
            won.append(device)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(take_over(f"device {number}"))
    link = await catalogue.link("ln1")
    assert link is not None
    assert [link.device] == won
    await catalogue.update_link("ln1", {"revoked_ns": 3})
    assert await catalogue.claim_link("ln1", device="two", session="b", instead_of=won[0]) is None


async def test_roles_change_together_or_not_at_all(catalogue: SqlCatalogue) -> None:
    host = replace(LINK, link="ln2", role=Role.HOST)
    await catalogue.add_room(ROOM, (LINK, host))
    hand_over = {"ln1": (Role.SPEAKER, Role.HOST), "ln2": (Role.HOST, Role.COHOST)}
    changed = await catalogue.give_roles(hand_over)
    assert changed == [replace(LINK, role=Role.HOST), replace(host, role=Role.COHOST)]
    assert await catalogue.give_roles(hand_over) is None
    assert await catalogue.give_roles({"ln1": (Role.HOST, Role.SPEAKER), "nowhere": (Role.HOST, Role.SPEAKER)}) is None
    await catalogue.update_link("ln2", {"revoked_ns": 1})
    assert await catalogue.give_roles({"ln1": (Role.HOST, Role.COHOST), "ln2": (Role.COHOST, Role.HOST)}) is None
    link = await catalogue.link("ln1")
    assert link is not None
    assert link.role is Role.HOST


async def test_of_those_who_change_a_role_at_once_one_wins(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK, replace(LINK, link="ln2")))
    won: list[Role] = []

    async def give(role: Role) -> None:
        if await catalogue.give_roles({"ln1": (Role.SPEAKER, role), "ln2": (Role.SPEAKER, role)}):
            won.append(role)

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(give(Role.COHOST if number % 2 else Role.MODERATOR))
    assert {link.role for link in await catalogue.links("demo")} == set(won)
    assert len(won) == 1


async def test_many_links_are_muted_at_once(catalogue: SqlCatalogue) -> None:
    other = replace(LINK, link="ln2")
    await catalogue.add_room(ROOM, (LINK, other))
    assert await catalogue.mute_links(["ln1", "nowhere"]) == [replace(LINK, host_muted=True)]
    assert await catalogue.mute_links([]) == []
    assert await catalogue.link("ln2") == other


async def test_blocks_are_of_one_room_and_go_with_it(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM)
    await catalogue.add_room(replace(ROOM, room="other"))
    amal, bea = Block("ln1", "Amal", 2, "Noor"), Block("ln2", "Bea", 1, "Noor")
    await catalogue.block("demo", amal, "phone")
    await catalogue.block("demo", bea, "laptop")
    await catalogue.block("demo", replace(amal, at_ns=3), "phone")
    assert await catalogue.blocks("demo") == [bea, amal]
    assert await catalogue.is_blocked("demo", "phone")
    assert not await catalogue.is_blocked("other", "phone")
    assert await catalogue.unblock("demo", "ln1") == amal
    assert await catalogue.unblock("demo", "ln1") is None
    assert not await catalogue.is_blocked("demo", "phone")
    with pytest.raises(StoreUnavailable, match="no room nowhere"):
        await catalogue.block("nowhere", amal, "phone")
    await catalogue.delete_room("demo", expected=RoomState.DRAFT)
    assert await catalogue.blocks("demo") == []


async def test_revoked_link_cannot_be_claimed(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    await catalogue.update_link("ln1", {"revoked_ns": 3})
    assert await catalogue.claim_link("ln1", device="one", session="a") is None
    link = await catalogue.link("ln1")
    assert link == replace(LINK, revoked_ns=3)


async def test_operators_links_have_no_room(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    operator = Link("op1", None, Role.OPERATOR, "operator", created_ns=1, expires_s=2)
    await catalogue.add_link(operator)
    assert await catalogue.links(None) == [operator]


async def test_link_of_no_room_is_refused(catalogue: SqlCatalogue) -> None:
    with pytest.raises(StoreUnavailable, match="no room demo"):
        await catalogue.add_link(LINK)


async def test_deleted_room_takes_everything_of_it_but_the_audit(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM, (LINK,))
    await catalogue.announce("demo", "Hello", at_ns=1, by="Noor")
    recording = Recording("demo", 5, "ab" * 32)
    await catalogue.add_recording(recording)
    await catalogue.add_recording(replace(recording, published_ns=6))
    assert await catalogue.recording("demo") == recording
    entry = AuditEntry(1, "demo", "ln1", "Amal", "delete")
    await catalogue.write_audit(entry)
    assert not await catalogue.delete_room("demo", expected=RoomState.LOBBY)
    assert await catalogue.link("ln1") is not None
    assert await catalogue.delete_room("demo", expected=RoomState.DRAFT)
    assert await catalogue.room("demo") is None
    assert await catalogue.link("ln1") is None
    assert await catalogue.recording("demo") is None
    assert await catalogue.audit("demo") == [entry]
    assert await catalogue.audit(None) == []


async def test_many_writers_at_once(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM)
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(catalogue.write_audit(AuditEntry(number, "demo", "p", "n", "a")))
    assert len(await catalogue.audit("demo")) == 60


async def test_database_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="setting `database`"):
        await migrate(f"sqlite+aiosqlite:///{tmp_path}/file/catalogue.db")
    with pytest.raises(ConfigError, match=r"app:\*\*\*@") as caught:
        await migrate(f"postgresql+asyncpg://app:hush@/app?host={tmp_path}")
    assert "hush" not in str(caught.value)
    away = SqlCatalogue(f"postgresql+asyncpg://app@/app?host={tmp_path}")
    with pytest.raises(StoreUnavailable, match="try again"):
        await away.ping()
    await away.close()


async def test_the_installation_holds_values_by_key(catalogue: SqlCatalogue) -> None:
    assert await catalogue.installation() == {}
    await catalogue.put_installation({"door": '{"cap": 5}', "challenge": '"on"'})
    await catalogue.put_installation({"door": "{}", "deny": '["2001:db8::/32"]'})
    assert await catalogue.installation() == {"door": "{}", "challenge": '"on"', "deny": '["2001:db8::/32"]'}


async def test_hands_are_one_a_key_in_the_order_raised(catalogue: SqlCatalogue) -> None:
    await catalogue.add_room(ROOM)
    first = Hand("h1", "demo", "key-1", "Amal", raised_ns=2, source="here")
    second = Hand("h2", "demo", "key-2", "Bea", raised_ns=1, person="ln1", state=HandState.INVITED, link="ln2")
    for hand in (first, second):
        await catalogue.put_hand(hand)
    assert await catalogue.hands("demo") == [second, first]
    again = replace(first, hand="h3", raised_ns=3)
    await catalogue.put_hand(again)
    assert await catalogue.hands("demo") == [second, again]
    assert await catalogue.rooms_with_hands() == ["demo"]
    await catalogue.delete_hand("h2")
    await catalogue.delete_hand("h2")
    assert await catalogue.hands("demo") == [again]
    with pytest.raises(StoreUnavailable, match="no room nowhere"):
        await catalogue.put_hand(replace(first, room="nowhere"))
    await catalogue.delete_hands("demo")
    assert await catalogue.rooms_with_hands() == []
    await catalogue.put_hand(first)
    assert await catalogue.delete_room("demo", expected=RoomState.DRAFT)
    assert await catalogue.hands("demo") == []

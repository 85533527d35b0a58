"""The tests of control again, every one of them, with the catalogue in a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from stentor.store.sql_engine import create_engine
from stentor.store.sql_migrate import migrate
from stentor.store.sql_tables import METADATA
from tests.fakes.clock import VirtualClock
from tests.fakes.postgres import running_postgres
from tests.fakes.staff import Desk, staff_desk
from tests.unit.control import (
    test_blocks,
    test_door,
    test_hands,
    test_installation,
    test_people,
    test_roles,
    test_rooms,
    test_session,
    test_whip,
)

_MODULES = (
    test_blocks,
    test_door,
    test_hands,
    test_installation,
    test_people,
    test_roles,
    test_rooms,
    test_session,
    test_whip,
)
_SQLITE_ALONE = {"test_device_secret_is_needed_and_never_stored"}  # reads the file
for _module in _MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in _SQLITE_ALONE:
            globals()[_name] = _test


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def desk(clock: VirtualClock, database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    await migrate(database)
    engine = create_engine(database)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(METADATA.tables)}"))
    await engine.dispose()
    async with staff_desk(clock, database, tmp_path) as desk:
        yield desk

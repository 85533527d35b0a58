"""A desk (control over a memory bus) for each test, on SQLite in a file."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.store.sql_migrate import migrate
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk, staff_desk


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(scope="session")
def empty_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file to copy."""
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.db"
    asyncio.run(migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
async def desk(clock: VirtualClock, empty_catalogue: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    shutil.copy(empty_catalogue, tmp_path / "catalogue.db")
    async with staff_desk(clock, f"sqlite+aiosqlite:///{tmp_path}/catalogue.db", tmp_path) as desk:
        yield desk

"""Connections to the catalogue's database, set up as we need them."""

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_TIMEOUT_MS = 5_000
_POOL_TIMEOUT_S = 5.0


def create_engine(url: str) -> AsyncEngine:
    """Return an engine for ``sqlite+aiosqlite:///FILE`` or ``postgresql+asyncpg://…``, set up as we need it."""
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_pre_ping=True, pool_timeout=_POOL_TIMEOUT_S)
    engine = create_async_engine(url, pool_timeout=_POOL_TIMEOUT_S)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()

"""Brings a database to the newest tables, at each start of control and archive."""

import contextlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from stentor.errors import ConfigError
from stentor.store.sql_engine import create_engine

_LOCK = 0x57E4707
"""Any number that nobody else locks in this database."""


async def migrate(url: str) -> None:
    """Run the migrations that are missing; one process at a time does it, the others wait.

    Once a process: Alembic keeps what it does in globals.

    Raises ConfigError when the database cannot be reached or made, naming it without its password.
    """
    shown = make_url(url).render_as_string(hide_password=True)
    _make_folder(url)
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            is_sqlite = engine.dialect.name == "sqlite"
            await connection.execute(text("BEGIN IMMEDIATE" if is_sqlite else f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(
            f"The database {shown} cannot be opened: check that it is running, and the setting `database`."
        ) from error
    finally:
        await engine.dispose()


def _make_folder(url: str) -> None:
    database = make_url(url).database
    if url.startswith("sqlite") and database and database != ":memory:":
        with contextlib.suppress(OSError):  # opening the database says better what is wrong
            Path(database).parent.mkdir(parents=True, exist_ok=True)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

"""The catalogue in SQL: SQLite for one machine, PostgreSQL at scale; the same statements for both."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from sqlalchemy import RowMapping, delete, insert, or_, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.room.documents import Announcement, Role
from stentor.room.hands import Hand, HandState
from stentor.room.states import RoomState
from stentor.store.catalogue import AuditEntry, Block, Link, LinkChanges, Recording, Room, RoomChanges
from stentor.store.sql_engine import create_engine
from stentor.store.sql_tables import ANNOUNCEMENTS, AUDIT, BLOCKS, HANDS, INSTALLATION, LINKS, RECORDINGS, ROOMS

_AWAY = "The catalogue does not answer. Nothing was changed; try again in a moment."
_DISK_FULL = "The server's disk is full. Nothing was changed; have somebody free some space, then try again."


class SqlCatalogue:
    """The catalogue port over SQLAlchemy Core. Call ``sql_migrate.migrate`` once before the first use."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def ping(self) -> None:
        """Ask the database for nothing."""
        async with self._transaction() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            raise StoreUnavailable(_DISK_FULL if _is_disk_full(error) else _AWAY) from error
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"The catalogue refused the request ({type(error).__name__}).") from error

    async def add_room(self, room: Room, links: tuple[Link, ...] = ()) -> bool:
        """Insert a room and its links."""
        values = {**asdict(room), "state": str(room.state)}
        del values["announcement"]
        try:
            async with self._transaction() as connection:
                await connection.execute(insert(ROOMS).values(**values))
                for link in links:
                    await connection.execute(insert(LINKS).values(**_link_values(link)))
        except IntegrityError:
            return False
        return True

    async def room(self, room: str) -> Room | None:
        """Select one room."""
        async with self._transaction() as connection:
            row = (await connection.execute(select(ROOMS).where(ROOMS.c.room == room))).mappings().first()
        return _room(row) if row else None

    async def rooms(self) -> list[Room]:
        """Select all rooms."""
        async with self._transaction() as connection:
            rows = await connection.execute(select(ROOMS).order_by(ROOMS.c.created_ns.desc(), ROOMS.c.room))
        return [_room(row) for row in rows.mappings()]

    async def due_rooms(self, now_ns: int) -> list[Room]:
        """Select the scheduled rooms that are due."""
        query = (
            select(ROOMS)
            .where(ROOMS.c.state == str(RoomState.SCHEDULED), ROOMS.c.planned_start_ns <= now_ns)
            .order_by(ROOMS.c.planned_start_ns)
        )
        async with self._transaction() as connection:
            rows = await connection.execute(query)
        return [_room(row) for row in rows.mappings()]

    async def update_room(self, room: str, changes: RoomChanges, *, expected: RoomState | None = None) -> Room | None:
        """Update a room, as compare-and-set where ``expected`` is given."""
        values = {key: str(value) if isinstance(value, RoomState) else value for key, value in changes.items()}
        statement = update(ROOMS).where(ROOMS.c.room == room).values(**values).returning(ROOMS)
        if expected is not None:
            statement = statement.where(ROOMS.c.state == str(expected))
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return _room(row) if row else None

    async def delete_room(self, room: str, *, expected: RoomState) -> bool:
        """Delete a room, as compare-and-set; what belongs to it goes by its foreign keys."""
        statement = delete(ROOMS).where(ROOMS.c.room == room, ROOMS.c.state == str(expected)).returning(ROOMS.c.room)
        async with self._transaction() as connection:
            return (await connection.execute(statement)).first() is not None

    async def announce(self, room: str, text: str | None, *, at_ns: int, by: str) -> None:
        """Record an announcement and make it the room's."""
        current = {"announcement_text": text, "announcement_ns": None if text is None else at_ns}
        async with self._transaction() as connection:
            await connection.execute(update(ROOMS).where(ROOMS.c.room == room).values(**current))
            await connection.execute(insert(ANNOUNCEMENTS).values(room=room, at_ns=at_ns, author=by, text=text))

    async def add_recording(self, recording: Recording) -> None:
        """Insert a recording unless it is there."""
        try:
            async with self._transaction() as connection:
                await connection.execute(insert(RECORDINGS).values(**asdict(recording)))
        except IntegrityError:
            if await self.recording(recording.room) is None:
                raise StoreUnavailable(f"There is no room {recording.room} to record.") from None

    async def recording(self, room: str) -> Recording | None:
        """Select a room's recording."""
        async with self._transaction() as connection:
            row = (await connection.execute(select(RECORDINGS).where(RECORDINGS.c.room == room))).mappings().first()
        return Recording(**row) if row else None

    async def add_link(self, link: Link) -> None:
        """Insert a link."""
        try:
            async with self._transaction() as connection:
                await connection.execute(insert(LINKS).values(**_link_values(link)))
        except IntegrityError as error:
            raise StoreUnavailable(f"There is no room {link.room} for this link.") from error

    async def link(self, link: str) -> Link | None:
        """Select a link."""
        async with self._transaction() as connection:
            row = (await connection.execute(select(LINKS).where(LINKS.c.link == link))).mappings().first()
        return _link(row) if row else None

    async def links(self, room: str | None) -> list[Link]:
        """Select a room's links, or the operators'."""
        query = select(LINKS).where(LINKS.c.room == room).order_by(LINKS.c.created_ns, LINKS.c.link)
        async with self._transaction() as connection:
            rows = await connection.execute(query)
        return [_link(row) for row in rows.mappings()]

    async def claim_link(self, link: str, *, device: str, session: str, instead_of: str | None = None) -> Link | None:
        """Bind a link to a device, as compare-and-set."""
        statement = (
            update(LINKS)
            .where(
                LINKS.c.link == link,
                LINKS.c.revoked_ns.is_(None),
                or_(LINKS.c.device.is_(None), LINKS.c.device.in_([device, instead_of or device])),
            )
            .values(device=device, session=session)
            .returning(LINKS)
        )
        done_asking = (
            update(LINKS).where(LINKS.c.link == link, LINKS.c.asked_device == device).values(asked_device=None)
        )
        async with self._transaction() as connection:
            await connection.execute(done_asking)
            row = (await connection.execute(statement)).mappings().first()
            if row is None:
                await connection.rollback()
        return _link(row) if row else None

    async def update_link(self, link: str, changes: LinkChanges) -> Link | None:
        """Update a link."""
        statement = update(LINKS).where(LINKS.c.link == link).values(**changes).returning(LINKS)
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return _link(row) if row else None

    async def put_hand(self, hand: Hand) -> None:
        """Insert a hand, or put it where its owner's was."""
        theirs = delete(HANDS).where(HANDS.c.room == hand.room, HANDS.c.key == hand.key)
        try:
            async with self._transaction() as connection:
                await connection.execute(theirs)
                await connection.execute(insert(HANDS).values(**{**asdict(hand), "state": str(hand.state)}))
        except IntegrityError as error:
            raise StoreUnavailable(f"There is no room {hand.room} to raise a hand in.") from error

    async def hands(self, room: str) -> list[Hand]:
        """Select a room's hands."""
        query = select(HANDS).where(HANDS.c.room == room).order_by(HANDS.c.raised_ns)
        async with self._transaction() as connection:
            rows = await connection.execute(query)
        return [Hand(**{**row, "state": HandState(str(row["state"]))}) for row in rows.mappings()]

    async def rooms_with_hands(self) -> list[str]:
        """Select the rooms of hands."""
        async with self._transaction() as connection:
            return list((await connection.execute(select(HANDS.c.room).distinct())).scalars())

    async def delete_hand(self, hand: str) -> None:
        """Delete a hand."""
        async with self._transaction() as connection:
            await connection.execute(delete(HANDS).where(HANDS.c.hand == hand))

    async def delete_hands(self, room: str) -> None:
        """Delete a room's hands."""
        async with self._transaction() as connection:
            await connection.execute(delete(HANDS).where(HANDS.c.room == room))

    async def give_roles(self, roles: Mapping[str, tuple[Role, Role]]) -> list[Link] | None:
        """Update roles in one transaction, as compare-and-set."""
        changed = []
        async with self._transaction() as connection:
            for link, (was, now) in sorted(roles.items()):  # in one order, so that two of us cannot block each other
                statement = (
                    update(LINKS)
                    .where(LINKS.c.link == link, LINKS.c.role == str(was), LINKS.c.revoked_ns.is_(None))
                    .values(role=str(now))
                    .returning(LINKS)
                )
                row = (await connection.execute(statement)).mappings().first()
                if row is None:
                    await connection.rollback()
                    return None
                changed.append(_link(row))
        return changed

    async def mute_links(self, links: Collection[str]) -> list[Link]:
        """Update many links."""
        statement = update(LINKS).where(LINKS.c.link.in_(links)).values(host_muted=True).returning(LINKS)
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [_link(row) for row in rows]

    async def block(self, room: str, block: Block, device: str) -> None:
        """Insert a device unless it is there."""
        try:
            async with self._transaction() as connection:
                await connection.execute(insert(BLOCKS).values(room=room, device=device, **asdict(block)))
        except IntegrityError:
            if not await self.is_blocked(room, device):
                raise StoreUnavailable(f"There is no room {room} to block anybody in.") from None

    async def unblock(self, room: str, person: str) -> Block | None:
        """Delete what a person was blocked with."""
        statement = delete(BLOCKS).where(BLOCKS.c.room == room, BLOCKS.c.person == person).returning(BLOCKS)
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return _block(row) if row else None

    async def blocks(self, room: str) -> list[Block]:
        """Select a room's blocks."""
        query = select(BLOCKS).where(BLOCKS.c.room == room).order_by(BLOCKS.c.at_ns, BLOCKS.c.person)
        async with self._transaction() as connection:
            rows = await connection.execute(query)
        return [_block(row) for row in rows.mappings()]

    async def is_blocked(self, room: str, device: str) -> bool:
        """Select one device."""
        query = select(BLOCKS.c.device).where(BLOCKS.c.room == room, BLOCKS.c.device == device)
        async with self._transaction() as connection:
            return (await connection.execute(query)).first() is not None

    async def installation(self) -> dict[str, str]:
        """Select everything of the installation."""
        async with self._transaction() as connection:
            rows = await connection.execute(select(INSTALLATION.c.key, INSTALLATION.c.value))
        return {str(key): str(value) for key, value in rows}

    async def put_installation(self, values: Mapping[str, str]) -> None:
        """Put values where their keys' were."""
        async with self._transaction() as connection:
            await connection.execute(delete(INSTALLATION).where(INSTALLATION.c.key.in_(values)))
            for key, value in values.items():
                await connection.execute(insert(INSTALLATION).values(key=key, value=value))

    async def write_audit(self, entry: AuditEntry) -> None:
        """Insert an entry of the audit."""
        async with self._transaction() as connection:
            await connection.execute(insert(AUDIT).values(**asdict(entry)))

    async def audit(self, room: str | None) -> list[AuditEntry]:
        """Select a room's audit."""
        columns = [column for column in AUDIT.c if column.name != "id"]
        async with self._transaction() as connection:
            rows = await connection.execute(select(*columns).where(AUDIT.c.room == room).order_by(AUDIT.c.id))
        return [AuditEntry(**row) for row in rows.mappings()]


def _room(row: RowMapping) -> Room:
    values = dict(row)
    said, at_ns = values.pop("announcement_text"), values.pop("announcement_ns")
    announcement = Announcement(text=str(said), at_ns=at_ns) if isinstance(at_ns, int) else None
    state = RoomState(str(values.pop("state")))
    return Room(**values, state=state, announcement=announcement)


def _link(row: RowMapping) -> Link:
    values = dict(row)
    return Link(**{**values, "role": Role(str(values["role"]))})


def _block(row: RowMapping) -> Block:
    return Block(row["person"], row["name"], row["at_ns"], row["author"])


def _link_values(link: Link) -> dict[str, object]:
    return {**asdict(link), "role": str(link.role)}


def _is_disk_full(error: Exception) -> bool:
    """Tell a full disk by what SQLite, or PostgreSQL (53100, disk_full), says of it."""
    cause = getattr(error, "orig", error)
    return "disk is full" in str(cause) or getattr(cause, "sqlstate", None) == "53100"

"""The tables of the catalogue, as SQLAlchemy Core knows them. Migrations make them; a test compares both."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROOMS = Table(
    "rooms",
    METADATA,
    Column("room", String(63), primary_key=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("language", String(35), nullable=False),
    Column("state", String(16), nullable=False),
    Column("planned_start_ns", BigInteger),
    Column("time_zone", String(64)),
    Column("zero_ns", BigInteger),
    Column("started_ns", BigInteger),
    Column("ended_ns", BigInteger),
    Column("recorded", Boolean, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("announcement_text", Text),
    Column("announcement_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    Column("block_steps", Integer),
    Column("seats", Integer, nullable=False, server_default=text("13")),
    Column("noise_gate", Boolean, nullable=False, server_default=false()),
    Column("hands_open", Boolean, nullable=False, server_default=false()),
    Column("cap", Integer),
    Column("per_second", Double),
    Index("ix_rooms_state_planned", "state", "planned_start_ns"),
)

LINKS = Table(
    "links",
    METADATA,
    Column("link", String(64), primary_key=True),
    Column("room", String(63), ForeignKey("rooms.room", ondelete="CASCADE"), index=True),
    Column("role", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("device", String(64)),
    Column("session", String(64)),
    Column("asked_device", String(64)),
    Column("revoked_ns", BigInteger),
    Column("host_muted", Boolean, nullable=False),
    Column("whip_session", String(128)),
    Column("whip_etag", String(128)),
)

BLOCKS = Table(
    "blocks",
    METADATA,
    Column("room", String(63), ForeignKey("rooms.room", ondelete="CASCADE"), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
)

ANNOUNCEMENTS = Table(
    "announcements",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("room", String(63), ForeignKey("rooms.room", ondelete="CASCADE"), nullable=False, index=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text),
)

HANDS = Table(
    "hands",
    METADATA,
    Column("hand", String(16), primary_key=True),
    Column("room", String(63), ForeignKey("rooms.room", ondelete="CASCADE"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("raised_ns", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("person", String(64)),
    Column("link", String(64)),
    Column("source", String(64), nullable=False),
    Index("ix_hands_room_key", "room", "key", unique=True),
)

RECORDINGS = Table(
    "recordings",
    METADATA,
    Column("room", String(63), ForeignKey("rooms.room", ondelete="CASCADE"), primary_key=True),
    Column("published_ns", BigInteger, nullable=False),
    Column("key_fingerprint", String(64), nullable=False),
)

INSTALLATION = Table(
    "installation",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("room", String(63), index=True),
    Column("person", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("detail", Text, nullable=False),
)

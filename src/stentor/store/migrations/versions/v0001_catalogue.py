"""Rooms, links, announcements, recordings and the audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _rooms()
    _links()
    _announcements_and_recordings()
    _audit()


def _rooms() -> None:
    op.create_table(
        "rooms",
        sa.Column("room", sa.String(63), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("planned_start_ns", sa.BigInteger),
        sa.Column("time_zone", sa.String(64)),
        sa.Column("zero_ns", sa.BigInteger),
        sa.Column("started_ns", sa.BigInteger),
        sa.Column("ended_ns", sa.BigInteger),
        sa.Column("recorded", sa.Boolean, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("announcement_text", sa.Text),
        sa.Column("announcement_ns", sa.BigInteger),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("room", name="pk_rooms"),
    )
    op.create_index("ix_rooms_state_planned", "rooms", ["state", "planned_start_ns"])


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("link", sa.String(64), nullable=False),
        sa.Column("room", sa.String(63)),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_s", sa.BigInteger, nullable=False),
        sa.Column("device", sa.String(64)),
        sa.Column("session", sa.String(64)),
        sa.Column("asked_device", sa.String(64)),
        sa.Column("revoked_ns", sa.BigInteger),
        sa.Column("host_muted", sa.Boolean, nullable=False),
        sa.Column("whip_session", sa.String(128)),
        sa.Column("whip_etag", sa.String(128)),
        sa.PrimaryKeyConstraint("link", name="pk_links"),
        sa.ForeignKeyConstraint(["room"], ["rooms.room"], name="fk_links_room", ondelete="CASCADE"),
    )
    op.create_index("ix_links_room", "links", ["room"])


def _announcements_and_recordings() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("room", sa.String(63), nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_announcements"),
        sa.ForeignKeyConstraint(["room"], ["rooms.room"], name="fk_announcements_room", ondelete="CASCADE"),
    )
    op.create_index("ix_announcements_room", "announcements", ["room"])
    op.create_table(
        "recordings",
        sa.Column("room", sa.String(63), nullable=False),
        sa.Column("published_ns", sa.BigInteger, nullable=False),
        sa.Column("key_fingerprint", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("room", name="pk_recordings"),
        sa.ForeignKeyConstraint(["room"], ["rooms.room"], name="fk_recordings_room", ondelete="CASCADE"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("room", sa.String(63)),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_room", "audit", ["room"])

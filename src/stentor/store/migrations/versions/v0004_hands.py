"""The line of raised hands."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("hands_open", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "hands",
        sa.Column("hand", sa.String(16), nullable=False),
        sa.Column("room", sa.String(63), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("raised_ns", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("person", sa.String(64)),
        sa.Column("link", sa.String(64)),
        sa.Column("source", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["room"], ["rooms.room"], name="fk_hands_room", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hand", name="pk_hands"),
    )
    op.create_index("ix_hands_room_key", "hands", ["room", "key"], unique=True)

"""Seats and the noise gate of a stage, and who is blocked from it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("seats", sa.Integer, nullable=False, server_default=sa.text("13")))
    op.add_column("rooms", sa.Column("noise_gate", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "blocks",
        sa.Column("room", sa.String(63), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("room", "device", name="pk_blocks"),
        sa.ForeignKeyConstraint(["room"], ["rooms.room"], name="fk_blocks_room", ondelete="CASCADE"),
    )

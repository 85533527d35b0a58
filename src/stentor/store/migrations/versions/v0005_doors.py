"""The door's dials of a room, and what holds for the whole installation."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("cap", sa.Integer))
    op.add_column("rooms", sa.Column("per_second", sa.Double))
    op.create_table(
        "installation",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_installation"),
    )

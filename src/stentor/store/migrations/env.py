"""Alembic's entry: runs on the connection that store/sql_migrate hands over."""

from alembic import context

from stentor.store.sql_tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's migrations of the catalogue, run by store/sql_migrate at each start."""

"""Counters of a turn's own, and what came over the bus and is written."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# Counters of turns begin above those that keystores were handed over with.
_TABLES = """
ALTER TABLE turn ADD COLUMN counter BIGINT NOT NULL DEFAULT 1048576;
CREATE TABLE bus_message (message_id TEXT PRIMARY KEY, at_ms BIGINT NOT NULL);
CREATE INDEX bus_message_by_time ON bus_message (at_ms);
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.execute(statement)

"""Delivery to Elhub: what came from the hub, days that are open, settings that were learned."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = """
CREATE TABLE elhub_inbox (
    document_id TEXT PRIMARY KEY, kind TEXT NOT NULL, created_ms BIGINT NOT NULL,
    got_ms BIGINT NOT NULL, body TEXT NOT NULL);
CREATE TABLE elhub_open (day INTEGER PRIMARY KEY);
CREATE TABLE elhub_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX message_by_state ON message (state);
CREATE TABLE period_volume (
    gsrn TEXT NOT NULL, from_ms BIGINT NOT NULL, to_ms BIGINT NOT NULL, version INTEGER NOT NULL,
    start_wh BIGINT NOT NULL, end_wh BIGINT NOT NULL, reason TEXT NOT NULL,
    stipulated INTEGER NOT NULL, source TEXT NOT NULL, at_ms BIGINT NOT NULL,
    PRIMARY KEY (gsrn, from_ms, to_ms, version));
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.execute(statement)

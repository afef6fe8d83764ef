"""How the links of meters looked from which nothing came: for the causes."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE link_seen (meter_id TEXT NOT NULL, day INTEGER NOT NULL, "
        "at_ms BIGINT NOT NULL, source TEXT NOT NULL, signal_dbm INTEGER, reason TEXT NOT NULL, "
        "PRIMARY KEY (meter_id, day))"
    )

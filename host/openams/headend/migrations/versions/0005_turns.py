"""When a turn that somebody has is wanted again: what is planned meanwhile is not forgotten."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(f"ALTER TABLE turn ADD COLUMN wanted_ms BIGINT NOT NULL DEFAULT {1 << 50}")

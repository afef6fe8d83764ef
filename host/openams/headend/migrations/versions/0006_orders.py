"""Whether a meter has an order before another: asked of each that is due, among the jobs of all."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("CREATE INDEX job_open ON job (subject) WHERE state IN ('due', 'trying')")

"""What a night asks again and again is found without going through all jobs, turns and deliveries
that there are: they grow with meters and with days."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("DROP INDEX job_by_day")
    op.execute("CREATE INDEX job_by_day ON job (kind, day, subject)")
    op.execute(
        "CREATE INDEX job_unread ON job (subject, kind, day) "
        "WHERE state IN ('due', 'trying', 'partial')"
    )
    op.execute("CREATE INDEX turn_leased ON turn (lease_ms)")
    # Volumes of periods, of the few points that have them.
    op.execute("CREATE INDEX delivery_of_period ON delivery (gsrn) WHERE series = 3")

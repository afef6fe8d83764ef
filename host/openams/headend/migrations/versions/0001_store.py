"""The register, what was collected, values with all their revisions, jobs, notices, deliveries."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# Moments are ms since 2000-01-01Z, days yyyymmdd of local time, energies as their names say.
_TABLES = """
CREATE TABLE area (code TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE terms (
    gsrn TEXT NOT NULL, from_day INTEGER NOT NULL, to_day INTEGER, kind TEXT NOT NULL,
    settlement TEXT NOT NULL, reason TEXT NOT NULL, resolution_min INTEGER NOT NULL,
    fuse_a {real}, system TEXT NOT NULL, area TEXT NOT NULL, annual_kwh {real},
    PRIMARY KEY (gsrn, from_day));
CREATE TABLE concentrator (concentrator_id TEXT PRIMARY KEY, net TEXT NOT NULL, url TEXT NOT NULL);
CREATE TABLE meter (
    meter_id TEXT PRIMARY KEY, make TEXT NOT NULL, net TEXT NOT NULL, concentrator TEXT NOT NULL,
    url TEXT NOT NULL, segment TEXT NOT NULL);
CREATE INDEX meter_of_concentrator ON meter (concentrator);
CREATE TABLE relation (
    gsrn TEXT NOT NULL, meter_id TEXT NOT NULL, from_ms BIGINT NOT NULL, to_ms BIGINT,
    start_plus_mwh BIGINT, end_plus_mwh BIGINT, start_minus_mwh BIGINT, end_minus_mwh BIGINT,
    PRIMARY KEY (gsrn, from_ms));
CREATE INDEX relation_of_meter ON relation (meter_id, from_ms);
CREATE TABLE access (
    who TEXT NOT NULL, role TEXT NOT NULL, scope TEXT NOT NULL, target TEXT NOT NULL,
    from_ms BIGINT NOT NULL, to_ms BIGINT, PRIMARY KEY (who, scope, target, from_ms));
CREATE TABLE register_change (
    change_id {serial}, at_ms BIGINT NOT NULL, who TEXT NOT NULL, row_table TEXT NOT NULL,
    before TEXT, after TEXT NOT NULL);

CREATE TABLE collected (
    day INTEGER NOT NULL, meter_id TEXT NOT NULL, part INTEGER NOT NULL, at_ms BIGINT NOT NULL,
    source TEXT NOT NULL, rows {blob} NOT NULL, PRIMARY KEY (day, meter_id, part)) {by_day};
CREATE TABLE reading (
    meter_id TEXT NOT NULL, at_ms BIGINT NOT NULL, part INTEGER NOT NULL, plus_mwh BIGINT,
    minus_mwh BIGINT, status INTEGER NOT NULL, source TEXT NOT NULL, got_ms BIGINT NOT NULL,
    PRIMARY KEY (meter_id, at_ms, part));
CREATE TABLE event (
    meter_id TEXT NOT NULL, log TEXT NOT NULL, number BIGINT NOT NULL, at_ms BIGINT NOT NULL,
    code INTEGER NOT NULL, detail BIGINT, extra BIGINT, got_ms BIGINT NOT NULL,
    source TEXT NOT NULL, PRIMARY KEY (meter_id, log, number, at_ms, code));
CREATE INDEX event_by_time ON event (meter_id, at_ms);
CREATE TABLE clock_check (
    meter_id TEXT NOT NULL, at_ms BIGINT NOT NULL, ahead_ms BIGINT NOT NULL, action TEXT NOT NULL,
    PRIMARY KEY (meter_id, at_ms));
CREATE TABLE seen (
    meter_id TEXT PRIMARY KEY, at_ms BIGINT NOT NULL, period_s INTEGER NOT NULL,
    columns TEXT NOT NULL, event_ms BIGINT NOT NULL);
CREATE TABLE concentrator_seen (
    concentrator_id TEXT PRIMARY KEY, store_id TEXT NOT NULL, day_seq BIGINT NOT NULL,
    alarm_seq BIGINT NOT NULL, push_seq BIGINT NOT NULL, at_ms BIGINT NOT NULL);
CREATE TABLE alarm (
    meter_id TEXT NOT NULL, at_ms BIGINT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
    number BIGINT NOT NULL, PRIMARY KEY (meter_id, source, number, at_ms));

CREATE TABLE value_day (
    day INTEGER NOT NULL, gsrn TEXT NOT NULL, series SMALLINT NOT NULL, revision INTEGER NOT NULL,
    resolution_min INTEGER NOT NULL, wh {blob} NOT NULL, states {blob} NOT NULL, total_wh BIGINT,
    PRIMARY KEY (day, gsrn, series)) {by_day};
CREATE TABLE revision (
    day INTEGER NOT NULL, gsrn TEXT NOT NULL, series SMALLINT NOT NULL, number INTEGER NOT NULL,
    at_ms BIGINT NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL, rules TEXT NOT NULL,
    resolution_min INTEGER NOT NULL, wh {blob} NOT NULL, states {blob} NOT NULL,
    changed {blob} NOT NULL, detail TEXT NOT NULL, inputs TEXT NOT NULL, total_wh BIGINT,
    PRIMARY KEY (day, gsrn, series, number)) {by_day};
CREATE INDEX revision_by_time ON revision (at_ms);
CREATE TABLE edit (
    day INTEGER NOT NULL, gsrn TEXT NOT NULL, series SMALLINT NOT NULL,
    interval_no INTEGER NOT NULL, at_ms BIGINT NOT NULL, wh BIGINT NOT NULL, who TEXT NOT NULL,
    why TEXT NOT NULL, PRIMARY KEY (day, gsrn, series, interval_no, at_ms));

CREATE TABLE job (
    job_id {serial}, kind TEXT NOT NULL, subject TEXT NOT NULL, day INTEGER NOT NULL,
    state TEXT NOT NULL, segment TEXT NOT NULL, priority INTEGER NOT NULL, due_ms BIGINT NOT NULL,
    next_ms BIGINT NOT NULL, until_ms BIGINT NOT NULL, attempts INTEGER NOT NULL,
    lease_by TEXT NOT NULL, lease_ms BIGINT NOT NULL, detail TEXT NOT NULL, result TEXT NOT NULL,
    created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL);
CREATE UNIQUE INDEX job_once ON job (kind, subject, day);
CREATE INDEX job_due ON job (state, next_ms);
CREATE INDEX job_by_day ON job (kind, day);
CREATE TABLE turn (
    kind TEXT NOT NULL, subject TEXT NOT NULL, segment TEXT NOT NULL, next_ms BIGINT NOT NULL,
    attempts INTEGER NOT NULL, lease_by TEXT NOT NULL, lease_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, subject));
CREATE INDEX turn_next ON turn (next_ms);
CREATE TABLE attempt (
    subject TEXT NOT NULL, at_ms BIGINT NOT NULL, worker TEXT NOT NULL, road TEXT NOT NULL,
    outcome TEXT NOT NULL, rows_got INTEGER NOT NULL, octets INTEGER NOT NULL,
    took_ms BIGINT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (subject, at_ms, worker));
CREATE INDEX attempt_by_time ON attempt (at_ms);
CREATE TABLE notice (
    notice_id {serial}, at_ms BIGINT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, times INTEGER NOT NULL, last_ms BIGINT NOT NULL, closed_ms BIGINT,
    closed_by TEXT);
CREATE UNIQUE INDEX notice_open ON notice (kind, subject) WHERE closed_ms IS NULL;

CREATE TABLE message (
    message_id TEXT PRIMARY KEY, process TEXT NOT NULL, created_ms BIGINT NOT NULL,
    sent_ms BIGINT, answered_ms BIGINT, state TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE delivery (
    series_id TEXT PRIMARY KEY, message_id TEXT NOT NULL, day INTEGER NOT NULL,
    gsrn TEXT NOT NULL, series SMALLINT NOT NULL, revision INTEGER NOT NULL, intervals TEXT,
    state TEXT NOT NULL, reason TEXT NOT NULL, at_ms BIGINT NOT NULL);
CREATE INDEX delivery_of_day ON delivery (day, gsrn, series);
CREATE INDEX delivery_of_message ON delivery (message_id);
"""
_WORDS = {
    "sqlite": {
        "blob": "BLOB",
        "real": "REAL",
        "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "by_day": "WITHOUT ROWID",
    },
    "postgresql": {
        "blob": "BYTEA",
        "real": "DOUBLE PRECISION",
        "serial": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "by_day": "PARTITION BY LIST (day)",
    },
}


def upgrade() -> None:
    words = _WORDS[op.get_bind().dialect.name]
    for statement in _TABLES.format(**words).split(";"):
        if statement.strip():
            op.execute(statement)

"""Why days were not here in time: by what a head-end sees, the surest sign first."""

from __future__ import annotations

from datetime import date

import pytest

from openams.headend.causes import Link, Night, Session, explain
from openams.headend.days import day_bounds
from openams.headend.elhub.build import first_deadline
from openams.headend.register import MeterRow, Relation
from openams.headend.store import Event
from openams.headend.store.jobs import Job
from openams.meter_time import to_utc_ms

DAY = date(2026, 1, 12)
BEGIN, DUE = day_bounds(DAY)[1], to_utc_ms(first_deadline(DAY))
HOUR = 3_600_000
METER, MASTER = "7359990010000003", "C0001"
SILENT = f"no answer from meter {METER}"


def job(**result):
    return Job(1, "day", METER, 20260112, "partial", BEGIN, BEGIN, 0, 1, {}, result)


def night(behind=True, **more):
    """A night in which sessions go on to its end, and nothing is known of the meter."""
    row = MeterRow(
        METER, "aidon", "mesh" if behind else "cellular", MASTER if behind else "", "", ""
    )
    known = {
        "rows": {METER: row},
        "relations": {METER: Relation("g", METER, BEGIN - 99 * HOUR, None, 0, None, 0, None)},
        "sessions": {MASTER: [Session(BEGIN + k * HOUR // 6, "ok", 9, "") for k in range(42)]},
        "last_session_ms": DUE - 60_000,
        "links": {},
        "events": {},
        "alarms": {},
        "read_ms": {},
        "in_time": set(),
    }
    return Night(DAY, BEGIN, DUE, **{**known, **more})


def link(reason=SILENT, signal=None):
    return {METER: Link(DUE - HOUR, MASTER, signal, reason)}


def sessions(outcome, error="", at=BEGIN + HOUR):
    return {METER: [Session(at, outcome, 0, error)]}


def event(code, at_ms, number=1):
    return Event(METER, "standard", number, at_ms, code, None, None, 0, "")


DOWN = {MASTER: [Session(BEGIN + k * HOUR, "late", 0, "no answer") for k in range(7)]}
QUIET = {"last_session_ms": BEGIN + HOUR}


@pytest.mark.parametrize(
    ("known", "cause"),
    [
        (night(links=link()), "signal"),
        (night(links=link(), alarms={METER: [(DUE + 30 * HOUR, "nobody-in")]}), "other"),
        (night(links=link(), alarms={METER: [(DUE - 100 * HOUR, "nobody-in")]}), "other"),
        (night(links=link(), alarms={METER: [(DUE + 80 * HOUR, "nobody-in")]}), "signal"),
        (night(links=link(), alarms={METER: [(DUE - 300 * HOUR, "nobody-in")]}), "signal"),
        (night(links=link(signal=-92), alarms={METER: [(DUE, "nobody-in")]}), "meter"),
        (night(links=link(signal=-92)), "meter"),
        (night(links=link(f"meter {METER} has closed the connection")), "meter"),
        (night(links=link(), alarms={METER: [(BEGIN, "power-lost")]}), "other"),
        (night(links=link(), events={METER: [event(1, BEGIN - HOUR)]}), "other"),
        (night(links=link(), events={METER: [event(1, DUE - HOUR), event(2, DUE, 2)]}), "other"),
        (night(sessions=DOWN), "concentrator"),
        (night(sessions={}, **QUIET), "headend"),
        (night(False, sessions=sessions("late", SILENT), links=link()), "signal"),
        (night(False, sessions=sessions("late", SILENT), links=link(signal=-80)), "meter"),
        (night(False, sessions=sessions("refused", "access refused")), "meter"),
        (night(False, sessions={}), "headend"),
        (
            night(False, sessions={METER: [
                Session(BEGIN + HOUR, "late", 0, SILENT), Session(DUE + HOUR, "ok", 9, ""),
            ]}, **QUIET),
            "headend",
        ),
        (night(relations={METER: Relation("g", METER, 0, DUE, 0, 1, 0, 1)}), "other"),
        (night(), "unknown"),
    ],
)  # fmt: skip
def test_a_cause_by_its_signs(known, cause):
    found = explain(known, job())
    assert found.cause == cause and found.because


def test_what_a_module_said_is_over_when_the_meter_was_spoken_with_after_it():
    alarms = {METER: [(BEGIN - 9 * HOUR, "power-lost")]}
    events = {METER: [event(1, BEGIN - 9 * HOUR), event(2, BEGIN - 8 * HOUR, 2)]}
    assert explain(night(links=link(), alarms=alarms, events=events), job()).cause == "signal"


def test_a_meter_that_was_called_in_vain_for_long_was_lost_before_the_head_end_was():
    tried = [Session(BEGIN + k * HOUR // 4, "late", 0, SILENT) for k in range(5)]
    known = {METER: [*tried, Session(DUE + HOUR, "ok", 9, "")]}
    found = explain(night(False, sessions=known, links=link(), **QUIET), job())
    assert found.cause == "signal"


def test_rows_that_are_gone_are_the_meters_unless_it_had_no_supply():
    cut = {METER: [event(1, BEGIN - 9 * HOUR), event(2, BEGIN - 8 * HOUR, 2)]}
    assert explain(night(in_time={METER}), job(missing=60)).cause == "meter"
    assert explain(night(in_time={METER}, events=cut), job(missing=60)).cause == "other"


def test_a_day_that_a_concentrator_had_in_time_was_not_fetched():
    quiet = {MASTER: [Session(BEGIN + HOUR // 6, "ok", 9, "")]}
    known = night(sessions=quiet, links=link(), read_ms={METER: BEGIN + HOUR}, **QUIET)
    assert explain(known, job()).cause == "headend"


def test_an_unknown_one_says_what_there_was():
    found = explain(night(), job())
    assert found.cause == "unknown" and MASTER in found.because

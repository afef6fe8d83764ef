"""What is in a message to Elhub: the series of its rows, as the store has their values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from openams.headend.days import day_date
from openams.headend.elhub import plan
from openams.headend.elhub.build import (
    DIRECTIONS,
    DaySeries,
    Parties,
    message,
    run_of,
    whole_day,
)
from openams.headend.elhub.model import (
    INTERVAL_VOLUMES,
    OUT,
    PERIOD_VOLUMES,
    CollectedData,
    Profiled,
    Quantity,
    Series,
)
from openams.headend.elhub.plan import quantities
from openams.headend.store import Store
from openams.headend.vee.codes import MEASURED
from openams.meter_time import from_utc_ms


def message_of(store: Store, parties: Parties, message_id: str, created: int) -> CollectedData:
    """The message of its rows: the same one each time, revisions never change."""
    rows = store.all(
        "SELECT series_id, day, gsrn, series, revision, intervals FROM delivery"
        " WHERE message_id = ? ORDER BY gsrn, series, series_id",
        message_id,
    )
    at = from_utc_ms(created)
    if rows[0][3] == plan.PERIOD:
        periods = [_period(store, row, at) for row in rows]
        return message(periods, parties, at, message_id, PERIOD_VOLUMES)
    return message(_series(store, rows, at), parties, at, message_id, INTERVAL_VOLUMES)


def _period(store: Store, row: Sequence[object], at: datetime) -> Series:
    series_id, _, gsrn, _, version, intervals = row
    begin, end = json.loads(str(intervals))
    start_wh, end_wh, reason, stipulated = store.one(
        "SELECT start_wh, end_wh, reason, stipulated FROM period_volume WHERE gsrn = ?"
        " AND from_ms = ? AND to_ms = ? AND version = ?",
        gsrn, begin, end, version,
    )  # fmt: skip
    return Series(
        str(series_id), at, str(gsrn), OUT, from_utc_ms(begin), from_utc_ms(end), None,
        readings=(start_wh, end_wh),
        profiled=Profiled(end_wh - start_wh, bool(stipulated), reason),
    )  # fmt: skip


def _series(store: Store, rows: Sequence[tuple[object, ...]], at: datetime) -> list[Series]:
    day = day_date(int(str(rows[0][1])))
    gsrns = sorted({str(row[2]) for row in rows})
    now = {(one.gsrn, one.series): one for one in store.values(day, gsrns)}
    out = []
    for series_id, _, gsrn, series, revision, intervals in rows:
        assert isinstance(series, int) and isinstance(revision, int)
        there = now.get((str(gsrn), series))
        if there and there.revision == revision and set(there.states) == {MEASURED}:
            minutes = there.resolution_min
            values = tuple(Quantity(wh, MEASURED) for wh in there.wh)
        else:
            found = store.revision(day, str(gsrn), series, revision)
            assert found is not None
            minutes, values = found.resolution_min, quantities(found)
        whole = DaySeries(str(gsrn), DIRECTIONS[series], day, minutes, values)
        span = plan.span_of(None if intervals is None else str(intervals))
        if span is None:
            out.append(whole_day(whole, str(series_id), at))
        else:
            out.append(run_of(whole, *span, str(series_id), at))
    return out

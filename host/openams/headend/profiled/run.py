"""Profile-settled and unmetered points of a store: readings in, volumes, hours and notices out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import cache

from openams.headend.days import day_bounds, local_day
from openams.headend.profiled import hours, lamps
from openams.headend.profiled.control import Control, control
from openams.headend.profiled.periods import MOUNTING, SOURCES, Index, Odd, Volume, volumes
from openams.headend.register import A_PLUS, PROFILE, UNMETERED, Relation, Terms
from openams.headend.store import Store, StoredRevision
from openams.headend.store.raw import RegisterReading
from openams.headend.vee.calendar import starts
from openams.headend.vee.codes import FINAL, MEASURED
from openams.headend.vee.limits import limit_wh
from openams.headend.vee.model import Point
from openams.meter_time import to_utc_ms

# How far back readings of a point are looked at: what Elhub may still take, and a year before.
_YEARS = 4
# Chosen: no value of a meter's own, made by a formula.
_DETAIL = {"validation": "V002", "estimation": "E008"}


def run(store: Store, at: datetime, plan: str = lamps.DARK) -> Counter[str]:
    """All that is due up to a moment; it may run as often as one likes."""
    today = local_day(to_utc_ms(at))
    out: Counter[str] = Counter()
    readings = by_point(store, today)
    for terms in store.all_terms(today, settlement=PROFILE):
        out += _periods(store, terms, readings.get(terms.gsrn, []), at)
    for found in controls(store, today, readings):
        if found.overdue:
            text = f"{found.gsrn} has not been read in {found.year}; the last time: {found.last}"
            store.notice("yearly-control", found.gsrn, text, to_utc_ms(at))
            out["overdue"] += 1
    out += _unmetered(store, today - timedelta(days=1), at, plan)
    return out


def by_point(store: Store, today: date) -> dict[str, list[Index]]:
    """Registers that persons have read, and those of meters put up and taken down."""
    begin = today - timedelta(days=366 * _YEARS)
    begin_ms, end_ms = day_bounds(begin)[0], day_bounds(today)[1]
    points = {one.gsrn for one in store.all_terms(today, settlement=PROFILE)}
    relations = [one for one in store.relations(begin_ms, end_ms) if one.gsrn in points]
    meters = sorted({one.meter_id for one in relations})
    read: dict[str, list[RegisterReading]] = defaultdict(list)
    for reading in store.readings(meters, begin_ms, end_ms, sources=SOURCES):
        read[reading.meter_id].append(reading)
    out: dict[str, list[Index]] = defaultdict(list)
    for relation in relations:
        out[relation.gsrn] += _indexes(relation, read[relation.meter_id])
    return out


def _indexes(relation: Relation, read: Sequence[RegisterReading]) -> Iterable[Index]:
    meter_id = relation.meter_id
    if relation.start_plus_mwh is not None:
        wh = relation.start_plus_mwh // 1000
        yield Index(local_day(relation.from_ms), meter_id, wh, MOUNTING)
    for one in read:
        inside = relation.from_ms <= one.at_ms and (
            relation.to_ms is None or one.at_ms <= relation.to_ms
        )
        if inside and one.plus_mwh is not None:
            yield Index(local_day(one.at_ms), meter_id, one.plus_mwh // 1000, one.source)
    if relation.to_ms is not None and relation.end_plus_mwh is not None:
        wh = relation.end_plus_mwh // 1000
        yield Index(local_day(relation.to_ms), meter_id, wh, MOUNTING)


def controls(
    store: Store, today: date, readings: dict[str, list[Index]] | None = None
) -> list[Control]:
    """The yearly control of all profile-settled points."""
    known = by_point(store, today) if readings is None else readings
    return [
        control(terms.gsrn, known.get(terms.gsrn, []), today.year, today)
        for terms in store.all_terms(today, settlement=PROFILE)
    ]


# --- periods -----------------------------------------------------------------------------


def _periods(store: Store, terms: Terms, readings: Sequence[Index], at: datetime) -> Counter[str]:
    limit = None
    if terms.fuse_a and terms.system:
        limit = limit_wh(Point(terms.kind, terms.fuse_a, terms.system, 60))
    found, odd = volumes(readings, limit)
    out: Counter[str] = Counter()
    for one in odd:
        _tell(store, terms.gsrn, one, at)
        out["odd"] += 1
    for volume in found:
        if volume.end > volume.begin and _put(store, terms.gsrn, volume, at):
            out["periods"] += 1
            out["days"] += _hours(store, terms, volume, at)
    return out


def _tell(store: Store, gsrn: str, odd: Odd, at: datetime) -> None:
    text = f"{gsrn}, {odd.after.source} of {odd.after.day}: {odd.text}; the reading is left out"
    store.notice("odd-reading", f"{gsrn} {odd.after.day}", text, to_utc_ms(at))


def _put(store: Store, gsrn: str, volume: Volume, at: datetime) -> bool:
    """A new version of a period, if it is another one; whether it was."""
    begin, end = day_bounds(volume.begin)[0], day_bounds(volume.end)[0]
    with store.transaction():
        store.database.lock(f"period {gsrn}")
        row = store.one(
            "SELECT version, start_wh, end_wh FROM period_volume WHERE gsrn = ? AND from_ms = ?"
            " AND to_ms = ? ORDER BY version DESC",
            gsrn, begin, end,
        )  # fmt: skip
        if row is not None and (row[1], row[2]) == (volume.start_wh, volume.end_wh):
            return False
        store.run(
            "INSERT INTO period_volume VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            gsrn, begin, end, 1 if row is None else row[0] + 1, volume.start_wh, volume.end_wh,
            volume.reason, int(volume.stipulated), " ".join(volume.sources), to_utc_ms(at),
        )  # fmt: skip
    return True


def _hours(store: Store, terms: Terms, volume: Volume, at: datetime) -> int:
    @cache
    def profile(day: date) -> Sequence[float]:
        return area_profile(store, terms.area, day)

    spread = hours.spread(volume, profile)
    revisions = [
        _revision(store, day, terms.gsrn, 60, wh, "readings", hours.RULES, at)
        for day, wh in spread.items()
    ]
    new = [one for one in revisions if one is not None]
    store.put_revisions(new)
    return len(new)


def area_profile(store: Store, area: str, day: date) -> tuple[float, ...]:
    """What the area's points with hours of their own took in each hour; else a standard one."""
    count = len(starts(day, 60))
    total = [0.0] * count
    seen = 0
    for one in store.values(day, area=area):
        per_hour = 60 // one.resolution_min
        made = set(one.states) - {MEASURED}
        if one.series != A_PLUS or made or len(one.wh) != count * per_hour:
            continue
        seen += 1
        for k in range(count):
            total[k] += sum(one.wh[k * per_hour : (k + 1) * per_hour])
    return tuple(total) if seen >= 10 and any(total) else hours.standard(day)


# --- without a meter ---------------------------------------------------------------------


def _unmetered(store: Store, day: date, at: datetime, plan: str) -> Counter[str]:
    """Quarters of yesterday, and of the days before that have none."""
    out: Counter[str] = Counter()
    for ago in range(7):
        when = day - timedelta(days=ago)
        new = []
        for terms in store.all_terms(when, settlement=UNMETERED):
            if terms.resolution_min not in (15, 60) or terms.annual_kwh is None:
                continue
            wh = lamps.quarters(when, round(terms.annual_kwh * 1000), plan)
            if terms.resolution_min == 60:
                wh = tuple(sum(wh[k : k + 4]) for k in range(0, len(wh), 4))
            minutes = terms.resolution_min
            revision = _revision(
                store, when, terms.gsrn, minutes, wh, "formula", lamps.RULES, at, FINAL
            )
            if revision is not None:
                new.append(revision)
        store.put_revisions(new)
        out["unmetered"] += len(new)
    return out


def _revision(
    store: Store,
    day: date,
    gsrn: str,
    minutes: int,
    wh: Sequence[int],
    why: str,
    rules: str,
    at: datetime,
    state: str = "estimated",
) -> StoredRevision | None:
    """The next revision of a day, if its values are others."""
    was = store.value(day, gsrn, A_PLUS)
    if was is not None and was.wh == tuple(wh):
        return None
    count = len(wh)
    detail = {k: {**_DETAIL, "reason": why, "method": rules} for k in range(count)}
    return StoredRevision(
        day, gsrn, A_PLUS, 1 if was is None else was.revision + 1, to_utc_ms(at), why, "", rules,
        minutes, tuple(wh), (state,) * count, tuple(range(count)), detail, {}, sum(wh),
    )  # fmt: skip

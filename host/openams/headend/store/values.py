"""Values of points: the current ones, and every revision that there ever was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from openams.headend.days import day_date, day_number
from openams.headend.store.core import Core
from openams.headend.store.errors import ClashError
from openams.headend.store.packing import pack_values, unpack_values
from openams.headend.vee.codes import ESTIMATED, FINAL, MEASURED, TEMPORARY

# By their number in the store.
STATES = (MEASURED, ESTIMATED, FINAL, TEMPORARY)
_NUMBER = {name: number for number, name in enumerate(STATES)}


class DayValues(NamedTuple):
    """The current values of one series on one local day, Wh."""

    day: date
    gsrn: str
    series: int
    revision: int
    resolution_min: int
    wh: tuple[int, ...]
    states: tuple[str, ...]
    total_wh: int | None  # of the registers; None: not known


class StoredRevision(NamedTuple):
    """One state of a day. `detail`: of each interval that is not measured, why and how; `inputs`:
    what was known, in short."""

    day: date
    gsrn: str
    series: int
    number: int
    at_ms: int
    why: str
    who: str
    rules: str
    resolution_min: int
    wh: tuple[int, ...]
    states: tuple[str, ...]
    changed: tuple[int, ...]
    detail: Mapping[int, Mapping[str, Any]]
    inputs: Mapping[str, Any]
    total_wh: int | None


_COLUMNS = (
    "day", "gsrn", "series", "number", "at_ms", "why", "who", "rules", "resolution_min", "wh",
    "states", "changed", "detail", "inputs", "total_wh",
)  # fmt: skip
_VALUES = "day, gsrn, series, revision, resolution_min, wh, states, total_wh"


def _states_packed(states: Sequence[str]) -> bytes:
    return pack_values([_NUMBER[state] for state in states])


@lru_cache(maxsize=4096)
def _states(data: bytes) -> tuple[str, ...]:
    """Of most days they are the same octets."""
    return tuple(STATES[number] for number in unpack_values(data))


def _values(row: Sequence[Any]) -> DayValues:
    day, gsrn, series, revision, resolution, wh, states, total = row
    return DayValues(
        day_date(day), gsrn, series, revision, resolution, unpack_values(wh), _states(states), total
    )


class ValueStore(Core):
    def values(
        self, day: date, gsrns: Sequence[str] | None = None, area: str | None = None
    ) -> Iterator[DayValues]:
        """Of all points of a local day, or of some, in order of point and series."""
        number = day_number(day)
        sql = f"SELECT {_VALUES} FROM value_day WHERE day = ?"
        if gsrns is not None:
            rows = sorted(self.by_key(f"{sql} AND gsrn IN (?*)", gsrns, number), key=_order)
        elif area is not None:
            rows = self.all(
                f"{sql} AND gsrn IN (SELECT gsrn FROM terms WHERE area = ? AND from_day <= ? "
                "AND (to_day IS NULL OR to_day > ?)) ORDER BY gsrn, series",
                number, area, number, number,
            )  # fmt: skip
        else:
            rows = self.all(f"{sql} ORDER BY gsrn, series", number)
        return map(_values, rows)

    def value(self, day: date, gsrn: str, series: int) -> DayValues | None:
        row = self.one(
            f"SELECT {_VALUES} FROM value_day WHERE day = ? AND gsrn = ? AND series = ?",
            day_number(day), gsrn, series,
        )  # fmt: skip
        return _values(row) if row else None

    def values_between(self, first: date, last: date, gsrns: Sequence[str]) -> Iterator[DayValues]:
        """Of points over days, both included."""
        return map(
            _values,
            self.by_key(
                f"SELECT {_VALUES} FROM value_day WHERE day BETWEEN ? AND ? AND gsrn IN (?*)",
                gsrns,
                day_number(first),
                day_number(last),
            ),
        )

    def revisions(self, day: date, gsrn: str, series: int) -> list[StoredRevision]:
        """All of a day, the first one first."""
        rows = self.all(
            f"SELECT {', '.join(_COLUMNS)} FROM revision "
            "WHERE day = ? AND gsrn = ? AND series = ? ORDER BY number",
            day_number(day), gsrn, series,
        )  # fmt: skip
        return [_revision(row) for row in rows]

    def revisions_of(self, day: date) -> Iterator[StoredRevision]:
        """All of a day of all points, by point and series, the first one first."""
        rows = self.all(
            f"SELECT {', '.join(_COLUMNS)} FROM revision WHERE day = ? "
            "ORDER BY gsrn, series, number",
            day_number(day),
        )
        return map(_revision, rows)

    def revision(self, day: date, gsrn: str, series: int, number: int) -> StoredRevision | None:
        row = self.one(
            f"SELECT {', '.join(_COLUMNS)} FROM revision "
            "WHERE day = ? AND gsrn = ? AND series = ? AND number = ?",
            day_number(day), gsrn, series, number,
        )  # fmt: skip
        return _revision(row) if row else None

    def last_inputs(
        self, day: date, gsrns: Sequence[str]
    ) -> dict[tuple[str, int], Mapping[str, Any]]:
        """What was known when the current revisions were made, by (point, series)."""
        rows = self.by_key(
            "SELECT r.gsrn, r.series, r.inputs FROM revision AS r JOIN value_day AS v "
            "ON v.day = r.day AND v.gsrn = r.gsrn AND v.series = r.series "
            "AND v.revision = r.number WHERE r.day = ? AND r.gsrn IN (?*)",
            gsrns,
            day_number(day),
        )
        return {(gsrn, series): json.loads(inputs) for gsrn, series, inputs in rows}

    def changed_since(self, at_ms: int) -> Iterator[tuple[date, str, int, int, int]]:
        """(day, point, series, number, at_ms) of revisions made then or later, the oldest first."""
        rows = self.all(
            "SELECT day, gsrn, series, number, at_ms FROM revision WHERE at_ms >= ? "
            "ORDER BY at_ms, day, gsrn, series, number",
            at_ms,
        )
        return ((day_date(row[0]), *row[1:]) for row in rows)

    def put_revision(
        self,
        day: date,
        gsrn: str,
        series: int,
        number: int,
        at_ms: int,
        why: str,
        who: str,
        rules: str,
        resolution_min: int,
        wh: Sequence[int],
        states: Sequence[str],
        changed: Sequence[int],
        detail: Mapping[int, Mapping[str, Any]],
        total_wh: int | None,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """The next revision of a day; StoreError if `number` is not the next."""
        self.put_revisions([StoredRevision(
            day, gsrn, series, number, at_ms, why, who, rules, resolution_min, tuple(wh),
            tuple(states), tuple(changed), detail, inputs or {}, total_wh,
        )])  # fmt: skip

    def put_revisions(self, new: Iterable[StoredRevision]) -> None:
        """The next revisions of days, all or none."""
        new = list(new)
        if not new:
            return
        self.database.open_days({day_number(one.day) for one in new})
        with self.transaction():
            self._check_next(new)
            self.put_rows("revision", _COLUMNS, [_row(one) for one in new], fresh=True)
            newest = {(one.day, one.gsrn, one.series): one for one in new}
            self.upsert(
                "value_day",
                tuple(_VALUES.split(", ")),
                [
                    (
                        day_number(one.day), one.gsrn, one.series, one.number, one.resolution_min,
                        pack_values(one.wh), _states_packed(one.states), one.total_wh,
                    )
                    for one in newest.values()
                ],
                "(day, gsrn, series) DO UPDATE SET revision = excluded.revision, "
                "resolution_min = excluded.resolution_min, wh = excluded.wh, "
                "states = excluded.states, total_wh = excluded.total_wh",
            )  # fmt: skip

    def _check_next(self, new: Sequence[StoredRevision]) -> None:
        """Two who evaluate the same day at once: the later one is refused, and sees the news."""
        for day in sorted({one.day for one in new}):
            of_day = [one for one in new if one.day == day]
            there = {
                (gsrn, series): revision
                for gsrn, series, revision in self.by_key(
                    "SELECT gsrn, series, revision FROM value_day WHERE day = ? AND gsrn IN (?*)",
                    sorted({one.gsrn for one in of_day}),
                    day_number(day),
                )
            }
            for one in of_day:
                now = there.get((one.gsrn, one.series), 0)
                if one.number != now + 1 or not len(one.wh) == len(one.states) > 0:
                    raise ClashError(
                        f"{one.gsrn} on {day} has revision {now}: {one.number} is not the next"
                    )
                there[one.gsrn, one.series] = one.number

    # --- what persons set ------------------------------------------------------------------

    def add_edits(
        self, day: date, gsrn: str, series: int, values: Mapping[int, int], at_ms: int, who: str,
        why: str,
    ) -> None:  # fmt: skip
        columns = ("day", "gsrn", "series", "interval_no", "at_ms", "wh", "who", "why")
        rows = [(day_number(day), gsrn, series, k, at_ms, wh, who, why) for k, wh in values.items()]
        self.put_rows("edit", columns, rows)

    def edits(self, day: date, gsrns: Sequence[str]) -> dict[tuple[str, int], dict[int, int]]:
        """The newest of each interval, by (point, series)."""
        out: dict[tuple[str, int], dict[int, int]] = {}
        for gsrn, series, interval, wh in self.by_key(
            "SELECT gsrn, series, interval_no, wh FROM edit WHERE day = ? AND gsrn IN (?*) "
            "ORDER BY at_ms",
            gsrns,
            day_number(day),
        ):
            out.setdefault((gsrn, series), {})[interval] = wh
        return out


def _order(row: Sequence[Any]) -> tuple[Any, Any]:
    return row[1], row[2]


def _row(one: StoredRevision) -> tuple[Any, ...]:
    packed = (pack_values(one.wh), _states_packed(one.states), pack_values(one.changed))
    texts = (json.dumps(one.detail), json.dumps(one.inputs))
    return (day_number(one.day), *one[1:9], *packed, *texts, one.total_wh)


def _revision(row: Sequence[Any]) -> StoredRevision:
    wh, states, changed = unpack_values(row[9]), _states(row[10]), unpack_values(row[11])
    detail = {int(k): value for k, value in json.loads(row[12]).items()}
    return StoredRevision._make(
        [day_date(row[0]), *row[1:9], wh, states, changed, detail, json.loads(row[13]), row[14]]
    )

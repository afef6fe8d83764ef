"""What a ledger says of the points of a store: the true Wh of each interval, whoever counted them.

Of everything here that runs only this and `comparison` read a ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from openams.errors import BenchError
from openams.field.faults import KINDS
from openams.field.ledger import QUARTER_MS, UWS_PER_MWH, Ledger, TrueDay
from openams.headend.collect.taking import ADJUST_MS
from openams.headend.days import day_bounds
from openams.headend.register import A_PLUS, Relation

_UWS_PER_WH = 1000 * UWS_PER_MWH
# What a meter's clock may be off, s, beside what its crystal drifts until somebody looks: it is set
# when it is found so far off (headend.collect.taking), and cannot be told better than half the way
# there and back.
_CLOCK_S = ADJUST_MS / 1000 + 3
_DAYS_UNSET = 2
_DAY_S = 86_400
_DAY = timedelta(days=1)


class TrueSeries(NamedTuple):
    """Of a day: `wh` of each interval, and by how many Wh a meter may be off there that counts
    right, by its clock."""

    wh: tuple[int, ...]
    slack: tuple[float, ...]


class Truth:
    """Of a ledger that is whole."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ppm: dict[str, int] = {}
        # When nobody reached a meter, in order.
        self._lost = {
            meter_id: sorted((one[2], one[3]) for one in mine if KINDS[one[0]].loses)
            for meter_id, mine in faults_by_meter(ledger).items()
        }
        # First and last quarter of days, that the days beside them need again.
        self._ends: dict[date, dict[str, tuple[int, int]]] = defaultdict(dict)

    def day(
        self, day: date, relations: Sequence[Relation], series: int, minutes: int
    ) -> TrueSeries:
        """`relations`: of the point, on that day."""
        begin, end = day_bounds(day)
        quarters, before = self._quarters(day, relations, series, (end - begin) // QUARTER_MS)
        count = minutes * 60_000 // QUARTER_MS
        edges = [before]
        for uws in quarters:
            edges.append(edges[-1] + uws)
        wh = [edge // _UWS_PER_WH for edge in edges[::count]]
        off_s = max((self._off_s(one.meter_id, end) for one in relations), default=0.0)
        self._ends.pop(day - 2 * _DAY, None)
        # A clock that is off at midnight counts some of what flows on its other side.
        around = [
            self._end(day - _DAY, relations[:1], series, 1),
            *quarters,
            self._end(day + _DAY, relations[-1:], series, 0),
        ]
        load = [max(pair) for pair in pairwise(around)]
        slack = []
        for k in range(len(wh) - 1):
            most = load[k * count] + load[(k + 1) * count]
            # A change of meters rounds once more.
            slack.append(1 + (len(relations) > 1) + most / _UWS_PER_WH * off_s / 900)
        return TrueSeries(tuple(after - was for was, after in pairwise(wh)), tuple(slack))

    def _quarters(
        self, day: date, relations: Sequence[Relation], series: int, count: int
    ) -> tuple[list[int], int]:
        """uWs of each quarter of the day, and what the first meter had counted before it."""
        out, before = [0] * count, 0
        begin = day_bounds(day)[0]
        for k, relation in enumerate(relations):
            true = self._day(relation.meter_id, day)
            if true is None:
                continue  # it was put up so late that nothing flowed
            if k == 0:
                before = true.import_uws if series == A_PLUS else true.export_uws
            for place, net in enumerate(true.quarters, (true.begin_ms - begin) // QUARTER_MS):
                if (net > 0) == (series == A_PLUS):
                    out[place] += abs(net)
        return out, before

    def _day(self, meter_id: str, day: date) -> TrueDay | None:
        try:
            true = self._ledger.day(meter_id, day)
        except BenchError:
            return None
        self._ends[day][meter_id] = true.quarters[0], true.quarters[-1]
        return true

    def _end(self, day: date, relations: Sequence[Relation], series: int, which: int) -> int:
        """uWs of the first (0) or the last (1) quarter of a day of a meter."""
        for relation in relations:
            meter_id, ends = relation.meter_id, self._ends[day]
            if meter_id in ends or self._day(meter_id, day) is not None:
                net = ends[meter_id][which]
                return abs(net) if (net > 0) == (series == A_PLUS) else 0
        return 0

    def _off_s(self, meter_id: str, end_ms: int) -> float:
        """Of a day that ends then: since nobody has reached it, and the days that it takes."""
        if meter_id not in self._ppm:
            self._ppm[meter_id] = abs(self._ledger.spec(meter_id).clock_ppm)
        since_ms = end_ms
        for begin_ms, until_ms in reversed(self._lost.get(meter_id, ())):
            if begin_ms < since_ms and until_ms > since_ms - _DAYS_UNSET * _DAY_S * 1000:
                since_ms = begin_ms
        unset_s = (end_ms - since_ms) / 1000 + _DAYS_UNSET * _DAY_S
        return _CLOCK_S + self._ppm[meter_id] * unset_s / 1e6


def faults_by_meter(ledger: Ledger) -> Mapping[str, list[tuple[str, str, int, int]]]:
    """(kind, cause, begin, end) of each meter, those that replaced others by their own number."""
    out: dict[str, list[tuple[str, str, int, int]]] = {}
    for fault in ledger.faults():
        # A change is both meters'.
        new = (fault.detail,) if fault.kind == "meter-changed" else ()
        for meter_id in (*fault.meters, *new):
            row = fault.kind, fault.cause, fault.begin_ms, fault.end_ms
            out.setdefault(meter_id, []).append(row)
    return out

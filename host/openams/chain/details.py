"""What a chain got wrong, each with what was going on around it, so that a person finds out why.

Of a ledger that is whole, like the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from openams.chain.comparison import Comparison, Off
from openams.client.firmware_names import EVENTS
from openams.client.names import status_names
from openams.errors import BenchError
from openams.field.faults import Fault
from openams.field.ledger import Ledger
from openams.headend.days import day_bounds, day_number
from openams.headend.elhub.build import DIRECTIONS
from openams.headend.register import Relation
from openams.headend.store import Store
from openams.headend.vee.calendar import starts
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

# What began so long before a day or ends so long after it may be why.
_NEAR_MS = 36 * 3_600_000
# More of them are alike: who has so many looks at the first.
MOST = 1000
_HEADEND = "head-end-down"


def details(store: Store, ledger: Ledger, found: Comparison) -> dict[str, Any]:
    """`values`: each that is lost, wrong or off, and days whose sums are; `causes`: meter-days
    whose cause was not found. With each the faults that its meters had near that day. At most MOST
    of each; `left_out` says how many more."""
    faults = ledger.faults()
    looked = _Looking(store, ledger, faults)
    return {
        "values": [looked.value(one) for one in found.off[:MOST]],
        "causes": [looked.cause(one) for one in found.missed[:MOST]],
        "left_out": max(0, len(found.off) - MOST) + max(0, len(found.missed) - MOST),
    }


class _Looking:
    def __init__(self, store: Store, ledger: Ledger, faults: list[Fault]) -> None:
        self._store, self._ledger = store, ledger
        self._down = [one for one in faults if one.kind == _HEADEND]
        self._of: dict[str, list[Fault]] = {}
        for fault in faults:
            for meter_id in {*fault.meters, *(_new(fault))}:
                self._of.setdefault(meter_id, []).append(fault)

    def value(self, off: Off) -> dict[str, Any]:
        begin, end = day_bounds(off.day)
        begins = self._begins(off)
        at = off.interval
        stories = self._store.revisions(off.day, off.gsrn, off.series)
        return {
            "what": off.what,
            "day": off.day.isoformat(),
            "gsrn": off.gsrn,
            "direction": DIRECTIONS[off.series],
            "interval": off.interval,
            "begin": None if at is None else _time(begins[at]),
            "ours_wh": off.ours_wh,
            "true_wh": off.true_wh,
            "allowed_wh": round(off.allowed_wh, 1),
            "revisions": [f"{one.number} {one.why} {_time(one.at_ms)}" for one in stories],
            "notes": [note for one in stories[-1:] for note in _notes(one.detail)],
            "meters": [
                self._meter(relation, off, begins)
                for relation in self._store.relations(begin, end, gsrns=[off.gsrn])
            ],
        }

    def cause(self, missed: dict[str, Any]) -> dict[str, Any]:
        day = date.fromisoformat(missed["day"])
        return {**missed, "faults": self._near(missed["meter_id"], day)}

    def _begins(self, off: Off) -> list[int]:
        terms = next(iter(self._store.terms_of(off.day, [off.gsrn])))
        return [to_utc_ms(at) for at in starts(off.day, terms.resolution_min)]

    def _meter(self, relation: Relation, off: Off, begins: list[int]) -> dict[str, Any]:
        """A meter of the point, what came of the interval, and what it went through."""
        store, meter_id = self._store, relation.meter_id
        begin, end = day_bounds(off.day)
        span = begin - _NEAR_MS, end + _NEAR_MS
        try:
            spec = self._ledger.spec(meter_id)
        except BenchError:
            spec = None
        return {
            "meter_id": meter_id,
            "from": _time(relation.from_ms),
            "to": None if relation.to_ms is None else _time(relation.to_ms),
            "net": "" if spec is None else spec.net,
            "profile": "" if spec is None else spec.profile,
            "clock_ppm": None if spec is None else spec.clock_ppm,
            "rows": self._rows(meter_id, off, begins),
            "clock": [
                f"{_time(one.at_ms)} {one.ahead_ms / 1000:+.1f} s"
                for one in store.clock_checks([meter_id], *span).get(meter_id, ())
            ],
            "registers": [
                f"{_time(one.at_ms)} {one.plus_mwh} {one.minus_mwh} mWh {one.source}"
                for one in store.readings([meter_id], begin, end)
            ],
            "events": [
                f"{_time(one.at_ms)} {EVENTS.get(one.code, one.code)} {one.detail or ''}".rstrip()
                for one in store.events([meter_id], *span, "standard")
            ],
            "faults": self._near(meter_id, off.day),
        }

    def _rows(self, meter_id: str, off: Off, begins: list[int]) -> list[str]:
        """Rows of the interval as they came; of a whole day none."""
        if off.interval is None:
            return []
        begin, step = begins[off.interval], begins[1] - begins[0]
        parts = self._store.intervals(day_number(off.day), [meter_id]).get(meter_id, ())
        return [
            f"{_time(1000 * row.end_s)} {row.period_s} s {row.plus_mwh} {row.minus_mwh} mWh "
            f"[{' '.join(status_names(row.status))}] by {part.source} at {_time(part.at_ms)}"
            for part in parts
            for row in part.rows
            if begin - step < 1000 * row.end_s <= begin + 2 * step
        ]

    def _near(self, meter_id: str, day: date) -> list[str]:
        begin, end = day_bounds(day)
        return [
            f"{one.kind} {_time(one.begin_ms)} to {_time(one.end_ms)} {one.detail}".rstrip()
            for one in [*self._of.get(meter_id, ()), *self._down]
            if one.begin_ms < end + _NEAR_MS and one.end_ms > begin - _NEAR_MS
        ]


def _new(fault: Fault) -> Iterable[str]:
    return (fault.detail,) if fault.kind == "meter-changed" else ()


def _notes(detail: Mapping[int, Mapping[str, Any]]) -> list[str]:
    return [": ".join(note) for note in detail.get(-1, {}).get("notes", ())]


def _time(utc_ms: int) -> str:
    return from_utc_ms(utc_ms).astimezone(NORWAY).isoformat(timespec="seconds")

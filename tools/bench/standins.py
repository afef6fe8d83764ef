"""Stand-in links for benchmarks of the head-end: what meters and concentrators would say is made
beforehand, so that their cost is not in what is measured."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from openams.gs1 import check_digit
from openams.headend.collect.sessions import Roads
from openams.headend.days import day_bounds
from openams.headend.numbers import eic_check
from openams.headend.register import (
    Area,
    ConcentratorRow,
    MeterRow,
    Relation,
    Tables,
    Terms,
)
from openams.meter_time import NORWAY, from_utc_ms

FIRST = date(2026, 3, 9)
BEHIND = 100  # meters of a concentrator
_AREA = "50YTEST0OPENAMS"
AREA = _AREA + eic_check(_AREA)


def meter_id(k: int) -> str:
    digits = f"73599900{k:07d}"
    return digits + check_digit(digits)


def gsrn(k: int) -> str:
    digits = f"70705750{k:09d}"
    return digits + check_digit(digits)


def row_mwh(k: int, number: int) -> int:
    """What a meter counts in an interval, by its number since 2000."""
    return 400_000 + (k * 7919 + number * 104_729) % 900_000


def register(meters: int, direct: bool, minutes: int = 60, begin: date = FIRST) -> Tables:
    """Points with a meter each: behind concentrators, or called directly."""
    first = day_bounds(begin)[0]
    number = begin.year * 10000 + begin.month * 100 + begin.day
    tables = Tables()
    tables.areas.append(Area(AREA, "bench"))
    for k in range(meters):
        master = "" if direct else f"C{k // BEHIND:05d}"
        url = f"tcp://127.0.0.1:{4059}" if direct else ""
        tables.terms.append(
            Terms(gsrn(k), number, None, "consumption", "interval", "", minutes, 63.0, "3P4W", AREA,
                  None)
        )  # fmt: skip
        tables.meters.append(
            MeterRow(meter_id(k), "aidon", "cellular" if direct else "mesh", master, url, "")
        )
        tables.relations.append(Relation(gsrn(k), meter_id(k), first, None, 0, None, 0, None))
    if not direct:
        tables.concentrators += [
            ConcentratorRow(f"C{k:05d}", "mesh", "http://127.0.0.1:4080")
            for k in range((meters + BEHIND - 1) // BEHIND)
        ]
    return tables


def day_of(k: int, day: date, minutes: int = 60) -> dict[str, Any]:
    """A day as a concentrator gives it."""
    step = 60_000 * minutes
    since = day_bounds(FIRST)[0] // step
    first, last = (at // step for at in day_bounds(day))
    total = sum(row_mwh(k, number) for number in range(since, first))
    rows, registers = [], [_register(first * step, total)]
    for number in range(first, last):
        energy = row_mwh(k, number)
        total += energy
        rows.append({
            "time": _text(step * (number + 1)), "status": 0, "a_plus_mwh": energy,
            "a_minus_mwh": 0, "r_plus_mvarh": 1000, "r_minus_mvarh": 0,
        })  # fmt: skip
    registers.append(_register(last * step, total))
    return {
        "meter_id": meter_id(k), "day": day.isoformat(), "period_s": 60 * minutes,
        "complete": True, "rows": rows, "registers": registers, "now": {}, "events": [],
        "clock_offset_s": 0.1,
    }  # fmt: skip


def _register(at_ms: int, total: int) -> dict[str, Any]:
    return {"time": _text(at_ms), "status": 0, "a_plus_mwh": total, "a_minus_mwh": 0}


def _text(utc_ms: int) -> str:
    return from_utc_ms(utc_ms).astimezone(NORWAY).isoformat()


class StandInDoor:
    """A concentrator that has days of its meters; bodies are read as those of HTTP are."""

    def __init__(self, name: str, meters: range, days: list[date], minutes: int) -> None:
        self.name = name
        made = [day_of(k, day, minutes) for day in days for k in meters]
        self._days = [{"seq": seq + 1, "revision": 1, **one} for seq, one in enumerate(made)]
        self._pages: dict[tuple[int, int], str] = {}
        for after in range(0, len(made), 100):
            self._page(after, 100)

    def _page(self, after: int, limit: int) -> str:
        if (after, limit) not in self._pages:
            some = self._days[after : after + limit]
            last = some[-1]["seq"] if some else after
            self._pages[after, limit] = json.dumps({
                "store_id": self.name, "days": some, "next": last, "more": last < len(self._days)
            })  # fmt: skip
        return self._pages[after, limit]

    async def get(self, path: str) -> dict[str, Any]:
        name, _, query = path.partition("?")
        asked = dict(part.split("=") for part in query.split("&")) if query else {}
        if name == "/v1/days":
            text = self._page(int(asked["after"]), int(asked["limit"]))
        elif name == "/v1/state":
            text = json.dumps({"store_id": self.name})
        else:
            text = json.dumps({name.rpartition("/")[2]: []})
        found: dict[str, Any] = json.loads(text)
        return found

    async def post(self, path: str, order: dict[str, Any]) -> dict[str, Any]:
        return {}


class StandInRoads(Roads):
    def __init__(self, meters: int, days: list[date], minutes: int = 60) -> None:
        super().__init__()
        self.minutes = minutes
        count = (meters + BEHIND - 1) // BEHIND
        self._doors = {
            f"C{k:05d}": StandInDoor(
                f"C{k:05d}", range(k * BEHIND, min(meters, (k + 1) * BEHIND)), days, minutes
            )
            for k in range(count)
        }

    def door(self, row: ConcentratorRow) -> StandInDoor:
        return self._doors[row.concentrator_id]


def last_midnight(days: int) -> int:
    return day_bounds(FIRST + timedelta(days=days))[0]


__all__ = ["FIRST", "StandInRoads", "gsrn", "last_midnight", "meter_id", "register"]

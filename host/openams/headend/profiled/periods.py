"""Volumes of periods from readings of a register by persons (BRS-NO-312).

A reading counts for the midnight that begins its day. Registers are read in whole kWh; what is
reckoned has three decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from openams.headend.vee.calendar import midnight

# Who has read: a customer by SMS or in the portal, somebody of the company on a visit; mounting is
# the register when a meter was put up or taken down.
SMS, PORTAL, VISIT, MOUNTING = SOURCES = ("sms", "portal", "visit", "mounting")
# Elhub's two reasons: periodic, change of meter.
PERIODIC, METER_CHANGE = "1", "4"
# A register of five to eight digits went round if it came from the last tenth to the first one.
_ROUND: tuple[int, ...] = tuple(10**digits * 1000 for digits in range(5, 9))


class Index(NamedTuple):
    """A register in Wh on a day, of one meter."""

    day: date
    meter_id: str
    wh: int
    source: str


@dataclass(frozen=True, slots=True)
class Volume:
    """What went through in the days from `begin` to before `end`."""

    begin: date
    end: date
    start_wh: int
    end_wh: int
    reason: str
    sources: tuple[str, str]
    stipulated: bool = False

    @property
    def wh(self) -> int:
        return self.end_wh - self.start_wh


class Odd(NamedTuple):
    """Readings that cannot both be right."""

    before: Index
    after: Index
    text: str


def volumes(
    readings: Sequence[Index], most_w: float | None = None
) -> tuple[list[Volume], list[Odd]]:
    """Periods between readings of one point, in order, and what contradicts itself.

    Of several readings of a meter on one day the best source counts: a visit before a customer. A
    reading that goes back, or that needs more power than `most_w` all the time, is left out, and
    named; the next one is held against the last good one.
    """
    out: list[Volume] = []
    odd: list[Odd] = []
    last: Index | None = None
    for one in _one_a_day(readings):
        if last is None or last.meter_id != one.meter_id:
            last = one
            continue
        wrong = _wrong(last, one, most_w)
        turn = _turn(last, one) if wrong else 0
        if wrong and not turn:
            odd.append(Odd(last, one, wrong))
            continue
        reason = METER_CHANGE if one.source == MOUNTING else PERIODIC
        sources = (last.source, one.source)
        out.append(Volume(last.day, one.day, last.wh, one.wh + turn, reason, sources))
        last = one
    return out, odd


def _one_a_day(readings: Sequence[Index]) -> list[Index]:
    """By day; the end of one meter comes before the beginning of the next on the same day."""
    best: dict[tuple[date, str], Index] = {}
    first: dict[str, date] = {}
    for one in sorted(readings, key=lambda index: (index.day, SOURCES.index(index.source))):
        best[one.day, one.meter_id] = one  # the better source comes later
        first.setdefault(one.meter_id, one.day)
    return sorted(best.values(), key=lambda index: (index.day, first[index.meter_id]))


def _wrong(before: Index, after: Index, most_w: float | None) -> str:
    if after.wh < before.wh:
        return f"the register went back from {before.wh // 1000} to {after.wh // 1000} kWh"
    hours = (midnight(after.day) - midnight(before.day)) / timedelta(hours=1)
    if most_w is not None and after.wh - before.wh > most_w * hours + 1000:
        return f"{(after.wh - before.wh) // 1000} kWh in {hours:.0f} h is more than the fuse bears"
    return ""


def _turn(before: Index, after: Index) -> int:
    """What a register that went round has to be added: a power of ten, or 0."""
    for whole in _ROUND:
        if before.wh < whole and before.wh > whole * 9 // 10 and after.wh < whole // 10:
            return whole
    return 0


def stipulated(
    begin: date, end: date, start_wh: int, past: Sequence[Volume], annual_kwh: float | None
) -> Volume | None:
    """A period of which no reading came: by the same days of the year in what was read, else by the
    assumed yearly volume; None where nothing is known."""
    days = (end - begin).days
    daily = _like(begin, end, past)
    if daily is None:
        daily = annual_kwh * 1000 / 365.25 if annual_kwh is not None else _mean(past)
    if daily is None:
        return None
    end_wh = start_wh + round(daily * days)
    return Volume(begin, end, start_wh, end_wh, PERIODIC, ("", "stipulated"), stipulated=True)


def _like(begin: date, end: date, past: Sequence[Volume]) -> float | None:
    """Wh a day of the periods that hold the same days of an earlier year: at least half of them."""
    for years in (1, 2, 3):
        first, last = begin - timedelta(days=365 * years), end - timedelta(days=365 * years)
        wh = shared = 0.0
        for one in past:
            common = (min(one.end, last) - max(one.begin, first)).days
            if common > 0 and one.end > one.begin:
                wh += one.wh * common / (one.end - one.begin).days
                shared += common
        if 2 * shared >= (end - begin).days:
            return wh / shared
    return None


def _mean(past: Sequence[Volume]) -> float | None:
    days = sum((one.end - one.begin).days for one in past)
    return sum(one.wh for one in past) / days if days >= 180 else None

"""Series of values for Elhub, and which of them: whole days at first, then what has changed.

A series with holes is refused, so a correction is one series for each run of changed intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from openams.gs1 import check_digit
from openams.headend.elhub.model import (
    ELHUB,
    IN,
    INTERVAL_VOLUMES,
    MOST_SERIES,
    OUT,
    CollectedData,
    ElhubError,
    Header,
    Process,
    Quantity,
    Series,
)
from openams.headend.vee.calendar import midnight, minutes, starts
from openams.headend.vee.codes import MEASURED
from openams.headend.vee.revise import last_moment

DURATIONS = {60: "PT60M", 15: "PT15M"}
MINUTES = {"PT60M": 60, "PT1H": 60, "PT15M": 15}
# A series of the store: 1 is A+, what is taken out of the net; 2 is A-, what is fed in.
DIRECTIONS = {1: OUT, 2: IN}


@dataclass(frozen=True, slots=True)
class Parties:
    """GLNs: who sends (a supplier of services, maybe), the grid company, and the hub."""

    sender: str
    party: str
    hub: str = ELHUB

    def __post_init__(self) -> None:
        for name, gln in (("sender", self.sender), ("party", self.party), ("hub", self.hub)):
            if not is_gln(gln):
                raise ElhubError(f"the {name} {gln!r} is no GLN: 13 digits with their check digit")


def is_gln(text: str) -> bool:
    """13 digits of which the last one is the check of GS1."""
    if not (len(text) == 13 and text.isascii() and text.isdecimal()):
        return False
    return text[-1] == check_digit(text[:-1])


class DaySeries(NamedTuple):
    """One direction of one point on one local day: what is to be with Elhub."""

    point: str
    direction: str
    day: date
    resolution_min: int
    values: tuple[Quantity, ...]


def whole_day(day: DaySeries, series_id: str, registered: datetime) -> Series:
    """All of a day: 23, 24 or 25 hours, 92, 96 or 100 quarters."""
    count = len(starts(day.day, day.resolution_min))
    if len(day.values) != count:
        raise ElhubError(
            f"{day.point} has {len(day.values)} values on {day.day}, which has {count}"
        )
    return run_of(day, 0, count, series_id, registered)


def run_of(day: DaySeries, first: int, last: int, series_id: str, registered: datetime) -> Series:
    """The intervals from `first` to before `last`."""
    step = timedelta(minutes=day.resolution_min)
    begin = midnight(day.day) + first * step
    return Series(
        series_id,
        registered,
        day.point,
        day.direction,
        begin,
        begin + (last - first) * step,
        DURATIONS[day.resolution_min],
        tuple(day.values[first:last]),
    )


def changes(held: Sequence[Quantity | None], now: Sequence[Quantity]) -> tuple[int, ...]:
    """Intervals to send again: another value, or measured at last.

    A mere change between estimated and final is none: after five days all counts as ready for
    bills. None: Elhub does not have the interval.
    """
    if len(held) != len(now):
        raise ElhubError(f"{len(now)} values cannot correct {len(held)}")
    return tuple(
        k
        for k, (was, is_) in enumerate(zip(held, now, strict=True))
        if was is None or was.wh != is_.wh or (was.state == MEASURED) != (is_.state == MEASURED)
    )


def runs(intervals: Iterable[int]) -> list[tuple[int, int]]:
    """Neighbours together: (first, last + 1) of each run."""
    out: list[tuple[int, int]] = []
    for k in sorted(set(intervals)):
        if out and out[-1][1] == k:
            out[-1] = (out[-1][0], k + 1)
        else:
            out.append((k, k + 1))
    return out


def overlay(
    held: Sequence[Quantity | None], first: int, values: Sequence[Quantity]
) -> tuple[Quantity | None, ...]:
    """What Elhub holds after a series that begins at interval `first`."""
    out = list(held)
    out[first : first + len(values)] = values
    return tuple(out)


def messages(
    series: Iterable[Series],
    parties: Parties,
    created: datetime,
    new_id: Callable[[], str],
    what: Process = INTERVAL_VOLUMES,
    most: int = MOST_SERIES,
) -> Iterator[CollectedData]:
    """Messages of at most `most` series; those of one prosumer may stand in two."""
    batch: list[Series] = []
    for one in series:
        batch.append(one)
        if len(batch) == most:
            yield message(batch, parties, created, new_id(), what)
            batch = []
    if batch:
        yield message(batch, parties, created, new_id(), what)


def message(
    series: Sequence[Series],
    parties: Parties,
    created: datetime,
    message_id: str,
    what: Process = INTERVAL_VOLUMES,
) -> CollectedData:
    header = Header(message_id, what, created, parties.sender, parties.party, parties.hub)
    return CollectedData(header, tuple(series))


def is_closed(day: date, at: datetime) -> bool:
    """Whether Elhub takes no value of the day any more: it began more than three years ago."""
    return at > last_moment(day)


# --- deadlines ---------------------------------------------------------------------------


def first_deadline(day: date) -> datetime:
    """D+1 07:00 local: all values of the day are with Elhub."""
    return _local(day, 1, 7)


def ready_deadline(day: date) -> datetime:
    """D+5: all values are ready for bills; the end of that local day."""
    return midnight(day + timedelta(days=6))


def _local(day: date, days: int, hour: int) -> datetime:
    then = day + timedelta(days=days)
    return starts(then, 60)[minutes(then, 60).index(60 * hour)]

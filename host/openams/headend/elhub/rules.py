"""What Elhub refuses of interval volumes (BRS-NO-313) although the schema allows it.

`RULES` is the one table: number and code as Elhub's page of the process has them up to number 19;
`public` where the code is known, `chosen` where the rule is known and its code is not, `inferred`
where the code is that of the same rule in another process (BRS-NO-332). Pure functions; what the
hub knows is asked of a `Register`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from openams.headend.elhub.build import MINUTES
from openams.headend.elhub.model import (
    ACTIVE_ENERGY,
    EBIX,
    ELHUB_LIST,
    INTERVAL_VOLUMES,
    KVARH,
    KWH,
    Code,
    CollectedData,
    Series,
)
from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY


class Rule(NamedTuple):
    number: int
    about: str  # "message" or "series": what is refused
    text: str
    code: Code
    source: str  # public, inferred, chosen


def _ebix(code: str) -> Code:
    return Code(code, EBIX)


def _own(code: str) -> Code:
    return Code(code, ELHUB_LIST)


_TABLE = (
    Rule(1, "message", "the message is CollectedData", _own("EH055"), "public"),
    Rule(2, "message", "the document type is E13", _own("EH011"), "public"),
    Rule(3, "message", "the document type is of list 260", _own("EH025"), "public"),
    Rule(4, "message", "no positive acknowledgement is asked for", _own("EH065"), "public"),
    Rule(5, "message", "the process is BRS-NO-313", _own("EH055"), "public"),
    Rule(6, "message", "the role is DDE", _own("EH013"), "public"),
    Rule(7, "message", "the role is of list 6", _own("EH025"), "public"),
    Rule(8, "series", "the period is given", _own("EH032"), "public"),
    Rule(9, "series", "the resolution is PT60M, PT1H or PT15M", _own("EH075"), "public"),
    Rule(10, "series", "the start is given, on an hour or a quarter", _own("EH032"), "public"),
    Rule(11, "series", "the end is given, on an hour or a quarter", _own("EH032"), "public"),
    Rule(12, "series", "the end is after the start", _ebix("E50"), "public"),
    Rule(13, "series", "there are as many values as the period holds", _ebix("E87"), "public"),
    Rule(14, "series", "the end is not in the future", _ebix("E50"), "public"),
    Rule(15, "series", "the start is not more than 3 years ago", _ebix("E50"), "public"),
    Rule(16, "series", "no register reading at the start", _own("EH066"), "public"),
    Rule(17, "series", "no register reading at the end", _own("EH066"), "public"),
    Rule(18, "series", "the product is given", _own("EH072"), "public"),
    Rule(19, "series", "the unit is the product's", _own("EH029"), "inferred"),
    # What stands in the text of the process or is common to all, without a number there.
    Rule(101, "series", "the direction is given", _own("EH029"), "inferred"),
    Rule(102, "series", "observations, nothing profiled", _own("EH073"), "inferred"),
    Rule(103, "series", "the point is known", _ebix("E10"), "public"),
    Rule(104, "series", "the point is in a grid area of the sender", _ebix("E09"), "public"),
    Rule(105, "series", "the point has this direction", _ebix("E14"), "chosen"),
    Rule(106, "series", "the point's own reading resolution", _own("EH075"), "chosen"),
    Rule(107, "series", "the first sending of a day is the whole day", _ebix("E87"), "chosen"),
    Rule(108, "series", "the day before was sent", _ebix("E17"), "chosen"),
    Rule(109, "series", "registered after what is there", _ebix("E14"), "chosen"),
    Rule(110, "series", "the point is settled by intervals", _ebix("E14"), "chosen"),
    Rule(111, "series", "values are numbered 1, 2, 3 and so on", _ebix("E87"), "chosen"),
)  # fmt: skip
RULES = {rule.number: rule for rule in _TABLE}

_UNITS = {ACTIVE_ENERGY: KWH, "8716867000047": KWH}
_REACTIVE = {"8716867000139": KVARH, "8716867000146": KVARH}


class PointTerms(NamedTuple):
    """What the hub knows of a point on a day."""

    party: str  # GLN of its grid company
    directions: tuple[str, ...]
    resolution_min: int
    interval_settled: bool = True


class Register(Protocol):
    """What the hub knows."""

    def terms(self, point: str, at: datetime) -> PointTerms | None:
        """Of a point at a moment; None: no such point then."""

    def holds(self, series: Series) -> tuple[datetime | None, ...]:
        """For each interval of a series when its value in the hub was registered; None: none."""

    def has_day(self, point: str, direction: str, begin: datetime, end: datetime) -> bool:
        """Whether the hub has all values from begin to end."""


def check_message(message: CollectedData) -> Iterator[Rule]:
    """What is wrong with the message as a whole: all of its series go with it."""
    what, want = message.header.what, INTERVAL_VOLUMES
    if what.document.code != want.document.code:
        yield RULES[2]
    if what.document.agency != want.document.agency:
        yield RULES[3]
    if message.header.confirm is not None:
        yield RULES[4]
    if what.process != want.process:
        yield RULES[5]
    if what.role.code != want.role.code:
        yield RULES[6]
    if what.role.agency != want.role.agency:
        yield RULES[7]


def check_series(series: Series, now: datetime) -> Iterator[Rule]:
    """What is wrong with a series by itself."""
    step = MINUTES.get(series.resolution or "")
    if series.begin is None and series.end is None and series.resolution is None:
        yield RULES[8]
    if step is None:
        yield RULES[9]
    for number, moment in ((10, series.begin), (11, series.end)):
        if moment is None or (step is not None and not _on(moment, step)):
            yield RULES[number]
    if series.begin is not None and series.end is not None:
        yield from _check_period(series, series.begin, series.end, step, now)
    first, last = series.readings
    if first is not None:
        yield RULES[16]
    if last is not None:
        yield RULES[17]
    if series.product is None:
        yield RULES[18]
    elif series.unit != (_UNITS | _REACTIVE).get(series.product, series.unit):
        yield RULES[19]
    if series.direction is None:
        yield RULES[101]
    if series.profiled is not None:
        yield RULES[102]
    if series.numbers is not None:
        yield RULES[111]


def _check_period(
    series: Series, begin: datetime, end: datetime, step: int | None, now: datetime
) -> Iterator[Rule]:
    if end <= begin:
        yield RULES[12]
    elif step is not None and len(series.values) * timedelta(minutes=step) != end - begin:
        yield RULES[13]
    if end > now:
        yield RULES[14]
    if begin < three_years_before(now):
        yield RULES[15]


def check_known(series: Series, party: str, register: Register) -> Iterator[Rule]:
    """What is wrong with a series, sound by itself, for what the hub knows of its point."""
    begin, end, direction = series.begin, series.end, series.direction
    assert begin is not None and end is not None and direction is not None
    terms = register.terms(series.point, begin)
    if terms is None:
        yield RULES[103]
        return
    if terms.party != party:
        yield RULES[104]
        return
    if not terms.interval_settled:
        yield RULES[110]
    if direction not in terms.directions:
        yield RULES[105]
    if terms.resolution_min != MINUTES[series.resolution or ""]:
        yield RULES[106]
        return
    yield from _check_sequence(series, register, begin, end, direction)


def _check_sequence(
    series: Series, register: Register, begin: datetime, end: datetime, direction: str
) -> Iterator[Rule]:
    held = register.holds(series)
    if any(at is None for at in held) and not (_is_midnight(begin) and _is_midnight(end)):
        yield RULES[107]
    if any(at is not None and at >= series.registered for at in held):
        yield RULES[109]
    if not _is_midnight(begin):
        return
    day_before = midnight(begin.astimezone(NORWAY).date() - timedelta(days=1))
    before = register.terms(series.point, day_before)
    if before is None or not before.interval_settled or direction not in before.directions:
        return
    if not register.has_day(series.point, direction, day_before, begin):
        yield RULES[108]


def three_years_before(now: datetime) -> datetime:
    local = now.astimezone(NORWAY)
    try:
        return local.replace(year=local.year - 3)
    except ValueError:  # 29 February
        return local.replace(year=local.year - 3, day=28)


def _on(moment: datetime, step_min: int) -> bool:
    return moment.minute % step_min == moment.second == moment.microsecond == 0


def _is_midnight(moment: datetime) -> bool:
    local = moment.astimezone(NORWAY)
    return (local.hour, local.minute) == (0, 0)

"""A first register: a list of meters with their URLs becomes points that can be collected.

What a list does not say is as most homes have it; `ams headend export`, an editor and `import` put
it right.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from openams import csvtable
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.gs1 import check_digit, check_meter_number
from openams.headend.days import day_bounds, day_number
from openams.headend.register import INTERVAL, Area, MeterRow, Relation, Tables, Terms
from openams.headend.vee.model import CONSUMPTION

# Areas and points of nobody: EIC's and GS1's own rules for the digits, none of their owners.
AREA = "50YTESTTESTTESTB"
_PREFIX = "707057500"
POINTS_MOST = 10**8
_HOME_A = 63.0


def gsrn(number: int) -> str:
    """The number of the `number`th point."""
    digits = f"{_PREFIX}{number:08d}"
    return digits + check_digit(digits)


def read_meters(path: Path) -> list[tuple[str, str]]:
    """(number, URL) of a CSV file with a head, as `ams field run --plan` writes it; BenchError with
    the line that is wrong."""
    text, place = csvtable.text_of(path), str(path)
    out: dict[str, str] = {}
    try:
        for line, row in csvtable.read(text, ("meter_id", "url")):
            place = f"{path} line {line}"
            number, url = row["meter_id"], row["url"]
            check_meter_number(number)
            if parse_url(url).scheme != "tcp":
                raise BenchError(f"{url} is not called over TCP: tcp://host:port")
            if number in out:
                raise BenchError(f"{number} is there twice")
            out[number] = url
    except csvtable.TableError as error:
        raise BenchError(f"{path} is no list of meters: {error}") from None
    except BenchError as error:
        raise BenchError(f"{place}: {error}") from None
    if not out:
        raise BenchError(f"{path} names no meter")
    return list(out.items())


def tables(
    meters: Iterable[tuple[str, str]], first: date, minutes: int, zero: bool = False
) -> Tables:
    """A point for each meter, from a local day on; what the registers showed then is not known,
    unless it was `zero`."""
    start = 0 if zero else None
    out = Tables(areas=[Area(AREA, "")])
    begin = day_bounds(first)[0]
    for number, (meter_id, url) in enumerate(meters):
        point = gsrn(number)
        out.terms.append(Terms(
            point, day_number(first), None, CONSUMPTION, INTERVAL, "", minutes, _HOME_A, "3P4W",
            AREA, None,
        ))  # fmt: skip
        out.meters.append(MeterRow(meter_id, "", "cellular", "", url, parse_url(url).host))
        out.relations.append(Relation(point, meter_id, begin, None, start, None, start, None))
    return out

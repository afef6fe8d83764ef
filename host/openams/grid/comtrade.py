"""Reads COMTRADE: IEEE C37.111-1991, 1999 and 2013 (IEC 60255-24), as files have it.

All four kinds of data (ASCII, BINARY, BINARY32, FLOAT32), a pair of files or a .cff, one sampling
rate, several, or none but time stamps. What a file leaves open, and what it says twice and
differently, is in `notes`, in words; what cannot be read raises FormatError with its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openams.grid.comtrade_cfg import KINDS, FormatError, Settings, text_of

Floats = NDArray[np.float64]
# A stamp of a binary file that was not taken, and how far the count goes.
_NO_STAMP = 0xFFFFFFFF
_STAMP_RANGE = float(1 << 32)
# Values of binary data that stand for none, and 1991's of ASCII.
_NO_VALUE = {"BINARY": -0x8000, "BINARY32": -0x80000000}
_NO_VALUE_1991 = 99999.0
_WORDS = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}
# How far time stamps and sampling rate may differ before it is said.
_AGREE = 0.01
# So many samples may be left out of a record, for each that is there.
_GAPS_MOST = 100


@dataclass
class Record:
    """`times_s` rise from 0; `values` (n, channels) are as the file has them, NaN where none is."""

    settings: Settings
    times_s: Floats
    values: Floats
    notes: list[str]


# --- data ------------------------------------------------------------------------------------


def record_of(settings: Settings, data: bytes, kind: str = "") -> Record:
    """The samples of a .dat, and when they were taken. `kind`: as the section of a .cff has it."""
    if kind and (kind == "ASCII") != (settings.kind == "ASCII"):
        raise FormatError(f"its data are {kind}, and {settings.kind} by its settings")
    notes = list(settings.notes)
    if settings.kind == "ASCII":
        numbers, stamps, values = _ascii(settings, text_of(data))
    else:
        numbers, stamps, values = _binary(settings, data, notes)
    last = settings.rates[-1][1] if settings.rates else len(numbers)
    count = _declared(numbers, last, notes)
    numbers, stamps, values = numbers[:count], stamps[:count], values[:count]
    if count < 2:
        raise FormatError("it holds no samples")
    times_s = _times(settings, numbers, _unwrapped(stamps, settings, notes), notes)
    return Record(settings, times_s, values, notes)


def _ascii(settings: Settings, text: str) -> tuple[Floats, Floats, Floats]:
    analog = len(settings.channels)
    rows = [
        (number, line)
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text.replace("\x1a", "")), 1)
        if line.strip()
    ]
    if not rows:
        raise FormatError("it holds no samples")
    try:
        table = np.loadtxt([line for _, line in rows], delimiter=",", ndmin=2, comments=None)
        if table.shape[1] < 2 + analog or not np.all(np.isfinite(table)):
            raise ValueError
    except ValueError:
        table = np.array([_fields(line, number, analog) for number, line in rows])
    values = table[:, 2 : 2 + analog].copy()
    if settings.revision == 1991:
        values[values == _NO_VALUE_1991] = np.nan
    return table[:, 0], table[:, 1], values


def _fields(line: str, number: int, analog: int) -> list[float]:
    """Number, stamp and analog values of a line; NaN where nothing stands."""
    fields = line.split(",")
    if len(fields) < 2 + analog:
        raise FormatError(f"data line {number}: {len(fields)} fields where {2 + analog} are due")
    try:
        out = [float(text) if text.strip() else np.nan for text in fields[: 2 + analog]]
    except ValueError:
        raise FormatError(f"data line {number} holds what is no number") from None
    if not np.isfinite(out[0]):
        raise FormatError(f"data line {number} has no number of its sample")
    return out


def _binary(settings: Settings, data: bytes, notes: list[str]) -> tuple[Floats, Floats, Floats]:
    analog, words = len(settings.channels), (settings.digital + 15) // 16
    row = np.dtype(
        [("n", "<u4"), ("stamp", "<u4"), ("analog", _WORDS[settings.kind], (analog,)),
         ("digital", "<u2", (words,))]
    )  # fmt: skip
    whole = len(data) // row.itemsize
    left = len(data) - whole * row.itemsize
    if left:
        notes.append(f"the last {left} octets are no whole sample")
    table = np.frombuffer(data[: whole * row.itemsize], row)
    with np.errstate(invalid="ignore"):
        values = table["analog"].astype(np.float64)
    missing = _NO_VALUE.get(settings.kind)
    if missing is not None:
        values[table["analog"] == missing] = np.nan
    stamps = table["stamp"].astype(np.float64)
    stamps[table["stamp"] == _NO_STAMP] = np.nan
    return table["n"].astype(np.float64), stamps, values


def _declared(numbers: Floats, last: int, notes: list[str]) -> int:
    """How many samples count: those that there are, of those that the .cfg knows."""
    there = len(numbers)
    if not there or not last or int(numbers[-1]) == last:
        return there
    if there < last:
        notes.append(f"it says that there are {last} samples and holds {there}")
        return there
    if there > last:
        notes.append(f"it holds {there} samples and has a rate of {last}: the others are left out")
    return last


# --- times -----------------------------------------------------------------------------------


def _unwrapped(stamps: Floats, settings: Settings, notes: list[str]) -> Floats:
    """Stamps in s; a count of 32 bits begins anew after 71 minutes of microseconds."""
    if settings.kind != "ASCII":
        steps = np.diff(stamps)
        over = np.concatenate(([0], np.cumsum(np.nan_to_num(steps) < -_STAMP_RANGE / 2)))
        if over[-1]:
            notes.append("its time stamps begin anew: taken as going on")
        stamps = stamps + over * _STAMP_RANGE
    return stamps * (settings.base_s * settings.multiplier)


def _times(settings: Settings, numbers: Floats, stamps_s: Floats, notes: list[str]) -> Floats:
    rates = settings.rates
    if numbers[0] > 1 and rates and numbers[-1] <= rates[-1][1]:
        # A part of a longer record: the last samples are in its numbers.
        rates = [(rate, max(0, end - int(numbers[0]) + 1)) for rate, end in rates]
    if rates and all(rate > 0 for rate, _ in rates):
        times = _of_rates(rates, _order(numbers, notes), stamps_s)
        _compare(times, stamps_s, notes)
    elif any(rate > 0 for rate, _ in rates):
        times = _of_both(rates, _order(numbers, notes), stamps_s)
    else:
        times = _of_stamps(stamps_s)
    steps = np.diff(times)
    if not np.all(steps > 0):
        place = int(np.flatnonzero(~(steps > 0))[0])
        raise FormatError(f"sample {place + 2} is not later than the one before it")
    return np.asarray(times - times[0])


def _order(numbers: Floats, notes: list[str]) -> Floats:
    """Numbers of the samples from 1 on, as the rates count them."""
    if np.all(numbers == numbers[0]):
        # Not numbered at all.
        return np.arange(1.0, len(numbers) + 1)
    steps = np.diff(numbers)
    if not np.all(steps > 0):
        place = int(np.flatnonzero(~(steps > 0))[0])
        raise FormatError(
            f"sample number {numbers[place + 1]:g} comes behind {numbers[place]:g}: "
            "put them in order"
        )
    missing = int(np.sum(steps - 1))
    if missing > _GAPS_MOST * len(numbers):
        raise FormatError(f"sample numbers go from {numbers[0]:g} to {numbers[-1]:g} by leaps")
    if missing:
        notes.append(f"{missing} samples are left out: their time passes")
    return np.asarray(numbers - numbers[0] + 1)


def _of_rates(rates: Sequence[tuple[float, int]], order: Floats, stamps_s: Floats) -> Floats:
    """By the rates alone: the step to a sample is one of its own rate.

    Where another rate begins the standard does not say whose step leads there; time stamps do,
    if there are any.
    """
    last = int(order[-1])
    own = np.empty(last)
    begin = 0
    for rate, end in rates:
        own[begin : min(max(end, begin), last)] = 1 / rate
        begin = min(max(end, begin), last)
    own[begin:] = 1 / rates[-1][0]
    former = np.concatenate((own[:1], own[:-1]))
    places = order.astype(int) - 1
    found: list[Floats] = [np.cumsum(steps)[places] for steps in (own, former)]
    found = [np.asarray(times - times[0]) for times in found]
    if len(rates) > 1 and np.all(np.isfinite(stamps_s)):
        away = [float(np.max(np.abs(times - (stamps_s - stamps_s[0])))) for times in found]
        return found[int(away[1] < away[0])]
    return found[0]


def _of_stamps(stamps_s: Floats) -> Floats:
    missing = np.flatnonzero(~np.isfinite(stamps_s))
    if len(missing):
        raise FormatError(f"sample {missing[0] + 1} has no time stamp, and there is no rate")
    return stamps_s


def _of_both(rates: Sequence[tuple[float, int]], order: Floats, stamps_s: Floats) -> Floats:
    """Parts with a rate of their own between parts that have time stamps alone."""
    steps = np.empty(len(order))
    begin = 0.0
    stamp_steps = np.diff(stamps_s, prepend=stamps_s[:1])
    order_steps = np.diff(order, prepend=order[:1] - 1)
    for rate, end in (*rates[:-1], (rates[-1][0], int(order[-1]))):
        part = (order > begin) & (order <= end)
        steps[part] = order_steps[part] / rate if rate > 0 else stamp_steps[part]
        begin = max(begin, end)
    steps[0] = 0.0
    missing = np.flatnonzero(~np.isfinite(steps))
    if len(missing):
        raise FormatError(f"sample {missing[0] + 1} has no time stamp, and there is no rate")
    return np.cumsum(steps)


def _compare(times: Floats, stamps_s: Floats, notes: list[str]) -> None:
    """Rates count, stamps are for whoever looks; that they differ is said."""
    first, last = stamps_s[0], stamps_s[-1]
    if not np.isfinite(first) or not np.isfinite(last) or first == last:
        return
    by_rate, by_stamps = float(times[-1] - times[0]), float(last - first)
    if abs(by_stamps - by_rate) > _AGREE * by_rate:
        notes.append(
            f"it is {by_rate:.6g} s long by its rate and {by_stamps:.6g} s by its time stamps: "
            "the rate counts"
        )


# --- files -----------------------------------------------------------------------------------

_SECTION = re.compile(
    rb"^---[ \t]*file type:[ \t]*([A-Z]+)[ \t]*([A-Z0-9]*)[ \t]*(?::[ \t]*(\d+))?[ \t]*---[ \t]*"
    rb"(?:\r\n|\n|\r|$)",
    re.IGNORECASE | re.MULTILINE,
)


def sections(data: bytes) -> tuple[str, str, bytes]:
    """Of a .cff: text of the .cfg, kind that the section of the data names, the data.

    BINARY stands there for all three kinds of it.
    """
    found: dict[str, bytes] = {}
    kind = ""
    at = 0
    while mark := _SECTION.search(data, at):
        name = mark[1].decode().upper()
        size = int(mark[3]) if mark[3] else None
        following = _SECTION.search(data, mark.end())
        end = following.start() if following else len(data)
        if size is not None:
            # Binary data may look like anything, a section too.
            end = mark.end() + size
            if end > len(data):
                raise FormatError(f"its data are {size} octets long and it ends before")
        if name == "DAT":
            kind = mark[2].decode().upper()
        found.setdefault(name, data[mark.end() : end])
        at = end
    for name in ("CFG", "DAT"):
        if name not in found:
            raise FormatError(f"it has no section {name}")
    text = text_of(found["CFG"])
    if kind and kind not in KINDS:
        raise FormatError(f"its data are {kind!r}: one of {', '.join(KINDS)}")
    return text, kind, found["DAT"]

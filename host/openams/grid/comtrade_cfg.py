"""The .cfg of a COMTRADE record: channels, sampling rates, kind of data (see `grid.comtrade`)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_MICRO, _NANO = 1e-6, 1e-9
KINDS = ("ASCII", "BINARY", "BINARY32", "FLOAT32")


class FormatError(ValueError):
    """What cannot be read, with the line or sample."""


@dataclass
class Channel:
    """An analog channel: value = a x + b, in `unit`, taken `skew_s` after the sample's time."""

    name: str
    phase: str
    unit: str
    a: float
    b: float
    skew_s: float
    primary: float | None
    secondary: float | None
    # "P" or "S": which of the two the values are. "" where the file does not say.
    side: str


@dataclass
class Settings:
    """A .cfg. `rates`: (Hz or 0, number of the last sample); `base_s`: unit of the stamps."""

    revision: int
    channels: list[Channel]
    digital: int
    rates: list[tuple[float, int]]
    kind: str
    base_s: float
    multiplier: float
    notes: list[str] = field(default_factory=list)


# --- text ------------------------------------------------------------------------------------


def text_of(data: bytes) -> str:
    """UTF-8, or what older recorders write: the Latin of Windows."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
    return data.decode("cp1252", "replace")


class _Lines:
    """The lines of a .cfg, one after the other; errors say where."""

    def __init__(self, text: str) -> None:
        self._lines = re.split(r"\r\n|\n|\r", text.replace("\x1a", ""))
        self.number = 0

    def more(self) -> bool:
        return any(line.strip() for line in self._lines[self.number :])

    def next(self, what: str) -> list[str]:
        if not self.more():
            raise FormatError(f"it ends before its {what}")
        self.number += 1
        return [part.strip() for part in self._lines[self.number - 1].split(",")]

    def peek(self) -> str:
        return self._lines[self.number].strip() if self.more() else ""

    def error(self, text: str) -> FormatError:
        return FormatError(f"line {self.number}: {text}")

    def number_of(self, text: str, what: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise self.error(f"{what} is no number: {text!r}") from None
        if not math.isfinite(value):
            raise self.error(f"{what} is no number: {text!r}")
        return value

    def whole(self, text: str, what: str) -> int:
        value = self.number_of(text, what)
        if value != int(value) or value < 0:
            raise self.error(f"{what} is no count: {text!r}")
        return int(value)


# --- the .cfg --------------------------------------------------------------------------------


def settings_of(text: str) -> Settings:
    lines = _Lines(text)
    notes: list[str] = []
    revision = _revision(lines, notes)
    analog, digital = _counts(lines)
    channels = [_channel(lines, k + 1) for k in range(analog)]
    for k in range(digital):
        lines.next(f"digital channel {k + 1}")
    lines.next("line frequency")
    rates = _rates(lines)
    base_s = _MICRO
    for what in ("time of the first sample", "time of the trigger"):
        base_s = min(base_s, _stamp_base(lines, what, notes))
    kind = lines.next("kind of data")[0].upper() if lines.more() else ""
    if kind not in KINDS:
        raise lines.error(f"the kind of data is {kind!r}: it is one of {', '.join(KINDS)}")
    multiplier = 1.0
    if lines.more():
        text = lines.next("multiplier of the time stamps")[0]
        multiplier = lines.number_of(text, "the multiplier of the time stamps") if text else 1.0
    return Settings(revision, channels, digital, rates, kind, base_s, multiplier, notes)


def _revision(lines: _Lines, notes: list[str]) -> int:
    fields = lines.next("name of the station")
    year = fields[2] if len(fields) > 2 else ""
    if not year:
        return 1991
    if year in ("1991", "1999", "2013"):
        return int(year)
    # IEC 60255-24:2001 is the standard of 1999; 1997 and the like are drafts of it.
    if year != "2001":
        notes.append(f"revision {year!r} is none: read as 1999")
    return 1999


def _counts(lines: _Lines) -> tuple[int, int]:
    """Analog and digital channels of `TT,##A,##D`, in either order."""
    fields = lines.next("number of channels")
    found = {"A": 0, "D": 0}
    for text in fields[1:]:
        if not text:
            continue
        letter = text[-1].upper()
        if letter not in found:
            raise lines.error(f"{text!r} is no number of channels: write it like 4A or 0D")
        found[letter] = lines.whole(text[:-1], "the number of channels")
    total = lines.whole(fields[0], "the number of channels")
    if len(fields) < 2 or total != found["A"] + found["D"]:
        raise lines.error(f"{total} channels are not {found['A']} analog and {found['D']} digital")
    return found["A"], found["D"]


def _channel(lines: _Lines, number: int) -> Channel:
    fields = lines.next(f"analog channel {number}")
    if len(fields) < 7:
        raise lines.error(f"analog channel {number} has {len(fields)} fields: 1991 has 10, 1999 13")
    _, name, phase, _, unit, a, b, *more = fields
    more += [""] * 6
    skew, _, _, primary, secondary, side = more[:6]

    def optional(text: str, what: str) -> float | None:
        return lines.number_of(text, f"the {what} of channel {name}") if text else None

    factor = optional(a, "multiplier")
    if factor is None:
        raise lines.error(f"channel {name} has no multiplier")
    return Channel(
        name,
        phase,
        unit,
        factor,
        optional(b, "offset") or 0.0,
        (optional(skew, "skew") or 0.0) * _MICRO,
        optional(primary, "primary factor"),
        optional(secondary, "secondary factor"),
        side.upper()[:1] if side.upper()[:1] in ("P", "S") else "",
    )


def _rates(lines: _Lines) -> list[tuple[float, int]]:
    count = lines.whole(lines.next("number of sampling rates")[0], "the number of sampling rates")
    # Without a rate there is one line, 0 and the last sample; some leave it out.
    if count == 0 and "/" in lines.peek():
        return []
    rates: list[tuple[float, int]] = []
    for _ in range(max(count, 1)):
        fields = lines.next("sampling rate")
        if len(fields) < 2:
            raise lines.error("a sampling rate and its last sample are due")
        rate = lines.number_of(fields[0], "the sampling rate")
        last = lines.whole(fields[1], "the number of the last sample")
        if rate < 0:
            raise lines.error(f"a sampling rate of {rate:g} Hz is none")
        if rates and last < rates[-1][1]:
            raise lines.error(f"the last sample {last} lies before that of the rate before it")
        rates.append((rate, last))
    return rates


_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d*))?$")
_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}$")


def _stamp_base(lines: _Lines, what: str, notes: list[str]) -> float:
    """Unit of the time stamps: a fraction of nine digits says ns (2013), else it is us.

    The moment itself is not asked for: a record plays when it is told to.
    """
    fields = lines.next(what)
    date, time = fields[0], ",".join(fields[1:])
    found = _TIME.match(time)
    good = found and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3]) <= 60
    if (date or time) and not (_DATE.match(date) and good):
        notes.append(f"the {what} is none: {date},{time}")
    return _NANO if found and found[4] and len(found[4]) > 6 else _MICRO

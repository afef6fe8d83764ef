"""A-XDR reader: the COSEM Data of a notification as Python values.

Written apart from the firmware's writer, on purpose: they check each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from openams.han.errors import CutShortError, HanError
from openams.han.octet_reader import OctetReader

_INTEGERS = {
    0x03: (1, False),
    0x05: (4, True),
    0x06: (4, False),
    0x0F: (1, True),
    0x10: (2, True),
    0x11: (1, False),
    0x12: (2, False),
    0x14: (8, True),
    0x15: (8, False),
    0x16: (1, False),
}


@dataclass(frozen=True)
class Item:
    """One value with its tag; `value` is None, int, bytes, str or a list of Items."""

    tag: int
    value: Any

    @property
    def items(self) -> list[Item]:
        return self.value if isinstance(self.value, list) else []


class Reader(OctetReader):
    def short(self) -> HanError:
        return CutShortError("the list ends inside a value")

    def item(self, depth: int = 0) -> Item:
        """One value. Raises HanError for what is no Data of a list."""
        tag = self.octet()
        if tag == 0x00:
            return Item(tag, None)
        if tag in (0x01, 0x02):
            if depth > 8:
                raise HanError("the list is nested too deep")
            return Item(tag, [self.item(depth + 1) for _ in range(self.length())])
        if tag in (0x09, 0x0A, 0x0C):
            return Item(tag, self.take(self.length()))
        if tag in _INTEGERS:
            size, signed = _INTEGERS[tag]
            return Item(tag, int.from_bytes(self.take(size), "big", signed=signed))
        raise HanError(f"the list has a value of the unknown type 0x{tag:02x}")


@dataclass(frozen=True)
class DateTime:
    """The parts of a COSEM date-time as sent; FF and 8000 are not specified."""

    year: int
    month: int
    day: int
    weekday: int
    hour: int
    minute: int
    second: int
    hundredths: int
    deviation: int
    status: int

    @property
    def iso(self) -> str:
        return (
            f"{self.year:04}-{self.month:02}-{self.day:02}T"
            f"{self.hour:02}:{self.minute:02}:{self.second:02}"
        )

    def moment(self) -> int:
        """Milliseconds of its own time since 2000: for differences. Raises HanError for a day that
        no month has, or a year that is not said."""
        try:
            at = datetime(self.year, self.month, self.day, self.hour, self.minute, self.second)
        except ValueError:
            raise HanError(f"no date-time: {self.iso}") from None
        ms = 0 if self.hundredths > 99 else 10 * self.hundredths
        return (at - datetime(2000, 1, 1)) // timedelta(milliseconds=1) + ms


def date_time(data: bytes) -> DateTime:
    """Twelve octets. Raises HanError for a date that cannot be."""
    if len(data) != 12:
        raise HanError(f"a date-time has 12 octets, not {len(data)}")
    year = int.from_bytes(data[:2], "big")
    month, day, weekday, hour, minute, second, hundredths = data[2:9]
    deviation = int.from_bytes(data[9:11], "big", signed=True)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise HanError(f"no date-time: {data.hex()}")
    return DateTime(
        year, month, day, weekday, hour, minute, second, hundredths, deviation, data[11]
    )

"""COSEM Data as Python values and back: A-XDR, IEC 62056-6-2.

Reading loses the type, on purpose: None, bool, int, float, bytes, str and
lists. Writing needs it, so there is a function a type.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from openams.client.errors import ClientError
from openams.han.octet_reader import OctetReader
from openams.meter_time import NORWAY

_FIXED = {
    0x05: ">i",
    0x06: ">I",
    0x0F: ">b",
    0x10: ">h",
    0x11: ">B",
    0x12: ">H",
    0x14: ">q",
    0x15: ">Q",
    0x16: ">B",
    0x17: ">f",
    0x18: ">d",
}
_RAW = {0x19: 12, 0x1A: 5, 0x1B: 4}
_DEPTH_MAX = 12
# Of date-times: in any zone, and by any deviation, they are still times.
_YEARS = (1900, 9900)


class Reader(OctetReader):
    """Of what a meter answers. Raises ClientError."""

    def short(self) -> ClientError:
        return ClientError("the meter's answer ends inside a value")

    def end(self) -> None:
        if self.rest:
            raise ClientError(f"the meter's answer has {len(self.rest)} octets too many")

    def value(self, depth: int = 0) -> Any:
        tag = self.octet()
        if tag == 0x00:
            return None
        if tag in (0x01, 0x02):
            if depth > _DEPTH_MAX:
                raise ClientError("the meter's answer is nested too deep")
            return [self.value(depth + 1) for _ in range(self.length())]
        if tag == 0x03:
            return bool(self.octet())
        if tag == 0x04:
            bits = self.length()
            return "".join(f"{octet:08b}" for octet in self.take((bits + 7) // 8))[:bits]
        if tag in _FIXED:
            return struct.unpack(_FIXED[tag], self.take(struct.calcsize(_FIXED[tag])))[0]
        if tag == 0x0D:
            return self.octet()
        if tag in _RAW:
            return self.take(_RAW[tag])
        if tag in (0x09, 0x0A, 0x0C):
            raw = self.take(self.length())
            return raw if tag == 0x09 else raw.decode("utf-8", "replace")
        raise ClientError(f"the meter's answer has a value of the unknown type 0x{tag:02x}")


def decode(data: bytes) -> Any:
    """One value that takes all of `data`."""
    reader = Reader(data)
    value = reader.value()
    reader.end()
    return value


# --- writing ---------------------------------------------------------------------


def length(count: int) -> bytes:
    if count < 0x80:
        return bytes((count,))
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def array(*items: bytes) -> bytes:
    return b"\x01" + length(len(items)) + b"".join(items)


def structure(*items: bytes) -> bytes:
    return b"\x02" + length(len(items)) + b"".join(items)


def boolean(value: bool) -> bytes:
    return bytes((0x03, value))


def octets(value: bytes) -> bytes:
    return b"\x09" + length(len(value)) + value


def int8(value: int) -> bytes:
    return struct.pack(">Bb", 0x0F, value)


def uint16(value: int) -> bytes:
    return struct.pack(">BH", 0x12, value)


def uint32(value: int) -> bytes:
    return struct.pack(">BI", 0x06, value)


def enum(value: int) -> bytes:
    return bytes((0x16, value))


# --- date-time -------------------------------------------------------------------


def date_time(when: datetime) -> bytes:
    """Twelve octets in Norwegian local time, with its deviation: UTC minus local time."""
    local = when.astimezone(NORWAY)
    offset = local.utcoffset() or timedelta()
    summer = bool(local.dst())
    return struct.pack(
        ">HBBBBBBBhB",
        local.year,
        local.month,
        local.day,
        local.isoweekday(),
        local.hour,
        local.minute,
        local.second,
        local.microsecond // 10000,
        -int(offset.total_seconds() // 60),
        0x80 if summer else 0,
    )


def parse_date_time(raw: Any) -> datetime | None:
    """UTC, or None when a part that is needed is not specified."""
    if not isinstance(raw, bytes) or len(raw) != 12:
        raise ClientError("the meter's answer has no date-time where one is due")
    year, month, day, _, hour, minute, second, hundredths, deviation, status = struct.unpack(
        ">HBBBBBBBhB", raw
    )
    if year == 0xFFFF or 0xFF in (month, day, hour, minute):
        return None
    try:
        if not _YEARS[0] <= year <= _YEARS[1]:
            raise ValueError
        local = datetime(
            year,
            month,
            day,
            hour,
            minute,
            0 if second == 0xFF else second,
            0 if hundredths == 0xFF else hundredths * 10000,
        )
    except ValueError:
        raise ClientError(f"the meter's answer has no date-time: {raw.hex()}") from None
    if deviation == -0x8000:
        fold = 0 if status & 0x80 else 1
        return local.replace(tzinfo=NORWAY, fold=fold).astimezone(UTC)
    return (local + timedelta(minutes=deviation)).replace(tzinfo=UTC)

"""COSEM Data as Python values and back: A-XDR, IEC 62056-6-2.

Reading loses the type, on purpose: None, bool, int, float, bytes, str and
lists. Writing needs it, so there is a function a type.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from openams.client.errors import ClientError
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


def decode(data: bytes) -> Any:
    """One value that takes all of `data`."""
    value, at = _item(data, 0, 0)
    if at != len(data):
        raise ClientError(f"the meter's answer has {len(data) - at} octets too many")
    return value


def _take(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    piece = data[at : at + count]
    if len(piece) < count:
        raise ClientError("the meter's answer ends inside a value")
    return bytes(piece), at + count


def _length(data: bytes, at: int) -> tuple[int, int]:
    first, at = _take(data, at, 1)
    if first[0] < 0x80:
        return first[0], at
    more, at = _take(data, at, first[0] & 0x7F)
    return int.from_bytes(more, "big"), at


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    head, at = _take(data, at, 1)
    tag = head[0]
    if tag == 0x00:
        return None, at
    if tag in (0x01, 0x02):
        if depth > _DEPTH_MAX:
            raise ClientError("the meter's answer is nested too deep")
        count, at = _length(data, at)
        out = []
        for _ in range(count):
            value, at = _item(data, at, depth + 1)
            out.append(value)
        return out, at
    if tag == 0x03:
        raw, at = _take(data, at, 1)
        return bool(raw[0]), at
    if tag == 0x04:
        bits, at = _length(data, at)
        raw, at = _take(data, at, (bits + 7) // 8)
        return "".join(f"{octet:08b}" for octet in raw)[:bits], at
    if tag in _FIXED:
        raw, at = _take(data, at, struct.calcsize(_FIXED[tag]))
        return struct.unpack(_FIXED[tag], raw)[0], at
    if tag == 0x0D:
        raw, at = _take(data, at, 1)
        return raw[0], at
    if tag in _RAW:
        return _take(data, at, _RAW[tag])
    if tag in (0x09, 0x0A, 0x0C):
        count, at = _length(data, at)
        raw, at = _take(data, at, count)
        return (raw if tag == 0x09 else raw.decode("utf-8", "replace")), at
    raise ClientError(f"the meter's answer has a value of the unknown type 0x{tag:02x}")


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

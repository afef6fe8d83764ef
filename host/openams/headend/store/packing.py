"""Rows of numbers as octets: a day of a meter is one small value of the database.

A column is an octet that tells its form, then its numbers, little endian and signed: 1, 2, 4 or 8
octets each; with 0x80 it is one number, the same in every row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from openams.headend.store.errors import StoreError

_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_SAME = 0x80
_COUNT = struct.Struct("<H")


def pack_column(values: Sequence[int]) -> bytes:
    """At least one number."""
    low, high = min(values), max(values)
    if low >= -128 and high < 128:
        width = 1
    else:
        width = next((w for w in (2, 4) if max(high, ~low) >> (8 * w - 1) == 0), 8)
    code = _CODES[width]
    if low == high and len(values) > 1:
        return bytes((width | _SAME,)) + struct.pack(f"<{code}", low)
    return bytes((width,)) + struct.pack(f"<{len(values)}{code}", *values)


def pack_columns(columns: Sequence[Sequence[int]]) -> bytes:
    """Columns of one length; none have nothing in them."""
    count = len(columns[0])
    head = _COUNT.pack(count)
    return head + b"".join(pack_column(column) for column in columns) if count else head


def unpack_columns(data: bytes) -> list[tuple[int, ...]]:
    try:
        (count,) = _COUNT.unpack_from(data)
        at, out = _COUNT.size, []
        while at < len(data):
            width = data[at] & ~_SAME
            same = data[at] & _SAME
            many = 1 if same else count
            column = struct.unpack_from(f"<{many}{_CODES[width]}", data, at + 1)
            out.append(column * count if same else column)
            at += 1 + many * width
    except (struct.error, KeyError):
        raise StoreError("a row of the store is not what was written: mend the database") from None
    return out


def pack_values(values: Sequence[int]) -> bytes:
    return pack_columns([values])


def unpack_values(data: bytes) -> tuple[int, ...]:
    columns = unpack_columns(data)
    return columns[0] if columns else ()

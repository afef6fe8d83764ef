"""Work on octets that every link shares: CRC-16/X.25, copying and finding without allocation.

Viper on MicroPython: slicing a memoryview costs two objects on the heap each time, these cost
none. CPython has plain twins, which are the faster there.
"""

import sys
from array import array

import micropython

# CRC-16/X.25, reflected polynomial 0x8408, by nibble: 32 octets of table.
_NIBBLES = array(
    "H",
    (
        0x0000, 0x1081, 0x2102, 0x3183, 0x4204, 0x5285, 0x6306, 0x7387,
        0x8408, 0x9489, 0xA50A, 0xB58B, 0xC60C, 0xD68D, 0xE70E, 0xF78F,
    ),
)  # fmt: skip


@micropython.viper
def crc16_more_viper(crc: int, data, start: int, end: int) -> int:
    """The running CRC (begin with 0xFFFF) with data[start:end] taken in."""
    d = ptr8(data)  # noqa: F821
    table = ptr16(_NIBBLES)  # noqa: F821
    at = start
    while at < end:
        crc ^= int(d[at])
        crc = (crc >> 4) ^ int(table[crc & 15])
        crc = (crc >> 4) ^ int(table[crc & 15])
        at += 1
    return crc


@micropython.viper
def copy_viper(target, to: int, source, at: int, size: int):
    """target[to:to + size] = source[at:at + size]; within one buffer only downwards.

    The caller answers for the bounds.
    """
    t = ptr8(target)  # noqa: F821
    s = ptr8(source)  # noqa: F821
    k = 0
    while k < size:
        t[to + k] = s[at + k]
        k += 1


@micropython.viper
def find_viper(data, value: int, start: int, end: int) -> int:
    """Where `value` first stands in data[start:end], or `end`."""
    d = ptr8(data)  # noqa: F821
    at = start
    while at < end:
        if int(d[at]) == value:
            return at
        at += 1
    return end


def crc16_more_plain(crc, data, start, end):
    table = _octet_table()
    for octet in memoryview(data)[start:end]:
        crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
    return crc


_table = []


def _octet_table():
    if not _table:
        for octet in range(256):
            _table.append(crc16_more_viper(0, bytes((octet,)), 0, 1))
    return _table


def copy_plain(target, to, source, at, size):
    target[to : to + size] = bytes(memoryview(source)[at : at + size])


def find_plain(data, value, start, end):
    at = bytes(memoryview(data)[start:end]).find(value)
    return end if at < 0 else start + at


if sys.implementation.name == "micropython":
    crc16_more, copy, find = crc16_more_viper, copy_viper, find_viper
else:
    crc16_more, copy, find = crc16_more_plain, copy_plain, find_plain


def crc16(data, start, end):
    """CRC-16/X.25 of data[start:end]; sent low octet first."""
    return crc16_more(0xFFFF, data, start, end) ^ 0xFFFF

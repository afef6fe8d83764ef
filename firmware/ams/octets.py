"""Work on octets that every link shares: CRC-16/X.25, copying and finding without allocation.

Viper on MicroPython; the same source is plain Python on CPython. Slicing a memoryview costs
two objects on the heap each time, these cost none.
"""

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
def crc16_more(crc: int, data, start: int, end: int) -> int:
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


def crc16(data, start, end):
    """CRC-16/X.25 of data[start:end]; sent low octet first."""
    return crc16_more(0xFFFF, data, start, end) ^ 0xFFFF


@micropython.viper
def copy(target, to: int, source, at: int, size: int):
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
def find(data, value: int, start: int, end: int) -> int:
    """Where `value` first stands in data[start:end], or `end`."""
    d = ptr8(data)  # noqa: F821
    at = start
    while at < end:
        if int(d[at]) == value:
            return at
        at += 1
    return end

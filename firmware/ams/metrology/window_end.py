"""What a window's end does to the sums of the loop: share the straddling sample, make integers.

`split` and `values` (viper on MicroPython) and their plain twins do the same to
the last bit; a test holds them equal. The sums are as `kernel` has them.
"""

import struct
import sys

import micropython

from ams.metrology.kernel import PEAK_I, PEAK_U, SUM_COUNT, add_to_limbs, limbs_value


@micropython.viper
def split(acc, straddling, part: int):
    """Gives `part`/64 of what `straddling` holds to `acc`; the rest stays there.

    Sum by sum and rounded down, so that nothing is lost or counted twice.
    """
    to = ptr32(acc)  # noqa: F821
    of = ptr32(straddling)  # noqa: F821
    p: int = 0
    while p < 27:
        low: int = of[p] & 0xFFFFFF
        mid: int = of[p + 1] & 0xFFFFFF
        high: int = ((of[p + 2] & 0xFFFFFF) ^ 0x800000) - 0x800000
        # Times `part`, in limbs, and 64 times less.
        t: int = low * part
        a: int = t & 0xFFFFFF
        t = mid * part + (t >> 24)
        b: int = t & 0xFFFFFF
        t = high * part + (t >> 24)
        a = (a >> 6) | ((b & 0x3F) << 18)
        b = (b >> 6) | ((t & 0x3F) << 18)
        c: int = t >> 6
        t = (to[p] & 0xFFFFFF) + a
        to[p] = t & 0xFFFFFF
        t = (to[p + 1] & 0xFFFFFF) + b + (t >> 24)
        to[p + 1] = t & 0xFFFFFF
        to[p + 2] = ((to[p + 2] & 0xFFFFFF) + c + (t >> 24)) & 0xFFFFFF
        t = low - a
        of[p] = t & 0xFFFFFF
        t = mid - b + (t >> 24)
        of[p + 1] = t & 0xFFFFFF
        of[p + 2] = (high - c + (t >> 24)) & 0xFFFFFF
        p += 3
    p = 27
    while p < 29:
        # The peaks are of both.
        a = int(of[p])
        if a > int(to[p]):
            to[p] = a
        p += 1


def split_plain(acc, straddling, part):
    """`split` in plain Python."""
    for which in range(SUM_COUNT):
        value = limbs_value(straddling, which)
        mine = value * part >> 6
        add_to_limbs(acc, which, mine)
        add_to_limbs(straddling, which, -mine)
    for peak in (PEAK_U, PEAK_I):
        acc[peak] = max(acc[peak], straddling[peak])


@micropython.viper
def _pack(acc, out):
    """The sums as 64-bit integers, little-endian: more than the codes of a window can make."""
    limb = ptr32(acc)  # noqa: F821
    word = ptr32(out)  # noqa: F821
    p: int = 0
    k: int = 0
    while k < 18:
        mid: int = int(limb[p + 1])
        word[k] = int(limb[p]) | ((mid & 0xFF) << 24)
        word[k + 1] = (mid >> 8) | ((int(limb[p + 2]) & 0xFFFF) << 16)
        p += 3
        k += 2


_words = bytearray(8 * SUM_COUNT)


def values(acc):
    """All sums of an accumulator."""
    # One call makes all of them: each operation on a long integer costs the end of a window.
    _pack(acc, _words)
    return struct.unpack("<9q", _words)


def values_plain(acc):
    """`values` in plain Python."""
    return [limbs_value(acc, which) for which in range(SUM_COUNT)]


# CPython has no viper: there the plain twin is the faster one.
if sys.implementation.name == "micropython":
    part_sums = split
    sum_values = values
else:
    part_sums = split_plain
    sum_values = values_plain

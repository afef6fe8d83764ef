"""Sums of channels that are no element's pair: two of them, or one with itself.

In limbs and by 32-bit arithmetic as in `kernel`, each with a plain twin that a test holds equal.
"""

import sys

import micropython

from ams.metrology.kernel import (
    ARG_COUNT,
    ARG_CURRENT,
    ARG_FIRST,
    ARG_OFFSET,
    ARG_OFFSET_CURRENT,
    ARG_STRIDE,
    PEAK_U,
    add_to_limbs,
)


@micropython.viper
def cross_sum(args, samples, acc):
    """Adds the sum of products of two channels to the first three limbs of `acc`, and the sum of
    the first of them to the next three.

    For what no element measures: U31 and the current of L2 on 3P3W. Takes
    ARG_FIRST, ARG_CURRENT (distance to the other channel), ARG_STRIDE, ARG_COUNT.
    """
    a = ptr32(args)  # noqa: F821
    x = ptr32(samples)  # noqa: F821
    out = ptr32(acc)  # noqa: F821
    at: int = int(a[0])
    to_other: int = int(a[1])
    stride: int = int(a[2])
    left: int = int(a[3])
    zero_u: int = ((a[6] & 0xFFFFFF) ^ 0x800000) - 0x800000
    zero_i: int = ((a[7] & 0xFFFFFF) ^ 0x800000) - 0x800000
    while left > 0:
        n: int = left if left < 32 else 32
        left -= n
        low: int = 0
        mid: int = 0
        high: int = 0
        total: int = 0
        while n > 0:
            n -= 1
            u: int = ((x[at] & 0xFFFFFF) ^ 0x800000) - 0x800000 - zero_u
            total += u
            i: int = ((x[at + to_other] & 0xFFFFFF) ^ 0x800000) - 0x800000 - zero_i
            at += stride
            ul: int = u & 0xFFF
            uh: int = u >> 12
            il: int = i & 0xFFF
            ih: int = i >> 12
            low += ul * il
            mid += ul * ih + uh * il
            high += uh * ih
        t: int = out[0] + (low & 0xFFFFFF)
        out[0] = t & 0xFFFFFF
        t = (t >> 24) + (low >> 24) + high + (mid >> 12)
        low = out[0] + ((mid & 0xFFF) << 12)
        out[0] = low & 0xFFFFFF
        t += (low >> 24) + out[1]
        out[1] = t & 0xFFFFFF
        out[2] = (out[2] + (t >> 24)) & 0xFFFFFF
        t = out[3] + (total & 0xFFFFFF)
        out[3] = t & 0xFFFFFF
        t = (t >> 24) + (total >> 24) + out[4]
        out[4] = t & 0xFFFFFF
        out[5] = (out[5] + (t >> 24)) & 0xFFFFFF


def cross_sum_plain(args, samples, acc):
    """`cross_sum` in plain Python."""
    at = args[ARG_FIRST]
    to_other = args[ARG_CURRENT]
    total = product = 0
    for _ in range(args[ARG_COUNT]):
        u = samples[at] - args[ARG_OFFSET]
        total += u
        product += u * (samples[at + to_other] - args[ARG_OFFSET_CURRENT])
        at += args[ARG_STRIDE]
    add_to_limbs(acc, 0, product)
    add_to_limbs(acc, 1, total)


@micropython.viper
def channel_sum(args, samples, acc):
    """The same of one channel with itself, the neutral's current on 3P4W, and its peak, which
    stands where that of a voltage does: half of the multiplications, and half of the loads.

    Takes ARG_FIRST, ARG_STRIDE, ARG_COUNT, ARG_OFFSET.
    """
    a = ptr32(args)  # noqa: F821
    x = ptr32(samples)  # noqa: F821
    out = ptr32(acc)  # noqa: F821
    at: int = int(a[0])
    stride: int = int(a[2])
    left: int = int(a[3])
    zero: int = ((a[6] & 0xFFFFFF) ^ 0x800000) - 0x800000
    peak: int = int(out[27])
    while left > 0:
        n: int = left if left < 32 else 32
        left -= n
        low: int = 0
        mid: int = 0
        high: int = 0
        total: int = 0
        while n > 0:
            n -= 1
            u: int = ((x[at] & 0xFFFFFF) ^ 0x800000) - 0x800000 - zero
            at += stride
            total += u
            m: int = u ^ (u >> 31)
            if m > peak:
                peak = m
            m = u & 0xFFF
            u >>= 12
            low += m * m
            mid += m * u
            high += u * u
        t: int = out[0] + (low & 0xFFFFFF)
        out[0] = t & 0xFFFFFF
        mid += mid
        t = (t >> 24) + (low >> 24) + high + (mid >> 12)
        low = out[0] + ((mid & 0xFFF) << 12)
        out[0] = low & 0xFFFFFF
        t += (low >> 24) + out[1]
        out[1] = t & 0xFFFFFF
        out[2] = (out[2] + (t >> 24)) & 0xFFFFFF
        t = out[3] + (total & 0xFFFFFF)
        out[3] = t & 0xFFFFFF
        t = (t >> 24) + (total >> 24) + out[4]
        out[4] = t & 0xFFFFFF
        out[5] = (out[5] + (t >> 24)) & 0xFFFFFF
    out[27] = peak


def channel_sum_plain(args, samples, acc):
    """`channel_sum` in plain Python."""
    at = args[ARG_FIRST]
    total = square = 0
    peak = acc[PEAK_U]
    for _ in range(args[ARG_COUNT]):
        u = samples[at] - args[ARG_OFFSET]
        total += u
        square += u * u
        peak = max(peak, u ^ (u >> 31))
        at += args[ARG_STRIDE]
    add_to_limbs(acc, 0, square)
    add_to_limbs(acc, 1, total)
    acc[PEAK_U] = peak


# CPython has no viper: there the plain twins are the faster ones.
if sys.implementation.name == "micropython":
    product_sum = cross_sum
    square_sum = channel_sum
else:
    product_sum = cross_sum_plain
    square_sum = channel_sum_plain

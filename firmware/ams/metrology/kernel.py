"""The hot loop: sums of products over interleaved samples of one channel pair.

`accumulate` (viper on MicroPython) and `accumulate_plain` do the same to the
last bit; a test holds them equal. Only 32-bit arithmetic that cannot
overflow is used, so the result is the same on a 32-bit chip and a 64-bit PC.

Samples are signed, 24 bit at the most. A sample is split in 12-bit halves so
that each product fits 24 bits; partial sums are folded every `CHUNK` samples
into 72-bit accumulators of three 24-bit limbs.

The sums of a pair (voltage u, current i, reference cosine c and sine s) are
u, i, u*u, i*i, u*i, u*c, u*s, i*c, i*s.
"""

import sys
from array import array

import micropython
from micropython import const

SUM_U = const(0)
SUM_I = const(1)
SUM_UU = const(2)
SUM_II = const(3)
SUM_UI = const(4)
SUM_UC = const(5)
SUM_US = const(6)
SUM_IC = const(7)
SUM_IS = const(8)
SUM_COUNT = const(9)
# After the limbs: the largest magnitudes seen, to find saturation.
PEAK_U = const(27)
PEAK_I = const(28)
ACC_LENGTH = const(29)

# Parameters of a call, in an array('i').
ARG_FIRST = const(0)  # index of the first voltage sample
ARG_CURRENT = const(1)  # distance from a voltage sample to its current sample
ARG_STRIDE = const(2)  # distance from one sample set to the next
ARG_COUNT = const(3)  # sample sets
ARG_PHASE = const(4)  # reference phase, 24 bit a turn
ARG_STEP = const(5)  # phase advance per sample set
ARG_OFFSET = const(6)  # code of zero of the first channel
ARG_OFFSET_CURRENT = const(7)  # and of the other
# Behind them is room for what a loop in a chip's own instructions keeps.
ARG_LENGTH = const(40)

# The reference: 1024 cosines of amplitude 8192. The sine is read a quarter back.
TABLE_BITS = const(10)
TABLE_AMPLITUDE = const(8192)
TABLE_AMPLITUDE_BITS = const(13)
CHUNK = const(32)

_LIMB = const(0xFFFFFF)


_CLEAR = array("i", bytes(4 * ACC_LENGTH))


def new_accumulator():
    return array("i", bytes(4 * ACC_LENGTH))


def new_arguments():
    return array("i", bytes(4 * ARG_LENGTH))


def make_table():
    """Cosine table as array('h'), by integer recurrence: no float on any chip.

    Turns a unit vector of 2**30 by 2*pi/1024 in 64-bit integers; the error
    stays far below the rounding to 8192.
    """
    size = 1 << TABLE_BITS
    one = 1 << 40
    # cos and sin of 2*pi/1024, times 2**40.
    cos_step = 1099490929143
    sin_step = 6746497019
    table = array("h", bytes(2 * size))
    x, y = one, 0
    # By shifts: a division of long integers costs a start on the chip its second.
    down = 40 - TABLE_AMPLITUDE_BITS
    half = 1 << (down - 1)
    for k in range(size // 4):
        c = x + half >> down
        s = y + half >> down
        table[k] = c
        table[size // 4 + k] = -s
        table[size // 2 + k] = -c
        table[3 * size // 4 + k] = s
        x, y = (x * cos_step - y * sin_step) >> 40, (x * sin_step + y * cos_step) >> 40
    return table


@micropython.viper
def accumulate(args, samples, acc, table):
    """Adds `args[ARG_COUNT]` sample sets to the sums in `acc`.

    The phase in `args` is left as it was; the caller advances it.
    """
    a = ptr32(args)  # noqa: F821
    x = ptr32(samples)  # noqa: F821
    out = ptr32(acc)  # noqa: F821
    ref = ptr16(table)  # noqa: F821
    at: int = int(a[0])
    to_current: int = int(a[1])
    stride: int = int(a[2])
    left: int = int(a[3])
    phase: int = int(a[4])
    step: int = int(a[5])
    zero_u: int = ((a[6] & 0xFFFFFF) ^ 0x800000) - 0x800000
    zero_i: int = ((a[7] & 0xFFFFFF) ^ 0x800000) - 0x800000
    peak_u: int = int(out[27])
    peak_i: int = int(out[28])
    while left > 0:
        n: int = left if left < 32 else 32
        left -= n
        u_l: int = 0
        u_h: int = 0
        i_l: int = 0
        i_h: int = 0
        uu_l: int = 0
        uu_m: int = 0
        uu_h: int = 0
        ii_l: int = 0
        ii_m: int = 0
        ii_h: int = 0
        ui_l: int = 0
        ui_m: int = 0
        ui_h: int = 0
        uc_l: int = 0
        uc_h: int = 0
        us_l: int = 0
        us_h: int = 0
        ic_l: int = 0
        ic_h: int = 0
        is_l: int = 0
        is_h: int = 0
        while n > 0:
            n -= 1
            # A 64-bit VM loads without the sign: make it from bit 23.
            u: int = ((x[at] & 0xFFFFFF) ^ 0x800000) - 0x800000 - zero_u
            i: int = ((x[at + to_current] & 0xFFFFFF) ^ 0x800000) - 0x800000 - zero_i
            at += stride
            m: int = u ^ (u >> 31)
            if m > peak_u:
                peak_u = m
            m = i ^ (i >> 31)
            if m > peak_i:
                peak_i = m
            ul: int = u & 0xFFF
            uh: int = u >> 12
            il: int = i & 0xFFF
            ih: int = i >> 12
            u_l += ul
            u_h += uh
            i_l += il
            i_h += ih
            uu_l += ul * ul
            uu_m += ul * uh
            uu_h += uh * uh
            ii_l += il * il
            ii_m += il * ih
            ii_h += ih * ih
            ui_l += ul * il
            ui_m += ul * ih + uh * il
            ui_h += uh * ih
            k: int = ((phase + 0x2000) >> 14) & 0x3FF
            c: int = ((ref[k] & 0xFFFF) ^ 0x8000) - 0x8000
            s: int = ((ref[(k - 256) & 0x3FF] & 0xFFFF) ^ 0x8000) - 0x8000
            phase = (phase + step) & 0xFFFFFF
            uc_l += ul * c
            uc_h += uh * c
            us_l += ul * s
            us_h += uh * s
            ic_l += il * c
            ic_h += ih * c
            is_l += il * s
            is_h += ih * s
        # Fold low + middle * 2**12 + high * 2**24 into three limbs, sum by sum.
        k = 0
        while k < 9:
            low: int = 0
            mid: int = 0
            high: int = 0
            if k == 0:
                low = u_l
                mid = u_h
            elif k == 1:
                low = i_l
                mid = i_h
            elif k == 2:
                low = uu_l
                mid = uu_m + uu_m
                high = uu_h
            elif k == 3:
                low = ii_l
                mid = ii_m + ii_m
                high = ii_h
            elif k == 4:
                low = ui_l
                mid = ui_m
                high = ui_h
            elif k == 5:
                low = uc_l
                mid = uc_h
            elif k == 6:
                low = us_l
                mid = us_h
            elif k == 7:
                low = ic_l
                mid = ic_h
            else:
                low = is_l
                mid = is_h
            p: int = k * 3
            t: int = out[p] + (low & 0xFFFFFF)
            out[p] = t & 0xFFFFFF
            t = (t >> 24) + (low >> 24) + high + (mid >> 12)
            # The middle part straddles the two lowest limbs.
            low = out[p] + ((mid & 0xFFF) << 12)
            out[p] = low & 0xFFFFFF
            t += (low >> 24) + out[p + 1]
            out[p + 1] = t & 0xFFFFFF
            out[p + 2] = (out[p + 2] + (t >> 24)) & 0xFFFFFF
            k += 1
    out[27] = peak_u
    out[28] = peak_i


def limbs_value(acc, which):
    """The value of one sum: a signed integer of up to 72 bits."""
    p = 3 * which
    # Few operations on large integers: they are what the end of a window costs.
    value = acc[p + 1] << 24 | acc[p]
    high = acc[p + 2]
    if high & 0x800000:
        high -= 0x1000000
    return value + (high << 48) if high else value


def add_to_limbs(acc, which, value):
    """Adds an integer to one sum."""
    value += limbs_value(acc, which)
    p = 3 * which
    acc[p] = value & _LIMB
    acc[p + 1] = (value >> 24) & _LIMB
    acc[p + 2] = (value >> 48) & _LIMB


def clear(acc):
    acc[:] = _CLEAR


def accumulate_plain(args, samples, acc, table):
    """`accumulate` in plain Python: the twin that says what is meant."""
    at = args[ARG_FIRST]
    to_current = args[ARG_CURRENT]
    stride = args[ARG_STRIDE]
    phase = args[ARG_PHASE]
    step = args[ARG_STEP]
    peak_u = acc[PEAK_U]
    peak_i = acc[PEAK_I]
    su = si = uu = ii = ui = uc = us = ic = is_ = 0
    for _ in range(args[ARG_COUNT]):
        u = samples[at] - args[ARG_OFFSET]
        i = samples[at + to_current] - args[ARG_OFFSET_CURRENT]
        at += stride
        peak_u = max(peak_u, u ^ (u >> 31))
        peak_i = max(peak_i, i ^ (i >> 31))
        k = ((phase + 0x2000) >> 14) & 0x3FF
        c = table[k]
        s = table[(k - 256) & 0x3FF]
        phase = (phase + step) & _LIMB
        su += u
        si += i
        uu += u * u
        ii += i * i
        ui += u * i
        uc += u * c
        us += u * s
        ic += i * c
        is_ += i * s
    for which, value in enumerate((su, si, uu, ii, ui, uc, us, ic, is_)):
        add_to_limbs(acc, which, value)
    acc[PEAK_U] = peak_u
    acc[PEAK_I] = peak_i


# CPython has no viper: there the plain twin is the faster one.
if sys.implementation.name == "micropython":
    pair_sums = accumulate
else:
    pair_sums = accumulate_plain

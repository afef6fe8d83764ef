"""Integer square root, angle and small-angle rotation: no float anywhere."""

import sys

import micropython
from micropython import const

# One turn in the angle unit of the reference oscillator.
TURN_BITS = const(24)
TURN = const(1 << 24)
# Fixed point of `rotation`.
ONE = const(1 << 30)


@micropython.viper
def _root(high: int, low: int) -> int:
    """Floor of the square root of high * 2**30 + low, below 2**58: two bits at a time."""
    root: int = 0
    rest: int = 0
    at: int = 56 if high else 28
    while at >= 0:
        bits: int = (high >> (at - 30)) if at >= 30 else (low >> at)
        rest = (rest << 2) | (bits & 3)
        tried: int = (root << 2) | 1
        root <<= 1
        if rest >= tried:
            rest -= tried
            root |= 1
        at -= 2
    return root


# CPython runs the loop as Python: there Newton is the faster one.
_ROOT_MOST = 1 << 58 if sys.implementation.name == "micropython" else 0


def isqrt(value):
    """Floor of the square root of a non-negative integer."""
    if value <= 0:
        return 0
    if value < _ROOT_MOST:
        return _root(value >> 30, value & 0x3FFFFFFF)
    return isqrt_plain(value)


def isqrt_plain(value):
    """The same of an integer of any length, above 0."""
    # A first guess above the root: that of the leading 28 bits, in small integers.
    shift = 0
    top = value
    while top > 0xFFFFFFFFFFF:
        top >>= 16
        shift += 8
    while top > 0xFFFFFFF:
        top >>= 2
        shift += 1
    guess = 0x4000
    while True:
        better = (guess + top // guess) >> 1
        if better >= guess:
            break
        guess = better
    if not shift:
        return guess
    guess = (guess + 1) << shift
    while True:
        better = (guess + value // guess) >> 1
        if better >= guess:
            return guess
        guess = better


def sqrt_rounded(value):
    """Square root of a non-negative integer, to the nearest integer."""
    return (isqrt(4 * value) + 1) >> 1


def div_rounded(numerator, denominator):
    """Quotient to the nearest integer, halves away from zero; denominator > 0."""
    # Exact for an odd denominator too: the numerator is whole.
    half = denominator >> 1
    if numerator < 0:
        return -((half - numerator) // denominator)
    return (numerator + half) // denominator


# atan(2**-k) in 1/2**28 turn, for the CORDIC in `angle`.
_ATAN = (
    33554432,
    19808338,
    10466182,
    5312797,
    2666708,
    1334654,
    667490,
    333765,
    166885,
    83443,
    41722,
    20861,
    10430,
    5215,
    2608,
    1304,
    652,
    326,
    163,
    81,
    41,
    20,
    10,
    5,
)


def _small_angle(t):
    """Of the tangent t/2**28, below 1/32: t - t**3/3, in small integers."""
    square = (t >> 10) * (t >> 10) >> 16
    t -= ((t >> 8) * square >> 12) // 3
    # 2**28/2**24 * 2 * pi, times 64.
    return (t * 64 + 3217) // 6434


def angle(x, y):
    """Angle of the vector (x, y), in 1/2**24 turn, from -2**23 to 2**23.

    Any size of integer; the error is below 2 units. (0, 0) gives 0.
    """
    if -x < y << 5 < x:
        return _small_angle((y << 28) // x)
    # Bring the vector to 28 bits: enough for the 24 rotations.
    top = max(abs(x), abs(y))
    shift = 0
    while top > 0x7FFFFFFFFFF:
        top >>= 16
        shift += 16
    while top > 0x7FFFFFF:
        top >>= 1
        shift += 1
    while shift == 0 and 0 < top < 0x4000000:
        x <<= 1
        y <<= 1
        top <<= 1
    x >>= shift
    y >>= shift
    turned = 0
    if x < 0:
        turned = (1 << 27) if y >= 0 else -(1 << 27)
        x, y = -x, -y
    for k in range(24):
        if y > 0:
            x, y = x + (y >> k), y - (x >> k)
            turned += _ATAN[k]
        elif y < 0:
            x, y = x - (y >> k), y + (x >> k)
            turned -= _ATAN[k]
    return (turned + 8) >> 4


def rotation(angle_urad):
    """(cos, sin) of a small angle in microradian, times 2**30 (Taylor to 5th order)."""
    t = angle_urad * ONE // 1000000
    t2 = t * t // ONE
    cos = ONE - t2 // 2 + t2 * t2 // ONE // 24
    sin = t - t * t2 // ONE // 6 + t * t2 // ONE * t2 // ONE // 120
    return cos, sin

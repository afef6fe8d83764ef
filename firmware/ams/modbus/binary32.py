"""Single precision numbers (IEEE 754 binary32) as their bits, made of integers."""

from micropython import const

NAN = const(0x7FC00000)
_LOW = const(0x800000)  # a significand has its 24th bit set


def float_bits(value, places):
    """The bits of `value` / 10**`places`, to the nearest, ties to even; `places` 0 to 30.

    A number that is larger than any becomes infinite.
    """
    if not value:
        return 0
    sign = 0
    if value < 0:
        sign = 0x80000000
        value = -value
    divisor = 10**places
    exponent = 150  # of a significand that is the whole number
    low = divisor * _LOW
    while value < low >> 7:
        value <<= 8
        exponent -= 8
    while value < low:
        value <<= 1
        exponent -= 1
    while value >= low << 1:
        divisor <<= 1
        low <<= 1
        exponent += 1
    significand, rest = divmod(value, divisor)
    rest <<= 1
    if rest > divisor or (rest == divisor and significand & 1):
        significand += 1
        if significand == _LOW << 1:
            significand >>= 1
            exponent += 1
    if exponent > 254:
        return sign | 0x7F800000
    return sign | exponent << 23 | significand & 0x7FFFFF

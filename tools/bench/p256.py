"""What a scalar multiplication on P-256 costs in MicroPython: the base of decision 4.

Runs as it is on CPython, on the unix VM and on a chip (mpremote run). Not constant in time, and
not for use: it measures.
"""

import time

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
SCALAR = 0x123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF1
RESULT = 0x80245F779ABFBAA0B4633135FC0C8724E7F6311D50D0BCEF39AAAC44D9614EB9


def double(point):
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    z3 = ((y + z) * (y + z) - gamma - delta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, z3


def add(one, other):
    """Of two points that differ."""
    if one[2] == 0:
        return other
    if other[2] == 0:
        return one
    x1, y1, z1 = one
    x2, y2, z2 = other
    a = z1 * z1 % P
    b = z2 * z2 % P
    u = x1 * b % P
    s = y1 * z2 % P * b % P
    h = x2 * a % P - u
    r = 2 * (y2 * z1 % P * a % P - s)
    i = 4 * h * h % P
    j = h * i % P
    v = u * i % P
    x3 = (r * r - j - 2 * v) % P
    return x3, (r * (v - x3) - 2 * s * j) % P, 2 * h * z1 % P * z2 % P


def multiply(scalar, point):
    """Windows of four bits over Jacobian coordinates; gives x."""
    table = [(1, 1, 0), point, double(point)]
    for k in range(3, 16):
        table.append(add(table[k - 1], point))
    sum_ = table[0]
    for shift in range(252, -1, -4):
        for _ in range(4):
            sum_ = double(sum_)
        sum_ = add(sum_, table[scalar >> shift & 15])
    inverse = pow(sum_[2], P - 2, P)
    return sum_[0] * inverse * inverse % P


def main():
    ticks = getattr(time, "ticks_ms", None) or (lambda: time.monotonic_ns() // 1000000)
    start = ticks()
    x = multiply(SCALAR, G)
    print(ticks() - start, "ms")
    assert x == RESULT


main()

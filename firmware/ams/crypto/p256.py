"""ECDSA on P-256 (FIPS 186-5): verifies, and never signs.

All that goes in is public, so nothing here is constant in time. `steps` gives
back control between pieces of about 30 ms on an RP2040; the sum u1 G + u2 Q is
found in one walk over both scalars, two bits of each at a time.
"""

from micropython import const

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
KEY_SIZE = const(64)
SIGNATURE_SIZE = const(64)
# Places of two bits that are walked before control goes back.
_PIECE = const(4)
# Bits of the exponent of an inverse, likewise.
_INVERSE_PIECE = const(64)


def _double(point):
    x, y, z = point
    delta = z * z % _P
    gamma = y * y % _P
    beta = x * gamma % _P
    alpha = 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    z3 = 2 * y * z % _P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % _P, z3


def _add(one, other):
    """Of any two points; None is the point at infinity."""
    if one is None:
        return other
    if other is None:
        return one
    x1, y1, z1 = one
    x2, y2, z2 = other
    a = z1 * z1 % _P
    b = z2 * z2 % _P
    u = x1 * b % _P
    s = y1 * z2 % _P * b % _P
    h = (x2 * a - u) % _P
    r = (y2 * z1 % _P * a - s) % _P
    if h == 0:
        # The same point twice, or a point and its negative. No point of P-256 has y = 0.
        return _double(one) if r == 0 else None
    hh = h * h % _P
    hhh = h * hh % _P
    v = u * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - s * hhh) % _P, h * z1 % _P * z2 % _P


def _number(data):
    # By parts, and not from a slice: a memoryview is taken too.
    return int.from_bytes(bytes(data), "big")


def is_key(key):
    """Whether 64 octets (x, y) are a point of the curve."""
    if len(key) != KEY_SIZE:
        return False
    x = _number(key[:32])
    y = _number(key[32:])
    return x < _P and y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


def _inverse(s):
    """Of s modulo n, by Fermat, four bits of the exponent at a time: as one power it would be 70 ms
    in which nothing else of the firmware runs, and the ring of the ADC holds 64."""
    powers = [1, s]
    for _ in range(14):
        powers.append(powers[-1] * s % _N)
    w = 1
    for place in range(252, -1, -4):
        if place % _INVERSE_PIECE == _INVERSE_PIECE - 4:
            yield
        w = pow(w, 16, _N) * powers[(_N - 2) >> place & 15] % _N
    return w


def steps(key, digest, signature):
    """A generator that returns (as its value) whether `signature` (r, s) is good.

    `digest` is the SHA-256 of what was signed, `key` the public key.
    """
    if len(signature) != SIGNATURE_SIZE or len(digest) != 32 or not is_key(key):
        return False
    r = _number(signature[:32])
    s = _number(signature[32:])
    if not 0 < r < _N or not 0 < s < _N:
        return False
    yield
    w = yield from _inverse(s)
    u = _number(digest) * w % _N
    v = r * w % _N
    table = [None, (_GX, _GY, 1)]
    table += [_double(table[1]), None]
    table[3] = _add(table[2], table[1])
    q = (_number(key[:32]), _number(key[32:]), 1)
    for row in range(1, 4):
        for k in range(4):
            table.append(_add(table[4 * row - 4 + k], q))
    total = None
    for place in range(127, -1, -1):
        if place % _PIECE == _PIECE - 1:
            yield
        if total is not None:
            total = _double(_double(total))
        total = _add(total, table[(v >> 2 * place & 3) << 2 | u >> 2 * place & 3])
    if total is None:
        return False
    # x of the sum, modulo n, is r: compared without an inversion.
    zz = total[2] * total[2] % _P
    if r * zz % _P == total[0]:
        return True
    return r + _N < _P and (r + _N) * zz % _P == total[0]


def verify(key, digest, signature):
    """`steps` at one go."""
    walk = steps(key, digest, signature)
    while True:
        try:
            next(walk)
        except StopIteration as end:
            return end.value

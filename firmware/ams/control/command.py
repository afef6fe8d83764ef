"""An order to the breaker or the limiter, sealed with the meter's own breaker key.

    "OAC1" | system title of the meter (8) | action u8 | number u32
    | not before u32 | expiry u32 | digest (8) | seal (16) [| second seal (16)]

Big-endian; times in seconds since 2000-01-01 UTC. A seal is HMAC-SHA-256 over
all before the seals, cut to 128 bits. Numbers only grow, so an order serves
once; that of ANEW is where they go on. The digest binds what the order sets:
the first octets of the SHA-256 of the attribute's number and new value, zeros
where there is none.
"""

import hashlib
import struct

from micropython import const

from ams.control.supply import NOT_STORED, OK  # noqa: F401

MAGIC = b"OAC1"
_FORMAT = ">4s8sBIII8s"
BODY_SIZE = const(33)
SEAL_SIZE = const(16)

DISCONNECT = const(1)
RECONNECT = const(2)
SET_BREAKER = const(3)  # an attribute of class 70, by digest
SET_LIMITER = const(4)  # an attribute of class 71 or of the quota, by digest
ANEW = const(5)  # numbers and own time of orders begin anew; done when it is given

NO_DIGEST = bytes(8)

# Why an order is refused, beside OK (0) and NOT_STORED (14); `extra` of the event.
BAD_FORM = const(1)
BAD_SEAL = const(2)
WRONG_METER = const(3)
TOO_EARLY = const(4)
EXPIRED = const(5)
USED = const(6)
SECOND_SEAL_MISSING = const(7)
INHIBITED = const(8)
TOO_MANY = const(9)
CLOCK_INVALID = const(10)
NO_TRANSITION = const(11)
VOLTAGE_AT_LOAD = const(12)
NOT_ORDERED = const(13)  # the policy asks for a sealed order, and there is none
NO_KEY = const(15)
UNKNOWN_ACTION = const(16)
NOT_ALLOWED = const(17)  # not the client of the breaker
NUMBER_TOO_HIGH = const(18)
BEGUN_ANEW = const(255)  # no refusal
REASONS = (
    "ok",
    "bad-form",
    "bad-seal",
    "wrong-meter",
    "too-early",
    "expired",
    "used",
    "second-seal-missing",
    "inhibited",
    "too-many",
    "clock-invalid",
    "no-transition",
    "voltage-at-load",
    "not-ordered",
    "not-stored",
    "no-key",
    "unknown-action",
    "not-allowed",
    "number-too-high",
)


def _sha256(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.digest()


def seal(key, body):
    """HMAC-SHA-256 (RFC 2104), cut to SEAL_SIZE octets."""
    block = key + bytes(64 - len(key)) if len(key) <= 64 else _sha256(key) + bytes(32)
    inner = _sha256(bytes(octet ^ 0x36 for octet in block), body)
    return _sha256(bytes(octet ^ 0x5C for octet in block), inner)[:SEAL_SIZE]


def digest(attribute, value):
    """What binds an order to the new value (its octets with the tag) of an attribute."""
    return _sha256(bytes((attribute,)), value)[:8]


def pack(system_title, action, number, not_before_s, expiry_s, keys, bound=NO_DIGEST):
    """An order sealed with each of `keys`."""
    body = struct.pack(_FORMAT, MAGIC, system_title, action, number, not_before_s, expiry_s, bound)
    out = body
    for key in keys:
        out += seal(key, body)
    return out


def same(a, b):
    """Equality in a time that does not tell where they differ."""
    difference = len(a) ^ len(b)
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


class Order:
    """An order whose seals are right. `tag`: what tells it from others."""

    def __init__(self, fields, seals, tag):
        _, self.title, self.action, self.number, self.not_before_s, self.expiry_s, bound = fields
        self.digest = bytes(bound)
        self.seals = seals
        self.tag = tag


def check(data, keys):
    """(reason, Order or None): only whoever holds the key learns more than BAD_SEAL."""
    size = len(data)
    if size not in (BODY_SIZE + SEAL_SIZE, BODY_SIZE + 2 * SEAL_SIZE):
        return BAD_FORM, None
    body = bytes(data[:BODY_SIZE])
    given = bytes(data[BODY_SIZE:])
    if not keys or not keys[0]:
        return NO_KEY, None
    seals = len(given) // SEAL_SIZE
    good = True
    for place in range(seals):
        key = keys[place] if place < len(keys) else None
        part = given[place * SEAL_SIZE : (place + 1) * SEAL_SIZE]
        good = (key is not None and same(seal(key, body), part)) and good
    if not good:
        return BAD_SEAL, None
    fields = struct.unpack(_FORMAT, body)
    if fields[0] != MAGIC:
        return BAD_FORM, None
    return OK, Order(fields, seals, struct.unpack("<I", given[:4])[0])

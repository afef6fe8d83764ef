"""Sealed orders to a meter's breaker or limiter; the form is in docs/breaker.md.

Written apart from the firmware's own, so that each checks the other.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from openams.errors import BenchError

ACTIONS = {"disconnect": 1, "reconnect": 2, "set-breaker": 3, "set-limiter": 4, "anew": 5}
_BODY = struct.Struct(">4s8sBIII8s")
_MAGIC = b"OAC1"
_SEAL = 16
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def seconds(when: datetime) -> int:
    """Seconds since 2000-01-01 UTC."""
    value = int((when - _EPOCH).total_seconds())
    if not 0 <= value <= 0xFFFFFFFF:
        raise BenchError(f"{when:%Y-%m-%d} is no time for an order")
    return value


def digest(attribute: int, value: bytes) -> bytes:
    """What binds an order to the new value of an attribute."""
    return hashlib.sha256(bytes((attribute,)) + value).digest()[:8]


def _seal(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_SEAL]


@dataclass(frozen=True)
class Order:
    system_title: bytes
    action: str
    number: int
    not_before_s: int
    expiry_s: int
    bound: bytes = bytes(8)

    def body(self) -> bytes:
        return _BODY.pack(
            _MAGIC,
            self.system_title,
            ACTIONS[self.action],
            self.number,
            self.not_before_s,
            self.expiry_s,
            self.bound,
        )

    def sealed(self, *keys: bytes) -> bytes:
        body = self.body()
        return body + b"".join(_seal(key, body) for key in keys)


def parse(data: bytes) -> tuple[Order, int]:
    """(order, number of seals) of a file; the seals are not checked."""
    seals, rest = divmod(len(data) - _BODY.size, _SEAL)
    if rest or seals not in (1, 2) or data[:4] != _MAGIC:
        raise BenchError("that is no sealed order: make one with ams order make")
    _, title, action, number, start, end, bound = _BODY.unpack(data[: _BODY.size])
    names = {value: name for name, value in ACTIONS.items()}
    if action not in names:
        raise BenchError(f"the order has the unknown action {action}")
    return Order(title, names[action], number, start, end, bound), seals


def countersigned(data: bytes, key: bytes) -> bytes:
    """The order with a second seal."""
    _, seals = parse(data)
    if seals != 1:
        raise BenchError("the order has two seals already")
    return data + _seal(key, data[: _BODY.size])

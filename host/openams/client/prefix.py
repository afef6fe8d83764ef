"""The gateway's prefix: which meter behind a gateway an APDU goes to, or comes from.

    E6 | network id | length | address | APDU      to a meter
    E7 | network id | length | address | APDU      its answer

It stands outside of the APDU and of its ciphering, so that a gateway needs no key (DLMS UA
1000-2, 10.10). The address is the meter's number in ASCII, the network 0.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUEST, RESPONSE = 0xE6, 0xE7
NETWORK = 0
_HEAD = 3


class PrefixError(ValueError):
    """It begins as a prefix does and is none: torn, or without an APDU behind it."""


@dataclass(frozen=True)
class Prefixed:
    """`tag` is REQUEST or RESPONSE."""

    tag: int
    network: int
    address: bytes
    apdu: bytes

    def octets(self) -> bytes:
        head = bytes((self.tag, self.network, len(self.address)))
        return head + self.address + self.apdu


def parse(message: bytes) -> Prefixed | None:
    """What is behind a prefix; None for a message without one. Raises PrefixError."""
    if not message or message[0] not in (REQUEST, RESPONSE):
        return None
    if len(message) < _HEAD or len(message) <= _HEAD + message[2]:
        raise PrefixError("a gateway's prefix that ends inside itself, or has nothing behind it")
    end = _HEAD + message[2]
    return Prefixed(message[0], message[1], message[_HEAD:end], message[end:])


def to_meter(meter_id: str, apdu: bytes) -> bytes:
    return Prefixed(REQUEST, NETWORK, meter_id.encode("ascii"), apdu).octets()


def from_meter(meter_id: str, message: bytes) -> bytes:
    """The APDU that a gateway gives as the meter's. Raises PrefixError for anybody else's."""
    found = parse(message)
    if found is None or (found.tag, found.network) != (RESPONSE, NETWORK):
        raise PrefixError("no gateway's answer")
    if found.address != meter_id.encode("ascii"):
        raise PrefixError(f"an answer of meter {found.address.decode('ascii', 'replace')[:40]}")
    return found.apdu

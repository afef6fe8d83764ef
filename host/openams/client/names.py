"""Logical names, and the selective access of profiles."""

from __future__ import annotations

from openams.client import data as axdr
from openams.client.errors import ClientError
from openams.client.firmware_names import STATUS

ASSOCIATION = "0.0.40.0.0.255"
CLOCK = "0.0.1.0.0.255"
# The HAN port: open, encrypted, its wrapped keys, format, lists sent (class 1, attribute 2).
HAN_OPEN = "0.0.128.1.0.255"
HAN_ENCRYPTED = "0.0.128.1.1.255"
HAN_KEYS = "0.0.128.1.2.255"
HAN_FORMAT = "0.0.128.1.3.255"
HAN_SENT = "0.0.128.1.4.255"
HAN_SUMMER_TIME = "0.0.128.1.5.255"
# Modbus: open, which unit has which map, requests answered (class 1, attribute 2).
MODBUS_OPEN = "0.0.128.8.0.255"
MODBUS_MAPS = "0.0.128.8.1.255"
MODBUS_ANSWERS = "0.0.128.8.2.255"
# Home automation: open, how its connection stands, messages.
HOME_OPEN = "0.0.128.7.0.255"
HOME_STATE = "0.0.128.7.1.255"
HOME_PUBLISHED = "0.0.128.7.2.255"
# The readout at the optical port: how much of it is open, whose manner it has.
READOUT_LEVEL = "0.0.128.6.0.255"
READOUT_LIST = "0.0.128.6.1.255"
READOUT_LEVELS = ("off", "registers", "profiles")
READOUT_LISTS = ("landis", "emh", "abb", "siemens")


def status_names(status: int) -> list[str]:
    return [name for bit, name in STATUS if status & bit]


def parse_obis(text: str) -> tuple[int, ...]:
    """A-B:C.D.E*F, A.B.C.D.E.F, or without F."""
    plain = text.replace("-", ".").replace(":", ".").replace("*", ".")
    parts = plain.split(".")
    if len(parts) == 5:
        parts.append("255")
    try:
        numbers = tuple(int(part) for part in parts)
        if len(numbers) != 6 or not all(0 <= number <= 255 for number in numbers):
            raise ValueError
    except ValueError:
        raise ClientError(f"{text!r} is no OBIS code: write it like 1.0.1.8.0.255") from None
    return numbers


def range_selection(
    clock: tuple[int, str, int], begin: bytes, end: bytes, columns: list[bytes] | None = None
) -> bytes:
    """Selector 1: rows from `begin` to `end` inclusive (12 octets each), by the clock column."""
    return b"\x01" + axdr.structure(
        capture_object(*clock),
        axdr.octets(begin),
        axdr.octets(end),
        axdr.array(*columns or []),
    )


def entry_selection(first: int, last: int = 0, from_column: int = 1, to_column: int = 0) -> bytes:
    """Selector 2: entries from 1 on; 0 means to the end."""
    return b"\x02" + axdr.structure(
        axdr.uint32(first), axdr.uint32(last), axdr.uint16(from_column), axdr.uint16(to_column)
    )


def capture_object(class_id: int, obis: str, number: int, index: int = 0) -> bytes:
    return axdr.structure(
        axdr.uint16(class_id),
        axdr.octets(bytes(parse_obis(obis))),
        axdr.int8(number),
        axdr.uint16(index),
    )

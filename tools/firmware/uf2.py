"""UF2: a binary as 512-octet blocks that a Pico's boot loader takes as a file."""

from __future__ import annotations

import struct

FLASH_BASE = 0x10000000
FAMILIES = {"RP2040": 0xE48BFF56, "RP2350": 0xE48BFF59}  # of the latter its ARM cores, secure
_FAMILY_PRESENT = 0x2000
_PAYLOAD = 256


def from_binary(data: bytes, chip: str = "RP2040", base: int = FLASH_BASE) -> bytes:
    count = (len(data) + _PAYLOAD - 1) // _PAYLOAD
    out = bytearray()
    for number in range(count):
        chunk = data[number * _PAYLOAD : (number + 1) * _PAYLOAD].ljust(_PAYLOAD, b"\0")
        head = struct.pack(
            "<8I",
            0x0A324655, 0x9E5D5157, _FAMILY_PRESENT,
            base + number * _PAYLOAD, _PAYLOAD, number, count, FAMILIES[chip],
        )  # fmt: skip
        out += (head + chunk).ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30)
    return bytes(out)

"""Makes the binary partition table of an ESP32 from its CSV: esp32_partitions.py IN.csv OUT.bin

32 octets an entry, then the MD5 of them; erased flash up to 3 KiB.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

_TYPES = {"app": 0, "data": 1}
_SUBTYPES = {
    ("app", "factory"): 0x00,
    ("data", "phy"): 0x01,
    ("data", "nvs"): 0x02,
    ("data", "fat"): 0x81,
}
_LENGTH = 0xC00
_SECTOR = 0x1000
_FIRST = 0x9000
_APP_ALIGN = 0x10000


def table(csv: str) -> bytes:
    """The octets at 0x8000 of the flash. Raises ValueError in one line on a bad table."""
    out = b""
    end = _FIRST
    for line in csv.splitlines():
        fields = [field.strip() for field in line.split("#")[0].split(",")]
        if fields == [""]:
            continue
        if len(fields) != 5:
            raise ValueError(f"not five fields: {line!r}")
        name, kind, sub = fields[:3]
        if kind not in _TYPES:
            raise ValueError(f"{name}: type must be app or data")
        subtype = _SUBTYPES.get((kind, sub))
        if subtype is None:
            subtype = int(sub, 0)
        offset, size = int(fields[3], 0), int(fields[4], 0)
        align = _APP_ALIGN if kind == "app" else _SECTOR
        if offset % align or size % _SECTOR or not size:
            raise ValueError(f"{name}: offset or size does not fit the sectors")
        if offset < end:
            raise ValueError(f"{name}: overlaps what is before it")
        end = offset + size
        label = name.encode()
        if len(label) > 16:
            raise ValueError(f"{name}: name is longer than 16")
        out += struct.pack(
            "<2sBBLL16sL", b"\xaa\x50", _TYPES[kind], subtype, offset, size, label, 0
        )
    out += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(out).digest()
    return out.ljust(_LENGTH, b"\xff")


def main() -> int:
    try:
        source, target = sys.argv[1:]
        Path(target).write_bytes(table(Path(source).read_text()))
    except (OSError, ValueError) as error:
        print(f"esp32_partitions: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

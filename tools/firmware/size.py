"""How large an image is: all of it, what is frozen, and that by room."""

from __future__ import annotations

import re
from pathlib import Path

from images import Board
from shell import output

# What the meter takes of the heap at the most; more is there.
HEAP_BUDGET = 128 * 1024


def measure(board: Board, work: Path, binary: bytes, flash: dict[str, int]) -> dict:
    unit = next(p for p in work.rglob("frozen_content.c.*") if p.suffix in (".o", ".obj"))
    sizes = output(["arm-none-eabi-size", "-B", unit]).splitlines()[1].split()
    return {
        "board": board.name,
        "image": len(binary),
        "image_limit": flash["FIRMWARE_SIZE"],
        "frozen": int(sizes[0]) + int(sizes[1]),
        "frozen_budget": board.frozen_kib * 1024,
        "heap": _heap(work / "firmware.elf"),
        "heap_budget": HEAP_BUDGET,
        "rooms": _rooms(unit),
    }


def _heap(elf: Path) -> int:
    """What the linker leaves to the collector."""
    ends = {}
    for line in output(["arm-none-eabi-nm", elf]).splitlines():
        address, _, name = line.rpartition(" ")
        if name in ("__GcHeapStart", "__GcHeapEnd"):
            ends[name] = int(address.split()[0], 16)
    return ends["__GcHeapEnd"] - ends["__GcHeapStart"]


def _rooms(unit: Path) -> dict[str, int]:
    """Octets of the frozen code of each room, without the strings that all share."""
    rooms: dict[str, int] = {}
    for line in output(["arm-none-eabi-nm", "-S", unit]).splitlines():
        fields = line.split()
        if len(fields) != 4:
            continue
        name = re.search(r"_(ams|drivers)_([a-z0-9]+)", fields[3])
        room = f"{name[1]}.{name[2]}" if name else "board and shared"
        rooms[room] = rooms.get(room, 0) + int(fields[1], 16)
    return dict(sorted(rooms.items(), key=lambda item: -item[1]))


def report(sizes: dict) -> str:
    lines = [
        f"{sizes['board']}: image {sizes['image'] / 1024:.1f} KiB of "
        f"{sizes['image_limit'] // 1024}, frozen {sizes['frozen'] / 1024:.1f} KiB of "
        f"{sizes['frozen_budget'] // 1024}, heap {sizes['heap'] / 1024:.1f} KiB for "
        f"{sizes['heap_budget'] // 1024}"
    ]
    lines += [f"  {room:<20} {octets / 1024:7.1f} KiB" for room, octets in sizes["rooms"].items()]
    return "\n".join(lines)

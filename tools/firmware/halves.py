"""A flash with two whole firmwares: the starter, and the second of them, linked for its half."""

from __future__ import annotations

import json
import runpy
import shlex
from pathlib import Path

from shell import run

HERE = Path(__file__).parent / "starter"
_XIP = 0x10000000
_BOOT2 = 256


def origin(flash: dict[str, int], half: int) -> int:
    """The address that the code of half 1 or 2 is linked for."""
    place = flash["SLOTS_OFFSET"] + (half - 1) * flash["HALF_SIZE"] + flash["CODE_OFFSET"]
    return _XIP + place


def first(flash: dict[str, int]) -> str:
    """What the linker of the first half is told."""
    return f"link_libraries(-Wl,--defsym=__flash_origin={origin(flash, 1):#x})\n"


def second(work: Path, flash: dict[str, int], logs: Path) -> bytes:
    """The same objects, linked once more."""
    line = (work / "CMakeFiles" / "firmware.dir" / "link.txt").read_text()
    was, wanted = (f"__flash_origin={origin(flash, half):#x}" for half in (1, 2))
    command = shlex.split(line.replace(was, wanted))
    command[command.index("-o") + 1] = "second.elf"
    command = [part.replace("firmware.elf.map", "second.elf.map") for part in command]
    run(command, logs / "second.log", cwd=work)
    return binary(work / "second.elf", logs)


def description(flash: dict[str, int], root: Path) -> str:
    """For `ams image build`: what the code says of itself, and where it runs."""
    names = runpy.run_path(str(root / "firmware" / "ams" / "__init__.py"))
    return json.dumps(
        {
            "version": names["__version__"],
            "security": names["SECURITY_VERSION"],
            "state_format": names["STATE_FORMAT"],
            "origins": [origin(flash, 1), origin(flash, 2)],
        }
    )


def binary(elf: Path, logs: Path) -> bytes:
    out = elf.with_suffix(".bin")
    run(["arm-none-eabi-objcopy", "-O", "binary", elf, out], logs / "objcopy.log")
    return out.read_bytes()


def starter(folder: Path, flash: dict[str, int]) -> bytes:
    """What chooses between them, without the second stage of the boot."""
    names = ("RECORDS_OFFSET", "SLOTS_OFFSET", "HALF_SIZE", "CODE_OFFSET", "FIRMWARE_SIZE")
    work = folder / "starter"
    work.mkdir(exist_ok=True)
    (work / "flashmap.h").write_text("".join(f"#define {n} {flash[n]:#x}\n" for n in names))
    elf = work / "starter.elf"
    run(
        [
            "arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-O2", "-Wall", "-Wextra",
            "-Werror", "-ffreestanding", "-nostdlib", f"-I{work}", f"-I{HERE}",
            "-T", HERE / "starter.ld", "-Wl,--build-id=none",
            HERE / "starter.c", HERE / "choose.c", "-lgcc", "-o", elf,
        ],
        folder / "starter.log",
    )  # fmt: skip
    return binary(elf, folder)


def whole(flash: dict[str, int], firmware: bytes, starter_code: bytes) -> bytes:
    """What is flashed: starter, no record of an update, the first half."""
    begin = firmware[:_BOOT2] + starter_code
    return begin.ljust(origin(flash, 1) - _XIP, b"\xff") + firmware

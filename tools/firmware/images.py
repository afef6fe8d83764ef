"""The images that can be built."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# What the frozen code of an image may take.
_FROZEN_KIB = 384
_FROZEN_RADIO_KIB = 512
# That of a radio's driver, in a tree of MicroPython.
_DRIVER = "lib/cyw43-driver/src/cyw43.h"
# Of each port what all its boards share.
_COMMON = {"rp2": "shared", "qemu": "qemu"}


@dataclass(frozen=True)
class Board:
    """`code`: the folder of boards/ that is frozen at the top level, all of it or `only`.

    `bench`: another such folder, and `amsbench` with it: what only a bench uses.

    `halves`: it is updated as a whole, in two halves of its flash. `definition`: the folder of
    tools/firmware/boards/ when it is not named like the board.

    `without`: what serves parts that this kind of board does not have. `upstream`: the
    port's own board instead, and nothing of ours in it. `port`: of MicroPython; of a machine of
    `qemu` the image is an ELF file with the meter in it, and no board. `base`: the folder of
    boards/ that holds what `code` has not. `lacks`: what the board has and the image does not,
    told when it is built. `radio`: the definition that goes for it where MicroPython's tree has
    the sources of the radio's driver; then it has all that goes over a network as well.
    """

    name: str
    code: str
    boot: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = (
        "ams/update/halves.py",
        "drivers/ade7953.py",
        "drivers/sectorfiles.py",
        "drivers/tcp.py",
        "drivers/outside.py",
        "drivers/ntp.py",
        "drivers/tls.py",
        "drivers/datagrams.py",
        "drivers/radio.py",
        "ams/home/",
        "ams/objects/home_setup.py",
        "ams/mbus/",
        "ams/mbus/submeter_port.py",
        "ams/modbus/",
        "ams/objects/modbus_setup.py",
        "ams/objects/port_open.py",
        "ams/storage/opening.py",
    )
    upstream: str = ""
    bench: str = ""
    halves: bool = False
    definition: str = ""
    port: str = "rp2"
    chip: str = "RP2040"
    base: str = ""
    lacks: str = ""
    radio: str = ""
    frozen_kib: int = _FROZEN_KIB

    def for_tree(self, tree: Path) -> Board:
        """What is built from this tree of MicroPython."""
        if not self.radio or not (tree / _DRIVER).exists():
            return self
        without = ("ams/update/halves.py", "drivers/sectorfiles.py")
        return replace(
            self, definition=self.radio, without=without, lacks="", frozen_kib=_FROZEN_RADIO_KIB
        )

    @property
    def image(self) -> str:
        """The name of the file that is its image."""
        return "firmware.elf" if self.port == "qemu" else "firmware.uf2"

    def definitions(self, tree: Path) -> tuple[Path, ...]:
        """What makes the board's definition: what all of ours share goes first."""
        if self.upstream:
            return (tree / "ports" / "rp2" / "boards" / self.upstream,)
        return (
            HERE / "boards" / _COMMON[self.port],
            HERE / "boards" / (self.definition or self.name),
        )

    def left_out(self) -> tuple[str, ...]:
        """Of two halves each is chosen before it runs, and no slot is searched for modules."""
        if not self.halves:
            return self.without
        kept = tuple(out for out in self.without if out != "ams/update/halves.py")
        return (*kept, "amsboot/slotfiles.py")


_RADIO = "its radio stays off: Debian has no cyw43-driver (docs/boards/README.md)"
BOARDS = {
    board.name: board
    for board in (
        Board("pico", "pico", "pico"),
        Board("pico-w", "pico", "pico", lacks=_RADIO),
        Board("pico2", "pico2", "pico", chip="RP2350", base="pico"),
        Board(
            "pico2-w",
            "pico2",
            "pico",
            chip="RP2350",
            base="pico",
            lacks=_RADIO,
            radio="pico2-w-radio",
        ),
        Board("pico-bench", "pico", "pico-bench", bench="picobench"),
        Board("pico-ab", "picoab", "pico", base="pico", halves=True, definition="pico"),
        Board(
            "pico-bench-ab",
            "picoab",
            "pico-bench",
            bench="picobench",
            base="pico",
            halves=True,
            definition="pico-bench",
        ),
        Board("pico-stock", "", "", upstream="RPI_PICO"),
        # The loop in the chip's own instructions is Thumb's, of any Cortex-M.
        Board("qemu-m33", "pico", "", only=("thumb.py",), without=(), port="qemu"),
        Board("qemu-m7", "pico", "", only=("thumb.py",), without=(), port="qemu"),
        Board("qemu-rv32", "", "", without=(), port="qemu"),
    )
}


# What mpconfigboard.h of RPI_PICO leaves below its files.
_UPSTREAM_SIZE = 640 * 1024


def flashmap(board: Board) -> dict[str, int]:
    """The numbers of the board's flashmap.py, run with the bench's `micropython` module."""
    if board.upstream:
        return {"FIRMWARE_SIZE": _UPSTREAM_SIZE}
    shims = str(ROOT / "host" / "openams" / "emulator" / "shims")
    sys.path.insert(0, shims)
    try:
        (path,) = (path for path in _modules(board) if path.name == "flashmap.py")
        names = runpy.run_path(str(path))
    finally:
        sys.path.remove(shims)
    return {name: value for name, value in names.items() if name.isupper()}


def header(flash: dict[str, int]) -> str:
    """rp2.Flash reaches the meter's state and the slots, never a firmware that is the only one."""
    begin = flash["STORAGE_OFFSET"]
    text = (
        f"#define MICROPY_HW_FLASH_STORAGE_BASE ({begin:#x})\n"
        f"#define MICROPY_HW_FLASH_STORAGE_BYTES ({flash['FLASH_SIZE'] - begin:#x})\n"
    )
    if "HALF_SIZE" in flash:
        text += (
            f"#define OPENAMS_HALF_SIZE ({flash['HALF_SIZE']:#x})\n"
            f"#define OPENAMS_CODE_OFFSET ({flash['CODE_OFFSET']:#x})\n"
        )
    return text


# A client's request that ends in the journal is some thirty calls deep. MicroPython's own 8 KiB
# are the two small banks above the RAM; the rest is taken off the end of the RAM, with the ring of
# the front end below it.
_STACK = 0x4000
_SMALL_BANKS = 0x2000
_RAM_END = {"RP2040": 0x20040000, "RP2350": 0x20080000}


def linker_script(flash: dict[str, int], chip: str) -> str:
    # The second-stage boot loader is linked with the same options and has no such symbols.
    end = f"__flash_binary_start + {flash['FIRMWARE_SIZE']:#x}"
    message = f"the image is too large for its {flash['FIRMWARE_SIZE'] // 1024} KiB of flash"
    return (
        f'ASSERT(DEFINED(__flash_binary_end) ? __flash_binary_end <= {end} : 1, "{message}")\n'
        f"__StackBottom = DEFINED(__StackTop) ? __StackTop - {_STACK:#x} : 0;\n"
        f"__GcHeapEnd = {flash['RING_ADDRESS']:#x};\n"
        f"ASSERT({flash['RING_ADDRESS'] + flash['RING_SIZE']:#x} == "
        f'{_RAM_END[chip] - (_STACK - _SMALL_BANKS):#x}, "the ring lies between heap and stack")\n'
    )


def package(board: Board, name: str, base: Path) -> str:
    """The line of a package, without what the board does without."""
    places = (path.relative_to(base).as_posix() for path in sorted((base / name).rglob("*.py")))
    files = [
        place.removeprefix(name + "/")
        for place in places
        if not any(place == out or out.endswith("/") and place.startswith(out)
                   for out in board.left_out())
    ]  # fmt: skip
    return f'package("{name}", files={files}, base_path="{base}", opt=3)'


def _modules(board: Board) -> list[Path]:
    """Those at the top level: of the board, and of its base what it has not."""
    folders = [ROOT / "boards" / name for name in (board.base, board.code) if name]
    return sorted({path.name: path for folder in folders for path in folder.glob("*.py")}.values())


def manifest(board: Board) -> str:
    """The freeze manifest: the meter, the drivers, and what the board is."""
    if board.upstream:
        # Without the drivers of micropython-lib, which the build does not fetch.
        return 'freeze("$(PORT_DIR)/modules")\ninclude("$(MPY_DIR)/extmod/asyncio")\n'
    lines = []
    if board.boot:
        lines = [
            'module("rp2.py", base_path="$(PORT_DIR)/modules", opt=3)',
            f'freeze("{HERE}/boards/{board.boot}/frozen", opt=3)',
        ]
    lines += [
        package(board, "ams", ROOT / "firmware"),
        package(board, "amsboot", ROOT / "firmware"),
        package(board, "drivers", ROOT / "boards"),
    ]
    if not board.code:
        return "\n".join(lines) + "\n"
    if board.bench:
        lines.append(package(board, "amsbench", ROOT / "firmware"))
        base = ROOT / "boards" / board.bench
        for path in sorted(base.glob("*.py")):
            lines.append(f'module("{path.name}", base_path="{base}", opt=3)')
    for path in _modules(board):
        if not board.only or path.name in board.only:
            lines.append(f'module("{path.name}", base_path="{path.parent}", opt=3)')
    return "\n".join(lines) + "\n"


def inputs(board: Board) -> list[Path]:
    """Every file that the image depends on."""
    files = [*HERE.glob("*.py"), HERE / "pins.json"]
    if board.upstream:
        return sorted(files)
    for folder in (
        ROOT / "firmware" / "ams",
        ROOT / "firmware" / "amsboot",
        ROOT / "firmware" / "amsbench",
        ROOT / "boards" / "picobench",
        ROOT / "boards" / "drivers",
        *(ROOT / "boards" / code for code in (board.code, board.base) if code),
        *((HERE / "starter",) if board.halves else ()),
        HERE / "boards" / _COMMON[board.port],
        HERE / "boards" / (board.definition or board.name),
        *(HERE / "boards" / name for name in (board.boot, board.radio) if name),
    ):
        files += [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(set(files))

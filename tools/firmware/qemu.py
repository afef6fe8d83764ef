"""The meter for a machine of QEMU: MicroPython's own port for it, with the meter frozen in.

Only the core is a chip's: what a script prints goes to a UART, and there are no parts around it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import corrections
import images
import toolchain
from shell import run

if TYPE_CHECKING:
    from openams.progress import Steps

_CROSS = {"arm": "arm-none-eabi-", "riscv32": "riscv64-unknown-elf-"}


def compile_image(board: images.Board, tree: Path, folder: Path, steps: Steps) -> None:
    """The image comes to `folder`/firmware.elf; objects of C stay for the next time."""
    definition = folder / "board"
    shutil.rmtree(definition, ignore_errors=True)
    definition.mkdir()
    for source in board.definitions(tree):
        for path in source.iterdir():
            # With its time: make goes by it.
            shutil.copy2(path, definition)
    manifest = folder / "manifest.py"
    text = images.manifest(board)
    if not manifest.exists() or manifest.read_text() != text:
        manifest.write_text(text)
    architecture = _architecture(definition)
    if architecture == "riscv32":
        toolchain.ensure_riscv(folder)
    work = folder / "make"
    known = work / "config.sha256"
    config = repr((str(tree), corrections.digest(), _definition(definition)))
    if not known.exists() or known.read_text() != config:
        shutil.rmtree(work, ignore_errors=True)
    steps.show("compiling")
    run(
        [
            "make", f"-j{os.cpu_count() or 1}", "-C", tree / "ports" / "qemu",
            f"BOARD={board.name}",
            f"BOARD_DIR={definition}",
            f"BUILD={work}",
            f"FROZEN_MANIFEST={manifest}",
            f"CROSS_COMPILE={_CROSS[architecture]}",
        ],
        folder / "make.log",
    )  # fmt: skip
    known.write_text(config)
    new = folder / "firmware.elf.new"
    shutil.copy(work / "firmware.elf", new)
    new.replace(folder / "firmware.elf")


def _architecture(definition: Path) -> str:
    found = re.search(r"^QEMU_ARCH = (\w+)$", (definition / "mpconfigboard.mk").read_text(), re.M)
    assert found
    return found[1]


def _definition(folder: Path) -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(folder.iterdir())]

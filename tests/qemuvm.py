"""The firmware on the core of another chip: the real MicroPython on a machine of QEMU.

The meter is frozen into its image (tools/firmware). What a test brings lies in a ROM file system
in the machine's memory, under the paths that it has here, so that a script of the unix VM runs as
it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpremote.romfs import VfsRomWriter

from openams.runtimes.rp2040.firmware_image import image

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Machine:
    """`files_at`: where the file system of the test lies. `arch`: of .mpy files for it."""

    name: str
    program: str
    machine: tuple[str, ...]
    files_at: int
    arch: str


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("qemu-m33", "qemu-system-arm", ("mps2-an505",), 0x80000000, "armv7em"),
        Machine("qemu-m7", "qemu-system-arm", ("mps2-an500",), 0x60000000, "armv7em"),
        Machine("qemu-rv32", "qemu-system-riscv32", ("virt", "-bios", "none"), 0x82000000,
                "rv32imc"),
    )
}  # fmt: skip


def ensure(machine: Machine) -> None:
    """QEMU is there, or is installed; an error says what to do."""
    if shutil.which(machine.program) is None:
        subprocess.run(["sh", str(ROOT / "tools" / "qemu.sh"), machine.program], check=True)


def _tree(paths: list[Path]) -> dict[str, Any]:
    """Folders within folders, and the octets of files: of folders of code only the code."""
    tree: dict[str, Any] = {}

    def add(file: Path) -> None:
        *folders, name = file.parts[1:]
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = file.read_bytes()

    for path in paths:
        if path.is_file():
            add(path)
            continue
        pattern = "*" if "data" in path.parts else "*.py"
        for file in sorted(path.rglob(pattern)):
            if file.is_file() and not {".venv", "build"} & set(file.relative_to(path).parts):
                add(file)
    return tree


def _write(writer: VfsRomWriter, tree: dict[str, Any]) -> None:
    for name, what in tree.items():
        if isinstance(what, dict):
            writer.opendir(name)
            _write(writer, what)
            writer.closedir()
        else:
            writer.mkfile(name, what)


def file_system(paths: list[Path], extra: dict[str, bytes]) -> bytes:
    writer = VfsRomWriter()
    _write(writer, {**_tree(paths), **extra})
    return bytes(writer.finalise())


_BEGIN = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({at}, {size})), "/")
sys.path[:] = ["", ".frozen"] + {paths}
sys.argv[:] = {argv}
with open("/script.py") as _file: _text = _file.read()
exec(_text)
"""


class Failed(AssertionError):
    """The script ended with an exception, or the machine said nothing any more."""


def run(
    name: str,
    script: str,
    *argv: str,
    timeout_s: float = 300,
    paths: tuple[str, ...] = ("firmware", "boards/unix"),
    extra: dict[str, bytes] | None = None,
) -> str:
    """What a script prints. `paths` of this repository are searched for modules behind what is
    frozen; a path in `argv` or quoted in the script is there on the machine too; `extra`: files of
    its root."""
    machine = MACHINES[name]
    ensure(machine)
    folders = [ROOT / path for path in paths]
    named = [*argv, *re.findall(r"""['"](/[^'"\n]+)['"]""", script)]
    given = [Path(text) for text in named if text.startswith("/") and Path(text).exists()]
    data = file_system(folders + given, {**(extra or {}), "script.py": script.encode()})
    begin = _BEGIN.format(
        at=machine.files_at, size=len(data), paths=list(map(str, folders)), argv=["", *argv]
    )
    with tempfile.TemporaryDirectory() as work:
        files = Path(work) / "files"
        files.write_bytes(data)
        # A comma would end the option.
        assert "," not in str(files)
        command = [
            machine.program, "-machine", *machine.machine, "-display", "none", "-monitor", "none",
            "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c", "-semihosting",
            "-device", f"loader,file={files},addr={machine.files_at:#x},force-raw=on",
            "-kernel", str(image(name).with_name("firmware.elf")),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            return _Repl(process, timeout_s).run(begin)
        finally:
            process.kill()
            process.communicate()


class _Repl:
    """MicroPython's raw REPL on the pipes of a process."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        self._process = process
        self._until = time.monotonic() + timeout_s
        self._held = b""

    def run(self, code: str) -> str:
        self._read(b">>> ")
        self._send(b"\x01")
        self._read(b"raw REPL; CTRL-B to exit\r\n>")
        self._send(code.encode() + b"\x04")
        self._read(b"OK")
        said = self._read(b"\x04").decode().replace("\r\n", "\n")
        wrong = self._read(b"\x04").decode().replace("\r\n", "\n")
        if wrong:
            raise Failed(said + wrong)
        return said

    def _send(self, data: bytes) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _read(self, end: bytes) -> bytes:
        assert self._process.stdout
        while end not in self._held:
            left = self._until - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            data = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not data:
                self._process.kill()
                _, errors = self._process.communicate()
                text = (self._held + b"\n" + errors).decode(errors="replace")
                raise Failed(("QEMU ended: " if ready else "not in time: ") + text)
            self._held += data
        before, _, self._held = self._held.partition(end)
        return before

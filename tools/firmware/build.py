"""Builds a firmware image: `make firmware BOARD=pico`, or with --micropython DIR.

The image comes to build/<board>/firmware.uf2 (.bin, .elf), once: again only
when something that it depends on has changed. Those of QEMU are firmware.elf.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import corrections
import halves
import images
import qemu
import size
import sources
import toolchain
import uf2
from problem import Problem
from shell import run

sys.path.append(str(images.ROOT / "host"))

from openams.progress import Steps


def main() -> int:
    arguments = _arguments()
    try:
        board = images.BOARDS.get(arguments.board)
        if board is None:
            raise Problem(f"no board {arguments.board}: there are {', '.join(images.BOARDS)}")
        with Steps(f"firmware for {board.name}") as steps:
            image = build(board, arguments.micropython, arguments.out, steps)
        if not arguments.quiet and board.port == "rp2":
            print(size.report(json.loads((image.parent / "size.json").read_text())))
        print(image)
    except Problem as problem:
        print(f"firmware: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="firmware", description=__doc__)
    parser.add_argument("board", nargs="?", default="pico")
    parser.add_argument("--micropython", type=Path, help="an upstream checkout to build from")
    parser.add_argument("--out", type=Path, default=images.ROOT / "build", help="default: build/")
    parser.add_argument("--quiet", action="store_true", help="print only the path of the image")
    return parser.parse_args()


def build(board: images.Board, micropython: Path | None, out: Path, steps: Steps) -> Path:
    folder = out.resolve() / board.name
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / board.image
    stamp = folder / "inputs.sha256"
    with (folder / "lock").open("w") as lock:
        # Two at once: the second waits, and finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = _of_files(board)
        digest = _digest(board, micropython, files)
        if image.exists() and stamp.exists() and stamp.read_text() == digest:
            return image
        tree = _tree(micropython, folder, steps)
        board = board.for_tree(tree)
        if board.port == "qemu":
            qemu.compile_image(board, tree, folder, steps)
        else:
            different = toolchain.others(_pinned())
            if different:
                steps.note(f"firmware: {different}")
            if board.lacks:
                steps.note(f"firmware: {board.name}: {board.lacks}")
            _compile(board, tree, folder, steps)
        # Of the files as they were: one that has changed meanwhile may not be in it. The compiler
        # may have been installed just now.
        stamp.write_text(_digest(board, micropython, files))
    return image


def _digest(board: images.Board, micropython: Path | None, files: bytes | None = None) -> str:
    """Of all that the image depends on, and where from; `files`: as they were."""
    digest = hashlib.sha256(str(micropython and micropython.resolve()).encode())
    digest.update(_epoch().encode())
    digest.update(json.dumps(toolchain.used(_pinned()), sort_keys=True).encode())
    digest.update(files or _of_files(board))
    return digest.hexdigest()


def _of_files(board: images.Board) -> bytes:
    digest = hashlib.sha256()
    for path in images.inputs(board):
        digest.update(str(path.relative_to(images.ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def _pinned() -> dict[str, str]:
    """The packages of the compiler of a release, and their versions."""
    return sources.pins()["toolchain"]


def _epoch() -> str:
    """The time that the image says it was made at, where one is given."""
    return os.environ.get("SOURCE_DATE_EPOCH", "")


# What the build takes from the submodules of a checkout, and a file that is in each.
_LIBRARIES = {
    "pico-sdk": "pico_sdk_init.cmake",
    "tinyusb": "src/tusb.h",
    "mbedtls": "include/mbedtls/version.h",
    "micropython-lib": "README.md",
}


def _tree(micropython: Path | None, folder: Path, steps: Steps) -> Path:
    """MicroPython's tree with its cross compiler built."""
    if micropython is not None:
        tree = micropython.resolve()
        if not (tree / "ports" / "rp2").is_dir():
            raise Problem(f"{micropython} is no MicroPython checkout: it has no ports/rp2")
        for library, file in _LIBRARIES.items():
            if not (tree / "lib" / library / file).exists():
                raise Problem(f"no lib/{library}: run  make -C {tree}/ports/rp2 submodules")
        corrections.check(tree)
        steps.show("looking for the compiler; it is installed if it is not there")
        toolchain.ensure(folder, _pinned())
        _cross_compiler(tree, folder, steps)
        return tree
    cache = sources.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        steps.show("looking for the compiler; it is installed if it is not there")
        toolchain.ensure(cache / "logs", _pinned())
        steps.show("sources of MicroPython, fetched if they are not there")
        tree = sources.tree(cache)
        _cross_compiler(tree, cache / "logs", steps)
    return tree


def _cross_compiler(tree: Path, logs: Path, steps: Steps) -> None:
    if not (tree / "mpy-cross" / "build" / "mpy-cross").exists():
        steps.show("compiling the cross compiler")
        run(["make", _jobs(), "-C", tree / "mpy-cross"], logs / "mpy-cross.log")


def _jobs() -> str:
    return f"-j{os.cpu_count() or 1}"


def _write(path: Path, text: str) -> None:
    """Leaves a file alone that is so already: make goes by its time."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _compile(board: images.Board, tree: Path, folder: Path, steps: Steps) -> None:
    definition = folder / "board"
    flash = images.flashmap(board)
    definition.mkdir(exist_ok=True)
    for folder_of in board.definitions(tree):
        for path in folder_of.iterdir():
            if path.is_file():
                _write(definition / path.name, path.read_text())
    if not board.upstream:
        _write(definition / "flashmap.h", images.header(flash))
        _write(definition / "flashmap.ld", images.linker_script(flash, board.chip))
    if board.halves:
        _write(definition / "flashmap.cmake", halves.first(flash))
    _write(folder / "manifest.py", images.manifest(board))
    work = folder / "cmake"
    # The C sources depend on these only; the frozen code is made anew by make.
    config = hashlib.sha256(
        b"".join(p.read_bytes() for p in sorted(definition.iterdir()) if p.is_file())
        + f"{tree}|{folder}|{_epoch()}".encode()
        + corrections.digest()
    ).hexdigest()
    known = work / "config.sha256"
    if not known.exists() or known.read_text() != config:
        shutil.rmtree(work, ignore_errors=True)
    steps.show("configuring")
    run(
        [
            "cmake", "-S", tree / "ports" / "rp2", "-B", work,
            f"-DMICROPY_BOARD={board.name}",
            f"-DMICROPY_BOARD_DIR={definition}",
            f"-DMICROPY_FROZEN_MANIFEST={folder / 'manifest.py'}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DPICO_NO_PICOTOOL=1",
        ],
        folder / "cmake.log",
    )  # fmt: skip
    known.write_text(config)
    steps.show("compiling")
    run(
        ["make", _jobs(), "-C", work],
        folder / "make.log",
        told=lambda percent: steps.show("compiling", percent),
    )
    binary = (work / "firmware.bin").read_bytes()
    (folder / "firmware.bin").write_bytes(binary)
    shutil.copy(work / "firmware.elf", folder / "firmware.elf")
    (folder / "size.json").write_text(json.dumps(size.measure(board, work, binary, flash)))
    # Last, and at once: a UF2 that is there is whole.
    flashed = binary
    if board.halves:
        steps.show("linking the second half")
        (folder / "second.bin").write_bytes(halves.second(work, flash, folder))
        (folder / "halves.json").write_text(halves.description(flash, images.ROOT))
        flashed = halves.whole(flash, binary, halves.starter(folder, flash))
    new = folder / "firmware.uf2.new"
    new.write_bytes(uf2.from_binary(flashed, board.chip))
    new.replace(folder / "firmware.uf2")


if __name__ == "__main__":
    sys.exit(main())

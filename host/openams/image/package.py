"""The files of an image for a board: its modules, whole or those that a meter does not have yet."""

from __future__ import annotations

import ast
import json
import re
import zlib
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.flashing import package as mip
from openams.flashing.targets import TARGETS
from openams.image import build
from openams.image.file import Image
from openams.places import repository_root

# The bench's meter runs .py on every VM; a chip takes .mpy, compiled for its core.
BENCH = "unix"
BOARDS = (BENCH, *TARGETS)
# Those that take a whole firmware, as `make firmware` has built it.
WHOLE = ("pico-ab",)
# The start-up is never taken from a slot.
_STARTUP = (
    *("main", "boot", "chip", "pinout", "flash", "flashmap"),
    *("fileflash", "slotfinder", "profile_rows", "push_request"),
)
_VERSION_MODULE = "ams/__init__"
# What the firmware takes (ams.update.image, slots): of one file, all files, packed, and a slot.
FILE_MAX = 65536
PACKED_MAX = 24576
ALL_MAX = 2097152
FILES_MAX = 400
SLOT_MAX = {BENCH: 520192, "rp2": 126976, "esp32": 323584}  # by the bench, or the port
_NUMBERS = ("__version__", "SECURITY_VERSION", "STATE_FORMAT")


def make(
    board: str,
    source: Path | None = None,
    against: Path | None = None,
    only: list[str] | None = None,
    minimum: str | None = None,
    version: str | None = None,
    security: int | None = None,
) -> Image:
    """The image of the sources in `source`, a folder with firmware/ and boards/.

    `against`: leaves out modules that are the same there, in the sources of the base that
    the meter was flashed with; the image then asks for that version of it, unless `minimum`
    is given.
    `only`: takes these modules alone. `version`, `security`: what the image says in place
    of its sources.
    """
    if board not in BOARDS:
        raise BenchError(f"no board {board}: there are {', '.join((*BOARDS, *WHOLE))}")
    sources = {name: path.read_bytes() for name, path in _modules(board, source).items()}
    if minimum is None:
        minimum = _version_of(board, against) if against else "0.0.0"
    sources[_VERSION_MODULE] = _renumbered(sources[_VERSION_MODULE], version, security)
    numbers = _numbers(sources[_VERSION_MODULE])
    chosen = _chosen(sources, board, against, only)
    files = {}
    for name in sorted(chosen):
        if board == BENCH:
            files[name + ".py"] = sources[name]
        else:
            arch = TARGETS[board].arch
            files[name + ".mpy"] = mip.compiled(arch, name + ".py", sources[name])
    manifest, packed = build.build(
        files, board, numbers["__version__"], numbers["SECURITY_VERSION"],
        _checked(minimum), numbers["STATE_FORMAT"],
    )  # fmt: skip
    image = Image(manifest, packed)
    _demand_fits(image, SLOT_MAX[BENCH if board == BENCH else TARGETS[board].platform])
    return image


def make_whole(board: str, folder: Path, minimum: str = "0.0.0") -> list[Image]:
    """The images of both halves, of the firmware that was built into `folder`."""
    try:
        said = json.loads((folder / "halves.json").read_text())
        codes = [(folder / name).read_bytes() for name in ("firmware.bin", "second.bin")]
    except (OSError, ValueError):
        raise BenchError(
            f"{folder} has no firmware of two halves: run  make firmware BOARD={board}"
        ) from None
    numbers = said["version"], said["security"], _checked(minimum), said["state_format"]
    return [
        Image(*build.build_whole(code, origin, board, *numbers))
        for code, origin in zip(codes, said["origins"], strict=True)
    ]


def _modules(board: str, source: Path | None) -> dict[str, Path]:
    """Module paths without suffix, as a slot has them."""
    root = source or repository_root()
    if not (root / "firmware" / "ams").is_dir():
        raise BenchError(f"{root} has no firmware/ams: name a folder with the sources of OpenAMS")
    known = TARGETS.get(board)
    found = mip.modules(root, *((known.base, known.code) if known else (BENCH,)))
    return {
        name: path
        for name, path in found.items()
        if name not in _STARTUP and not name.startswith("amsboot/")
    }


def _chosen(
    sources: dict[str, bytes], board: str, against: Path | None, only: list[str] | None
) -> set[str]:
    chosen = set(sources)
    if only:
        wanted = {re.sub(r"\.py$", "", name) for name in only}
        if unknown := wanted - chosen:
            raise BenchError(f"no module {sorted(unknown)[0]} for {board}: write it like ams/meter")
        chosen = wanted
    if against:
        old = _modules(board, against)
        chosen = {
            name for name in chosen if name not in old or old[name].read_bytes() != sources[name]
        }
    # Its version is what runs.
    return chosen | {_VERSION_MODULE}


def _version_of(board: str, source: Path) -> str:
    return str(_numbers(_modules(board, source)[_VERSION_MODULE].read_bytes())["__version__"])


def _numbers(source: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in _NUMBERS and isinstance(node.value, ast.Constant):
                found[name] = node.value.value
    if set(found) != set(_NUMBERS):
        raise BenchError(f"{_VERSION_MODULE}.py does not say {', '.join(_NUMBERS)}")
    _checked(str(found["__version__"]))
    return found


def _renumbered(source: bytes, version: str | None, security: int | None) -> bytes:
    text = source.decode()
    if version is not None:
        text = re.sub(r"(?m)^__version__ = .*$", f'__version__ = "{_checked(version)}"', text)
    if security is not None:
        if not 0 <= security <= 0xFFFFFFFF:
            raise BenchError(f"a security version of {security} is none: give 0 or more")
        text = re.sub(r"(?m)^SECURITY_VERSION = .*$", f"SECURITY_VERSION = {security}", text)
    return text.encode()


def unpacked(image: Image) -> dict[str, bytes]:
    """The files of an image, by name."""
    found, at = {}, 0
    for file in image.contents()["files"]:
        packed = image.package[at : at + file["packed"]]
        found[file["name"]] = zlib.decompress(packed, -build.WINDOW_BITS)
        at += file["packed"]
    return found


def _checked(version: str) -> str:
    if not re.fullmatch(r"\d{1,6}\.\d{1,6}\.\d{1,6}", version):
        raise BenchError(f"{version!r} is no version: write it like 0.2.0")
    return version


def _demand_fits(image: Image, most: int) -> None:
    files = image.contents()["files"]
    if len(files) > FILES_MAX:
        raise BenchError(f"{len(files)} files are too many: {FILES_MAX} at most; use --against")
    for file in files:
        if file["size"] > FILE_MAX or file["packed"] > PACKED_MAX:
            raise BenchError(f"{file['name']} is too large for a meter")
    size = len(image.octets())
    if size > most or sum(file["size"] for file in files) > ALL_MAX:
        raise BenchError(
            f"the image has {size / 1024:.0f} KiB, a slot takes {most / 1024:.0f}: "
            "leave out what the meter has with --against, the sources of its base"
        )

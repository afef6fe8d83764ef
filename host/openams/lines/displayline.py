"""The display of a running meter: what the firmware writes to its bus, in a model of the part."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

from openams.emulator.models.hd44780 import Hd44780
from openams.emulator.models.ssd1306 import Ssd1306
from openams.errors import BenchError

# In the place of a channel of the two-way link, see docs/architecture.md.
DISPLAY_BUS = 253
KINDS = ("ssd1306", "lcd")
_SCALE = 4  # points of a picture for each pixel
_LIT, _DARK = bytes((255, 255, 255)), bytes((10, 14, 20))


def parse_display(text: str) -> tuple[str, Path | None]:
    """("ssd1306" or "lcd", file of the last picture) of "ssd1306:FILE.png"."""
    kind, _, file = text.partition(":")
    if kind not in KINDS or (file and (kind != "ssd1306" or not file.lower().endswith(".png"))):
        raise BenchError(f"--display {text!r}: write ssd1306, ssd1306:FILE.png or lcd")
    picture = Path(file) if file else None
    if picture and not picture.absolute().parent.is_dir():
        raise BenchError(f"--display {text!r}: there is no folder {picture.absolute().parent}")
    return kind, picture


class DisplayLine:
    def __init__(self, kind: str, picture: Path | None = None) -> None:
        self.kind = kind
        self.model = Ssd1306() if kind == "ssd1306" else Hd44780()
        self._picture = picture

    def from_meter(self, data: bytes) -> None:
        """A transfer: address, octets."""
        if data and data[0] == self.model.address:
            with contextlib.suppress(IndexError):
                self.model.write(data[1:])

    # As a device of the emulated chip's bus.

    @property
    def address(self) -> int:
        return int(self.model.address)

    def write(self, data: bytes) -> None:
        self.from_meter(bytes((self.address,)) + data)

    def read(self, count: int) -> bytes:
        return bytes(self.model.read(count))

    def power_up(self) -> None:
        """It shows nothing of what it was told before."""
        self.model = type(self.model)()

    def rows(self) -> list[str]:
        """What it shows, in characters."""
        return list(self.model.text_rows())

    def close(self) -> None:
        if self._picture and isinstance(self.model, Ssd1306):
            self._picture.write_bytes(png(self.model.pixels()))


def png(pixels: list[list[bool]]) -> bytes:
    """A picture of lit and dark pixels (PNG, ISO/IEC 15948)."""
    rows = []
    for row in pixels:
        line = b"\0" + b"".join((_LIT if lit else _DARK) * _SCALE for lit in row)
        rows += [line] * _SCALE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", len(pixels[0]) * _SCALE, len(rows), 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )

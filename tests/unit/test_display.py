"""The display of the case: what it shows and how, on models of its parts, on both VMs."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import display_vm
import pytest

from openams.emulator.models.ssd1306 import Ssd1306
from openams.errors import BenchError
from openams.lines.displayline import DisplayLine, parse_display
from tests.conftest import ROOT


@pytest.mark.parametrize("name", display_vm.CHECKS)
def test_on_cpython(name):
    getattr(display_vm, name)()


def test_on_the_vm(micropython):
    places = [str(ROOT / "tests/unit"), str(ROOT / "host/openams/emulator/models")]
    script = f"import sys\nsys.path[:0] = {places!r}\nimport display_vm\ndisplay_vm.main()"
    paths = ("firmware", "boards/unix", "boards")
    out = micropython(script, heap_kib=512, paths=paths)
    assert out.split() == [str(len(display_vm.CHECKS))]


def test_the_glyphs_are_those_that_are_drawn():
    tool = ROOT / "tools" / "display_font.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_picture_has_the_pixels_of_the_ram(tmp_path):
    line = DisplayLine("ssd1306", tmp_path / "face.png")
    line.from_meter(bytes((0x3C, 0x00, 0x8D, 0x14, 0xAF, 0xB0, 0x00, 0x10)))
    for page in range(8):
        line.from_meter(bytes((0x3C, 0x00, 0xB0 | page, 0x00, 0x10)))
        line.from_meter(bytes((0x3C, 0x40)) + bytes(128))
    line.from_meter(bytes((0x3C, 0x00, 0xB2, 0x03, 0x11)))
    line.from_meter(bytes((0x3C, 0x40, 0x05)))
    line.close()
    data = (tmp_path / "face.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(
            kind + body
        )
        chunks[kind] = body
        at += 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (width, height, depth, colour) == (512, 256, 8, 2)
    rows = zlib.decompress(chunks[b"IDAT"])
    lit = set()
    for y in range(64):
        row = rows[(4 * y) * (1 + 3 * width) :][1 : 1 + 3 * width]
        lit |= {(x, y) for x in range(128) if row[12 * x] == 255}
    assert lit == {(19, 16), (19, 18)}


def test_the_model_refuses_what_is_no_command():
    with pytest.raises(ValueError, match="ff"):
        Ssd1306().write(b"\x00\xff")


@pytest.mark.parametrize("text", ["oled", "lcd:x.png", "ssd1306:x.gif", "ssd1306:/no/where/x.png"])
def test_what_is_no_display_is_said_in_one_line(text):
    with pytest.raises(BenchError, match="--display") as error:
        parse_display(text)
    assert "\n" not in str(error.value)

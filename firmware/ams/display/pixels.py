"""Text as pixels: a page is eight rows, an octet of it a column whose lowest bit is on top."""

import sys

import micropython
from micropython import const

from ams.display.glyphs import CHARACTERS, COLUMNS

WIDTH = const(128)
_BLANK = bytes(128)
_CELL = const(6)  # columns of a character, with the gap behind it

# A nibble with each of its bits twice.
_TWICE = bytes([b & 1 | (b & 1) << 1 | (b & 2) << 1 | (b & 2) << 2 | (b & 4) << 2 | (b & 4) << 3
                | (b & 8) << 3 | (b & 8) << 4 for b in range(16)])  # fmt: skip


@micropython.viper
def _blit_viper(line, x: int, glyph: int, part: int):
    """Five columns of a glyph at `x`; part 0 plain, 1 and 2 the upper and lower half of twice."""
    out = ptr8(line)  # noqa: F821
    columns = ptr8(COLUMNS)  # noqa: F821
    twice = ptr8(_TWICE)  # noqa: F821
    k = 0
    while k < 5:
        bits = int(columns[glyph * 5 + k])
        if part == 0:
            out[x + k] = bits
        else:
            nibble = (bits & 15) if part == 1 else (bits >> 4)
            out[x + 2 * k] = twice[nibble]
            out[x + 2 * k + 1] = twice[nibble]
        k += 1


def _blit_plain(line, x, glyph, part):
    """The same in plain Python."""
    for k in range(5):
        bits = COLUMNS[glyph * 5 + k]
        if part == 0:
            line[x + k] = bits
        else:
            double = _TWICE[bits & 15 if part == 1 else bits >> 4]
            line[x + 2 * k] = line[x + 2 * k + 1] = double


@micropython.viper
def _take_viper(shown, at: int, line, start: int, size: int) -> int:
    """Copies line[start:start + size] to `shown` at `at`; 1 if that changed anything."""
    to = ptr8(shown)  # noqa: F821
    of = ptr8(line)  # noqa: F821
    changed = 0
    k = 0
    while k < size:
        octet = int(of[start + k])
        if int(to[at + k]) != octet:
            to[at + k] = octet
            changed = 1
        k += 1
    return changed


def _take_plain(shown, at, line, start, size):
    """The same in plain Python."""
    piece = line[start : start + size]
    if shown[at : at + size] == piece:
        return 0
    shown[at : at + size] = piece
    return 1


if sys.implementation.name == "micropython":
    take = _take_viper
else:
    take = _take_plain

blit = _blit_viper if sys.implementation.name == "micropython" else _blit_plain


def draw(line, text, part):
    """A line of WIDTH octets with a text: what does not fit is left out. `part` as in blit."""
    line[:] = _BLANK
    step = _CELL if part == 0 else 2 * _CELL
    x = 0
    for character in text:
        if x + step > WIDTH:
            return
        if character != " ":
            glyph = CHARACTERS.find(character)
            # What has no glyph shows that there is something.
            blit(line, x, glyph if glyph >= 0 else CHARACTERS.find("?"), part)
        x += step

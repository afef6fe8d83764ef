"""Makes the glyphs of firmware/ams/display/glyphs.py from the drawings below; with --check it only
compares. Glyphs are five columns by seven rows; the lowest bit of a column is its top.
"""

from __future__ import annotations

import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "firmware" / "ams" / "display" / "glyphs.py"

DRAWN = """
0     1     2     3     4     5     6     7     8     9
.###. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ..##. #..#. ....# ####. ...#. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ...#.
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .##..

A     B     C     D     E     F     G     H     I     J
.###. ####. .###. ####. ##### ##### .###. #...# .###. ..###
#...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#.
#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#.
##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#.
#...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#.
#...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#.
#...# ####. .###. ####. ##### #.... .###. #...# .###. .##..

K     L     M     N     O     P     Q     R     S     T
#...# #.... #...# #...# .###. ####. .###. ####. .#### #####
#..#. #.... ##.## ##..# #...# #...# #...# #...# #.... ..#..
#.#.. #.... #.#.# ##..# #...# #...# #...# #...# #.... ..#..
##... #.... #.#.# #.#.# #...# ####. #...# ####. .###. ..#..
#.#.. #.... #...# #..## #...# #.... #.#.# #.#.. ....# ..#..
#..#. #.... #...# #..## #...# #.... #..#. #..#. ....# ..#..
#...# ##### #...# #...# .###. #.... .##.# #...# ####. ..#..

U     V     W     X     Y     Z     .     :     -     /
#...# #...# #...# #...# #...# ##### ..... ..... ..... ....#
#...# #...# #...# #...# #...# ....# ..... .##.. ..... ...#.
#...# #...# #...# .#.#. .#.#. ...#. ..... .##.. ..... ...#.
#...# #...# #.#.# ..#.. ..#.. ..#.. ..... ..... ##### ..#..
#...# .#.#. #.#.# .#.#. ..#.. .#... ..... .##.. ..... .#...
#...# .#.#. ##.## #...# ..#.. #.... .##.. .##.. ..... .#...
.###. ..#.. #...# #...# ..#.. ##### .##.. ..... ..... #....

k     h     v     a     r     z     +     ?     m     *
#.... #.... ..... ..... ..... ..... ..... .###. ..... .....
#.... #.... ..... ..... ..... ..... ..#.. #...# ..... ..#..
#..#. #.##. #...# .###. #.##. ##### ..#.. ....# ##.#. #.#.#
#.#.. ##..# #...# ....# ##..# ...#. ##### ...#. #.#.# .###.
##... #...# #...# .#### #.... ..#.. ..#.. ..#.. #.#.# #.#.#
#.#.. #...# .#.#. #...# #.... .#... ..#.. ..... #.#.# ..#..
#..#. #...# ..#.. .#### #.... ##### ..... ..#.. #.#.# .....
"""


def glyphs() -> tuple[str, bytes]:
    """The characters, and five columns of each."""
    characters, columns = "", b""
    for block in DRAWN.strip("\n").split("\n\n"):
        head, *rows = block.split("\n")
        assert len(rows) == 7, head
        for n, character in enumerate(head.split()):
            at = 6 * n
            cells = [row[at : at + 5] for row in rows]
            assert all(len(cell) == 5 and set(cell) <= {"#", "."} for cell in cells), character
            characters += character
            columns += bytes(sum(1 << y for y in range(7) if cells[y][x] == "#") for x in range(5))
    return characters, columns


def source() -> str:
    characters, columns = glyphs()
    lines = []
    for at in range(0, len(columns), 20):
        text = "".join(f"\\x{octet:02x}" for octet in columns[at : at + 20])
        lines.append(f'    b"{text}"')
    return f'''"""Glyphs of five columns by seven rows: tools/display_font.py has the drawings."""

CHARACTERS = "{characters}"
# Five octets of each; the lowest bit is the top.
COLUMNS = (
{chr(10).join(lines)}
)
'''


def main() -> int:
    text = source()
    if "--check" in sys.argv:
        if TARGET.read_text() != text:
            print(f"glyphs.py is out of date: run python {sys.argv[0]}", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

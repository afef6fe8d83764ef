"""Picture and wiring table of a board, from boards/<board>/pins.yaml.

Writes docs/boards/<board>.svg, and the table between the marks of docs/boards/<board>.md.
With --check it writes nothing, and ends with 1 when they are not up to date.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ("pico", "esp32", "esp32s3")
BEGIN, END = "<!-- wiring: made by tools/board_picture.py -->", "<!-- end of wiring -->"

ROW, HEAD, GAP, TOP = 24, 44, 18, 64
BLOCK_WIDTH, LINE, BOARD_WIDTH = 250, 110, 220
LEFT = 20
BOARD_X = LEFT + BLOCK_WIDTH + LINE
RIGHT = BOARD_X + BOARD_WIDTH + LINE
WIDTH = RIGHT + BLOCK_WIDTH + 20


def load(board: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((ROOT / "boards" / board / "pins.yaml").read_text())
    return data


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def height(blocks: list[dict[str, Any]]) -> int:
    return sum(HEAD + ROW * len(block["pins"]) + GAP for block in blocks)


def side(blocks: list[dict[str, Any]], left: bool, tallest: int) -> list[str]:
    """The blocks of one side, and their lines to the board."""
    out = []
    y = TOP + (tallest - height(blocks)) // 2
    x = LEFT if left else RIGHT
    for block in blocks:
        high = HEAD + ROW * len(block["pins"])
        kind = "isolated" if block.get("isolated") else "block"
        out.append(
            f'<rect x="{x}" y="{y}" width="{BLOCK_WIDTH}" height="{high}" rx="6" class="{kind}"/>'
        )
        out.append(text(x + 12, y + 19, block["block"], "title"))
        out.append(text(x + 12, y + 35, block["note"], "note"))
        for row, pin in enumerate(block["pins"]):
            line_y = y + HEAD + ROW * row + 10
            near, far = (x + BLOCK_WIDTH, BOARD_X) if left else (x, BOARD_X + BOARD_WIDTH)
            out.append(f'<line x1="{near}" y1="{line_y}" x2="{far}" y2="{line_y}" class="wire"/>')
            out.append(f'<circle cx="{far}" cy="{line_y}" r="4" class="pad"/>')
            anchor = "end" if left else "start"
            out.append(text(near + (-12 if left else 12), line_y + 4, pin["signal"], "pin", anchor))
            inward = 12 if left else -12
            out.append(
                text(far + inward, line_y + 4, pin["pin"], "gpio", "start" if left else "end")
            )
        y += high + GAP
    return out


STYLE = """
text { font-family: sans-serif; fill: #1c2733; }
.title { font-size: 14px; font-weight: bold; } .note { font-size: 11px; fill: #5b6b7a; }
.pin { font-size: 12px; } .gpio { font-size: 12px; font-family: monospace; fill: #ffffff; }
.name { font-size: 15px; font-weight: bold; } .legend { font-size: 12px; }
.block { fill: #eef3f8; stroke: #8aa0b4; } .isolated { fill: #fdeceb; stroke: #c2453b; }
.board { fill: #1f5f46; stroke: #12382a; } .wire { stroke: #44586a; stroke-width: 1.5; }
.pad { fill: #d9b44a; stroke: #7a6420; } .page { fill: #ffffff; }
"""


def picture(data: dict[str, Any]) -> str:
    tallest = max(height(data["left"]), height(data["right"]))
    high = TOP + tallest + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high}" '
        f'viewBox="0 0 {WIDTH} {high}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{high}" class="page"/>',
        text(LEFT, 30, data["board"], "name"),
        f'<rect x="{BOARD_X}" y="{TOP - 10}" width="{BOARD_WIDTH}" height="{tallest}" rx="10" '
        'class="board"/>',
        *side(data["left"], True, tallest),
        *side(data["right"], False, tallest),
        f'<rect x="{LEFT}" y="{high - 34}" width="16" height="14" class="isolated"/>',
        text(LEFT + 24, high - 22, "behind an isolating barrier: mains or a line out", "legend"),
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def table(data: dict[str, Any]) -> str:
    out = ["| pin | goes to | signal | wiring |", "| --- | --- | --- | --- |"]
    for block in [*data["left"], *data["right"]]:
        for pin in block["pins"]:
            wire = pin.get("wire", "")
            out.append(f"| {pin['pin']} | {block['block']} | {pin['signal']} | {wire} |")
    return "\n".join(out)


def page(old: str, board: str, data: dict[str, Any]) -> str:
    """The page with its picture and table replaced."""
    head, rest = old.split(BEGIN)
    tail = rest.split(END)[1]
    shown = f"![Wiring of the {data['board']}]({board}.svg)"
    return f"{head}{BEGIN}\n{shown}\n\n{table(data)}\n{END}{tail}"


def main() -> int:
    stale = []
    for board in BOARDS:
        data = load(board)
        directory = ROOT / "docs" / "boards"
        markdown = directory / f"{board}.md"
        for path, content in (
            (directory / f"{board}.svg", picture(data)),
            (markdown, page(markdown.read_text(), board, data)),
        ):
            if path.exists() and path.read_text() == content:
                continue
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in sys.argv:
                path.write_text(content)
    for name in stale:
        print(name)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

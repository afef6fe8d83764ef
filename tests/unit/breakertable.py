"""The table of docs/breaker.md: what class 70 does in each mode, state and event."""

from __future__ import annotations

from pathlib import Path

from ams.control import transitions as tr

ROOT = Path(__file__).resolve().parents[2]
LETTERS = {
    "a": (0, 1), "b": (1, 0), "c": (2, 0), "d": (0, 2), "e": (2, 1), "f": (1, 2), "g": (1, 2),
    "h": (2, 1),
}  # fmt: skip
COLUMNS = (
    tr.REMOTE_DISCONNECT, tr.MANUAL_DISCONNECT, tr.LOCAL_DISCONNECT,
    tr.REMOTE_RECONNECT, tr.MANUAL_RECONNECT, tr.LOCAL_RECONNECT,
)  # fmt: skip


def documented():
    """(mode, event, state) -> state after, from the table in docs/breaker.md."""
    out = {}
    for line in (ROOT / "docs" / "breaker.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[0].isdigit():
            for event, cell in zip(COLUMNS, cells[1:], strict=True):
                for letter in cell.split():
                    if letter != "-":
                        before, after = LETTERS[letter]
                        out[int(cells[0]), event, before] = after
    return out


TABLE = documented()

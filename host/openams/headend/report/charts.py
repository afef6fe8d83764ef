"""Charts as SVG in a page: bars beside the nation's, and courses by day. They print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from openams.headend.report.model import Course, Figure

_WIDTH, _LEFT, _BAR, _GAP = 640, 190, 11, 9
_ROOM = _WIDTH - _LEFT - 130
# Line patterns as well as colours: a page in black and white tells them apart.
_STROKES = (("#0b5394", ""), ("#b45f06", "6 3"), ("#38761d", "2 3"), ("#666666", "8 3 2 3"))


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def bars(figure: Figure) -> str:
    """Each row: the company's share, and under it the nation's."""
    beside = any(row.national is not None for row in figure.rows)
    step = (2 if beside else 1) * (_BAR + 2) + _GAP
    height = step * len(figure.rows) + 4
    out = [_head(figure.title, height)]
    for at, row in enumerate(figure.rows):
        y = 4 + at * step
        count = "" if row.count is None else f" ({_number(row.count)})"
        out.append(_text(_LEFT - 8, y + _BAR - 1, row.label, "end"))
        out.append(_bar(y, row.share, f"{percent(row.share)}{count}", "own"))
        if row.national is not None:
            out.append(_bar(y + _BAR + 2, row.national, percent(row.national), "nation"))
    return "".join(out) + "</svg>"


def _bar(y: int, share: float | None, text: str, name: str) -> str:
    width = 0.0 if share is None else _ROOM * min(max(share, 0.0), 1.0)
    return (
        f'<rect class="{name}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
        + _text(_LEFT + width + 5, y + _BAR - 2, text, "start")
    )


def course(found: Course) -> str:
    """Shares over days; the axis begins where there is something to see."""
    values = [value for line in found.lines for value in line.values if value is not None]
    low = max(0.0, min(values, default=0.0) - 0.02)
    low = 0.0 if low < 0.5 else low
    height, top, bottom, left, right = 220, 12, 46, 60, 16
    span = max(1.0 - low, 1e-9)

    def x(k: int) -> float:
        return left + (_WIDTH - left - right) * (k / max(len(found.days) - 1, 1))

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - (value - low) / span)

    out = [_head(found.title, height)]
    for share in (low, (1 + low) / 2, 1.0):
        out.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y(share):.1f}" '
                   f'y2="{y(share):.1f}"/>')  # fmt: skip
        out.append(_text(left - 6, y(share) + 4, percent(share), "end"))
    for k in _some(len(found.days)):
        out.append(_text(x(k), height - bottom + 16, found.days[k].strftime("%d.%m."), "middle"))
    for at, line in enumerate(found.lines):
        colour, dashes = _STROKES[at % len(_STROKES)]
        points = [(x(k), y(value)) for k, value in enumerate(line.values) if value is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        style = f'stroke="{colour}" stroke-dasharray="{dashes}"'
        out.append(f'<polyline fill="none" stroke-width="2" {style} points="{path}"/>')
        if len(points) == 1:
            out.append(f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3" '
                       f'fill="{colour}"/>')  # fmt: skip
        at_x = left + at * 140
        out.append(f'<line stroke-width="2" {style} x1="{at_x}" x2="{at_x + 24}" '
                   f'y1="{height - 8}" y2="{height - 8}"/>')  # fmt: skip
        out.append(_text(at_x + 30, height - 4, line.label, "start"))
    return "".join(out) + "</svg>"


def _some(count: int) -> Sequence[int]:
    """At most eight days that get a label."""
    step = max(1, -(-count // 8))
    return range(0, count, step)


def _head(title: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\u202f")

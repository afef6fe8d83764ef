"""`ams profile --plot`: a load profile as a picture, by matplotlib (the extra `plot`)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.meter_time import NORWAY

_KINDS = (".png", ".svg", ".pdf")
_IMPORT, _EXPORT, _MARKED = "#0b6e79", "#3d7a1f", "#a3480b"
# Marks that say nothing against the values.
_USUAL = ("dst",)


def check_picture(path: Path) -> None:
    """Raises BenchError where no picture can come of it: before anything is read for it."""
    if path.suffix.lower() not in _KINDS:
        raise BenchError(f"--plot {path}: name a file that ends in {', '.join(_KINDS)}")
    if not path.absolute().parent.is_dir():
        raise BenchError(f"--plot {path}: there is no folder {path.absolute().parent}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise BenchError(
            "--plot needs matplotlib: pip install matplotlib, or openams-meter[plot]"
        ) from None


def intervals(rows: list[dict[str, Any]]) -> list[tuple[datetime, float, float, float, bool]]:
    """(begin, seconds, mean import in W, mean export in W, whether it is marked) of each row.

    A meter at a URL does not say how long an interval was: it begins where the one before ended,
    or is as long as most are.
    """
    ends = [datetime.fromisoformat(row["time"]) for row in rows]
    gaps = Counter((b - a).total_seconds() for a, b in zip(ends, ends[1:], strict=False))
    usual = gaps.most_common(1)[0][0] if gaps else 3600.0
    out = []
    for k, row in enumerate(rows):
        gap = (ends[k] - ends[k - 1]).total_seconds() if k else usual
        length = float(row.get("length_s") or (gap if 0 < gap <= usual else usual))
        watts = [row[name] * 3.6 / max(length, 1.0) for name in ("a_plus_mwh", "a_minus_mwh")]
        marked = any(name not in _USUAL for name in row["status_names"])
        out.append((ends[k] - timedelta(seconds=length), length, watts[0], watts[1], marked))
    return out


def draw_profile(rows: list[dict[str, Any]], path: Path) -> None:
    """Import above the line, export below; orange where an interval is marked."""
    if not rows:
        raise BenchError("--plot: there are no intervals in that time")
    if "a_plus_mwh" not in rows[0]:
        raise BenchError("--plot: this profile has no energies")
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    # A figure of its own: no window, no state of pyplot, no display that there may not be.
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shown = intervals(rows)
    begins: Any = [begin for begin, *_ in shown]
    days = [length / 86400 for _, length, *_ in shown]
    taken_kw = [watts / 1000 for _, _, watts, _, _ in shown]
    given_kw = [-watts / 1000 for _, _, _, watts, _ in shown]
    for heights, colour, name in ((taken_kw, _IMPORT, "import"), (given_kw, _EXPORT, "export")):
        colours = [_MARKED if one[4] else colour for one in shown]
        axes.bar(begins, heights, days, align="edge", color=colours)
        axes.bar(begins[:1], [0], color=colour, label=name)
    if any(one[4] for one in shown):
        axes.bar(begins[:1], [0], color=_MARKED, label="marked")
    locator = AutoDateLocator(tz=NORWAY)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=NORWAY))
    axes.axhline(0, color="#54625f", linewidth=0.8)
    axes.set_ylabel("mean power / kW")
    taken, given = (sum(row[name] for row in rows) / 1e6 for name in ("a_plus_mwh", "a_minus_mwh"))
    axes.set_title(f"A+ {taken:.3f} kWh, A- {given:.3f} kWh; Norwegian time", loc="left")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=False)
    figure.savefig(path, dpi=120)

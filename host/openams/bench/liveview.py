"""What `ams run` shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openams.bench.session import Session
from openams.meter_time import NORWAY, from_utc_ms

_BARS = "▁▂▃▄▅▆▇█"
# From so many columns on the distortion has a place.
_WITH_THD = 78
_STATUS_NAMES = (
    (0x0001, "acquiring"),
    (0x0002, "no voltage"),
    (0x0004, "samples saturated"),
    (0x0008, "samples missing"),
    (0x0010, "samples late"),
    (0x0020, "no load"),
    (0x0100, "phase L1 lost"),
    (0x0200, "phase L2 lost"),
    (0x0400, "phase L3 lost"),
    (0x0800, "neutral lost"),
    (0x1000, "L1 reversed"),
    (0x2000, "L2 reversed"),
    (0x4000, "L3 reversed"),
)


def status_names(status: int) -> list[str]:
    """The set bits of a status word, in words."""
    return [name for bit, name in _STATUS_NAMES if status & bit]


def sparkline(values: list[float], width: int) -> str:
    """The newest `width` values as blocks between their least and largest."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in shown)


def _tenths(milli: int) -> str:
    """A milli-value in whole units with one decimal; no minus before zero."""
    return f"{round(milli / 1000, 1) + 0.0:.1f}"


def _text(text: str, style: str = "") -> Text:
    """One line: what is longer than the terminal is wide ends in an ellipsis."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _voltage_labels(system: str) -> tuple[str, ...]:
    return {
        "1P2W": ("L1",),
        "3P4W": ("L1", "L2", "L3"),
        "3P3W": ("L1-L2", "L1-L3", "L2-L3"),
    }[system]


class View:
    """Keeps the history of power and draws the meter."""

    def __init__(
        self, session: Session, links: list[str], open_hint: str, urls: list[str] | None = None
    ) -> None:
        self._session = session
        self._links = links
        self._urls = (urls or []) + session.modbus_urls
        self._hint = open_hint
        self._powers: deque[float] = deque(maxlen=1000)
        # The last frame of each list, as a reader shows it.
        self.last_readings: dict[int, str] = {}
        self.figures: dict[str, Any] = {}
        self.keys = ""  # what they do
        # Address of the web page, and who shows there what is taken.
        self.page = ""
        self.on_figures: Callable[[dict[str, Any]], None] | None = None

    def take(self, figures: dict[str, Any]) -> None:
        """The meter's answer to a view."""
        self.figures = figures
        self._powers.append(figures["quantities"]["total_active_power_mw"] / 1000)
        if self.on_figures:
            self.on_figures(figures)

    # --- a terminal ----------------------------------------------------------

    def render(self, console: Console) -> RenderableType:
        """As large as the terminal is now; what does not fit is left out, least needed first."""
        width, height = console.size
        inner = max(width - 4, 10)
        parts = self._parts(inner) if self.figures else [(0, 1, _text("starting the meter ..."))]
        left = height - 2 - sum(lines for _, lines, _ in parts)
        for rank in sorted({rank for rank, _, _ in parts}, reverse=True):
            if left >= 0 or rank == 0:
                break
            left += sum(lines for other, lines, _ in parts if other == rank)
            parts = [part for part in parts if part[0] != rank]
        body = Group(*(renderable for _, _, renderable in parts))
        return Panel(
            body, title="OpenAMS", subtitle=self.keys or None, border_style="cyan",
            padding=(0, 1), width=width, height=height,
        )  # fmt: skip

    def _parts(self, width: int) -> list[tuple[int, int, RenderableType]]:
        """(rank, lines, what): of the highest rank it is left out first."""
        parts: list[tuple[int, int, RenderableType]] = [(0, 1, self._head())]
        names = status_names(self.figures["quantities"]["status"])
        if names:
            parts.append((0, 1, _text(", ".join(names), "yellow")))
        parts += [
            (0, 1, self._power()),
            (3, 1, self._spark(width)),
            (0, 1 + len(_voltage_labels(self._session.scenario.system)), self._phases(width)),
            (0, 2, self._registers()),
            (4, 1, self._demand()),
            *self._han(),
        ]
        if self._session.display:
            rows = self._session.display.rows()
            # All of it or one line: half a picture is none.
            if max(map(len, rows)) > width:
                rows = [f"display: {self.shown()}"]
            parts.append((5, len(rows), _text("\n".join(rows), "green")))
        if self._session.duration_s is not None:
            parts.append((0, 1, self._bar(self._session.duration_s)))
        return parts

    def shown(self) -> str:
        """What the display shows, in words."""
        found = self.figures.get("display")
        if not found or found["testing"]:
            return "test: all on"
        return " ".join(part for part in found["item"] if part)

    def _head(self) -> Text:
        session = self._session
        when = from_utc_ms(self.figures["utc_ms"]).astimezone(NORWAY)
        text = _text(f"{when:%Y-%m-%d %H:%M:%S %z}  ", "bold")
        source = "samples" if session.sampled else "quantities"
        text.append(
            f"{session.scenario.system} · {source} · {session.options.runtime} · "
            f"{session.scenario.name}",
            style="dim",
        )
        return text

    def _power(self) -> Text:
        q = self.figures["quantities"]
        p, r = q["total_active_power_mw"] / 1000, q["total_reactive_power_mvar"] / 1000
        # None is told while the meter is not locked to one.
        frequency = f"{q['frequency_mhz'] / 1000:.3f}" if q["frequency_mhz"] else "--"
        text = _text("")
        direction = "import" if p >= 0 else "EXPORT"
        text.append(f"P {abs(p):.1f} W {direction}", "bold green" if p < 0 else "bold")
        text.append(f"   Q {abs(r):.1f} var {'import' if r >= 0 else 'export'}   f {frequency} Hz")
        return text

    def _spark(self, width: int) -> Text:
        """The newest powers over the whole width, and the range of those that are shown."""
        values = list(self._powers)
        # The range is that of the bars, whose number depends on how long its words are.
        for count in range(min(width, len(values)), 0, -1):
            low, high = min(values[-count:]), max(values[-count:])
            caption = f" {low:.0f} to {high:.0f} W"
            if count + len(caption) <= width:
                return _text(sparkline(values, count) + caption, "cyan")
        return _text("")

    def _phases(self, width: int) -> Table:
        q = self.figures["quantities"]
        system = self._session.scenario.system
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        thd = width >= _WITH_THD
        names = ["", "U / V", "THD U / %", "", "I / A", "THD I / %", "P / W", "Q / var", "PF"]
        for name in names:
            if thd or not name.startswith("THD"):
                table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for place, label in enumerate(_voltage_labels(system)):
            # On 3P3W place 1 is no element: its powers and THD have no meaning.
            element = not (system == "3P3W" and place == 1)
            cells = [
                label,
                f"{q['voltage_mv'][place] / 1000:.1f}",
                f"{q['thd_voltage_permille'][place] / 10:.1f}" if element else "",
                f"L{place + 1}",
                f"{q['current_ua'][place] / 1e6:.3f}",
                f"{q['thd_current_permille'][place] / 10:.1f}" if element else "",
                f"{q['active_power_mw'][place] / 1000:.1f}" if element else "",
                f"{q['reactive_power_mvar'][place] / 1000:.1f}" if element else "",
                f"{q['power_factor_permille'][place] / 1000:.3f}" if element else "",
            ]
            table.add_row(*(cells if thd else [cells[k] for k in (0, 1, 3, 4, 6, 7, 8)]))
        return table

    def _registers(self) -> Table:
        r = self.figures["registers"]
        table = Table.grid(padding=(0, 2))
        for first, second in (
            (("A+", "a_plus_mwh", "kWh"), ("A-", "a_minus_mwh", "kWh")),
            (("R+", "r_plus_mvarh", "kvarh"), ("R-", "r_minus_mvarh", "kvarh")),
        ):
            table.add_row(*(_text(f"{label} {r[name] / 1e6:.6f} {unit}")
                            for label, name, unit in (first, second)))  # fmt: skip
        return table

    def _demand(self) -> Text:
        demand = self.figures["max_demand_mw"]
        return _text(
            f"largest hour: import {demand[0] / 1000:.0f} W, export {demand[1] / 1000:.0f} W"
        )

    def _han(self) -> list[tuple[int, int, RenderableType]]:
        han = self.figures["han"]
        state = "open" if han["open"] else "closed (open it with --han-open)"
        sent = sum(han["sent"])
        head = _text(f"HAN {self._session.options.han_format}: {state}, {sent} frames sent")
        if self._session.options.quirk:
            head.append(f", quirk {self._session.options.quirk}", style="yellow")
        out: list[tuple[int, int, RenderableType]] = [(0, 1, head)]
        if self.page:
            out.append((0, 1, _text(f"Web page: {self.page}", "bold")))
        for link in self._links:
            out.append((1, 1, _text(f"    {link}", "dim")))
        if self._links:
            out.append((6, 1, _text(f"    {self._hint}", "dim")))
        for url in self._urls:
            out.append((2, 1, _text(f"DLMS: {url}   ams read URL", "dim")))
        for _, text in sorted(self.last_readings.items()):
            out.append((5, 1, _text(f"    {text}", "dim")))
        return out

    def _bar(self, duration_s: float) -> Table:
        progress = self._session.progress
        done = min(progress.simulated_s, duration_s)
        rate = done / progress.wall_s if progress.wall_s else 0.0
        left = _clock((duration_s - done) / rate) if rate else "--"
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(ratio=1)
        table.add_column(no_wrap=True)
        table.add_row(
            ProgressBar(total=duration_s, completed=done),
            f"{done:.0f} of {duration_s:.0f} s, {rate:.0f} s/s, {left} left",
        )
        return table

    # --- no terminal -----------------------------------------------------------

    def line(self) -> str:
        """One plain line with what matters."""
        q = self.figures["quantities"]
        r = self.figures["registers"]
        system = self._session.scenario.system
        when = from_utc_ms(self.figures["utc_ms"]).astimezone(NORWAY)
        places = range(len(_voltage_labels(system)))
        volts = "/".join(f"{q['voltage_mv'][k] / 1000:.1f}" for k in places)
        amps = "/".join(f"{q['current_ua'][k] / 1e6:.3f}" for k in places)
        names = status_names(q["status"])
        return (
            f"{when:%Y-%m-%dT%H:%M:%S%z} P {_tenths(q['total_active_power_mw'])} W "
            f"Q {_tenths(q['total_reactive_power_mvar'])} var U {volts} V I {amps} A "
            f"A+ {r['a_plus_mwh'] / 1e6:.6f} kWh A- {r['a_minus_mwh'] / 1e6:.6f} kWh "
            f"HAN {'open' if self.figures['han']['open'] else 'closed'} "
            f"{sum(self.figures['han']['sent'])} frames"
            + (f" [{', '.join(names)}]" if names else "")
        )

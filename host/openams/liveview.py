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

from openams.meter_time import NORWAY, from_utc_ms
from openams.session import Session

_BARS = "▁▂▃▄▅▆▇█"
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
        self._urls = urls or []
        self._hint = open_hint
        self._powers: deque[float] = deque(maxlen=400)
        # The last frame of each list, as a reader shows it.
        self.last_readings: dict[int, str] = {}
        self.figures: dict[str, Any] = {}
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
        if not self.figures:
            return Text("starting the meter ...")
        parts: list[RenderableType] = [
            self._head(),
            self._power(console.width),
            self._phases(),
            self._registers(),
            self._han(),
        ]
        bar = self._bar(console.width)
        if bar is not None:
            parts.append(bar)
        return Panel(Group(*parts), title="OpenAMS", border_style="cyan", padding=(0, 1))

    def _head(self) -> Text:
        session = self._session
        when = from_utc_ms(self.figures["utc_ms"]).astimezone(NORWAY)
        text = Text(f"{when:%Y-%m-%d %H:%M:%S %z}  ", style="bold")
        source = "samples" if session.sampled else "quantities"
        text.append(
            f"{session.scenario.name} · {session.scenario.system} · {source} · "
            f"{session.options.runtime}",
            style="dim",
        )
        names = status_names(self.figures["quantities"]["status"])
        if names:
            text.append("  " + ", ".join(names), style="yellow")
        return text

    def _power(self, width: int) -> Group:
        q = self.figures["quantities"]
        p, r = q["total_active_power_mw"] / 1000, q["total_reactive_power_mvar"] / 1000
        table = Table.grid(padding=(0, 2))
        direction = "import" if p >= 0 else "EXPORT"
        # None is told while the meter is not locked to one.
        frequency = f"{q['frequency_mhz'] / 1000:.3f}" if q["frequency_mhz"] else "--"
        table.add_row(
            Text(f"P {abs(p):9.1f} W {direction}", style="bold green" if p < 0 else "bold"),
            f"Q {abs(r):8.1f} var {'import' if r >= 0 else 'export'}",
            f"f {frequency} Hz",
        )
        shown = max(10, min(width - 30, 120))
        line = sparkline(list(self._powers), shown)
        low, high = min(self._powers), max(self._powers)
        return Group(table, Text(f"{line}  {low:.0f} to {high:.0f} W", style="cyan"))

    def _phases(self) -> Table:
        q = self.figures["quantities"]
        system = self._session.scenario.system
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("", "U / V", "THD U / %", "", "I / A", "THD I / %", "P / W", "Q / var", "PF"):
            table.add_column(name, justify="right" if name else "left")
        for place, label in enumerate(_voltage_labels(system)):
            # On 3P3W place 1 is no element: its powers and THD have no meaning.
            element = not (system == "3P3W" and place == 1)
            table.add_row(
                label,
                f"{q['voltage_mv'][place] / 1000:.1f}",
                f"{q['thd_voltage_permille'][place] / 10:.1f}" if element else "",
                f"L{place + 1}",
                f"{q['current_ua'][place] / 1e6:.3f}",
                f"{q['thd_current_permille'][place] / 10:.1f}" if element else "",
                f"{q['active_power_mw'][place] / 1000:.1f}" if element else "",
                f"{q['reactive_power_mvar'][place] / 1000:.1f}" if element else "",
                f"{q['power_factor_permille'][place] / 1000:.3f}" if element else "",
            )
        return table

    def _registers(self) -> Text:
        r = self.figures["registers"]
        demand = self.figures["max_demand_mw"]
        return Text(
            f"A+ {r['a_plus_mwh'] / 1e6:.6f} kWh   A- {r['a_minus_mwh'] / 1e6:.6f} kWh   "
            f"R+ {r['r_plus_mvarh'] / 1e6:.6f} kvarh   R- {r['r_minus_mvarh'] / 1e6:.6f} kvarh\n"
            f"largest hour: import {demand[0] / 1000:.0f} W, export {demand[1] / 1000:.0f} W"
        )

    def _han(self) -> Group:
        han = self.figures["han"]
        state = "open" if han["open"] else "closed (open it with --han-open)"
        sent = sum(han["sent"])
        head = Text(f"HAN {self._session.options.han_format}: {state}, {sent} frames sent")
        if self._session.options.quirk:
            head.append(f", quirk {self._session.options.quirk}", style="yellow")
        lines: list[RenderableType] = [head]
        if self._links:
            lines.append(Text(f"    {', '.join(self._links)}   {self._hint}", style="dim"))
        if self._urls:
            lines.append(Text(f"DLMS: {', '.join(self._urls)}   ams read URL", style="dim"))
        if self.page:
            lines.append(Text(f"Web page: {self.page}", style="bold"))
        for _, text in sorted(self.last_readings.items()):
            lines.append(Text(f"    {text}", style="dim"))
        return Group(*lines)

    def _bar(self, width: int) -> RenderableType | None:
        session = self._session
        if session.duration_s is None:
            return None
        done = session.progress.simulated_s
        table = Table.grid(padding=(0, 1))
        rate = done / session.progress.wall_s if session.progress.wall_s else 0.0
        table.add_row(
            ProgressBar(total=session.duration_s, completed=done, width=min(60, width - 40)),
            f"{done:.0f} of {session.duration_s:.0f} s, {rate:.0f} s/s",
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

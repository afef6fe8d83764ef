"""The live view on terminals of any size: pictures of the screen, and what holds for each."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import pytest
from rich.console import Console

from openams.bench.liveview import View, sparkline
from tests.conftest import DATA

SIZES = ((60, 20), (80, 24), (120, 40), (200, 50))


def figures(power_mw=1_234_500):
    return {
        "utc_ms": 820_500_000_000,
        "quantities": {
            "voltage_mv": [230_100, 231_200, 229_900],
            "current_ua": [2_345_678, 5_123_456, 12_345_678],
            "active_power_mw": [power_mw // 3, power_mw // 3, power_mw // 3],
            "reactive_power_mvar": [100_000, -50_000, 25_000],
            "power_factor_permille": [998, -1000, 871],
            "thd_voltage_permille": [3, 4, 5],
            "thd_current_permille": [21, 972, 12],
            "total_active_power_mw": power_mw,
            "total_reactive_power_mvar": 75_000,
            "frequency_mhz": 49_987,
            "status": 0x0200,
        },
        "registers": {
            "a_plus_mwh": 12_345_678_901, "a_minus_mwh": 345_678_901,
            "r_plus_mvarh": 5_678_901, "r_minus_mvarh": 0,
        },
        "max_demand_mw": [5_432_000, 0],
        "han": {"open": True, "sent": [120, 24, 1]},
    }  # fmt: skip


def screen(width, height, powers=400, system="3P4W"):
    session = SimpleNamespace(
        scenario=SimpleNamespace(name="kaifa_ma304h3e_2017-09-15.csv", system=system),
        sampled=True,
        options=SimpleNamespace(runtime="micropython", han_format="kaifa", quirk="noise"),
        duration_s=86400.0,
        modbus_urls=[],
        display=None,
        progress=SimpleNamespace(simulated_s=7200.0, wall_s=60.0),
    )
    link = "/tmp/openams-1000/han"
    view = View(session, [link], f"read it: ams han watch {link}", ["tcp://127.0.0.1:4059"])
    view.page, view.keys = "http://127.0.0.1:8080/", "q ends the run"
    for k in range(powers):
        view.take(figures(1000 * (500 + k * 7919 % 3000)))
    view.take(figures())
    view.last_readings = {
        1: "kaifa list 1 2026-01-01 12:00:00 P+ 1234 W",
        2: "kaifa list 2 2026-01-01 12:00:00 P+ 1234 W P- 0 W Q+ 75 var Q- 0 var U 230.1/231.2 V",
    }
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=False)
    console.print(view.render(console), end="")
    return out.getvalue()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_screen_is_as_the_picture_of_it(width, height):
    """OPENAMS_PICTURES=1 makes them anew: look at what has changed."""
    shown = screen(width, height)
    place = DATA / "live" / f"{width}x{height}.txt"
    if os.environ.get("OPENAMS_PICTURES"):
        place.write_text(shown)
    assert shown == place.read_text()


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
@pytest.mark.parametrize(("width", "height"), [*SIZES, (40, 12), (60, 50), (200, 14), (300, 100)])
def test_the_frame_is_whole_and_as_large_as_the_terminal(width, height, system):
    lines = screen(width, height, system=system).rstrip("\n").split("\n")
    assert len(lines) == height and {len(line) for line in lines} == {width}
    assert (lines[0][0], lines[0][-1], lines[-1][0], lines[-1][-1]) == tuple("╭╮╰╯")
    assert all(line[0] == line[-1] == "│" for line in lines[1:-1])
    assert "q ends the run" in lines[-1]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_matters_is_on_every_screen_and_no_cell_is_cut(width, height):
    shown = screen(width, height)
    for text in ("P 1234.5 W import", "49.987 Hz", "230.1", "12.346", "0.871", "phase L2 lost",
                 "A+ 12345.678901 kWh", "A- 345.678901 kWh", "R- 0.000000 kvarh", "145 frames sent",
                 "http://127.0.0.1:8080/", "7200 of 86400 s", "0:11:00 left"):  # fmt: skip
        assert text in shown, text


@pytest.mark.parametrize("powers", [0, 3, 60, 1200])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_range_beside_the_bars_is_that_of_the_bars(width, height, powers):
    for line in screen(width, height, powers).split("\n"):
        if (
            line.endswith(" W" + " " * (len(line) - len(line[:-1].rstrip()) - 1) + "│")
            and " to " in line
        ):
            break
    body = line.strip("│ ")
    bars, low, _, high, _ = body.split()
    values = ([500 + k * 7919 % 3000 for k in range(powers)] + [1234.5])[-len(bars) :]
    assert (low, high) == (f"{min(values):.0f}", f"{max(values):.0f}")
    assert bars == sparkline(values, len(values))
    if powers == 1200:
        # They fill the line, but for what the next one would need.
        assert len(body) >= width - 4 - 6

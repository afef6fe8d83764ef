"""What ports of the field show, as amshan and dsmr-parser see it on ours: clocks in summer, fields
at their end, loads beyond 31 bits, and the house by day and night."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers import amshan_frames, dsmr

from openams.bench.options import Options
from openams.bench.session import Session
from openams.grid.household import Household, Reading
from openams.grid.registry import load as load_scenario
from openams.meter_time import NORWAY, to_utc_ms

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
from han_vm import load, make

WINTER = to_utc_ms(datetime(2026, 1, 15, 12, tzinfo=NORWAY))
SUMMER = to_utc_ms(datetime(2026, 7, 15, 12, tzinfo=NORWAY))


def pushed(name, variant, list_no, utc_ms, **more):
    port, uart = make(name, variant, **more)
    load(port.view.quantities, utc_ms)
    port.view.registers.close_hour(utc_ms)
    port.open(utc_ms)
    port.push(list_no, utc_ms)
    return uart.frames[0][1]


# Format, variant, a list with a time, the hour that its meters show at noon in summer.
CLOCKS = [
    ("aidon", "no", 3, 11),
    ("aidon", "se", 3, 11),
    ("aidon", "landis", 3, 11),
    ("kaifa", "no", 2, 12),
    ("kaifa", "no", 3, 12),
    ("kaifa", "se", 3, 11),
    ("kaifa", "se-obis", 3, 11),
    ("kamstrup", "no", 2, 11),
    ("kamstrup", "no", 3, 11),
    ("kamstrup", "se", 3, 11),
]


@pytest.mark.parametrize(("name", "variant", "list_no", "noon"), CLOCKS)
def test_amshan_sees_summer_time_as_the_maker_has_it(name, variant, list_no, noon):
    """Most show UTC+1 all the year (docs/han.md); who sets the option gets the other."""
    for option, when, hour in (
        (None, WINTER, 12), (None, SUMMER, noon), (True, SUMMER, 12), (False, SUMMER, 11),
    ):  # fmt: skip
        frame = pushed(name, variant, list_no, when, summer_time=option)
        (decoded,) = amshan_frames(frame)
        assert decoded["meter_datetime"].hour == hour, (option, when)


@pytest.mark.parametrize(("option", "mark"), [(None, "W"), (False, "W"), (True, "S")])
def test_dsmr_parser_sees_the_mark_of_summer_time(option, mark):
    telegram = pushed("p1", "se", 2, SUMMER, summer_time=option)
    shown = dsmr(telegram)["P1_MESSAGE_TIMESTAMP"].astimezone(NORWAY)
    # It takes the digits for local time whatever the mark says.
    assert shown.hour == (12 if mark == "S" else 11)
    assert f"{mark})".encode() in telegram.split(b"0-0:1.0.0(")[1][:15]


def test_dsmr_parser_sees_fields_stop_at_their_largest():
    port, uart = make("p1")
    q = port.view.quantities
    q.voltage_mv[:] = [999_940, 1_000_000, 5_000_000]
    q.current_ua[:] = [999_900_000, 1_000_000_000, 12_345_000_000]
    q.total_active_power_mw = 20_000_000_000
    port.open(WINTER)
    port.push(2, WINTER)
    read = dsmr(uart.frames[0][1])
    for k in (1, 2, 3):
        assert float(read[f"INSTANTANEOUS_VOLTAGE_L{k}"]) == 999.9
        assert float(read[f"INSTANTANEOUS_CURRENT_L{k}"]) == 999.9
    assert float(read["CURRENT_ELECTRICITY_USAGE"]) == 9999.999


def played(scenario, **options):
    """What amshan reads of a run; `duration_s` without pacing."""
    frames = []
    options = Options(han_open=True, speed=None, **options)
    session = Session(scenario, options, on_frame=frames.append)
    try:
        session.play(lambda: None)
        session.finish()
    finally:
        session.close()
    return amshan_frames(b"".join(frame.data for frame in frames))


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
@pytest.mark.parametrize("watts", [2_147_484, 999_999_999, -999_999_999])
def test_amshan_sees_loads_beyond_31_bits_of_milliwatts(watts, runtime):
    volts, amperes = (230_000,) * 3, (5_000_000_000,) * 3
    start = datetime(2026, 1, 15, 11, tzinfo=UTC)
    readings = [Reading(start.replace(minute=m), watts * 1000, 0, volts, amperes) for m in (0, 1)]
    read = played(Household("large", "3P4W", readings), runtime=runtime, han_format="kaifa")
    assert len(read) == 60
    assert {frame["active_power_import"] for frame in read} == {max(watts, 0)}
    assert {frame.get("active_power_export", max(-watts, 0)) for frame in read} == {max(-watts, 0)}
    assert {frame.get("current_l1", 5000) for frame in read} == {5000}


def test_amshan_sees_the_house_by_day_and_by_night():
    """Its sun follows the clock and the season; who just starts it sees it take, not give."""

    def powers(start=None):
        read = played(load_scenario("house"), han_format="kamstrup", start=start, duration_s=60.0)
        return [frame["active_power_import"] - frame["active_power_export"] for frame in read]

    assert all(power > 0 for power in powers())
    noon, night, winter = (
        powers(datetime.fromisoformat(text).replace(tzinfo=NORWAY))
        for text in ("2026-06-15T13:00", "2026-06-15T01:00", "2026-12-15T13:00")
    )
    assert sum(noon) < 0 < min(night) and min(winter) > 0

"""Days of Aidon, Kaifa and Kamstrup as amshan reads them: every list is due, each value the
meter's, when clocks change, over New Year and 29 February, with import and export, and where
registers come round."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from days import DAYS, EPOCH_S, Truth, of_a_house, of_a_town, scenario
from helpers import amshan_frames

from ams.han import make_format
from openams.bench.options import Options
from openams.bench.session import Session
from openams.meter_time import NORWAY, to_utc_ms

# Steps of energies in Wh, voltages and currents as the makers write them.
STEPS = {
    ("aidon", "no"): (10, "0.1", "0.1"),
    ("aidon", "se"): (1, "0.1", "0.1"),
    ("aidon", "landis"): (10, "0.1", "0.01"),
    ("kaifa", "no"): (1, "0.1", "0.001"),
    ("kaifa", "se"): (1, "0.1", "0.001"),
    ("kaifa", "se-obis"): (1, "0.1", "0.001"),
    ("kamstrup", "no"): (10, "1", "0.01"),
    ("kamstrup", "se"): (1, "1", "0.01"),
}
FORMATS = list(STEPS)
SYSTEMS = ("3P4W", "3P3W", "1P2W")
TOTALS = {
    "active_power_import_total": "a_plus_wh",
    "active_power_export_total": "a_minus_wh",
    "reactive_power_import_total": "r_plus_varh",
    "reactive_power_export_total": "r_minus_varh",
}
# What says who and when; the rest is measured.
NAMES = {"meter_manufacturer", "list_ver_id", "meter_id", "meter_type", "meter_datetime"}
# Two days at a gigawatt: ten times 4 294 967 295 Wh as well.
ROUND = ("2026-05-04T00:00:00+02:00", 48, 5)


def held(decoded, now, hour, steps, where):
    """Each value of amshan's against the truth of now, or of the full hour; gives how many."""
    energy_wh, volt, ampere = steps
    measured = decoded.keys() - NAMES
    for field in measured:
        # amshan scales in binary: 610 in hundredths is 6.1000000000000005.
        shown = Decimal(str(round(decoded[field], 6)))
        if field in TOTALS:
            true = int(hour[TOTALS[field]]) // energy_wh % 2**32 * energy_wh
        elif field.startswith("voltage"):
            true = now[field + "_v"].quantize(Decimal(volt), ROUND_HALF_UP)
        elif field.startswith("current"):
            true = now[field + "_a"].quantize(Decimal(ampere), ROUND_HALF_UP)
        else:
            unit = "_w" if field.startswith("active") else "_var"
            true = now[field + unit].quantize(Decimal(1), ROUND_HALF_UP)
        assert shown == true, (field, where)
    return len(measured)


def expected(values, name, system):
    """What the makers do with signs and places: see docs/han.md."""
    if name == "aidon":
        for k in (1, 2, 3):
            if values[f"active_power_l{k}_w"] < 0:
                values[f"current_l{k}_a"] = -values[f"current_l{k}_a"]
    if name == "kaifa" and system == "3P3W":
        values["voltage_l2_v"] = Decimal(0)
    return values


def run(name, variant, system, start, duration_s, seed, runtime, watts=of_a_house):
    house = scenario(start, duration_s, seed, system, watts)
    frames = []
    options = Options(
        runtime=runtime, han_format=name, han_variant=variant, han_open=True, speed=None,
        duration_s=duration_s,
    )  # fmt: skip
    session = Session(house, options, on_frame=frames.append)
    try:
        session.play(lambda: None)
        result = session.finish()
    finally:
        session.close()
    assert result["han"]["missed"] == 0 and result["han"]["late_max_ms"] <= 100
    first, form = to_utc_ms(start), make_format(name, variant)
    last = first + round(duration_s * 1000)
    due = {
        at
        for period, _ in form.schedule
        for at in range(-(-first // period) * period, last, period)
    }
    if form.hourly:
        hours = range(first - first % 3_600_000 + form.hourly_ms, last, 3_600_000)
        due |= {at for at in hours if at >= first}
    assert [frame.utc_ms for frame in frames] == sorted(due)
    truth, count = Truth(house), 0
    for frame in frames:
        where = (name, variant, system, frame.utc_ms)
        (decoded,) = amshan_frames(frame.data)
        hour_ms = frame.utc_ms - frame.utc_ms % 3_600_000 if form.hourly else frame.utc_ms
        now = expected(truth.values(frame.utc_ms - first), name, system)
        hour = truth.values(max(hour_ms - first, 0))
        if (name, variant) == ("kamstrup", "se"):
            # Nothing in its frames says that they count in 1 Wh: amshan takes them for 10.
            for field in TOTALS.keys() & decoded.keys():
                decoded[field] //= 10
        count += held(decoded, now, hour, STEPS[name, variant], where)
        if "meter_datetime" in decoded:
            hourly_time = (name, variant) in (("aidon", "no"), ("aidon", "landis"))
            at = datetime.fromtimestamp(
                (hour_ms if hourly_time else frame.utc_ms) / 1000 + EPOCH_S, UTC
            )
            zone = NORWAY if form.summer_time else None
            local = at.astimezone(zone) if zone else at + timedelta(hours=1)
            shown = decoded["meter_datetime"]
            assert shown.replace(tzinfo=None) == local.replace(tzinfo=None), where
            if variant == "se-obis":
                assert shown == at  # it says its deviation
    assert count >= 2 * len(frames)
    return result


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=["-".join(p) for p in FORMATS])
def test_minutes_that_are_apart(number):
    """Minutes around a change of the clock or the date: each list another, on a net of its own."""
    start, _, middle_h = list(DAYS.values())[number % len(DAYS)]
    begin = datetime.fromisoformat(start).astimezone(UTC) + timedelta(hours=middle_h, minutes=-1)
    runtime = ("micropython", "cpython")[number // len(DAYS) % 2]
    run(*FORMATS[number], SYSTEMS[number % 3], begin, 120.0, number, runtime)


@pytest.mark.campaign
@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(("name", "variant"), FORMATS)
def test_whole_days(name, variant, day):
    start, hours, _ = DAYS[day]
    system = SYSTEMS[(FORMATS.index((name, variant)) + list(DAYS).index(day)) % 3]
    begin = datetime.fromisoformat(start).astimezone(UTC)
    result = run(name, variant, system, begin, hours * 3600.0, 1, "micropython")
    assert result["registers"]["a_minus_mwh"] > 0 and result["registers"]["a_plus_mwh"] > 0


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "variant"), FORMATS)
def test_registers_come_round(name, variant):
    start, hours, _ = ROUND
    begin = datetime.fromisoformat(start).astimezone(UTC)
    result = run(name, variant, "3P4W", begin, hours * 3600.0, 1, "micropython", of_a_town)
    assert result["registers"]["a_plus_mwh"] > 2**32 * 1000 * STEPS[name, variant][0]

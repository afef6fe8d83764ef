"""Intervals, days and the clock: sums are exact, what is odd is marked, DST days are whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.clock.meter_clock import MeterClock
from ams.events import events
from ams.events import names as event_names
from ams.events.names import name_of
from ams.registers import billing, profile, voltage
from ams.storage import layout
from amsbench.hold import hold
from openams.faultlab import flash_lab
from openams.grid.frontend import make_front_end
from openams.meter_time import from_utc_ms, to_utc_ms

OSLO = ZoneInfo("Europe/Oslo")
SECTORS = 64
CAPTURED = ("number", "end_s", "status", "length_s", "a_plus", "a_minus", "r_plus", "r_minus")


class Bench:
    """A meter on a flash in RAM that can be cut off and started again."""

    def __init__(self, start, period_s=900, sectors=SECTORS):
        self.flash = flash_lab.LabFlash(sectors)
        self.raw_ms = to_utc_ms(start) if isinstance(start, datetime) else start
        self.calibration = make_front_end("ideal", "3P4W", 1).calibration("3P4W")
        self.power_up()
        if period_s != 3600:
            self.meter.set_capture_period(period_s)

    def power_up(self, backup_s=None):
        self.meter = flash_lab.make_meter(
            self.flash,
            {
                "system": "3P4W",
                "calibration": self.calibration,
                "identity": {"meter_id": "7359990000000017"},
                "han": {"format": "kaifa"},
            },
        )
        self.meter._board.clock.backup_s = backup_s
        self.meter.start(self.raw_ms)

    def hold(self, seconds, power_w=1000):
        flash_lab.set_power(self.meter, power_w)
        hold(self.meter, self.raw_ms, round(seconds * 1000), self.meter._board.clock)
        self.raw_ms += round(seconds * 1000)
        self.meter.tick(self.raw_ms)

    def set_clock(self, step_s):
        self.meter.set_clock(self.raw_ms, self.meter.utc_ms + step_s * 1000)

    def entries(self):
        return [dict(zip(CAPTURED, row, strict=True)) for row in flash_lab.entries(self.meter)]

    def events(self):
        return [name_of(event[1]) for event in self.meter.events.entries()]


def whole(bench):
    """The sum of the entries is the registers at the start of the open interval, exactly."""
    start = bench.meter.recorder.load_profile.start_mwh
    for k, name in enumerate(CAPTURED[4:]):
        assert sum(entry[name] for entry in bench.entries()) == start[k]
        assert bench.meter.energy.mwh[k] >= start[k]


ACTIONS = st.one_of(
    st.tuples(st.just("hold"), st.integers(1, 5000), st.integers(-9000, 9000)),
    st.tuples(st.just("period"), st.sampled_from([900, 3600])),
    st.tuples(st.just("clock"), st.integers(-8000, 8000)),
    st.tuples(st.just("cut"), st.integers(0, 90_000)),
    st.tuples(st.just("stop"), st.integers(0, 90_000)),
    st.tuples(st.just("power-fail")),
)


@given(st.lists(ACTIONS, min_size=1, max_size=14), st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_the_sum_of_the_intervals_is_the_difference_of_the_registers(actions, offset_s):
    bench = Bench(700_000_000_000 + offset_s * 100)
    for action in actions:
        if action[0] == "hold":
            bench.hold(action[1], action[2])
        elif action[0] == "period":
            bench.meter.set_capture_period(action[1])
        elif action[0] == "clock":
            bench.set_clock(action[1])
        elif action[0] == "power-fail":
            bench.meter.power_fail()
        else:
            if action[0] == "stop":
                bench.meter.stop()
            bench.raw_ms += action[1] * 1000
            bench.power_up()
    entries = bench.entries()
    whole(bench)
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        odd = entry["end_s"] % 900 or entry["length_s"] not in (900, 3600)
        marks = profile.STATUS_WRONG_LENGTH | profile.STATUS_DATA_NOT_VALID
        assert not odd or entry["status"] & marks == marks


@pytest.mark.parametrize(
    ("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)]
)
def test_days_of_23_24_and_25_hours(day, quarters):
    midnight = datetime.fromisoformat(day).replace(tzinfo=OSLO)
    after = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=OSLO)
    bench = Bench(midnight - timedelta(hours=1))
    for _ in range(27 * 60):
        bench.hold(60)
    inside = [
        entry
        for entry in bench.entries()
        if to_utc_ms(midnight) < entry["end_s"] * 1000 <= to_utc_ms(after)
    ]
    assert len(inside) == quarters
    for entry in inside:
        starts = from_utc_ms((entry["end_s"] - entry["length_s"]) * 1000).astimezone(OSLO)
        assert entry["length_s"] == 900 and entry["a_plus"] == 250_000
        assert bool(entry["status"] & profile.STATUS_DST) == bool(starts.dst())
        assert entry["status"] & ~profile.STATUS_DST == 0
    rows = flash_lab.days(bench.meter)
    assert [row[1] * 1000 for row in rows] == [to_utc_ms(midnight), to_utc_ms(after)]
    assert rows[1][3] - rows[0][3] == quarters * 250_000
    assert ("dst-changed" in bench.events()) == (quarters != 96)
    months = [billing.unpack(data) for data in bench.meter.nv_memory.entries(layout.MONTHLY)]
    assert [row[1] * 1000 for row in months] == ([to_utc_ms(midnight)] if day[8:] == "01" else [])


@pytest.mark.parametrize("step_s", [30, -30, 500, -500, 5000, -5000, 90_000])
def test_a_clock_that_is_set_is_an_event_and_marks_what_it_touches(step_s):
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    bench.hold(900 + 450)
    before = bench.meter.utc_ms
    bench.set_clock(step_s)
    assert bench.meter.utc_ms == before + step_s * 1000
    names = bench.events()
    assert "clock-adjusted-old" in names and "clock-adjusted-new" in names
    bench.hold(3600)
    entries = bench.entries()
    adjusted = [bool(entry["status"] & profile.STATUS_CLOCK_ADJUSTED) for entry in entries]
    # Inside the interval one is touched; beyond it the one that ends and the one that begins.
    touched = 1 if abs(step_s) < 450 else 2
    assert adjusted == [False] + [True] * touched + [False] * (len(entries) - 1 - touched)
    whole(bench)


@pytest.mark.parametrize("off_s", [1, 300, 1200, 100_000])
@pytest.mark.parametrize("clean", [True, False])
def test_a_power_down_is_marked_and_nothing_is_invented(off_s, clean):
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    bench.hold(900 + 300)
    if clean:
        bench.meter.stop()
    bench.raw_ms += off_s * 1000
    bench.power_up()
    assert ("energy-missing" in bench.events()) == (not clean)
    assert bench.meter.energy.mwh[0] == 1200 * 1000 * 1000 // 3600
    bench.hold(1800)
    entries = bench.entries()
    assert not entries[0]["status"] & profile.STATUS_POWER_DOWN
    assert entries[1]["status"] & profile.STATUS_POWER_DOWN
    assert bool(entries[1]["status"] & profile.STATUS_ENERGY_MISSING) == (not clean)
    assert not entries[-1]["status"] & profile.STATUS_POWER_DOWN
    whole(bench)
    days = flash_lab.days(bench.meter)
    assert len(days) == (1 if off_s == 100_000 else 0)


def test_a_clock_set_back_while_powered_down():
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    bench.hold(2000)
    bench.meter.stop()
    bench.raw_ms -= 5_000_000
    bench.power_up()
    assert "clock-adjusted-new" in bench.events()
    bench.hold(2000)
    assert bench.entries()[2]["status"] & profile.STATUS_CLOCK_ADJUSTED
    whole(bench)


def test_after_a_long_loss_the_clock_is_invalid_until_it_is_set():
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    bench.hold(2000)
    bench.raw_ms += 8 * 86_400_000
    bench.power_up(backup_s=7 * 86400)
    assert "clock-invalid" in bench.events()
    bench.hold(1000)
    bench.power_up(backup_s=7 * 86400)
    bench.hold(1800)
    invalid = [bool(entry["status"] & profile.STATUS_CLOCK_INVALID) for entry in bench.entries()]
    assert not any(invalid[:2]) and all(invalid[2:]) and len(invalid) > 3
    bench.meter.sync_clock(bench.raw_ms, bench.meter.utc_ms)
    assert "clock-valid" in bench.events()
    bench.hold(3600)
    assert not bench.entries()[-1]["status"] & profile.STATUS_CLOCK_INVALID


@pytest.mark.parametrize("drift_ppm", [-120, -7, 0, 35, 150])
def test_repeated_synchronisation_learns_the_drift(drift_ppm):
    clock = MeterClock()
    clock.begin(10**12, 10**12)
    errors = []
    for quarter in range(96):
        passed = quarter * 7_200_000
        raw = 10**12 + passed + passed * drift_ppm // 1_000_000
        errors.append(clock.utc_ms(raw) - (10**12 + passed))
        step = clock.sync(raw, 10**12 + passed)
        if step:
            clock.set(raw, 10**12 + passed, True)
    assert max(map(abs, errors[-20:])) <= 5
    assert clock.drift_ppb == pytest.approx(-1000 * drift_ppm, abs=3000)


def test_a_synchronised_clock_never_jumps_or_runs_back():
    clock = MeterClock()
    clock.begin(0, 0)
    shown = []
    for second in range(20_000):
        if second % 5000 == 100:
            assert clock.sync(second * 1000, second * 1000 + 100 * (-1) ** (second // 5000)) == 0
        shown.append(clock.utc_ms(second * 1000))
    steps = [b - a for a, b in zip(shown, shown[1:], strict=False)]
    assert min(steps) > 990 and max(steps) < 1010


def test_the_voltage_profile():
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    for minute in range(20):
        flash_lab.set_power(bench.meter, 690)
        bench.meter.quantities.voltage_mv[1] = 220_000 + 1000 * minute
        hold(bench.meter, bench.raw_ms, 60_000, bench.meter._board.clock)
        bench.raw_ms += 60_000
        bench.meter.tick(bench.raw_ms)
    rows = [voltage.unpack(data) for data in bench.meter.nv_memory.entries(layout.VOLTAGE)]
    assert [row[1] for row in rows] == [600, 600]
    assert rows[0][3:9] == (2300, 2300, 2300, 2200, 2245, 2290)
    assert rows[1][6:9] == (2300, 2345, 2390)
    assert rows[0][12:15] == (1000, 1000, 1000)


def test_dip_swell_and_interruption():
    bench = Bench(datetime(2026, 1, 15, 12, tzinfo=OSLO))
    for volts, seconds in ((230, 60), (200, 5), (230, 60), (260, 7), (230, 9), (0, 90), (230, 1)):
        flash_lab.set_power(bench.meter, 690)
        bench.meter.quantities.voltage_mv[2] = volts * 1000
        hold(bench.meter, bench.raw_ms, seconds * 1000, bench.meter._board.clock)
        bench.raw_ms += seconds * 1000
    seen = [
        (name_of(code), detail, extra)
        for _, code, detail, extra in bench.meter.events.entries()
        if events.log_of(code) == events.LOG_QUALITY
    ]
    assert seen == [
        ("undervoltage-l3", 200_000, 0),
        ("normal-voltage-l3", 200_000, 5000),
        ("overvoltage-l3", 260_000, 0),
        ("normal-voltage-l3", 260_000, 7000),
        ("missing-voltage-l3", 0, 0),
        ("normal-voltage-l3", 0, 90_000),
    ]


def test_events_outlive_the_power_and_a_storm_is_limited():
    bench = Bench(datetime(2026, 1, 15, 12, 30, tzinfo=OSLO))
    for _ in range(1000):
        bench.meter.tamper(events.MAGNETIC_FIELD)
    bench.hold(3600)
    bench.power_up()
    logs = flash_lab.logged(bench.meter)
    fraud = [event[2] for event in logs[events.LOG_FRAUD]]
    assert 0 < len(fraud) < 20
    standard = logs[events.LOG_STANDARD]
    assert (events.EVENTS_SUPPRESSED, events.LOG_FRAUD, 1000 - len(fraud)) in [
        event[2:] for event in standard
    ]
    numbers = [event[0] for event in standard]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_code_has_a_name_and_a_log_of_its_own():
    codes = {
        value
        for name, value in vars(events).items()
        if name.isupper()
        and isinstance(value, int)
        and not name.startswith(("LOG_", "_", "PARAMETER_"))
        and name != "RECORD_SIZE"
    }
    names = [name_of(code) for code in codes]
    assert "?" not in names and len(set(names)) == len(names)
    named = [(first, len(several.split())) for first, several in event_names._NAMES]
    assert named == [(first, count) for first, count, _ in events._CODES]


def test_the_load_profile_holds_200_days_of_quarters():
    rings = {region: count for region, _, count in layout.layout(256)}
    per_sector = (4096 - 32) // (8 + profile.ENTRY_SIZE)
    assert (rings[layout.LOAD_PROFILE] - 1) * per_sector >= 200 * 96
    used = [set(range(first, first + count)) for _, first, count in layout.layout(256)]
    assert sum(map(len, used)) == len(set().union(*used)) and max(set().union(*used)) < 254
    # 31 days until keys, breaker, settings and updates took twelve sectors: see docs/storage.md.
    small = {region: count for region, _, count in layout.layout(64)}
    assert (small[layout.LOAD_PROFILE] - 1) * per_sector >= 26 * 96
    assert (small[layout.LOAD_PROFILE] - 1) * per_sector >= 100 * 24

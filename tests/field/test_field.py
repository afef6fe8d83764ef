"""Meters in virtual time: what they count is what the house drew, asleep or awake."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from fieldbench import BEGIN_MS, DAY_MS, HOUR_MS, ONE, keystore, one, plan_of

from openams.errors import BenchError
from openams.field.faults import (
    KINDS,
    Fault,
    Rates,
    lost_days,
    nights,
    plan_faults,
)
from openams.field.field import Field
from openams.field.ledger import Ledger
from openams.field.loads import PROFILES, Load
from openams.field.meters import (
    MeterSpec,
    check_number,
    make_plan,
    read_list,
    write_list,
)
from openams.field.plain import PlainNets
from openams.gs1 import meter_number
from openams.meter_time import NORWAY, to_utc_ms


def entries(device: Any) -> list[tuple[int, ...]]:
    """(end in s, status, import, export) of the load profile."""
    from ams.registers import profile
    from ams.storage import layout

    found = [profile.unpack(data) for data in device.meter.nv_memory.entries(layout.LOAD_PROFILE)]
    return [(row[1], row[2], row[4], row[5]) for row in found]


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "house"])
def test_the_registers_are_what_the_house_drew(profile: str, tmp_path: Path) -> None:
    plan = one(profile, clock_ppm=random.Random(profile).choice((-40, 30)))
    with Field(plan, keystore(tmp_path), tmp_path / "field.db") as field:
        field.advance_to(BEGIN_MS + 2 * DAY_MS + 1_234_567)
        field.settle()
        assert field.ledger.differing() == []
        (row,) = field.ledger.registers()
        assert row["import_mwh"] + row["export_mwh"] > 100_000
        # Not only in whole Wh.
        assert row["import_mwh"] == row["true_import_mwh"]
        assert row["export_mwh"] == row["true_export_mwh"]


@pytest.mark.parametrize(("profile", "minutes"), [("prosumer", 60), ("ev", 15)])
def test_the_intervals_of_the_ledger_are_those_of_the_meter(
    profile: str, minutes: int, tmp_path: Path
) -> None:
    begin = to_utc_ms(datetime(2026, 6, 20, tzinfo=NORWAY))
    spec = MeterSpec(ONE, profile, period_s=60 * minutes, system="3P3W")
    with Field(plan_of(spec, begin_ms=begin), keystore(tmp_path), tmp_path / "f.db") as field:
        field.advance_to(begin + DAY_MS + 60_000)
        field.settle()
        shown = [
            (1000 * end_s - 60_000 * minutes, drawn, given)
            for end_s, _, drawn, given in entries(field.played(ONE, field.utc_ms))
            if drawn or given
        ]
        true = field.ledger.day(ONE, date(2026, 6, 20)).intervals(minutes)
        assert len(true) == 24 * 60 // minutes
        assert shown == [(row["begin_ms"], row["import_mwh"], row["export_mwh"]) for row in true]
        assert any(given for _, _, given in shown) == (profile == "prosumer")


def test_a_meter_that_slept_is_the_one_that_was_awake_all_the_time(tmp_path: Path) -> None:
    plan = plan_of(*(MeterSpec(meter_number(k), "prosumer", seed=k) for k in range(4)))
    states = []
    for awake in (1, 100):
        folder = tmp_path / str(awake)
        folder.mkdir()
        rng = random.Random(1)
        with Field(plan, keystore(tmp_path), folder / "field.db", awake=awake) as field:
            for hour in range(1, 24):
                field.advance_to(BEGIN_MS + hour * HOUR_MS)
                field.played(rng.choice(plan.meters).meter_id, field.utc_ms)
            field.settle()
            devices = [field.played(meter.meter_id, field.utc_ms) for meter in plan.meters]
            assert len(field._devices) == min(awake, 4)
            states.append([(entries(d), d.register_mwh(), d.truth, d.restarts) for d in devices])
    assert states[0] == states[1]
    assert all(restarts == 1 for *_, restarts in states[0])


def test_the_same_seed_gives_the_same_ledger_whoever_is_called(tmp_path: Path) -> None:
    plan = make_plan(6, 3, begin_ms=BEGIN_MS, per_master=3, mix={"ev": 1, "cabin": 1})
    rates = Rates(missing=0.3, lasting=0.1)
    store = keystore(tmp_path)
    dumps = []
    for called in (False, True):
        with Field(plan, store, tmp_path / f"{called}.db", rates, days=2, awake=2) as field:
            for quarter in range(1, 9):
                field.advance_to(BEGIN_MS + quarter * DAY_MS // 4)
                if called:
                    field.played(plan.meters[quarter % 6].meter_id, field.utc_ms)
            field.settle()
            assert field.ledger.differing() == []
            dumps.append(field.ledger.dump())
    assert dumps[0] == dumps[1]
    assert any(line.startswith("fault") for line in dumps[0])
    other = make_plan(6, 4, begin_ms=BEGIN_MS, per_master=3)
    before = (tmp_path / "True.db").read_bytes()
    with pytest.raises(BenchError, match="ledger of another field"):
        Field(other, store, tmp_path / "True.db", rates, days=2)
    assert (tmp_path / "True.db").read_bytes() == before


def test_a_power_cut_is_in_the_ledger_and_in_the_marks_of_the_meter(tmp_path: Path) -> None:
    begin, end = BEGIN_MS + 2 * HOUR_MS + 600_000, BEGIN_MS + 3 * HOUR_MS + 1_200_000
    with Field(one("heating"), keystore(tmp_path), tmp_path / "f.db") as field:
        field.order("power-cut", begin, end, [ONE])
        field.advance_to(BEGIN_MS + 6 * HOUR_MS)
        field.settle()
        assert field.ledger.differing() == []
        assert field.ledger.power_cuts(ONE) == [(begin, end, "power-cut")]
        by_end = {end_s: status for end_s, status, *_ in entries(field.played(ONE, field.utc_ms))}
        marked = [(1000 * s - BEGIN_MS) // HOUR_MS for s, status in by_end.items() if status & 0x80]
        assert marked == [3, 4]
        day = field.ledger.day(ONE, date(2026, 1, 10))
        third = day.intervals(60)[2]
        assert third["import_mwh"] < day.intervals(60)[1]["import_mwh"] // 2


@pytest.mark.parametrize("days", [1, 3])
def test_a_clock_that_was_set_is_right_after_a_power_cut_too(days: int, tmp_path: Path) -> None:
    """What it was set by, a little (it slews) or more (it steps), outlasts the supply."""
    with Field(one(clock_ppm=-60), keystore(tmp_path), tmp_path / "f.db") as field:

        def off_ms() -> int:
            device = field.played(ONE, field.utc_ms)
            return int(device.meter.clock.utc_ms(device.board.clock.utc_ms())) - field.utc_ms

        field.advance_to(BEGIN_MS + days * DAY_MS)
        assert off_ms() == pytest.approx(-60e-6 * days * DAY_MS, abs=50)
        field.played(ONE, field.utc_ms).meter.adjust_clock(field.utc_ms)
        begin = field.utc_ms + 10 * HOUR_MS
        field.order("power-cut", begin, begin + HOUR_MS, [ONE])
        field.advance_to(begin - 1)
        before = off_ms()
        assert abs(before) < 2500
        field.advance_to(begin + 2 * HOUR_MS)
        # The chip is set from half a second on; its crystal goes on being wrong.
        assert abs(off_ms() - before) < 1000


def test_another_meter_counts_from_zero_when_one_is_changed(tmp_path: Path) -> None:
    with Field(one("heating"), keystore(tmp_path), tmp_path / "f.db") as field:
        fault = field.order("meter-changed", BEGIN_MS + 5 * HOUR_MS, BEGIN_MS + DAY_MS, [ONE])
        new = check_number(fault.detail)
        assert [spec.meter_id for spec in field.standing()] == [ONE]
        field.advance_to(BEGIN_MS + 9 * HOUR_MS)
        assert [spec.meter_id for spec in field.standing()] == [new]
        with pytest.raises(BenchError, match="refused"):
            field.call(ONE)
        field.settle()
        assert field.ledger.differing() == []
        assert field.ledger.replaced() == {ONE: new}
        old, other = (row["import_mwh"] for row in field.ledger.registers())
        # Both are of one load: five hours of the one, four of the other.
        assert 0 < other < old
        assert len(field.ledger.day(ONE, date(2026, 1, 10)).quarters) == 20


def test_a_load_is_the_same_whatever_was_asked_before() -> None:
    for profile in ("prosumer", "cabin", "ev", "farm"):
        at_once = Load(profile, 7).day(9_600)
        later = Load(profile, 7)
        for day in (9_700, 9_599, 9_600):
            last = later.day(day)
        assert last == at_once
        assert Load(profile, 8).day(9_600) != at_once


def test_a_file_and_the_built_in_house_are_loads_too(tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    for name in ("household_2007-02-01_02.txt", "kaifa_ma304h3e_2017-09-15.csv"):
        active, reactive = Load(f"file:{data / name}", 1).day(9_600)
        assert len(active) == len(reactive) == 96
        assert 200_000 < sum(active) / 96 < 8_000_000
    with pytest.raises(BenchError, match="no such file"):
        make_plan(3, begin_ms=BEGIN_MS, mix={"file:nowhere.csv": 1})


def test_measured_weeks_of_simbench_are_loads_and_their_sums_too() -> None:
    sunday, monday = 9_599, 9_600  # of April
    home, sun, both = (
        Load(f"simbench:{name}", 3).day(monday) for name in ("H0-A", "pv", "H0-A+pv")
    )
    assert len(home[0]) == len(home[1]) == 96 and home != Load("simbench:H0-A", 3).day(sunday)
    assert home != Load("simbench:H0-A", 4).day(monday)
    assert min(home[0]) >= 0 and 100_000 < sum(home[0]) / 96 < 3_000_000
    assert max(sun[0]) == 0 and min(sun[0]) < -1_000_000 and set(sun[1]) == {0}
    # At noon the sun; at midnight, two hours before the UTC day's end, none.
    assert sun[0].index(min(sun[0])) in range(36, 56) and sun[0][88] == 0
    assert sum(both[0]) < sum(home[0])
    with pytest.raises(BenchError, match="H0-A, H0-C"):
        make_plan(3, begin_ms=BEGIN_MS, mix={"simbench:H0-X": 1})
    with pytest.raises(BenchError, match="simbench:NAME"):
        make_plan(3, begin_ms=BEGIN_MS, mix={"villa": 1})


def test_what_is_lost_has_the_shares_of_its_causes() -> None:
    """Each cause within four standard deviations of its own counts, of 5 000 meters and a month."""
    plan = make_plan(5_000, 11, begin_ms=BEGIN_MS)
    end = BEGIN_MS + 30 * DAY_MS
    faults = plan_faults(plan, Rates(), BEGIN_MS, end, PlainNets(plan))
    assert faults == plan_faults(plan, Rates(), BEGIN_MS, end, PlainNets(plan))
    there = nights(BEGIN_MS, end)
    assert len(there) == 30
    lost: Counter[str] = Counter()
    squares: Counter[str] = Counter()
    for fault in faults:
        count = lost_days(fault, there)
        lost[fault.cause] += count
        squares[fault.cause] += count * count
    total = 0.013 * 5_000 * 30
    for cause, share in Rates().shares.items():
        if cause != "headend":
            # A sum of Poisson events: its variance is the sum of their squares.
            spread = max(squares[cause], (82 * 1.8) ** 2 if cause == "concentrator" else 0) ** 0.5
            assert abs(lost[cause] - share * total) < 4 * spread, cause
    assert {fault.kind for fault in faults} >= {
        "power-cut", "torn-block", "main-fuse-off", "module-hang", "clock-wrong", "hour-repeated",
    }  # fmt: skip
    assert all(fault.cause == KINDS[fault.kind].cause for fault in faults)


def test_parts_of_a_field_are_the_whole() -> None:
    plan = make_plan(300, 5, begin_ms=BEGIN_MS, per_master=20)
    parts = [plan.part(number, 3) for number in range(3)]
    numbers = [meter.meter_id for part in parts for meter in part.meters]
    assert sorted(numbers) == sorted(meter.meter_id for meter in plan.meters)
    assert len(numbers) == 300
    assert all(
        {m.master for m in p.meters} - {""} == {x.master_id for x in p.masters} for p in parts
    )


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = make_plan(50, 5, begin_ms=BEGIN_MS, per_master=7)
    path = tmp_path / "meters.csv"
    path.write_text(write_list(plan))
    again = read_list(path, BEGIN_MS, 5)
    assert again.meters == plan.meters
    assert {master.master_id for master in again.masters} == {m.master_id for m in plan.masters}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("meter_id\n7359990010000001\n", "wrong check digit"),
        ("meter_id\n735999001000\n", "16 digits"),
        (f"meter_id\n{ONE}\n{ONE}\n", "is in line 2 too"),
        (f"meter_id,profile\n{ONE},castle\n", "profile 'castle' is unknown"),
        (f"meter_id,net\n{ONE},mesh\n", "have a master"),
        (f"meter_id,clock_ppm\n{ONE},fast\n", "no whole number"),
        (f"meter_id,colour\n{ONE},red\n", "column 'colour' is unknown"),
        ("number\n1\n", "no column meter_id"),
        ("meter_id\n", "has no meters"),
    ],
)
def test_a_list_that_is_wrong_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match=says) as error:
        read_list(path, BEGIN_MS)
    assert "\n" not in str(error.value)


def test_a_ledger_is_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("milk\n" * 1000)
    with pytest.raises(BenchError, match="no ledger"):
        Ledger.open(path)
    with pytest.raises(BenchError, match="there is no ledger"):
        Ledger.open(tmp_path / "none.db")


def test_faults_by_hand_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with Field(one(), keystore(tmp_path)) as field:
        for kind, meters, detail, says in (
            ("flood", [ONE], "", "unknown"),
            ("module-hang", [meter_number(7)], "", "no meter"),
            ("module-hang", [], "", "of which meters"),
            ("concentrator-down", [], "C0009", "no concentrator"),
        ):
            with pytest.raises(BenchError, match=says):
                field.order(kind, BEGIN_MS, BEGIN_MS + 1000, meters, detail)
        with pytest.raises(BenchError, match="ends before"):
            field.order("module-hang", BEGIN_MS, BEGIN_MS, [ONE])
        assert field.faults == []


@pytest.mark.campaign
def test_200_meters_of_all_nets_and_faults_over_30_days(tmp_path: Path) -> None:
    plan = make_plan(200, 1, begin_ms=BEGIN_MS)
    store = keystore(tmp_path)
    dumps = []
    for run in range(2):
        with Field(plan, store, tmp_path / f"{run}.db", Rates(0.05, 0.01), days=30) as field:
            field.advance_to(BEGIN_MS + 30 * DAY_MS)
            field.settle()
            assert field.ledger.differing() == []
            assert len(field.ledger.registers()) >= 190
            dumps.append(field.ledger.dump())
    assert dumps[0] == dumps[1]


def test_a_fault_is_as_it_was_written(tmp_path: Path) -> None:
    fault = Fault("module-hang", "meter", BEGIN_MS + 1000, BEGIN_MS + 9000, (ONE,))
    with Field(one(), keystore(tmp_path), tmp_path / "f.db") as field:
        assert field.order(fault.kind, fault.begin_ms, fault.end_ms, [ONE]) == fault
        assert field.ledger.faults() == [fault] == field.ledger.faults(ONE)
        assert field.ledger.faults(meter_number(3)) == []
        assert field.faults_of(ONE, fault.begin_ms) == [fault]
        assert field.faults_of(ONE, fault.end_ms) == []

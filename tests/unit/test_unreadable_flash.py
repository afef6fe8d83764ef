"""A flash that cannot be read in some part when the supply comes back: the meter measures, leaves
alone what it cannot read, and has it again when it can."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ams.storage import layout
from openams.field.device import SECTOR, Device
from openams.field.meters import MeterSpec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import unreadable_flash  # noqa: E402

BEGIN_MS = 820_969_200_000
HOUR_MS = 3_600_000
COUNT = 256
SLOTS = {"both slots": range(COUNT - 2, COUNT), "a slot": range(COUNT - 1, COUNT)}
RINGS = {
    f"region {region}": range(first, first + count) for region, first, count in layout.layout(COUNT)
}


def test_rings_and_settings():
    assert unreadable_flash.run() == "mounted"


def test_on_the_vm(micropython):
    script = "import sys\nsys.path.insert(0, sys.argv[1])\nimport unreadable_flash\n"
    assert micropython(f"{script}print(unreadable_flash.run())", str(HERE)).strip() == "mounted"


@pytest.mark.parametrize("part", [*RINGS, *SLOTS])
def test_the_meter_measures_and_has_all_again(part):
    device = Device(MeterSpec("7359990000000006", period_s=3600, seed=1), BEGIN_MS, None)
    flash = device.board.flash
    assert flash.size == COUNT * SECTOR
    now = BEGIN_MS + 48 * HOUR_MS
    device.play(now)
    before = device.meter.energy.mwh[0]
    rows = device.meter.recorder.load_profile.number
    device.power_cut()
    flash.broken = {**RINGS, **SLOTS}[part]
    device.play(now + 60_000)
    device.power_up()
    device.play(now + 3 * HOUR_MS)
    found = device.meter.nv_memory
    assert found.damaged or found.unknown, "it is told"
    grown = device.meter.energy.mwh[0] - before
    # With the registers themselves gone it goes on from what the profile has.
    assert grown > 0 if part == f"region {layout.REGISTERS}" else 5_000_000 < grown < 7_000_000
    device.power_cut()
    flash.broken = None
    device.play(now + 3 * HOUR_MS + 60_000)
    device.power_up()
    device.play(now + 6 * HOUR_MS)
    assert not device.meter.nv_memory.unknown
    assert device.meter.energy.mwh[0] > before + grown
    assert device.meter.recorder.load_profile.number >= rows + 3
    assert not device.meter.faults.count


def test_a_supply_that_falls_while_the_flash_gives_errors():
    """As the field plays it: the profile goes on when its part works again."""
    device = Device(MeterSpec("7359990000000006", period_s=3600, seed=1), BEGIN_MS, None)
    device.play(BEGIN_MS + 24 * HOUR_MS)
    device.break_flash(True)
    device.power_cut()
    device.play(BEGIN_MS + 25 * HOUR_MS)
    device.power_up()
    device.play(BEGIN_MS + 30 * HOUR_MS)
    starts = device.restarts
    device.break_flash(False)
    assert device.restarts == starts + 1 and not device.meter.nv_memory.shut
    rows = device.meter.nv_memory.newest_number(layout.LOAD_PROFILE)
    device.play(BEGIN_MS + 35 * HOUR_MS)
    assert device.meter.nv_memory.newest_number(layout.LOAD_PROFILE) >= rows + 5
    # Nothing is counted twice or lost by it.
    device.break_flash(True)
    device.break_flash(False)
    assert device.restarts == starts + 1

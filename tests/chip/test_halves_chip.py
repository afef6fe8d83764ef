"""A whole firmware in the other half of the flash, on the chip: counted, kept or given up."""

from __future__ import annotations

import struct

import pytest
from chipbench import ChipBench, steady
from fileflash import FileFlash
from imagebench import KEY
from test_update_chip import START_MS, give_keys

from ams.update.halves import HalfSwitch
from ams.update.image import CODE_AT
from ams.update.slots import slots
from openams.emulator.faulty_flash import FaultyFlash
from openams.faultlab import starter
from openams.image import package
from openams.runtimes.rp2040.firmware_image import image as build_image
from openams.runtimes.rp2040.flash import HALVES
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import inspect

SECTOR = 4096
RECORDS_SIZE = 2 * SECTOR
HALF_SIZE = (HALVES.slots_size - RECORDS_SIZE) // 2


@pytest.fixture(scope="module")
def built():
    """The folder of a firmware with two halves."""
    return build_image("pico-bench-ab").parent


@pytest.fixture
def bench(built, tmp_path):
    bench = ChipBench(
        built / "firmware.uf2", tmp_path, steady("1P2W", 230.0, 10.0, 0.0), parts=HALVES
    )
    bench.config |= {"slots": str(tmp_path / "slots.bin"), "utc_ms": START_MS}
    yield bench
    bench.meter.kill()


class Part:
    """Some of a file's flash."""

    sector_size, page_size = SECTOR, 256

    def __init__(self, flash, base, size):
        self._flash, self._base, self.size = flash, base, size

    def read(self, address, buffer):
        self._flash.read(self._base + address, buffer)

    def program(self, address, data):
        self._flash.program(self._base + address, data)

    def erase(self, address):
        self._flash.erase(self._base + address)


class Flash:
    """What the chip's flash holds while it stands still."""

    def __init__(self, bench, built):
        flash = FileFlash(bench.config["slots"], HALVES.slots_size)
        self.records = Part(flash, 0, RECORDS_SIZE)
        self.slots = slots(Part(flash, RECORDS_SIZE, 2 * HALF_SIZE))
        self.images = package.make_whole("pico-ab", built)
        self.size = (built / "firmware.bin").stat().st_size

    def read_code(self, half, size):
        code = bytearray(size)
        self.slots[half].read(CODE_AT, code)
        return bytes(code)

    def chosen(self):
        """What the starter would start; its marks are not kept."""
        seen = FaultyFlash(2)
        self.records.read(0, seen.data)
        return starter.choose(seen, self.read_code, HALF_SIZE)[0]

    def switch(self):
        return HalfSwitch(self.records, self.chosen(), self.size, (0, 0))

    def plant(self, half, damage=None):
        """As a transfer, its verification and its activation leave it; `damage(code)` first."""
        image = self.images[half - 1].signed(KEY)
        octets = bytearray(image.octets())
        if damage:
            damage(memoryview(octets)[CODE_AT:])
        self.slots[half].begin()
        for number in range(0, -(-len(octets) // 256)):
            self.slots[half].put(number, 256, bytes(octets[number * 256 : (number + 1) * 256]))
        switch = HalfSwitch(self.records, 3 - half, self.size, (0, 0))

        class Verified:
            size = len(octets)
            security = image.contents()["security"]

        for _ in switch.weigh(self.slots, Verified):
            pass
        switch.activate(half, Verified)


def boot(bench):
    """Gives the chip's time from power-up to the first measurement."""
    bench.meter.power_up(off_ms=500)
    return bench.meter.booted_ms


def until(bench, condition, chip_s=20.0):
    end = bench.meter.machine.now_ms + 1000 * chip_s
    while not condition():
        assert bench.meter.machine.now_ms < end
        bench.run(0.5)


def events(bench):
    return [row[4] for row in inspect(bench.state, "events", HALVES.state_size)]


@pytest.mark.campaign
def test_the_other_half_runs_on_trial_and_stays(bench, built, tmp_path, capsys):
    give_keys(bench, tmp_path)
    bench.boot()
    bench.run(0.3)
    first = bench.meter.view()
    flash = Flash(bench, built)
    assert (
        flash.chosen() == 1
        and flash.read_code(1, flash.size) == flash.images[0].package[-flash.size :]
    )
    result = bench.meter.stop()
    flash.plant(2)
    began_ms = boot(bench)
    until(bench, lambda: "firmware-activated" in events(bench))
    second = bench.meter.view()
    switch = flash.switch()
    assert (switch.running, switch.confirmed, switch.trial) == (2, 2, 0)
    assert second["registers"]["a_plus_mwh"] > result["registers"]["a_plus_mwh"]
    assert second["samples_missing"] == 0 and bench.meter.machine.resets == 0
    # It costs the heap nothing: the same code, in another place.
    assert abs(second["heap_used"] - first["heap_used"]) < 4096
    with capsys.disabled():
        print({"boot_ms": began_ms, "heap": (first["heap_used"], second["heap_used"])})


@pytest.mark.campaign
@pytest.mark.parametrize("torn", ["bytes", "bits"])
def test_the_power_goes_while_the_starter_counts(bench, built, tmp_path, torn):
    give_keys(bench, tmp_path)
    bench.provision()
    Machine(bench.meter.image, bench.state, tmp_path / "slots.bin", HALVES).close()
    flash = Flash(bench, built)
    flash.plant(2)
    first = Machine(bench.meter.image, bench.state, tmp_path / "slots.bin", HALVES)
    first.cut_in_operation(1, share=0.5, torn=torn)
    first.run(2000)
    assert first.off and first.torn is not None and first.torn.address == HALVES.slots_start
    bench.boot()
    until(bench, lambda: "firmware-activated" in events(bench))
    assert flash.switch().running == 2


def hangs(code):
    """At its first instruction."""
    (entry,) = struct.unpack_from("<I", code, 0x104)
    at = (entry & ~1) - 0x10000000 - HALVES.slots_start - RECORDS_SIZE - HALF_SIZE - 2 * SECTOR
    code[at : at + 2] = b"\xfe\xe7"


@pytest.mark.campaign
def test_one_that_hangs_at_once_is_given_up(bench, built, tmp_path):
    """Not a line of Python of it runs: the starter and the watchdog are all there is."""
    give_keys(bench, tmp_path)
    bench.boot()
    bench.run(0.3)
    kept = bench.meter.stop()["registers"]
    flash = Flash(bench, built)
    flash.plant(2, hangs)
    machine = Machine(bench.meter.image, bench.state, tmp_path / "slots.bin", HALVES)
    while machine.resets < 3:
        machine.run(1000)
        assert machine.now_ms < 30_000
    machine.close()
    boot(bench)
    until(bench, lambda: "firmware-rolled-back" in events(bench))
    switch = flash.switch()
    assert (switch.running, switch.trial, switch.codes[2]) == (1, 0, (0, 0))
    assert bench.meter.view()["registers"]["a_plus_mwh"] >= kept["a_plus_mwh"]

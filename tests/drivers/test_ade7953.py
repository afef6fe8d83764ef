"""The ADE7953 driver against the model of the IC, on CPython and on MicroPython."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ams.metrology.calibration import Calibration
from drivers import ade7953

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests/unit", "tests/drivers", "tests")]
sys.path += [path for path in PATHS if path not in sys.path]

import ade7953_vm  # noqa: E402

CHECKS = [name for name in vars(ade7953_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_ade7953(name):
    getattr(ade7953_vm, name)()


def test_ade7953_on_the_vm(micropython):
    # The tests have a folder of the same name.
    paths = [str(ROOT / path) for path in ("boards", "host", "host/openams/faultlab")] + PATHS
    script = f"import sys\nsys.path[:0] = {paths!r}\nimport ade7953_vm\nade7953_vm.main()"
    assert micropython(script, heap_kib=4096).strip() == str(len(CHECKS))


@pytest.mark.parametrize(
    ("change", "text"),
    [(("gain_ppb", 499_999_999), "gain beyond"), (("phase_urad", 199_999), "phase beyond")],
)
def test_a_calibration_beyond_the_ic_is_refused(change, text):
    record = ade7953.default_calibration()
    record["channels"][1][change[0]] = change[1]
    if change[0] == "gain_ppb":
        record["channels"][1]["lsb_pa"] = 17_000_000
    with pytest.raises(ValueError, match=text):
        ade7953.make(None, lambda level: None, Calibration("1P2W", record), None)


def test_three_phases_are_refused():
    record = ade7953.default_calibration()
    record["channels"] = record["channels"] * 3
    with pytest.raises(ValueError, match="1P2W"):
        ade7953.make(None, lambda level: None, Calibration("3P4W", record), None)


TWIN = """
from drivers import ade7953
from machine import SPI, Pin
from wiring import board
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities
from openams.emulator.models.ade7953 import Ade7953 as Model

board.clear()
model = Model()
board.attach_spi(1, 5, model)
record = ade7953.default_calibration()
record["channels"][1]["gain_ppb"] = 1234567
spi = SPI(1, ade7953.SPI_HZ, polarity=ade7953.SPI_POLARITY, phase=ade7953.SPI_PHASE)
select = Pin(5, Pin.OUT, value=1)
driver = ade7953.make(
    spi, select, Calibration("1P2W", record), lambda ms: model.advance(1000 * ms)
)
q = Quantities("1P2W")
print(driver.begin())
for step in range(50):
    model.set_quantities(
        230000 + step, 500000 * step, 100000 * step - 900000, 5000 * step, 50010
    )
    model.advance(200000)
    print(driver.poll(q), driver.active_uws, driver.reactive_uvars, driver.status)
    print(list(q.voltage_mv), list(q.current_ua), list(q.active_power_mw), q.frequency_mhz)
    print(q.total_active_power_mw, q.total_reactive_power_mvar, q.total_apparent_power_mva)
"""


def test_both_pythons_read_the_same(twin):
    assert twin(TWIN).count("True") == 51


NO_HEAP = """
import micropython
from drivers import ade7953
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities

class Bus:
    registers = {0x21C: 5750000, 0x21A: 625000, 0x212: 230000, 0x10E: 4474}
    last = [0x35, 0, 0]
    def write_readinto(self, out, into):
        address = out[0] << 8 | out[1]
        if address == 0xFD:
            value = self.last[0]
        elif address == 0x1FE:
            value = self.last[1]
        elif address & 0xFF == 0xFF:
            value = self.last[2]
        else:
            value = self.registers.get(address, 0)
            self.last[1] = address
            self.last[2] = value
        for k in range(len(into) - 1, 2, -1):
            into[k] = value & 0xFF
            value >>= 8

calibration = Calibration("1P2W", ade7953.default_calibration())
driver = ade7953.make(Bus(), lambda level: None, calibration, lambda ms: None)
for register, value in driver._config:
    Bus.registers[register] = value
q = Quantities("1P2W")
done = driver.poll(q)
micropython.heap_lock()
done = driver.poll(q)
micropython.heap_unlock()
print(done, q.voltage_mv[0])
"""


def test_reading_it_takes_no_heap(micropython):
    assert micropython(NO_HEAP, paths=("firmware", "boards")) == "True 230000\n"

"""The ATM90E32AS driver against the model of the chip, on CPython and on MicroPython."""

from __future__ import annotations

import cmath
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import SPI, Pin
from wiring import board

from ams.metrology import quantities as qu
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities
from drivers import atm90e32
from openams.emulator.models.atm90e32 import Atm90e32 as Model

CS = 5
COUNT_UWS = 11_250_000  # 1/320 000 kWh


def make(system="3P4W", calibration=None, gains=(0x8000, 0x8000)):
    board.clear()
    model = Model()
    board.attach_spi(1, CS, model)
    record = calibration or atm90e32.default_calibration(system)
    driver = atm90e32.Atm90e32(
        SPI(1, 1000000, polarity=1, phase=1),
        Pin(CS, Pin.OUT, value=1),
        Calibration(system, record),
        gains,
        lambda ms: None,
    )
    return model, driver


def balanced(model, volts, amperes, phi, frequency_mhz=50000):
    p = volts * amperes * math.cos(phi) * 1000
    q = volts * amperes * math.sin(phi) * 1000
    model.set_quantities(
        [volts * 1000] * 3, [amperes * 1e6] * 3, [p] * 3, [q] * 3, frequency_mhz, 240.0
    )


def test_quantities():
    model, driver = make()
    assert driver.begin() and driver.resets == 1
    balanced(model, 231.0, 10.0, math.radians(30), 50020)
    q = Quantities("3P4W")
    assert driver.poll(q)
    for place in range(3):
        assert q.voltage_mv[place] == 231_000
        assert q.current_ua[place] == 10_000_000
        assert q.active_power_mw[place] == pytest.approx(2310e3 * math.cos(math.radians(30)), abs=1)
        assert q.reactive_power_mvar[place] == pytest.approx(1155e3, abs=1)
        assert q.power_factor_permille[place] == 866
    assert q.total_active_power_mw == sum(q.active_power_mw)
    assert q.frequency_mhz == 50020
    assert driver.status == 0


def test_export_has_its_sign():
    model, driver = make()
    driver.begin()
    balanced(model, 230.0, 5.0, math.radians(180 + 20))
    q = Quantities("3P4W")
    assert driver.poll(q)
    assert q.total_active_power_mw == pytest.approx(-3450e3 * math.cos(math.radians(20)), abs=3)
    model.advance(60_000_000)
    driver.poll(q)
    assert driver.active_uws < 0 and driver.reactive_uvars < 0


@given(
    st.lists(st.tuples(st.integers(-8000, 8000), st.integers(1, 400)), min_size=1, max_size=40),
    st.integers(0, 1 << 30),
)
@settings(max_examples=40, deadline=None)
def test_every_count_is_taken_once_on_a_bad_bus(steps, seed):
    """Readings disturbed at random: what was handed out is what the chip counted."""
    model, driver = make()
    driver.begin()
    spoil = _Spoiled(model, seed)
    driver._spi = spoil
    q = Quantities("3P4W")
    given_out = [0, 0]
    for watts, ms in steps:
        balanced(model, 230.0, abs(watts) / 690, 0.3 if watts >= 0 else 0.3 + math.pi)
        model.advance(ms * 1000)
        if driver.poll(q):
            given_out[0] += driver.active_uws
            given_out[1] += driver.reactive_uvars
    spoil.rate = 0
    assert driver.poll(q)
    given_out[0] += driver.active_uws
    given_out[1] += driver.reactive_uvars
    assert driver.resets == 1
    assert given_out[0] == COUNT_UWS * (spoil.cleared[0x80] - spoil.cleared[0x84])
    assert given_out[1] == COUNT_UWS * (spoil.cleared[0x88] - spoil.cleared[0x8C])


class _Spoiled:
    """An SPI bus on which what comes from the energy registers is at times spoilt."""

    def __init__(self, model, seed):
        self._model = model
        self._state = seed
        self.rate = 3
        self.cleared = dict.fromkeys((0x80, 0x84, 0x88, 0x8C), 0)

    def _random(self):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return self._state >> 8

    def write_readinto(self, out, into):
        for k in range(4):
            into[k] = self._model.transfer(out[k])
        register = out[1]
        if register in self.cleared and out[0] & 0x80:
            self.cleared[register] += into[2] << 8 | into[3]
            if self.rate and self._random() % self.rate == 0:
                into[2 + self._random() % 2] ^= 1 << self._random() % 8


def test_energy_is_power_times_time():
    model, driver = make()
    driver.begin()
    balanced(model, 230.0, 10.0, 0.0)
    q = Quantities("3P4W")
    total = 0
    for _ in range(3000):
        model.advance(200_000)
        assert driver.poll(q)
        total += driver.active_uws
    # 6.9 kW for 600 s; the power register counts 0.32 mW, energy 11.25 Ws.
    assert total == pytest.approx(6900e3 * 600_000, abs=COUNT_UWS + 0.5 * 0.32 * 3 * 600_000)
    assert driver.disturbed == 0


def test_no_load_counts_nothing():
    model, driver = make()
    driver.begin()
    balanced(model, 230.0, 0.0005, 0.0)  # 0.35 W, starting power is 2 VA
    model.advance(3_600_000_000)
    q = Quantities("3P4W")
    assert driver.poll(q)
    assert (driver.active_uws, driver.reactive_uvars) == (0, 0)
    assert driver.status == qu.STATUS_NO_LOAD


def test_calibration_goes_into_the_gains_and_delays():
    """Sensors that err, and the record that says by how much: the readings are right."""
    record = atm90e32.default_calibration("3P4W")
    for k, channel in enumerate(record["channels"]):
        channel["gain_ppb"] = round((1 / (0.97 + 0.01 * k) - 1) * 1e9)
        channel["phase_urad"] = 4000 if k % 2 else 0
    model, driver = make(calibration=record, gains=(0x7000, 0x6000))
    model.sensor_gain = [
        (0.97 + 0.01 * k) * 0x8000 / (0x6000 if k % 2 else 0x7000) for k in range(6)
    ]
    model.sensor_lag_urad = [4000] * 3
    assert driver.begin()
    balanced(model, 230.0, 10.0, math.radians(60))
    q = Quantities("3P4W")
    assert driver.poll(q)
    for place in range(3):
        # Gain registers have 15 bits, the delay steps of 153 urad.
        assert q.voltage_mv[place] == pytest.approx(230_000, rel=4e-5, abs=5)
        assert q.current_ua[place] == pytest.approx(10e6, rel=4e-5, abs=500)
        assert q.active_power_mw[place] == pytest.approx(1150e3, rel=3e-4)


def test_phase_loss_and_reversed():
    model, driver = make()
    driver.begin()
    model.set_quantities(
        [230_000, 20_000, 230_000], [5e6, 0, 5e6], [1150e3, 0, -300e3], [0, 0, 0], 50000
    )
    q = Quantities("3P4W")
    assert driver.poll(q)
    assert driver.status == qu.STATUS_PHASE_LOSS_L1 << 1 | qu.STATUS_REVERSED_L1 << 2
    model.set_quantities([0] * 3, [0] * 3, [0] * 3, [0] * 3, 0)
    assert driver.poll(q)
    assert driver.status & qu.STATUS_NO_VOLTAGE
    assert q.frequency_mhz == 0


@pytest.mark.parametrize("phi", [-40, 0, 25, 170])
def test_it_net(phi):
    """3P3W: U13 and I2 from the two elements, against phasors."""
    model, driver = make("3P3W")
    driver.begin()
    u1, u2, u3 = (cmath.rect(230 / math.sqrt(3), math.radians(a)) for a in (0, -120, 120))
    i1, i3 = cmath.rect(8, math.radians(-phi)), cmath.rect(3, math.radians(110 - phi))
    s12, s32 = (u1 - u2) * i1.conjugate(), (u3 - u2) * i3.conjugate()
    model.set_quantities(
        [230_000, 0, 230_000],
        [8e6, 0, 3e6],
        [s12.real * 1000, 0, s32.real * 1000],
        [s12.imag * 1000, 0, s32.imag * 1000],
        50000,
        60.0,
    )
    q = Quantities("3P3W")
    assert driver.poll(q)
    assert q.voltage_mv[0] == q.voltage_mv[2] == 230_000
    assert q.voltage_mv[1] == pytest.approx(230_000, rel=1e-4)
    assert q.current_ua[1] == pytest.approx(abs(i1 + i3) * 1e6, rel=2e-3)
    total = (s12 + s32) * 1000
    assert q.total_active_power_mw == pytest.approx(total.real, abs=2)
    assert q.total_reactive_power_mvar == pytest.approx(total.imag, abs=2)
    assert driver.status == 0


def test_a_chip_that_lost_its_supply_is_set_up_again():
    model, driver = make()
    driver.begin()
    balanced(model, 230.0, 10.0, 0.0)
    q = Quantities("3P4W")
    assert driver.poll(q)
    model.power_up()
    model.advance(1_000_000)
    assert driver.poll(q)
    assert driver.resets == 2 and driver.active_uws == 0
    # What it had counted is gone: that is told, once.
    assert driver.status & qu.STATUS_SAMPLES_MISSING
    driver.poll(q)
    assert not driver.status & qu.STATUS_SAMPLES_MISSING
    model.advance(1_000_000)
    assert driver.poll(q)
    assert driver.active_uws == pytest.approx(6900e6, abs=COUNT_UWS)


def test_a_flipped_setting_is_found_and_written_again():
    model, driver = make()
    driver.begin()
    q = Quantities("3P4W")
    model._registers[0x61] ^= 0x0400
    for _ in range(len(driver._config)):
        assert driver.poll(q)
    assert model._registers[0x61] == 0x8000
    assert driver.resets == 1


def test_a_restart_of_the_controller_loses_no_energy():
    model, driver = make()
    driver.begin()
    balanced(model, 230.0, 10.0, 0.0)
    model.advance(1_500_000)
    again = atm90e32.Atm90e32(
        driver._spi,
        driver._cs,
        Calibration("3P4W", atm90e32.default_calibration("3P4W")),
        (0x8000, 0x8000),
        lambda ms: None,
    )
    assert again.begin() and again.resets == 0
    assert again.poll(Quantities("3P4W"))
    assert again.active_uws == pytest.approx(6900e3 * 1500, abs=COUNT_UWS)


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_no_chip_is_said_and_invents_no_energy(level):
    model, driver = make()
    driver.begin()
    board.spi[1] = [(CS, _Dead(level))]
    q = Quantities("3P4W")
    for _ in range(40):
        assert not driver.poll(q)
    assert driver._pending_active == 0
    board.spi[1] = [(CS, model)]
    assert driver.poll(q)


class _Dead:
    spi_mode = 3

    def __init__(self, level):
        self._level = level

    def transfer(self, octet):
        return self._level


@pytest.mark.parametrize(
    ("change", "text"),
    [(("gain_ppb", 499_999_999), "gain beyond"), (("phase_urad", 199_999), "phase beyond")],
)
def test_a_calibration_beyond_the_chip_is_refused(change, text):
    record = atm90e32.default_calibration("3P4W")
    record["channels"][1][change[0]] = change[1]
    with pytest.raises(ValueError, match=text):
        make(calibration=record, gains=(0x8000, 0xC000))


def test_one_phase_is_refused():
    with pytest.raises(ValueError, match="3P3W or 3P4W"):
        make("1P2W", dict(atm90e32.default_calibration("3P4W"), channels=_one_phase()))


def _one_phase():
    return atm90e32.default_calibration("3P4W")["channels"][:2]


TWIN = """
from drivers import atm90e32
from machine import SPI, Pin
from wiring import board
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities
from openams.emulator.models.atm90e32 import Atm90e32 as Model

for system in ("3P4W", "3P3W"):
    board.clear()
    model = Model()
    board.attach_spi(1, 5, model)
    record = atm90e32.default_calibration(system)
    record["channels"][1]["gain_ppb"] = 1234567
    spi = SPI(1, 1000000, polarity=1, phase=1)
    select = Pin(5, Pin.OUT, value=1)
    gains = (0x8000, 0x7F00)
    driver = atm90e32.Atm90e32(spi, select, Calibration(system, record), gains, lambda ms: None)
    q = Quantities(system)
    print(driver.begin())
    total = 0
    for step in range(50):
        angle = 60.0 if system == "3P3W" else 240.0
        model.set_quantities(
            [230000, 231000, 229000], [1000000 * step, 2000000, 500000],
            [200000 * step - 1000000, 400000, 99000], [10000 * step, -5000 * step, 0], 50010, angle
        )
        model.advance(200000)
        print(driver.poll(q), driver.active_uws, driver.reactive_uvars, driver.status)
        print(list(q.voltage_mv), list(q.current_ua), list(q.active_power_mw))
        print(q.total_active_power_mw, q.total_reactive_power_mvar, q.total_apparent_power_mva)
"""


def test_both_pythons_read_the_same(twin):
    assert twin(TWIN).count("True") == 102


NO_HEAP = """
import micropython
from drivers import atm90e32
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities

class Bus:
    registers = {0: 1, 0xD9: 23000, 0xDD: 10000, 0xB1: 100, 0xF8: 5000}
    last = 0
    def write_readinto(self, out, into):
        value = self.registers.get(out[1], 0)
        if out[1] == 0x78:
            value = self.last
        self.last = value
        into[2] = value >> 8
        into[3] = value & 0xFF

calibration = Calibration("3P4W", atm90e32.default_calibration("3P4W"))
driver = atm90e32.Atm90e32(Bus(), lambda level: None, calibration, (0x8000, 0x8000), None)
for register, value in driver._config:
    Bus.registers[register] = value
q = Quantities("3P4W")
done = driver.poll(q)
micropython.heap_lock()
done = driver.poll(q)
micropython.heap_unlock()
print(done, q.voltage_mv[0])
"""


def test_reading_it_takes_no_heap(micropython):
    assert micropython(NO_HEAP, paths=("firmware", "boards")) == "True 230000\n"

"""Clock chip, relay, inputs and LED: the drivers against models, on both Pythons."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from machine import I2C, Pin
from wiring import board

from ams import hal
from drivers.bus import free
from drivers.ds3231 import CountedClock, Ds3231
from drivers.inputs import PinInputs
from drivers.pulse_led import PinLed
from drivers.relay import BistableRelay
from openams.emulator.models.ds3231 import Ds3231 as ClockModel
from openams.emulator.models.relay import Relay as RelayModel

EPOCH = datetime.datetime(2000, 1, 1)
CENTURY_S = (datetime.datetime(2100, 1, 1) - EPOCH).days * 86400


def make_clock():
    board.clear()
    model = ClockModel()
    board.attach_i2c(0, model)
    return model, Ds3231(I2C(0, scl=Pin(22), sda=Pin(21)))


def date_in(model):
    """What the registers say, read by the standard's calendar."""
    r = model._registers
    year, month, day, hour, minute, second = (int(f"{r[k]:x}") for k in (6, 5, 4, 2, 1, 0))
    return datetime.datetime(2000 + year, month, day, hour, minute, second)


@given(st.integers(0, CENTURY_S - 1))
@example(365 * 86400)  # the last day of a leap year
@example(366 * 86400 - 1)
@example(366 * 86400)
def test_any_second_of_the_century(second):
    model, rtc = make_clock()
    assert rtc.read() is None, "it never ran"
    rtc.set(second * 1000 + 400)
    assert date_in(model) == EPOCH + datetime.timedelta(seconds=second)
    assert model._registers[3] == date_in(model).isoweekday() % 7 + 1, "Sunday is 1"
    assert rtc.read() == second * 1000


@given(st.integers(0, CENTURY_S - 90_000), st.integers(1, 90_000))
@settings(max_examples=8, deadline=None)
def test_it_runs_through_days_and_months(second, passed):
    model, rtc = make_clock()
    rtc.set(second * 1000)
    model.advance(passed * 1_000_000)
    assert rtc.read() == (second + passed) * 1000


@pytest.mark.parametrize(
    ("register", "hours"), [(0x52, 0), (0x41, 1), (0x72, 12), (0x71, 23), (0x51, 11), (0x61, 13)]
)
def test_twelve_hour_mode_is_understood(register, hours):
    """A clock chip that somebody else has set."""
    model, rtc = make_clock()
    rtc.set(0)
    model._registers[2] = register
    assert rtc.read() == hours * 3_600_000
    model.advance(3_600_000_000)
    assert rtc.read() == (hours + 1) * 3_600_000


@pytest.mark.parametrize(("place", "value"), [(5, 0), (5, 0x13), (4, 0x31), (2, 0x24), (1, 0x60)])
def test_nonsense_is_no_time(place, value):
    model, rtc = make_clock()
    rtc.set(1000 * 86400 * 59)  # the 29th of February 2000
    model._registers[place] = value
    assert rtc.read() is None


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0x3F), (0, 0x0A), (1, 0x1C), (2, 0x0B), (2, 0x40), (2, 0x53), (4, 0x1D), (5, 0x0F),
     (6, 0xA0), (6, 0x2E), (6, 0xFF)],
)  # fmt: skip
def test_digits_that_are_none_are_no_time(place, value):
    model, rtc = make_clock()
    rtc.set(1000 * 86400 * 59)
    model._registers[place] = value
    assert rtc.read() is None


@pytest.mark.parametrize("octet", [0x00, 0xFF, 0x55, 0xAA])
def test_a_bus_that_says_the_same_for_ever_is_no_time(octet):
    model, rtc = make_clock()
    rtc.set(1000 * 86400 * 59)
    model.read = lambda count: bytes((octet,)) * count
    assert rtc.read() is None


@given(st.integers(0, 10**6), st.integers(-4000, 8500), st.integers(0, 10))
def test_a_chip_of_its_own_keeps_to_the_datasheet(seed, temperature, years):
    model = ClockModel(seed, years)
    model.temperature = temperature
    most = (2000 if 0 <= temperature <= 4000 else 3500) + (1000 if years else 0)
    most += 500 * max(years - 1, 0)
    assert abs(model.rate_ppb()) <= most + 1
    model.write(bytes((0x10, 0xF6)))
    assert model.rate_ppb() - ClockModel(seed, years).rate_ppb() == 1000 or temperature != 2500
    model.write(bytes((0x11,)))
    high, low = model.read(2)
    shown = (high - 256 if high & 0x80 else high) * 4 + (low >> 6)
    assert 0 <= temperature - 25 * shown < 25


def test_a_chip_of_its_own_runs_as_it_says():
    board.clear()
    model = ClockModel(seed=3, years=2)
    board.attach_i2c(0, model)
    rtc = Ds3231(I2C(0, scl=Pin(22), sda=Pin(21)))
    rtc.set(0)
    for _ in range(100):
        model.advance(100_000 * 1_000_000)
    expected = 10**7 * 1000 + 10**7 * model.rate_ppb() // 10**6
    assert abs(rtc.read() - expected) <= 1000 and model.rate_ppb()


@pytest.mark.parametrize(("held", "clocks"), [(0, 0), (1, 1), (8, 8), (9, 9), (99, 9)])
def test_a_bus_that_a_reset_has_caught_is_clocked_free(held, clocks):
    board.clear()
    seen = []
    board.watch[22] = lambda level: level and seen.append(level)
    board.levels[21] = lambda: len(seen) > held
    free(22, 21)
    # The first of them is the line that is let go.
    assert len(seen) - 1 == clocks


class Ticks:
    """time.ticks_ms and ticks_diff, which turn over at 2**30."""

    def __init__(self, start):
        self.now = start

    def ms(self):
        return self.now % (1 << 30)

    def diff(self, a, b):
        return ((a - b + (1 << 29)) % (1 << 30)) - (1 << 29)


def test_time_goes_on_over_the_counters_turn_and_outlasts_the_supply():
    model, rtc = make_clock()
    rtc.set(800_000_000_000)
    ticks = Ticks((1 << 30) - 700)
    clock = CountedClock(rtc, ticks.ms, ticks.diff, 86400)
    assert clock.backup_s == 86400
    begin = clock.utc_ms()
    for _ in range(40):
        ticks.now += 37
        model.advance(37_000)
        clock.utc_ms()
    assert clock.utc_ms() == begin + 40 * 37
    # The meter's true time is 5.25 s ahead: the chip is set to it, the counter is not.
    clock.keep(5250)
    for _ in range(40):
        ticks.now += 37
        model.advance(37_000)
        clock.utc_ms()
    assert clock.utc_ms() == begin + 80 * 37
    true_ms = begin + 80 * 37 + 5250
    again = CountedClock(rtc, ticks.ms, ticks.diff, 86400)
    assert true_ms - 1000 <= again.utc_ms() <= true_ms
    model.advance((1000 - true_ms % 1000 + 60) * 1000)
    assert rtc.read() == true_ms - true_ms % 1000 + 1000


@pytest.mark.parametrize("late", [0, 60, 110, 400, 900])
def test_what_of_a_second_was_gone_at_power_up(late):
    model, rtc = make_clock()
    rtc.set(800_000_000_000)
    ticks = Ticks(5)
    model.advance(late * 1000)
    clock = CountedClock(rtc, ticks.ms, ticks.diff, 86400)
    before = clock.utc_ms()
    assert before == 800_000_000_000
    for _ in range(1100 // 25):
        ticks.now += 25
        model.advance(25_000)
        now = clock.utc_ms()
        assert 0 < now - before <= 130
        before = now
    off = 800_000_000_000 + late + 1100 - clock.utc_ms()
    assert max(late - 100, 0) - 3 <= off <= max(late - 100, 0) + 26


def test_a_clock_that_lost_the_time_says_so():
    model, rtc = make_clock()
    assert CountedClock(rtc, lambda: 0, lambda a, b: a - b, 86400).backup_s == 0
    model.present = False
    clock = CountedClock(rtc, lambda: 0, lambda a, b: a - b, 86400)
    assert clock.backup_s == 0
    clock.keep(0)
    assert clock.utc_ms() == 0
    model.present = True
    clock.utc_ms()
    assert rtc.read() == 0


def make_relay(feedback=True):
    board.clear()
    model = RelayModel()
    board.watch[6] = lambda level: model.coil("open", level)
    board.watch[7] = lambda level: model.coil("close", level)
    board.levels[8] = lambda: model.contact
    contact = Pin(8, Pin.IN, Pin.PULL_UP) if feedback else None
    return model, BistableRelay(Pin(6, Pin.OUT), Pin(7, Pin.OUT), contact)


@given(st.lists(st.sampled_from([hal.COIL_NONE, hal.COIL_OPEN, hal.COIL_CLOSE]), max_size=20))
def test_never_both_coils(orders):
    model, relay = make_relay()
    for order in orders:
        relay.set_coil(order)
        model.advance(30_000)
        if order != hal.COIL_NONE:
            assert relay.closed() is (order == hal.COIL_CLOSE)
    assert not model.both and not model.burnt


def test_the_feedback_shows_a_welded_contact():
    model, relay = make_relay()
    model.welded = True
    relay.set_coil(hal.COIL_OPEN)
    model.advance(30_000)
    relay.set_coil(hal.COIL_NONE)
    assert relay.closed() is True


def test_without_a_contact_nobody_knows():
    _, relay = make_relay(feedback=False)
    assert relay.closed() is None


def test_inputs_and_led():
    board.clear()
    pins = [
        (Pin(34, Pin.IN), 1, hal.INPUT_TERMINAL_COVER),
        (Pin(35, Pin.IN), 0, hal.INPUT_POWER_FAIL),
    ]
    inputs = PinInputs(pins)
    board.levels.update({34: 0, 35: 1})
    assert inputs.read() == 0
    board.levels.update({34: 1, 35: 0})
    assert inputs.read() == hal.INPUT_TERMINAL_COVER | hal.INPUT_POWER_FAIL
    led = PinLed(Pin(2, Pin.OUT))
    led.set(True)
    assert board.level(2) == 1
    led.set(False)
    assert board.level(2) == 0


TWIN = """
from drivers.ds3231 import Ds3231
from drivers.relay import BistableRelay
from machine import I2C, Pin
from wiring import board
from openams.emulator.models.ds3231 import Ds3231 as ClockModel
from openams.emulator.models.relay import Relay as RelayModel

clock = ClockModel()
board.attach_i2c(0, clock)
rtc = Ds3231(I2C(0, scl=Pin(22), sda=Pin(21)))
print(rtc.read())
for second in (0, 5097599, 5097600, 1234567890, 3155759999):
    rtc.set(second * 1000)
    print(list(clock._registers), rtc.read())
    clock.advance(1500000)
    print(rtc.read())
relay = RelayModel()
board.watch[6] = lambda level: relay.coil("open", level)
board.watch[7] = lambda level: relay.coil("close", level)
board.levels[8] = lambda: relay.contact
driver = BistableRelay(Pin(6, Pin.OUT), Pin(7, Pin.OUT), Pin(8, Pin.IN))
for coil in (1, 0, 2, 1, 2):
    driver.set_coil(coil)
    relay.advance(25000)
    print(driver.closed(), relay.both)
"""


def test_both_pythons_do_the_same(twin):
    assert "1234567890000" in twin(TWIN)

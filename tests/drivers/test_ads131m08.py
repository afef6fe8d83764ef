"""The ADS131M08 driver against the model of the chip, on CPython and on MicroPython."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import SPI, Pin
from wiring import board

from ams.metrology.calibration import Calibration
from drivers import ads131m08
from openams.emulator.models.ads131m08 import Ads131m08 as Model
from openams.emulator.models.ads131m08 import crc16
from openams.emulator.models.spi import SpiPins

CS, DRDY = 5, 6
CODE = st.integers(-(1 << 23), (1 << 23) - 1)


def make(**more):
    board.clear()
    model = Model()
    board.attach_spi(0, CS, model)
    board.levels[DRDY] = lambda: model.drdy
    driver = ads131m08.Ads131m08(
        SPI(0, 8000000, polarity=0, phase=1),
        Pin(CS, Pin.OUT, value=1),
        Pin(DRDY, Pin.IN),
        lambda ms: None,
        **more,
    )
    return model, driver


def test_crc_against_the_check_value():
    """CRC-16-CCITT from 0xFFFF over "123456789" is 0x29B1."""
    assert crc16(b"123456789") == 0x29B1
    assert ads131m08.frame_crc(b"123456789", 9, ads131m08.make_crc_table()) == 0x29B1


def test_set_up():
    model, driver = make(gains=(0, 1, 2, 3, 4, 5, 6, 7))
    assert driver.begin()
    assert model.register(0x02) == 0x0110
    assert model.register(0x03) == 0x3F0E  # six channels, 4 kS/s, high resolution
    assert model.register(0x04) == 0x3210
    assert model.register(0x05) == 0x7654


@given(st.lists(st.lists(CODE, min_size=8, max_size=8), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_codes_arrive_as_they_were(frames):
    model, driver = make()
    assert driver.begin()
    samples = array("i", [99] * 6 * len(frames))
    for number, codes in enumerate(frames):
        assert not driver.ready()
        model.convert(codes)
        assert driver.ready()
        assert driver.read(samples, 6 * number)
    assert list(samples) == [code for codes in frames for code in codes[:6]]
    assert not driver.ready()


def test_a_frame_is_given_once():
    model, driver = make()
    driver.begin()
    samples = array("i", [0] * 6)
    model.convert([7] * 8)
    assert driver.read(samples, 0)
    assert not driver.read(samples, 0)
    assert (driver.crc_errors, driver.status_errors) == (0, 1)


@given(st.integers(0, 239), st.lists(CODE, min_size=8, max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_flipped_bit_is_noticed(bit, codes):
    model, driver = make()
    driver.begin()
    model.convert(codes)
    spi = driver._spi

    class Spoiled:
        def write_readinto(self, out, into):
            spi.write_readinto(out, into)
            into[bit // 8] ^= 0x80 >> bit % 8

    driver._spi = Spoiled()
    samples = array("i", [123] * 6)
    good = driver.read(samples, 0)
    if bit >= 27 * 8 + 16:
        assert good, "the last octet is padding"
    else:
        assert not good and list(samples) == [123] * 6


def test_a_chip_that_was_reset_is_noticed():
    model, driver = make()
    driver.begin()
    model.power_up()
    samples = array("i", [0] * 6)
    model.convert([1] * 8)
    assert not driver.read(samples, 0)  # the answer to the reset
    model.convert([2] * 8)
    assert not driver.read(samples, 0)  # status shows the reset
    assert driver.status_errors == 2
    assert driver.begin()
    while driver.ready():
        driver.read(samples, 0)
    model.convert([3] * 8)
    assert driver.read(samples, 0) and samples[0] == 3


def test_no_chip():
    _, driver = make()
    board.spi.clear()
    assert not driver.begin()


def test_more_than_two_conversions_are_not_kept():
    model, driver = make()
    driver.begin()
    for code in range(5):
        model.convert([code] * 8)
    samples = array("i", [0] * 6)
    seen = []
    while driver.ready():
        assert driver.read(samples, 0)
        seen.append(samples[0])
    assert seen == [3, 4] and model.dropped == 3


def test_an_unknown_rate_is_refused():
    with pytest.raises(ValueError, match="sample rate"):
        make(sample_rate_hz=3000)


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_default_calibration_is_one(system):
    checked = Calibration(system, ads131m08.default_calibration(system))
    # 1.2 V times 991, over sqrt(2): 840 V; 1.2 V / 11.2 ohm * 2000: 214 A peak.
    assert checked.voltages[0].scale * 0x7FFFFF == pytest.approx(1189e12, rel=1e-3)
    assert checked.currents[0].scale * 0x7FFFFF == pytest.approx(214.3e12, rel=1e-3)


def test_the_model_by_its_pins():
    """Bit by bit in mode 1: what the state machine of an RP2040 sees."""
    model, driver = make()
    driver.begin()
    codes = [-8388608, 8388607, -1, 0, 1, 0x5A5A5A, 5, 6]
    model.convert(codes)
    pins = SpiPins(model)
    pins.cs(0)
    words = []
    for _ in range(10):
        word = 0
        for _ in range(24):
            pins.clock(1)
            pins.clock(0)
            word = word << 1 | pins.miso
        words.append(word)
    pins.cs(1)
    assert words[0] >> 8 == driver.status
    assert [(w ^ 0x800000) - 0x800000 for w in words[1:7]] == codes[:6]
    assert words[7:9] == [0, 0], "channels that are off"
    assert model.drdy == 1


def ring_of(frames, status=0x013F):
    """What DMA stores: words of 24 bits at the top of 32, CRC last."""
    ring = array("I")
    for codes in frames:
        wire = bytes((status >> 8, status & 0xFF, 0))
        wire += b"".join((code & 0xFFFFFF).to_bytes(3, "big") for code in codes)
        wire += crc16(wire).to_bytes(2, "big") + b"\0"
        ring.extend(int.from_bytes(wire[k : k + 3], "big") << 8 for k in range(0, 30, 3))
    return ring


def arguments(at, frames, size, every=1):
    return array("i", [10 * at, frames, 6, 0x013F, 10 * size, 0, every, 0])


@given(st.lists(st.lists(CODE, min_size=8, max_size=8), min_size=1, max_size=12), st.data())
@settings(max_examples=40, deadline=None)
def test_frames_of_a_ring(frames, data):
    first = data.draw(st.integers(0, len(frames) - 1))
    out = array("i", [0] * 6 * len(frames))
    args = arguments(first, len(frames), len(frames))
    table = ads131m08.make_crc_table()
    assert ads131m08.take_frames(args, ring_of(frames), out, table) == len(frames)
    turned = frames[first:] + frames[:first]
    assert list(out) == [code for codes in turned for code in codes[:6]]


@given(st.integers(0, 9), st.integers(8, 31), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_a_spoilt_frame_of_a_ring(word, bit, every):
    """Every flip is found where the CRC is looked at; in the status word everywhere."""
    ring = ring_of([[k] * 8 for k in range(4)])
    ring[20 + word] ^= 1 << bit
    out = array("i", [0] * 24)
    args = arguments(0, 4, 4, every)
    good = ads131m08.take_frames(args, ring, out, ads131m08.make_crc_table())
    looked_at = 2 % every == 0 and not (word == 9 and bit < 16)
    assert good == (2 if looked_at or (word == 0 and bit >= 16) else 4)


TWIN = """
from array import array
from drivers import ads131m08
from machine import SPI, Pin
from wiring import board
from openams.emulator.models.ads131m08 import Ads131m08 as Model

model = Model()
board.attach_spi(0, 5, model)
board.levels[6] = lambda: model.drdy
cs = Pin(5, Pin.OUT, value=1)
spi = SPI(0, 8000000, polarity=0, phase=1)
driver = ads131m08.Ads131m08(spi, cs, Pin(6, Pin.IN), lambda ms: None)
print(driver.begin())
samples = array("i", bytes(24 * 40))
state = 1
for k in range(40):
    codes = []
    for c in range(8):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        codes.append((state >> 7) - 0x800000)
    model.convert(codes)
    ready, good = driver.ready(), driver.read(samples, 6 * k)
    print(ready, good, codes[:6] == list(samples[6 * k : 6 * k + 6]))
print(list(samples))
ring = array("I")
state = 5
for k in range(70):
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    ring.append(0x013F0000 if k % 10 == 0 else state << 1 & 0xFFFFFF00)
args = array("i", (30, 7, 6, 0x013F, 70, 0, 0, 0))
out = array("i", bytes(4 * 42))
print(ads131m08.take_frames(args, ring, out, driver.table), list(out))
for k in range(7):
    octets = bytearray(27)
    for w in range(9):
        for c in range(3):
            octets[3 * w + c] = ring[10 * k + w] >> (24 - 8 * c) & 0xFF
    ring[10 * k + 9] = ads131m08.frame_crc(octets, 27, driver.table) << 16
args[6] = 1
ring[65] ^= 0x100
print(ads131m08.take_frames(args, ring, out, driver.table), list(args))
"""


def test_both_pythons_read_the_same(twin):
    assert twin(TWIN).count("True True True") == 40


NO_HEAP = """
import micropython
from array import array
from drivers import ads131m08

class Bus:
    def write_readinto(self, out, into):
        pass

driver = ads131m08.Ads131m08(Bus(), lambda level: None, lambda: 0, None)
frame = driver._in
frame[0:2] = bytes((driver.status >> 8, driver.status & 0xFF))
frame[3:6] = bytes((0xFF, 0xFF, 0xFE))
crc = ads131m08.frame_crc(frame, 27, driver.table)
frame[27:29] = bytes((crc >> 8, crc & 0xFF))
samples = array("i", bytes(24))
done = driver.read(samples, 0)
micropython.heap_lock()
done = driver.read(samples, 0)
micropython.heap_unlock()
print(done, samples[0])
"""


def test_reading_it_takes_no_heap(micropython):
    assert micropython(NO_HEAP, paths=("firmware", "boards")) == "True -2\n"

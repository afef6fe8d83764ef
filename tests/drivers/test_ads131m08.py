"""The ADS131M08 as a front end, against the model of the chip, on CPython and on MicroPython."""

from __future__ import annotations

from array import array
from pathlib import Path

import ads131_vm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import SPI, Pin
from wiring import board

from ams.hal import FrontEnd
from ams.metrology.calibration import Calibration
from drivers import ads131m08
from openams.emulator.models.ads131m08 import Ads131m08 as Model
from openams.emulator.models.ads131m08 import crc16
from openams.emulator.models.spi import SpiPins
from openams.errors import BenchError
from openams.flashing import package, provision
from openams.flashing.targets import TARGETS, samplers
from tests.conftest import ROOT

CS = 5
CODE = st.integers(-(1 << 23), (1 << 23) - 1)
STATUS = 0x013F
TABLE = bytearray(1024)
ads131m08.fill_crc_table(TABLE)


# Seconds of frames, one by one: the others are for the campaign.
IN_SHORT = [
    "check_every_set_of_each_system_comes_once",
    "check_a_reset_of_the_chip_is_told_and_mended_at_once",
    "check_what_came_before_it_was_started_is_no_hole",
]


@pytest.mark.parametrize("name", IN_SHORT)
def test_as_a_front_end(name):
    getattr(ads131_vm, name)()


@pytest.mark.campaign
@pytest.mark.parametrize("name", sorted(set(ads131_vm.CHECKS) - set(IN_SHORT)))
def test_as_a_front_end_for_longer(name):
    getattr(ads131_vm, name)()


def test_on_the_vm(micropython):
    here = str(Path(__file__).parent)
    script = (
        f"import sys\nsys.path.insert(0, {here!r})\nimport ads131_vm\nads131_vm.main({IN_SHORT})"
    )
    paths = ("host/openams/emulator/boardshims", "firmware", "boards", "host")
    assert micropython(script, paths=paths, heap_kib=32768).split() == IN_SHORT


NO_HEAP = """
import micropython
import sys
sys.path.insert(0, {here!r})
import ads131_vm
from wiring import board
bench = ads131_vm.Bench()
bench.run(0.5)
for _ in range(40):
    board.advance(250)
driver = bench.driver
micropython.heap_lock()
count = driver.read()
micropython.heap_unlock()
print(count)
"""


def test_reading_it_takes_no_heap_of_its_own(micropython):
    """But what the plain twin of the loop takes on this VM: words of 32 bits are small here."""
    script = NO_HEAP.format(here=str(Path(__file__).parent))
    paths = ("host/openams/emulator/boardshims", "firmware", "boards", "host")
    assert micropython(script, paths=paths, heap_kib=2048) == "40\n"


def test_crc_against_the_check_value():
    """CRC-16-CCITT from 0xFFFF over "123456789" is 0x29B1."""
    assert crc16(b"123456789") == 0x29B1
    crc = 0xFFFF0000
    for octet in b"123456789":
        crc = ads131m08._crc_of_word(crc, octet << 24, 1, TABLE)
    assert crc == 0x29B10000


def test_set_up():
    board.clear()
    model = Model()
    board.attach_spi(0, CS, model)
    driver = ads131m08.Ads131m08(
        lambda: SPI(0, 4000000, polarity=0, phase=1),
        Pin(CS, Pin.OUT, value=1),
        lambda ms: None,
        6,
        (0, 1, 2, 3, 4, 5, 6, 7),
    )
    assert driver.begin() and driver.status == STATUS
    assert model.register(0x02) == 0x2110
    assert model.register(0x03) == 0x3F0E  # six channels, 4 kS/s, high resolution
    assert model.register(0x04) == 0x3210
    assert model.register(0x05) == 0x7654
    board.spi.clear()
    assert not driver.begin()


def test_the_model_by_its_pins():
    """Bit by bit in mode 1: what the state machine of an RP2040 sees."""
    model = Model()
    codes = [-8388608, 8388607, -1, 0, 1, 0x5A5A5A, 5, 6]
    model.frame()  # the answer to the reset
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
    assert words[0] >> 8 == 0x05FF
    assert [(w ^ 0x800000) - 0x800000 for w in words[1:9]] == codes
    assert model.drdy == 1


def test_more_than_two_conversions_are_not_kept():
    model = Model()
    model.frame()
    for code in range(5):
        model.convert([code] * 8)
    seen = []
    while not model.drdy:
        seen.append(int.from_bytes(model.frame()[3:6], "big"))
    assert seen == [3, 4] and model.dropped == 3


def ring_of(frames):
    """What DMA stores of six channels: words of 24 bits at the top of 32, CRC last."""
    ring = bytearray()
    for codes in frames:
        wire = bytes((STATUS >> 8, STATUS & 0xFF, 0))
        wire += b"".join((code & 0xFFFFFF).to_bytes(3, "big") for code in codes) + bytes(6)
        crc = crc16(wire).to_bytes(2, "big") + b"\0"
        for at in (*range(0, 21, 3), 27):
            ring += b"\0" + (wire + crc)[at : at + 3][::-1]
    return ring


def arguments(at, frames, size):
    return array("i", [32 * at, frames, 6, STATUS << 16, 32 * size, 6, 0, 0, 0])


FRAMES = st.lists(st.lists(CODE, min_size=6, max_size=6), min_size=1, max_size=12)


@given(FRAMES, st.data())
@settings(max_examples=40, deadline=None)
def test_frames_of_a_ring(frames, data):
    first = data.draw(st.integers(0, len(frames) - 1))
    out = array("i", [0] * 6 * len(frames))
    args = arguments(first, len(frames), len(frames))
    assert ads131m08.take_frames(args, ring_of(frames), out, TABLE) == 0
    turned = frames[first:] + frames[:first]
    assert list(out) == [code for codes in turned for code in codes]
    assert args[0] == 32 * first


@given(st.integers(0, 7), st.integers(8, 31))
@settings(max_examples=200, deadline=None)
def test_any_flipped_bit_is_noticed(word, bit):
    ring = ring_of([[k] * 6 for k in range(4)])
    ring[2 * 32 + 4 * word + bit // 8] ^= 1 << bit % 8
    out = array("i", [99] * 24)
    args = arguments(0, 4, 4)
    left = ads131m08.take_frames(args, ring, out, TABLE)
    if word == 7 and bit < 16:
        assert left == 0, "the last octet is padding"
    else:
        assert left == 2 and args[0] == 64 and list(out[12:]) == [99] * 12


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_default_calibration_is_one(system):
    checked = Calibration(system, ads131m08.default_calibration(system))
    # 1.2 V times 991, over sqrt(2): 840 V; 1.2 V / 11.2 ohm * 2000: 214 A peak.
    assert checked.voltages[0].scale * 0x7FFFFF == pytest.approx(1189e12, rel=2e-3)
    assert checked.currents[0].scale * 0x7FFFFF == pytest.approx(214.3e12, rel=2e-3)
    assert provision.nominal_calibration("pico", "ads131m08", system)["channels"][0]["gain_ppb"]


def test_the_neutral_is_one_more_channel_of_three_phases_and_neutral_alone():
    record = provision.nominal_calibration("pico", "ads131m08", "3P4W", neutral=True)
    checked = Calibration("3P4W", record)
    assert checked.channels == 7 and checked.neutral.scale == checked.currents[0].scale
    assert Calibration("3P4W", ads131m08.default_calibration("3P4W")).neutral is None
    for system in ("1P2W", "3P3W"):
        with pytest.raises(ValueError, match="channels"):
            Calibration(system, ads131m08.default_calibration(system, neutral=True))
    for front_end, system in (("ads131m08", "3P3W"), ("adc", "1P2W"), ("atm90e32", "3P4W")):
        with pytest.raises(BenchError, match="--neutral"):
            provision.nominal_calibration("pico", front_end, system, neutral=True)


def test_it_may_be_named_on_the_board():
    assert samplers("pico") == ("ads131m08",) and samplers("esp32") == ()
    flashed = package.sources(TARGETS["pico"])
    assert "drivers/ads131m08" in flashed and "drivers/ads131m08_dma" in flashed
    assert issubclass(ads131_vm.dma.Ads131m08Dma, FrontEnd)
    assert "| `ads131m08`" in (ROOT / "docs/boards/README.md").read_text()

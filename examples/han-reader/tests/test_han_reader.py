"""The reader against an emulated meter: `meter` and `han_port` come with openams."""

import time

import pytest
import serial

from han_reader import Reader


def powers(port, reader):
    """What came since the last call; on a meter of the test's own it is all there already."""
    out = []
    while octets := port.read(4096):
        out += reader.feed(octets)
    return out


def test_the_port_speaks_and_the_reader_understands(han_port):
    """A house, in real time."""
    reader = Reader()
    read = []
    deadline = time.monotonic() + 30
    with serial.Serial(han_port, 2400, timeout=0.2) as port:
        while not read:
            assert time.monotonic() < deadline
            read += reader.feed(port.read(64))
    assert read[0] >= 0


@pytest.mark.meter(system="3P4W")
@pytest.mark.parametrize("watts", [0, 500, 11_000])
def test_the_reader_shows_the_load(meter, han_port, watts):
    """Simulated time: 20 seconds of the meter take a fraction of one."""
    reader = Reader()
    with serial.Serial(han_port, 2400, timeout=0.5) as port:
        meter.load(watts)
        meter.wait(20)
        read = powers(port, reader)
    # List 1 every two seconds, list 2 every ten.
    assert len(read) >= 9
    # The first may have been measured before the load was on.
    assert set(read[1:]) == {watts}


@pytest.mark.meter(quirk="noise")
def test_spoilt_frames_are_left_out(meter, han_port):
    reader = Reader()
    with serial.Serial(han_port, 2400, timeout=0.5) as port:
        meter.load(2000)
        meter.wait(60)
        read = powers(port, reader)
    assert read
    assert set(read[1:]) == {2000}


def test_the_power_comes_back(meter):
    meter.cut_power()
    meter.restore_power()
    meter.wait(12)
    assert meter.readings()

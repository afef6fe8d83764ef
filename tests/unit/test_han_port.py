"""The port: closed, open, on schedule, late, and every quirk."""

from __future__ import annotations

import contextlib

import pytest

from ams.clock.local import LocalClock
from ams.events.events import EventLog
from ams.hal import Uart
from ams.han import FORMATS, make_format
from ams.han.port import HanPort
from ams.han.quirks import QUIRKS
from ams.metrology.quantities import Quantities
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from openams.han.errors import HanError
from openams.han.reader import FrameReader, decode_frame

START = 840_002_400_000  # a full hour
HOUR = 3_600_000


class Recorder(Uart):
    def __init__(self):
        self.frames = []
        self.lines = []
        self.now = 0

    def init(self, *line):
        self.lines.append(line)

    def write(self, data):
        self.frames.append((self.now, bytes(data)))


def make(name, variant=None, system="3P4W", quirk=None, cipher=None, options=None):
    uart = Recorder()
    quantities = Quantities(system)
    quantities.total_active_power_mw = 1_000_000
    port = HanPort(
        uart,
        make_format(name, variant, options),
        quantities,
        EnergyRegisters(),
        Identity("7359990000000017", "6534"),
        LocalClock(),
        EventLog(),
        quirk,
        cipher,
    )
    return port, uart


def run(port, uart, start, duration_ms, step_ms=50):
    """Polls like a main loop; the registers close their hours."""
    registers = port.view.registers
    hour = start // HOUR
    for now in range(start, start + duration_ms, step_ms):
        uart.now = now
        if now // HOUR != hour:
            hour = now // HOUR
            registers.mwh[0] += 1_000_000
            registers.close_hour(hour * HOUR)
        port.poll(now)


@pytest.mark.parametrize("name", FORMATS)
def test_closed_port_sends_nothing(name):
    port, uart = make(name)
    run(port, uart, START, 60_000)
    port.push(2, START)
    assert uart.frames == [] and uart.lines == [] and port.sent == [0, 0, 0]
    port.open(START + 60_000)
    run(port, uart, START + 60_000, 30_000)
    sent = len(uart.frames)
    assert sent
    port.close(START + 90_000)
    run(port, uart, START + 90_000, 30_000)
    assert len(uart.frames) == sent


SCHEDULES = {
    ("kaifa", None): {1: 2000, 2: 10_000},
    ("aidon", None): {1: 2500, 2: 10_000},
    ("kamstrup", None): {2: 10_000},
    ("p1", None): {2: 10_000},
    ("kaifa", "se"): {3: 15_000},
    ("aidon", "se"): {3: 10_000},
}


@pytest.mark.parametrize(("name", "variant"), SCHEDULES)
def test_every_list_on_its_schedule_without_drift(name, variant):
    """Two hours, polled at an odd pace: none missed, none late, none early."""
    port, uart = make(name, variant)
    port.open(START)
    run(port, uart, START, 2 * HOUR, step_ms=37)
    hourly = name in ("kaifa", "aidon", "kamstrup") and variant is None
    expected = {}
    for list_no, period in sorted(SCHEDULES[name, variant].items()):
        for due in range(START, START + 2 * HOUR, period):
            expected[due] = list_no
    if hourly:
        after = 5_000 if name == "kamstrup" else 10_000
        for hour in (0, 1):
            expected[START + hour * HOUR + after] = 3
    due_times = sorted(expected)
    assert len(uart.frames) == len(due_times)
    for (now, frame), due in zip(uart.frames, due_times, strict=True):
        assert 0 <= now - due < 37
        assert decode_frame(frame).list_no == expected[due]
    assert port.missed == 0 and port.late_max_ms < 37


def test_a_late_poll_shifts_nothing_and_is_counted():
    port, uart = make("kaifa")
    port.open(START)
    run(port, uart, START, 6000)
    uart.now = START + 13_500
    port.poll(START + 13_500)  # 6 and 8 are past; the hourly list of 10 and list 1 of 12 are not
    assert port.missed == 2
    assert [decode_frame(frame).list_no for now, frame in uart.frames if now == uart.now] == [3, 1]
    run(port, uart, START + 13_550, 6000)
    assert [now for now, _ in uart.frames][-3:] == [START + 14_000, START + 16_000, START + 18_000]


def test_clock_set_far_ahead_and_back():
    port, uart = make("kaifa")
    port.open(START)
    for moment in (START, START + 400 * 24 * HOUR, START - 24 * HOUR):
        uart.now = moment
        run(port, uart, moment + 1, 4000)
        assert uart.frames[-1][0] - moment < 4100
    assert port.missed == 0


def test_hourly_list_shows_the_full_hour():
    port, uart = make("aidon")
    port.open(START)
    run(port, uart, START, HOUR + 15_000)
    hourly = [decode_frame(frame) for _, frame in uart.frames]
    hourly = [reading for reading in hourly if reading.list_no == 3]
    assert hourly[-1].values["a_plus_wh"] == 1000
    assert (hourly[-1].meter_time.minute, hourly[-1].meter_time.second) == (0, 0)


def readable(uart):
    reader, good = FrameReader(), 0
    for _, frame in uart.frames:
        with contextlib.suppress(HanError):
            good += len(list(reader.feed(frame)))
    return good


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_quirk_is_described_and_made(quirk):
    assert len(QUIRKS[quirk]) > 20
    port, _ = make("p1" if quirk in ("sweden-hybrid", "malformed-obis") else "kaifa", quirk=quirk)
    assert not port.is_open


def test_quirk_unknown():
    with pytest.raises(ValueError, match="choose one of cut"):
        make("kaifa", quirk="nonsense")


def test_quirk_stale_hour():
    port, uart = make("aidon", quirk="stale-hour")
    port.open(START)
    run(port, uart, START + 1, 6 * HOUR, step_ms=500)
    energies = [
        decode_frame(frame).values["a_plus_wh"]
        for _, frame in uart.frames
        if decode_frame(frame).list_no == 3
    ][2:]  # nothing to repeat before the second
    steps = [b - a for a, b in zip(energies, energies[1:], strict=False)]
    assert set(steps) == {0, 2000}


def test_quirk_parity_both_ways():
    for name, normal in (("kaifa", 0), ("kamstrup", None)):
        port, uart = make(name)
        port.open(START)
        assert uart.lines[0][2] == normal
        port, uart = make(name, quirk="parity")
        port.open(START)
        assert uart.lines[0][2] == (None if normal == 0 else 0)


def test_quirk_sweden_hybrid():
    port, uart = make("p1", quirk="sweden-hybrid")
    port.open(START)
    run(port, uart, START, 30_000)
    assert uart.lines[0][0] == 2400
    assert uart.frames[0][1][0] == 0x7E
    with pytest.raises(ValueError, match="p1"):
        make("kaifa", quirk="sweden-hybrid")


@pytest.mark.parametrize("quirk", ["noise", "cut", "overrun"])
def test_quirk_breaks_some_frames(quirk):
    port, uart = make("kaifa", quirk=quirk)
    port.open(START)
    run(port, uart, START, 600_000)
    good = readable(uart)
    assert 0.5 * sum(port.sent) < good < 0.95 * sum(port.sent)


def test_quirk_silent():
    port, uart = make("kaifa", quirk="silent")
    port.open(START)
    run(port, uart, START, 600_000)
    gaps = [b - a for (a, _), (b, _) in zip(uart.frames, uart.frames[1:], strict=False)]
    assert max([*gaps, uart.frames[0][0] - START]) >= 179_000


def test_quirk_port_reset_comes_back_and_never_opens_a_closed_port():
    port, uart = make("kaifa", quirk="port-reset")
    run(port, uart, START, 600_000)
    assert not port.is_open and not uart.frames
    port.open(START + 600_000)
    run(port, uart, START + 600_000, 660_000)
    gaps = [b - a for (a, _), (b, _) in zip(uart.frames, uart.frames[1:], strict=False)]
    assert 58_000 <= max(gaps) <= 62_000
    assert port.is_open


def test_quirk_port_reset_leaves_the_operators_word_and_the_log_alone():
    port, uart = make("kaifa", quirk="port-reset")
    port.open(START)
    run(port, uart, START, 242_000)  # in the dead minute
    assert port.is_open and port._events.count == 1
    port.close(START + 242_000)
    run(port, uart, START + 242_000, 120_000)
    assert not port.is_open and uart.frames[-1][0] < START + 242_000


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (("sagem",), "choose one of aidon"),
        (("kaifa", "dk"), "choose one of no, se"),
        (("kaifa", None, {"speed": 1}), "does not take"),
        (("kamstrup", None, {"parity": "odd"}), "none or even"),
        (("p1", None, {"period_s": 5}), "1 or 10"),
    ],
)
def test_formats_that_are_not_there(call, text):
    with pytest.raises(ValueError, match=text):
        make_format(*call)

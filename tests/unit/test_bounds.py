"""What waits for somebody outside has an end (docs/security.md, what a stranger can make grow)."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

from dlms import Bench, Raw

from ams.mbus import master as mbus
from openams.lines.channels import DATA
from openams.lines.gateway import MeterLine
from openams.lines.hanline import HanLine
from openams.lines.linkports import SERVICE_CHANNEL
from openams.runtimes.rp2040.meter import ChipMeter
from tests.conftest import ROOT


def test_lists_for_a_line_that_is_too_slow(tmp_path):
    line = HanLine(tmp_path / "han", speed=1e-4)
    begun = time.monotonic()
    for number in range(5000):
        line.send(b"%04d" % number)
    assert time.monotonic() - begun < 5, "it never waits"
    waiting = [line._queue.get_nowait() for _ in range(line._queue.qsize())]
    assert len(waiting) <= 64 and waiting[-1] == b"4999", "the newest"
    line.close()


def test_what_a_client_says_ahead_of_the_chips_line():
    scenario = SimpleNamespace()
    meter = ChipMeter(scenario, None, image=ROOT)
    for incoming in (0, 8000):
        uart = SimpleNamespace(incoming=incoming)
        meter.machine = SimpleNamespace(chip=SimpleNamespace(uarts=(None, uart)))
        meter._from_client.clear()
        for _ in range(1000):
            meter.link(SERVICE_CHANNEL, DATA, bytes(100))
        assert 8192 - 200 < sum(map(len, meter._from_client)) + incoming <= 8192


def test_what_the_meter_says_and_nobody_of_the_gateway_hears():
    line = MeterLine(lambda *_: None)
    for _ in range(20000):
        line.take(SERVICE_CHANNEL, DATA, b"octet")
    assert line._heard.qsize() <= 8192
    assert line.read(3) == b"oct"


def test_what_a_slave_says_unasked():
    sys.path.insert(0, str(ROOT / "boards/unix"))
    try:
        from board import MBUS_CHANNEL, BenchLine
    finally:
        sys.path.pop(0)
    bus = BenchLine(lambda *_: None, MBUS_CHANNEL)
    for _ in range(1000):
        bus.hear(bytes(255))
    buffer = bytearray(4096)
    assert bus.readinto(buffer) == 1024 and bus.readinto(buffer) == 0


def test_a_slave_that_answers_to_every_name():
    """A search has an end, however many it seems to find."""
    found = []
    master = mbus.Master(lambda data: None)
    header = SimpleNamespace()
    calls = [0]

    def readout(out, tries):
        calls[0] += 1
        # Somebody for each second digit, a collision for the others.
        out.header = header if calls[0] % 2 else None
        return out
        yield

    master._readout = readout
    job = master._search()
    sent = 0
    try:
        job.send(None)
        while True:
            sent += 1
            job.send(True)
    except StopIteration as end:
        found = end.value
    assert len(found) <= 260 and sent < 50_000


def test_doors_and_notes_of_those_who_guess():
    """One door for each client and channel, one count for each kind of event."""
    bench = Bench()
    for sap in range(1, 127):
        for channel in range(5):
            raw = Raw(bench, sap, (bytes(16), bytes(16)), channel=channel)
            raw.send(raw.aarq())
            raw.send(raw.aarq(context=1))
    assert len(bench.server._lockout._doors) <= 5 * len(bench.keyring.clients)
    assert len(bench.server._notes) <= 4

"""`ams flash` onto a Pico with MicroPython as it comes, through its USB console.

All of it is a campaign: the image as it comes is built for it alone. tests/flash has the same code
against the VM.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from chipbench import START_MS, amshan_frames, steady

from openams.errors import BenchError
from openams.flashing.install import install
from openams.flashing.link import BoardLink
from openams.flashing.targets import TARGETS
from openams.runtimes.rp2040.analog import OnChipAdc, WaveSource
from openams.runtimes.rp2040.desk import DeskBoard
from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.hanframes import FrameTap
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import clock_chip
from openams.runtimes.rp2040.wiring import Wiring

pytestmark = pytest.mark.campaign

AMS = Path(sys.executable).with_name("ams")
PICO = TARGETS["pico"]
METER = "7359992889800001"
# The host has the port when USB is up; until then nobody hears what is printed.
SAY = "import time\ntime.sleep_ms(300)\nprint('this is the %s code')\n"
OLD = {"main.py": (SAY % "old").encode(), "part/more.py": b"A = 1\n"}
NEW = {
    "main.py": b"import part.more\n" + (SAY % "new").encode(),
    "part/__init__.py": b"",
    "part/more.py": b"A = 2\n" + b"# filler\n" * 300,
}


class Pico:
    """Its flash outlasts a desk: each `desk()` is the power coming on."""

    def __init__(self):
        self._image = image("pico-stock")
        self._flash = None

    def desk(self, cut_after=None):
        machine = Machine(self._image)
        if self._flash is not None:
            machine.chip.flash[:] = self._flash
        self._flash = machine.chip.flash
        return DeskBoard(machine, cut_after)

    def flash(self, files, cut_after=None):
        """(what came of it, octets that the board was sent)."""
        with self.desk(cut_after) as board:
            try:
                with BoardLink(board.port, timeout_s=60) as link:
                    link.start_clean()
                    return install(link, PICO, files), board.sent
            except BenchError as error:
                return str(error), board.sent

    def boots(self):
        with self.desk() as board:
            return board.await_console(b">>> ").decode()


@pytest.fixture(scope="module")
def pico():
    return Pico()


def test_code_is_written_verified_and_boots_and_a_pulled_cable_leaves_it(pico):
    done, _ = pico.flash(NEW)
    assert (done.slot, done.files) == ("a", 3)
    assert "this is the new code" in pico.boots()
    done, _ = pico.flash(OLD)
    assert done.slot == "b"
    assert "this is the old code" in pico.boots()
    # In the middle of the files, and where the new name stands beside the old.
    for cut in (1300, 1800):
        message, sent = pico.flash(NEW, cut)
        assert "\n" not in message and ("pulled" in message or "answers" in message), message
        assert sent == cut
        assert "this is the old code" in pico.boots()
    done, sent = pico.flash(NEW)
    assert done.slot == "a" and 1800 < sent < 2300
    assert "this is the new code" in pico.boots()


def ams(*arguments, timeout=600):
    return subprocess.run(
        [AMS, *map(str, arguments)], capture_output=True, text=True, timeout=timeout
    )


def test_what_does_not_go_is_one_line_and_nothing_is_written(pico, tmp_path):
    before = bytes(pico._flash)
    secret = tmp_path / "passphrase"
    secret.write_text("a passphrase of the test")
    secret.chmod(0o600)
    keys = ("--keystore", tmp_path / "keys", "--passphrase-file", secret)
    with pico.desk() as board:
        two_way = ams("flash", "--port", board.port, "--meter-id", METER, *keys)
        esp32 = ams("flash", "--board", "esp32", "--port", board.port)
        assert bytes(pico._flash) == before
        with BoardLink(board.port, timeout_s=60) as link, pytest.raises(BenchError) as large:
            install(link, PICO, {"main.py": bytes(2 << 20)})
    assert "no room for the two-way link on a pico" in two_way.stderr
    assert "is a Raspberry Pi Pico with RP2040 (rp2), not a esp32" in esp32.stderr
    for done in (two_way, esp32):
        assert done.returncode != 0 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "the image is too large: it needs 2" in str(large.value)
    assert "this is the new code" in pico.boots()


def test_a_whole_meter_is_flashed_meters_and_outlasts_the_supply(tmp_path):
    """All of it: code, identity, restart, measuring through the ADC, the HAN port, a power cut."""
    pico = Pico()
    settings = tmp_path / "settings.json"
    settings.write_text('{"han": {"format": "kaifa"}, "han_open": true}')
    flash = ("flash", "--no-keys", "--meter-id", METER, "--settings", settings)
    with meter_desk(pico) as (board, frames):
        done = ams(*flash, "--port", board.port)
        assert done.returncode == 0, done.stderr
        assert "read back and the same" in done.stdout
        assert f"this is meter {METER} now" in done.stdout
        named = await_list_2(board, frames)
    assert named["meter_id"] == METER
    assert named["active_power_import"] == pytest.approx(2300, abs=12)
    with meter_desk(pico) as (board, frames):
        again = await_list_2(board, frames)
        assert again["meter_id"] == METER
        # It meters; a new flash stops it, and finds the room that it took free again.
        done = ams(*flash, "--port", board.port)
        assert done.returncode == 0, done.stderr
        assert "read back and the same" in done.stdout


class meter_desk:
    """A desk with a load of 10 A at the ADC and an ear at the HAN port."""

    def __init__(self, pico):
        self._board = pico.desk()
        machine = self._board.machine
        Wiring(machine.chip, clock_chip(START_MS))
        load = steady("1P2W", 230.0, 10.0, 0.0).scenario()
        machine.chip.sampled_adc.source = WaveSource(load, OnChipAdc(False, 1)).code
        self._frames = []
        FrameTap(machine.chip.uarts[0], lambda at, octets: self._frames.append(octets), print)

    def __enter__(self):
        return self._board.__enter__(), self._frames

    def __exit__(self, *how):
        self._board.__exit__(*how)


def await_list_2(board, frames):
    """The list that names the meter comes every ten seconds."""
    return board.await_that(
        lambda: next((f for f in amshan_frames(b"".join(frames)) if "meter_id" in f), None)
    )

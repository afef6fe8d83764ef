"""`ams flash` onto a Pico with MicroPython as it comes, through its USB console.

All of it is a campaign: the image as it comes is built for it alone. tests/flash has the same code
against the VM.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from openams.errors import BenchError
from openams.flashing.install import install
from openams.flashing.link import BoardLink
from openams.flashing.targets import TARGETS
from openams.runtimes.rp2040.desk import DeskBoard
from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.machine import Machine

pytestmark = pytest.mark.campaign

AMS = Path(sys.executable).with_name("ams")
# As if it had room for the meter: what flashing does on a real flash and littlefs is shown with it.
PICO = replace(TARGETS["pico"], files=True)
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
    with pico.desk() as board:
        whole = ams("flash", "--port", board.port, "--meter-id", METER, "--no-keys")
        esp32 = ams("flash", "--board", "esp32", "--port", board.port)
        assert bytes(pico._flash) == before
        with BoardLink(board.port, timeout_s=60) as link, pytest.raises(BenchError) as large:
            install(link, PICO, {"main.py": bytes(2 << 20)})
    assert "RPI_PICO of MicroPython leaves no room for the meter as files" in whole.stderr
    assert "is a Raspberry Pi Pico with RP2040 (rp2), not a esp32" in esp32.stderr
    for done in (whole, esp32):
        assert done.returncode != 0 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "the image is too large: it needs 2" in str(large.value)
    assert "this is the new code" in pico.boots()

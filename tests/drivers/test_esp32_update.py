"""The start-up code of the ESP32 on the emulated modules: a slot on trial, and its end."""

from __future__ import annotations

import os
import subprocess

import pytest
from imagebench import FLASH_SIZE, SLOTS_SIZE, activate, image_of

from openams.runtimes.launch import find_micropython
from tests.conftest import ROOT

PATHS = ("host/openams/emulator/boardshims", "firmware", "boards/esp32", "boards")
SCRIPT = "tests/drivers/esp32_update.py"
LOOP = b"""from ams import __version__

def main(started):
    print("slot", started.slot, started.trial, __version__)
"""


def power_up(folder):
    environment = dict(os.environ, MICROPYPATH=":".join(f"{ROOT}/{path}" for path in PATHS))
    argv = [find_micropython(), "-X", "heapsize=6M", str(ROOT / SCRIPT)]
    done = subprocess.run(
        [*argv, str(folder / "state"), str(folder / "slots")],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state").write_bytes(b"\xff" * FLASH_SIZE)
    (tmp_path / "slots").write_bytes(b"\xff" * SLOTS_SIZE)
    return tmp_path


BASE = ["meter: not provisioned, no meter.json", "guards None []"]
GUARDED = ["reset", "guards 20000 [45000]"]


def test_a_slot_runs_under_guard_until_it_is_given_up(folder):
    assert power_up(folder) == BASE
    image = image_of({"loop.py": LOOP}, board="esp32")
    activate(folder / "state", folder / "slots", image, b"esp32")
    for _ in range(3):
        assert power_up(folder) == ["slot 1 True 0.2.0", *GUARDED]
    assert power_up(folder) == BASE


def test_one_that_raises_resets_the_chip(folder):
    image = image_of({"loop.py": b"1 // 0\n"}, board="esp32")
    activate(folder / "state", folder / "slots", image, b"esp32")
    assert power_up(folder)[-2:] == GUARDED


def test_an_image_of_another_board_does_not_run(folder):
    """A state that was copied: what is in the slot is not for this chip."""
    image = image_of({"loop.py": LOOP}, board="unix")
    activate(folder / "state", folder / "slots", image, b"unix")
    assert power_up(folder) == BASE

"""The RAM that a board must have where the meter's code is files, by words of 32 bits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from openams.flashing.package import build
from openams.flashing.targets import ROOT, TARGETS
from tests.ports import free_port

# A board of each kind: its scenario, and what that is told beside a port.
SCENARIOS = {
    "esp32": ("esp32_scenario", ()),
    "pico2-w": ("picow_scenario", (free_port, ROOT / "boards")),
}
# Viper code stands in RAM of its own on the VM and on an ESP32, in the heap on a Pico.
_NATIVE = {"esp32": 0, "pico2-w": 10 * 1024}


@pytest.fixture(scope="module")
def vm32():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "firmware" / "vm32.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def measured(vm32, board, what, tmp_path):
    """Octets of the heap: after a collection, and the most between two."""
    files = tmp_path / "files"
    # What the scenario puts in place of the chip's is never read from a file.
    for place, data in build(TARGETS[board], arch="x86", without=("thumb",)).items():
        path = files / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    scenario, more = SCENARIOS[board]
    words = [free_port(), *(word() if callable(word) else word for word in more)]
    tests = ROOT / "tests" / "drivers"
    shims = ROOT / "host" / "openams" / "emulator" / "boardshims"
    paths = (shims, files, ROOT / "host", tests)
    done = subprocess.run(
        [vm32, "-X", "heapsize=16M", tests / "board_heap.py", scenario, what, *map(str, words)],
        env={**os.environ, "MICROPYPATH": ":".join(map(str, paths))},
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = done.stdout.splitlines()[-1].split()
    assert found[::2] == ["lasting", "highest", "later"]
    lasting, highest, later = map(int, found[1::2])
    assert later - lasting < 4096, "it grows"
    return lasting + _NATIVE[board], highest + _NATIVE[board]


@pytest.mark.campaign
@pytest.mark.parametrize("board", SCENARIOS)
def test_the_ram_that_ams_flash_asks_for_is_that_of_the_meter(vm32, board, tmp_path):
    """Not less than it takes, nor much more; with all that goes over a network some more."""
    ram = TARGETS[board].ram_kib * 1024
    least, _ = measured(vm32, board, "least", tmp_path)
    whole, highest = measured(vm32, board, "all", tmp_path)
    print(f"{board}: {least} to {whole} octets, at the highest {highest}")
    assert ram - 32 * 1024 < least < ram
    assert least < whole < least + 64 * 1024

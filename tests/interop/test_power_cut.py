"""Killing the meter is a power cut: what was stored is there, registers never go back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import AMS, ams

from ams.registers import record
from ams.registers.energy import UWS_PER_MWH, EnergyRegisters
from ams.registers.profile import LoadProfile
from ams.storage.journal import Journal
from openams.faultlab.flash import FaultyFlash
from openams.runtimes.process import RUNTIMES

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
# Mean power of the scenario, in W: what a minute can cost.
CASE = """time,active_import_W,voltage_l1_V,current_l1_A
2026-01-15T12:00:00+01:00,{power},230,{current}
2026-01-16T12:00:00+01:00,{power},230,{current}
"""
POWER_W = 2300


def stored(folder):
    """(A+ in micro-watt-seconds, utc_ms, clean) of the newest record in the image, read apart."""
    image = (folder / "flash.bin").read_bytes()
    journal = Journal(FaultyFlash(len(image) // 4096, image), 0, 16, 1)
    energy = EnergyRegisters()
    data = journal.last(record.KIND)
    if data is None:
        return 0, None, True
    state = record.restore(energy, LoadProfile(energy), data)
    utc_ms, clean = state.utc_ms, state.clean
    return energy.mwh[0] * UWS_PER_MWH + energy.remainder_uws[0], utc_ms, clean


def scenario(tmp_path):
    path = tmp_path / "constant.csv"
    path.write_text(CASE.format(power=POWER_W, current=POWER_W / 230))
    return path


def kill_some_time(tmp_path, runtime, rng, speed="5000"):
    """One run that is killed: meter and bench together, as a plug is pulled."""
    process = subprocess.Popen(
        [
            *[str(AMS), "run", "--scenario", str(scenario(tmp_path)), "--runtime", runtime],
            *["--state", str(tmp_path / "state"), "--speed", speed, "--json"],
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    # However fast the machine is: from before the meter starts to well into its work.
    image = tmp_path / "state" / "flash.bin"
    began = time.monotonic()
    children: list[int] = []
    while not (image.exists() and children) and time.monotonic() < began + 60:
        time.sleep(0.01)
        children = children_of(process.pid)
    time.sleep((time.monotonic() - began) * rng.uniform(0.0, 1.5))
    children = children_of(process.pid)
    for pid in [*children, process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pid in children:
        # Not our child: wait until it has gone and its last write with it.
        while alive(pid):
            time.sleep(0.01)


def children_of(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def play(tmp_path, runtime, count):
    rng = random.Random(SEED)
    before = 0
    moved = 0
    for number in range(count):
        kill_some_time(tmp_path, runtime, rng)
        energy, _, clean = stored(tmp_path / "state")
        assert energy >= before, f"OPENAMS_SEED={SEED}, kill {number}: registers went back"
        # Records come every simulated minute: the energy is a whole number of them.
        assert energy % (POWER_W * 1000 * 60_000) == 0
        moved += energy > before
        before = energy
        if energy:
            assert not clean
    assert moved >= count // 4
    return before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_killed_again_and_again(tmp_path, runtime):
    before = play(tmp_path, runtime, 8)
    # A normal run counts on from there, and says what is missing.
    done = ams("run", "--scenario", scenario(tmp_path), "--state", tmp_path / "state",
               "--speed", "max", "--duration", "600", "--json")  # fmt: skip
    result = json.loads(done.stdout)
    names = [event["name"] for event in result["events"]]
    assert "energy-missing" in names and "state-restored" in names
    after, _, clean = stored(tmp_path / "state")
    assert clean and after == before + POWER_W * 1000 * 600_000


@pytest.mark.campaign
def test_killed_a_thousand_times(tmp_path):
    play(tmp_path, "micropython", int(os.environ.get("OPENAMS_COUNT", "1000")))

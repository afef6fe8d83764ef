"""Killing the meter is a power cut: what was stored is there, registers never go back."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import AMS, ams

from ams.events import events
from ams.registers import profile, record
from ams.registers.energy import UWS_PER_MWH, EnergyRegisters
from ams.registers.profile import LoadProfile
from ams.storage import layout
from ams.storage.journal import Journal
from openams.emulator.faulty_flash import FaultyFlash
from openams.meter_time import from_utc_ms
from openams.runtimes.launch import RUNTIMES

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
# Longer than any run lasts before it is killed. Constant power: a minute costs the same always.
CASE = """time,active_import_W,voltage_l1_V,current_l1_A
2026-01-15T12:00:00+01:00,{power},230,{current}
2027-01-15T12:00:00+01:00,{power},230,{current}
"""
POWER_W = 2300
MINUTE_UWS = POWER_W * 1000 * 60_000
SHOWN = re.compile(rb" A\+ ([0-9.]+) kWh")


class Image:
    """What a state image holds, read apart from any meter."""

    def __init__(self, folder: Path) -> None:
        image = (folder / "flash.bin").read_bytes()
        self._flash = FaultyFlash(len(image) // 4096, image)
        self._rings = {one[0]: one for one in layout.layout(len(image) // 4096)}
        self.intervals = {one[0]: one for one in map(profile.unpack, self._entries(2))}
        self.events = [
            {one[0]: one for one in map(events.unpack, self._entries(layout.EVENTS + log))}
            for log in range(layout.EVENT_LOGS)
        ]
        energy = EnergyRegisters()
        load_profile = LoadProfile(energy)
        data = self._journal(layout.REGISTERS).last(record.KIND)
        self.utc_ms: int | None = None
        self.clean = True
        self.a_plus_uws = 0
        if data is None:
            return
        state = record.restore(energy, load_profile, data)
        self.utc_ms, self.clean = state.utc_ms, state.clean
        self.a_plus_uws = energy.mwh[0] * UWS_PER_MWH + energy.remainder_uws[0]
        if load_profile.number:
            # The last one may stand in the record only: it goes first.
            self.intervals.setdefault(load_profile.number, profile.unpack(load_profile.last_entry))
        assert sorted(self.intervals) == list(range(1, load_profile.number + 1))
        assert sum(one[4] for one in self.intervals.values()) == load_profile.start_mwh[0]

    def _journal(self, region: int) -> Journal:
        return Journal(self._flash, *self._rings[region][1:], region)

    def _entries(self, region: int) -> list[bytes]:
        return [bytes(data) for _, data in self._journal(region).records()]

    def holds(self, before: Image) -> None:
        """All that an earlier image held, but for events that the ring has pushed out."""
        assert self.a_plus_uws >= before.a_plus_uws, "registers went back"
        for number, interval in before.intervals.items():
            assert self.intervals[number] == interval, f"interval {number}"
        for log, kept in enumerate(before.events):
            oldest = min(self.events[log], default=0)
            assert bool(oldest) >= bool(kept), f"log {log}"
            for number, event in kept.items():
                if number >= oldest:
                    assert self.events[log][number] == event, f"event {number} of log {log}"


def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "constant.csv"
    path.write_text(CASE.format(power=POWER_W, current=POWER_W / 230))
    return path


def kill_some_time(
    tmp_path: Path, runtime: str, rng: random.Random, before: Image
) -> tuple[bool, float]:
    """One run that is killed, meter and bench at once, as a plug is pulled.

    Gives whether the meter was at work, and the A+ in kWh that the program showed last.
    """
    argv = [str(AMS), "run", "--scenario", str(scenario(tmp_path)), "--runtime", runtime]
    argv += ["--state", str(tmp_path / "state"), "--speed", "5000"]
    if before.utc_ms is not None and rng.random() < 0.8:
        # It was off for up to two hours; else its clock is back at the first start's.
        off_min = rng.randrange(120)
        argv += ["--start", from_utc_ms(before.utc_ms + off_min * 60_000).isoformat()]
    output = tmp_path / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True)
    began = time.monotonic()
    # However fast the machine is: some while the meter starts, most at its work.
    children: list[int] = []
    working = rng.random() < 0.75
    while not (output.stat().st_size if working else children):
        assert process.poll() is None and time.monotonic() < began + 120, output.read_text()
        time.sleep(0.005)
        children = children_of(process.pid)
    time.sleep(rng.uniform(0.0, 1.5) if working else (time.monotonic() - began) * rng.random())
    children = children_of(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"it had ended: {output.read_text()}"
    for pid in children:
        # Not our child: wait until it has gone and its last write with it.
        while alive(pid):
            time.sleep(0.005)
    shown = SHOWN.findall(output.read_bytes())
    return bool(children), float(shown[-1]) if shown else 0.0


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def play(tmp_path: Path, runtime: str, count: int) -> dict[str, Any]:
    """`count` kills; nothing that the image held or the program showed is lost by any."""
    rng = random.Random(SEED)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "flash.bin").write_bytes(b"\xff" * 1024 * 1024)
    before = Image(tmp_path / "state")
    did = {"kills": 0, "at_work": 0, "moved": 0, "shown": 0}
    for number in range(count):
        where = f"OPENAMS_SEED={SEED}, kill {number}"
        at_work, shown_kwh = kill_some_time(tmp_path, runtime, rng, before)
        after = Image(tmp_path / "state")
        after.holds(before)
        # Records come every simulated minute: the energy is a whole number of them.
        assert after.a_plus_uws % MINUTE_UWS == 0, where
        shown_uws = round(shown_kwh * 1e6) * UWS_PER_MWH
        assert after.a_plus_uws > shown_uws - MINUTE_UWS, f"{where}: what was shown is lost"
        assert not (after.a_plus_uws and after.clean), where
        did["kills"] += 1
        did["at_work"] += at_work
        did["moved"] += after.a_plus_uws > before.a_plus_uws
        did["shown"] += shown_kwh > 0
        before = after
        if number % 50 == 49:
            print(f"seed {SEED}: {did}, {len(after.intervals)} intervals", flush=True)
    assert did["at_work"] >= count * 0.9 and did["moved"] >= count // 3
    return {**did, "a_plus_uws": before.a_plus_uws}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_killed_again_and_again(tmp_path: Path, runtime: str) -> None:
    before = play(tmp_path, runtime, 8)["a_plus_uws"]
    # A normal run counts on from there, and says what is missing.
    done = ams("run", "--scenario", scenario(tmp_path), "--state", tmp_path / "state",
               "--speed", "max", "--duration", "600", "--json")  # fmt: skip
    result = json.loads(done.stdout)
    names = [event["name"] for event in result["events"]]
    assert "energy-missing" in names and "state-restored" in names
    after = Image(tmp_path / "state")
    assert after.clean and after.a_plus_uws == before + POWER_W * 1000 * 600_000


@pytest.mark.campaign
def test_killed_a_thousand_times(tmp_path: Path) -> None:
    play(tmp_path, "micropython", int(os.environ.get("OPENAMS_COUNT", "1000")))

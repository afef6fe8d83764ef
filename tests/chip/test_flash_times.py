"""The flash takes the datasheet's time, the longest at that: nothing is lost for it."""

from __future__ import annotations

import itertools
import random
import secrets
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from chipbench import START_MS, ChipBench, steady

from ams.events import events as ev
from ams.meter import Meter
from ams.storage import layout
from openams.emulator.faulty_flash import FaultyFlash
from openams.faultlab.flash_lab import LabBoard
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.lines.channels import DATA
from openams.lines.linkports import SERVICE_CHANNEL
from openams.runtimes.rp2040.flash import STATE_START, NorFlash, Operation
from openams.runtimes.rp2040.wiring import SUPPLY, TERMINAL_COVER

LOAD = steady("1P2W", 230.0, 50.0, 0.0)
REGISTERS_END = STATE_START + 16 * 4096
# What pins.yaml says of the supply watch.
PROMISE_MS = 20.0


def grow_old(bench: ChipBench) -> None:
    """The rings have gone round, and will soon need another sector each."""
    flash = FaultyFlash(256, bench.state.read_bytes())
    settings = {name: bench.config[name] for name in ("system", "calibration", "identity", "han")}
    meter = Meter(LabBoard(flash), settings)
    meter.start(START_MS - 1_000_000)
    journals = meter.nv_memory.journals

    def until(region: int, room: int, step) -> None:
        journal = journals[region]
        while journal.sequence <= journal.count + 1 or journal.fits(room):
            step()

    for log, code in ((0, ev.POWER_UP), (1, ev.TERMINAL_COVER_REMOVED)):
        until(
            layout.EVENTS + log, 28 * 6, lambda code=code: meter.events._keep(
                START_MS - 1_000_000, ev.log_of(code), 0, code, 0, 0
            ),
        )  # fmt: skip
    shown = itertools.count(START_MS)
    until(layout.CONTROL, 800, lambda: meter.own_time.store(START_MS, next(shown)))
    until(layout.REGISTERS, 308 * 6, lambda: meter.recorder._store(False))
    bench.state.write_bytes(flash.image())


@pytest.fixture
def bench(image, tmp_path, monkeypatch):
    bench = ChipBench(image, tmp_path, LOAD)
    keys = Keystore(tmp_path / "keystore", secrets.token_bytes(32), SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(keys, bench.config["identity"]["meter_id"])
    monkeypatch.setattr(NorFlash, "longest", True)
    bench.provision()
    grow_old(bench)
    yield bench
    bench.meter.kill()


def test_no_sample_no_octet_and_no_list_is_lost_to_erases(bench):
    """Clock and period set for the first time of a run, a log that goes on, a client that talks."""
    meter = bench.meter
    bench.boot()
    nor = meter.machine.chip.nor
    service = meter.machine.chip.uarts[1]
    erased = []
    nor.on_finish = lambda done: erased.append(done.address) if done.kind == "erase" else None
    lost = service.lost
    bench.run(3.0)
    meter.operate(meter.utc_ms(), clock_step_ms=90_000)
    meter.operate(meter.utc_ms(), capture_period_s=900)
    meter.wiring.set_input(TERMINAL_COVER, True)
    for _ in range(6):
        meter.link(SERVICE_CHANNEL, DATA, bytes(300))
        bench.run(0.4)
    meter.wiring.set_input(TERMINAL_COVER, False)
    bench.run(0.6)
    result = meter.stop()
    assert len(erased) >= 2 and nor.suspends > 300 * len(erased)
    assert nor.refused == []
    assert result["samples_missing"] == result["samples_late"] == 0
    assert service.lost == lost
    assert result["han"]["missed"] == 0 and result["han"]["late_max_ms"] <= 100
    names = [event[2] for event in result["events"]]
    assert "clock-adjusted-new" in names and "samples-missing" not in names


class SupplyWatch:
    """What the falling supply makes of the flash, by the chip's time."""

    def __init__(self, bench: ChipBench) -> None:
        self.bench = bench
        self.took_ms: list[float] = []

    def fall(self, rng: random.Random, collecting: range | None = None) -> SimpleNamespace:
        """At a random moment, or when a garbage collection has just begun, whose code lies there:
        nothing else runs until it is done."""
        meter = self.bench.meter
        self.bench.run(0.4)
        before = meter.view()["registers"]["a_plus_mwh"]
        machine = meter.machine
        machine.run(rng.random() * 400)
        if collecting:
            while machine.chip.core.pc not in collecting:
                machine.run(0.1)
        stored = []

        def finished(done: Operation) -> None:
            # The commit of a record of the registers.
            if done.kind == "program" and done.address < REGISTERS_END and len(done.target) == 1:
                stored.append(machine.now_ms - begun_ms)

        machine.chip.nor.on_finish = finished
        meter.wiring.set_input(SUPPLY, True)
        begun_ms = machine.now_ms
        machine.run(PROMISE_MS)
        meter.power_cut()
        assert stored, "no record of the registers within the promise"
        self.took_ms.append(stored[0])
        meter.power_up(off_ms=rng.randrange(1000, 100_000))
        after = meter.view()["registers"]["a_plus_mwh"]
        return SimpleNamespace(before=before, after=after)


def falls(bench, moments: list[range | None], seed: int) -> list[float]:
    rng = random.Random(seed)
    watch = SupplyWatch(bench)
    bench.boot()
    for k, collecting in enumerate(moments):
        seen = watch.fall(rng, collecting)
        assert seen.after >= seen.before, f"seed {seed}, fall {k}: {seen}"
    return watch.took_ms


def code_of(image: Path, name: str) -> range:
    """Where a function of the image lies."""
    nm = ["arm-none-eabi-nm", "-S", image.with_name("firmware.elf")]
    for line in subprocess.run(nm, check=True, capture_output=True, text=True).stdout.splitlines():
        start, *size, _, found = line.split()
        if found == name and size:
            return range(int(start, 16), int(start, 16) + int(size[0], 16))
    raise LookupError(name)


def test_registers_are_stored_within_the_promise_whenever_the_supply_falls(bench, image):
    """The worst moment is the beginning of a garbage collection."""
    collection = code_of(image, "gc_mark_subtree")
    quick, worst = falls(bench, [None, collection], 2)
    assert quick < PROMISE_MS / 2
    assert worst < PROMISE_MS


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(2, 5))
def test_the_same_at_many_moments(bench, seed):
    took = falls(bench, [None] * 10, seed)
    print("stored within", [round(ms, 1) for ms in took])
    assert max(took) < PROMISE_MS


@pytest.mark.campaign
def test_a_reset_in_the_middle_of_an_erase_is_gone_on_with(bench):
    """The chip is reset, the flash is not: what is suspended there is ended before anything."""
    meter = bench.meter
    bench.boot()
    bench.run(0.7)
    nor = meter.machine.chip.nor
    meter.operate(meter.utc_ms(), clock_step_ms=90_000)
    for _ in range(400):
        meter.machine.run(5)
        if nor._suspended is not None:
            break
    cut = nor._suspended
    assert cut is not None
    erased = []
    nor.on_finish = lambda done: erased.append(done.address) if done.kind == "erase" else None
    meter.machine.press_reset()
    meter.await_boot()
    assert erased[0] == cut.address
    bench.run(1.0)
    assert nor.refused == []
    assert meter.view()["registers"]["a_plus_mwh"] > 0

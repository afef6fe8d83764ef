"""Firmware from a slot on the chip: sent over the service port, switched to, confirmed; or not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from chipbench import ChipBench, steady
from fileflash import FileFlash
from imagebench import BROKEN, FLASH_SIZE, INIT, KEY, METER_ID, SLOTS_SIZE, image_of, source
from imagebench import activate as plant

from ams.registers import profile
from ams.registers.nv_memory import NvMemory
from ams.storage.layout import UPDATE
from ams.update.switch import Switch
from openams.client.client import session
from openams.client.errors import LinkError
from openams.client.links import Url
from openams.flashing.package import compiled
from openams.image import transfer
from openams.image.file import Image
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.releasekey import public_octets
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.rp2040.flash import SLOTS_START
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import inspect

# The hour ends so long after the boot.
BEFORE_THE_HOUR_MS = 30_000
START_MS = 840_000_000_000 // 3_600_000 * 3_600_000 - BEFORE_THE_HOUR_MS


def for_the_chip(files):
    return {
        name.replace(".py", ".mpy"): compiled("armv6m", name, data) for name, data in files.items()
    }


VERSION = for_the_chip({"ams/__init__.py": INIT})


@pytest.fixture
def bench(image, tmp_path):
    bench = ChipBench(image, tmp_path, steady("1P2W", 230.0, 10.0, 0.0))
    slots = tmp_path / "slots.bin"
    slots.write_bytes(b"\xff" * SLOTS_SIZE)
    bench.config |= {"slots": str(slots), "utc_ms": START_MS}
    yield bench
    bench.meter.kill()


def give_keys(bench, folder: Path):
    store = Keystore(folder / "keystore", os.urandom(32), SCRYPT_N_RANDOM)
    security = provisioned(store, METER_ID)
    security["release_key"] = public_octets(KEY).hex()
    bench.config["security"] = security
    return store


def image_for(store, files):
    keys = store.get(METER_ID)
    return image_of(
        for_the_chip(files), bytes.fromhex(keys.system_title), board="pico", init=VERSION,
        update_key=bytes.fromhex(keys.update), expiry_s=START_MS // 1000 + 86400,
    )  # fmt: skip


def cut_in_the_slot(meter):
    done = meter.machine.chip.nor.operations
    meter.machine.cut_in_operation(done + 1, share=0.5, from_address=SLOTS_START)


@pytest.mark.campaign
def test_a_whole_update(bench, tmp_path, monkeypatch, capsys):
    """Metering and HAN go on meanwhile; the gap at the switch is short, and marked."""
    store = give_keys(bench, tmp_path)
    image = image_for(store, {"ams/control/case.py": source("ams/control/case.py")})
    meter = bench.meter

    monkeypatch.setattr(
        transfer, "time", SimpleNamespace(sleep=bench.run, monotonic=time.monotonic)
    )
    url = Url("the service port", "serial", line=bench.line)
    figures = {"image": len(image)}
    bench.boot()
    bench.run(0.5)
    sender = transfer.Sender(lambda: None)
    given = Image.parse(image), image, 256
    with pytest.raises(LinkError), session(url, "update", store, METER_ID) as client:
        # The power goes in the middle of what the third block writes into the slot.
        sender._transfer(client, *given, lambda done, _: done == 2 and cut_in_the_slot(meter))
    assert meter.machine.torn is not None and meter.machine.torn.address >= SLOTS_START
    meter.power_up(off_ms=1000)
    with session(url, "update", store, METER_ID) as client:
        began_ms = meter.machine.now_ms
        sender._transfer(client, *given, lambda done, blocks: None)
        figures["transfer_ms"] = meter.machine.now_ms - began_ms
        figures["blocks"] = sender.sent - 2
        assert sender.sent == -(-len(image) // 256)
        began_ms = meter.machine.now_ms
        transfer._verify(client)
        figures["verify_ms"] = meter.machine.now_ms - began_ms
        before = meter.view()
        # What the meter's clock is ahead of the chip's time: it has its second of the clock chip.
        ahead_ms = before["utc_ms"] - meter.machine.now_ms
        transfer.activate(client)
    while not meter.machine.resets:
        bench.run(0.05)
    restarted_ms = meter.machine.now_ms
    while meter.booted_ms < restarted_ms:
        bench.run(0.05)
    assert meter.machine.resets == 1
    origin_ms = meter.utc_ms() - meter.machine.now_ms
    events = inspect(bench.state, "events")
    down_ms = [row[1] for row in events if row[4] == "power-down"][-1]
    stopped_ms = down_ms - ahead_ms
    figures["stop_ms"] = meter.machine.reset_at_ms - stopped_ms
    figures["boot_ms"] = meter.booted_ms - meter.machine.reset_at_ms
    figures["gap_ms"] = meter.booted_ms - stopped_ms
    while "firmware-activated" not in [row[4] for row in inspect(bench.state, "events")]:
        bench.run(0.5)
        assert meter.machine.now_ms < restarted_ms + 12_000
    after = meter.view()
    figures["heap_used"] = after["heap_used"]
    with capsys.disabled():
        print(json.dumps(figures))
    assert before["samples_missing"] == 0 and before["han"]["missed"] == 0
    for name, value in before["registers"].items():
        assert after["registers"][name] >= value
    assert figures["gap_ms"] < 2000
    # Each start takes its second of the clock chip, and may be one behind.
    while meter.utc_ms() < START_MS + BEFORE_THE_HOUR_MS + 4000:
        bench.run(1.0)
    (row,) = inspect(bench.state, "load")
    assert row[2] & profile.STATUS_POWER_DOWN
    times = [frame.utc_ms for frame in bench.frames if frame.utc_ms > origin_ms + 2000]
    assert max(b - a for a, b in zip(times, times[1:], strict=False)) < 2500 + figures["gap_ms"]
    assert "watchdog-error" not in [row[4] for row in inspect(bench.state, "events")]


def switch_of(bench):
    nv_memory = NvMemory(FileFlash(bench.state, FLASH_SIZE), METER_ID)
    nv_memory.mount_rings()
    return Switch(nv_memory.cells(UPDATE))


def last_try(bench):
    """As after two starts that failed."""
    switch = switch_of(bench)
    switch.tries = 1
    switch.store()


@pytest.mark.campaign
@pytest.mark.parametrize("operation", [1, 2])
def test_the_power_goes_while_a_start_is_counted(bench, tmp_path, operation):
    """The next start runs the new code all the same, and metering goes on."""
    give_keys(bench, tmp_path)
    bench.provision()
    image = image_of(for_the_chip({}), board="pico", init=VERSION)
    plant(bench.state, tmp_path / "slots.bin", image, b"pico")
    first = Machine(bench.meter.image, bench.state, tmp_path / "slots.bin")
    first.cut_in_operation(operation, share=0.5)
    first.run(2000)
    assert first.off and first.torn is not None
    bench.boot()
    bench.run(0.3)
    result = bench.meter.stop()
    assert result["registers"]["a_plus_mwh"] > 0
    switch = switch_of(bench)
    assert switch.trial == 1 and switch.tries in (1, 2)


@pytest.mark.campaign
def test_a_broken_one_is_rolled_back(bench, tmp_path):
    """It raises when it is imported: the chip comes back with the base, and says so."""
    give_keys(bench, tmp_path)
    bench.provision()
    plant(bench.state, tmp_path / "slots.bin", image_of(
        for_the_chip(BROKEN["raises"]), board="pico", init=VERSION), b"pico")  # fmt: skip
    last_try(bench)
    bench.boot()
    assert bench.meter.machine.resets == 1
    bench.run(0.3)
    result = bench.meter.stop()
    assert "firmware-rolled-back" in [event[2] for event in result["events"]]
    assert result["registers"]["a_plus_mwh"] > 0

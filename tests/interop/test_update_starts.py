"""Firmware from a slot, on both VMs: it runs, is confirmed, and one that is broken goes again."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import serial
from dlms_clients import running_meter
from helpers import ams, amshan_frames
from imagebench import BROKEN, GOOD, Life, image_of

from openams.image import package
from openams.runtimes.launch import RUNTIMES

# What a broken image is given until it is ended, in wall time.
QUICK = {"trial_ms": 1000, "watchdog_s": 0.7}


@pytest.fixture
def life(tmp_path):
    lives = []

    def start(runtime, **options):
        life = Life(tmp_path, runtime, **options)
        lives.append(life)
        life.power_up()
        life.run(2)
        return life

    yield start
    for life in lives:
        life.close()


def run_until(life, condition, wall_s=180.0):
    end = time.monotonic() + wall_s
    while not condition():
        assert time.monotonic() < end, life.log
        life.run(0.2)
        life.view()
        time.sleep(0.02)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_new_firmware_runs_and_stays(life, runtime):
    life = life(runtime)
    kept = what_is_kept(life)
    life.process.stop()
    life.activate(image_of(GOOD))
    life.power_up()
    assert life.process.slot == 1
    run_until(life, lambda: "firmware-activated" in life.events())
    life.process.stop()
    life.power_up()
    assert life.process.slot == 1
    demand_kept(life, kept)


@pytest.mark.parametrize(
    "runtime", ["micropython", pytest.param("cpython", marks=pytest.mark.campaign)]
)
def test_a_whole_meter_runs_out_of_a_slot(life, runtime):
    """All modules of a meter in one image, none of the base's beside them."""
    life = life(runtime)
    life.process.stop()
    whole = package.make("unix", version="0.2.0")
    files = package.unpacked(whole)
    assert len(files) > 200 and "ams/meter.py" in files and "board.py" in files
    life.activate(image_of(files, init={}))
    life.power_up()
    assert life.process.slot == 1
    run_until(life, lambda: "firmware-activated" in life.events())
    assert life.view()["registers"]["a_plus_mwh"] > 0


def what_is_kept(life):
    """Registers and intervals, and the flash's settings and keys."""
    return life.view()["registers"], life.process.rows("load"), life.settings_and_keys()


def demand_kept(life, kept):
    registers, intervals, secrets = kept
    after = life.view()["registers"]
    assert all(after[name] >= registers[name] for name in registers)
    assert after["a_plus_mwh"] > registers["a_plus_mwh"]
    assert intervals and life.process.rows("load")[: len(intervals)] == intervals
    assert life.settings_and_keys() == secrets


def roll_back(life, kept):
    life.power_up()
    run_until(life, lambda: life.process.slot == 0)
    assert life.process.restarts == 3
    life.run(1)
    assert life.events().count("firmware-rolled-back") == 1
    demand_kept(life, kept)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_broken_ones_are_rolled_back(tmp_path, runtime):
    """All at once: what takes time here is the waiting of watchdogs."""
    lives = {kind: Life(tmp_path / kind, runtime, **QUICK) for kind in BROKEN}
    try:
        for kind, life in lives.items():
            life.power_up()
            life.run(1)
            kept = what_is_kept(life)
            life.process.stop()
            life.activate(image_of(BROKEN[kind]))
        with ThreadPoolExecutor(len(lives)) as pool:
            done = {kind: pool.submit(roll_back, life, kept) for kind, life in lives.items()}
        for kind, future in done.items():
            assert future.exception() is None, (kind, future.exception(), lives[kind].log)
    finally:
        for life in lives.values():
            life.close()


@contextlib.contextmanager
def listening(link):
    """A reader of the HAN port and what it has heard: what nobody takes from a line is missed."""
    heard, enough = bytearray(), threading.Event()

    def listen():
        with serial.Serial(str(link), timeout=0.1) as line:
            while not enough.is_set():
                try:
                    heard.extend(line.read(4096))
                except serial.SerialException:  # the meter has gone
                    enough.wait(0.1)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield heard
    finally:
        enough.set()
        listener.join()


def test_one_session_of_ams_run_outlasts_an_update(tmp_path):
    """Whoever reads the HAN port sees a gap and no more; the client finds the meter again."""
    han, file = tmp_path / "han", tmp_path / "image"
    run = ("--han", han, "--han-open", "--state", tmp_path / "state")
    with running_meter(tmp_path, *run) as meter, listening(han) as heard:
        url = meter.urls[0]
        ams("image", "build", "unix", file, "--only", "ams/control/case", "--as-version", "0.1.1")
        ams("image", "sign", file)
        sent = ams("image", "send", url, file, "--activate", "--json", timeout=120)
        assert json.loads(sent.stdout)["state"] == "activated"
        until_now = len(heard)
        before = len(amshan_frames(bytes(heard)))
        time.sleep(6)
        after = amshan_frames(bytes(heard[until_now:]))
        assert before and len(after) >= 2
        version = json.loads(ams("image", "status", url, "--json").stdout)
        assert version["slot"] == 1 and version["trial"] is None
        result = meter.stop()
    names = [event["name"] for event in result["events"]]
    assert names.index("power-up") < names.index("firmware-activated")
    assert "samples-missing" not in names and result["missed"]["lists"] == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_code_that_was_confirmed_and_starts_no_more(life, runtime, tmp_path):
    """Whatever has changed around it: after six starts in a row the base runs."""
    sick = tmp_path / "sick"
    source = f"try:\n    open({str(sick)!r}).close()\nexcept OSError:\n    pass\n"
    source += "else:\n    1 // 0\n"
    life = life(runtime)
    kept = what_is_kept(life)
    life.process.stop()
    life.activate(image_of({"ams/control/case.py": GOOD["ams/control/case.py"] + source.encode()}))
    life.power_up()
    run_until(life, lambda: "firmware-activated" in life.events())
    life.process.stop()
    sick.touch()
    life.power_up()
    life.run(1)
    assert life.process.slot == 0 and life.process.restarts == 6
    assert "firmware-damaged" in life.events()
    demand_kept(life, kept)

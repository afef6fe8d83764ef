"""Firmware from a slot, on both VMs: it runs, is confirmed, and one that is broken goes again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from imagebench import BROKEN, GOOD, Life, image_of

from openams.runtimes.process import RUNTIMES

# What a broken image is given until it is ended, in wall time.
QUICK = {"trial_ms": 1000, "watchdog_s": 2.0}


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


def run_until(life, condition, wall_s=60.0):
    end = time.monotonic() + wall_s
    while not condition():
        assert time.monotonic() < end, life.log
        life.run(0.2)
        life.view()
        time.sleep(0.02)


def registers(life):
    return life.view()["registers"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_new_firmware_runs_and_stays(life, runtime):
    life = life(runtime)
    life.process.stop()
    before = life.frames
    life.activate(image_of(GOOD))
    life.power_up()
    assert life.process.slot == 1
    run_until(life, lambda: "firmware-activated" in life.events())
    life.process.stop()
    life.power_up()
    assert life.process.slot == 1 and life.frames is before


def roll_back(life, counted):
    life.power_up()
    run_until(life, lambda: life.process.slot == 0)
    assert life.process.restarts == 3
    life.run(1)
    after = registers(life)
    assert life.events().count("firmware-rolled-back") == 1
    assert all(after[name] >= counted[name] for name in counted)
    assert after["a_plus_mwh"] > counted["a_plus_mwh"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_broken_ones_are_rolled_back(tmp_path, runtime):
    """All at once: what takes time here is the waiting of watchdogs."""
    lives = {kind: Life(tmp_path / kind, runtime, **QUICK) for kind in BROKEN}
    try:
        for kind, life in lives.items():
            life.power_up()
            life.run(1)
            counted = life.process.stop()["registers"]
            life.activate(image_of(BROKEN[kind]))
        with ThreadPoolExecutor(len(lives)) as pool:
            done = {kind: pool.submit(roll_back, life, counted) for kind, life in lives.items()}
        for kind, future in done.items():
            assert future.exception() is None, (kind, future.exception(), lives[kind].log)
    finally:
        for life in lives.values():
            life.close()

"""The power cut laboratory: slices of it here, all of it in `make campaign`."""

from __future__ import annotations

import json
import os

import pytest
from helpers import ams

from openams.runtimes.launch import RUNTIMES

SEED = os.environ.get("OPENAMS_SEED", "1")


def powercut(*more):
    done = ams("powercut", "--seed", SEED, "--json", *more, ok=False, timeout=7200)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["failures"] == [], result["failures"][:5]
    assert done.returncode == 0
    return result


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_cuts_clean_and_torn(runtime):
    result = powercut("--runtime", runtime, "--operations", "2000")
    assert result["operations"] >= 2000 and result["cuts"] >= 3 * 79


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_second_cut_while_it_starts(runtime):
    result = powercut("--runtime", runtime, "--operations", "300", "--second")
    assert result["second_cuts"] > 10 * result["cuts"]


def test_every_cut_of_a_short_life():
    """From the very first operation on: a new meter is as safe as an old one."""
    result = powercut("--runtime", "cpython", "--operations", "120", "--every")
    assert result["cuts"] == 3 * result["operations"]


def test_every_second_cut_of_a_short_life():
    result = powercut("--runtime", "cpython", "--operations", "30", "--every", "--second")
    assert result["cuts"] >= 90 and result["second_cuts"] > 10 * result["cuts"]


def test_cuts_that_begin_with_a_state_image(tmp_path):
    ams("run", "--speed", "max", "--duration", "86400", "--state", tmp_path, "--json")
    before = (tmp_path / "flash.bin").read_bytes()
    result = powercut("--state", tmp_path, "--operations", "150", "--runtime", "cpython")
    assert result["cuts"]
    assert (tmp_path / "flash.bin").read_bytes() == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_firmware_update(runtime):
    """Old or new, whole, metering; then the start afterwards is cut too."""
    result = powercut("--runtime", runtime, "--update", "--second")
    assert result["operations"] > 200 and result["cuts"] >= 27 and result["second_cuts"] > 300


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_update_of_a_whole_firmware(runtime):
    result = powercut("--runtime", runtime, "--halves", "--torn", "bits", "--second")
    assert result["operations"] > 250 and result["cuts"] >= 11 and result["second_cuts"] > 100


@pytest.mark.campaign
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("what", ["--update", "--halves"])
def test_every_cut_of_a_firmware_update(runtime, what):
    result = powercut("--runtime", runtime, what, "--every", "--second")
    assert result["cuts"] == 3 * result["operations"] and result["second_cuts"] > 5000


@pytest.mark.campaign
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_cut(runtime):
    assert powercut("--runtime", runtime, "--every")["cuts"] >= 6000


@pytest.mark.campaign
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_cut_and_every_second_cut(runtime):
    assert powercut("--runtime", runtime, "--every", "--second")["second_cuts"] > 60_000

"""Mutated frames into links and server: a slice here, the whole in `make campaign`."""

from __future__ import annotations

import json
import os

import pytest
from helpers import ams

from openams.faultlab import fuzz as lab
from openams.faultlab.fuzzing import TARGETS

SEED = os.environ.get("OPENAMS_SEED", "1")
# What may differ from block to block: an association, a block transfer that is under way.
HEAP_GROWTH = 8192


def fuzz(*more):
    done = ams("fuzz", "--seed", SEED, "--json", *more, ok=False, timeout=14400)
    assert done.stdout, done.stderr
    result = {part["target"]: part for part in json.loads(done.stdout)["targets"]}
    assert not any(part["failures"] for part in result.values()), result
    assert done.returncode == 0
    assert all(part["heap_grown"] <= HEAP_GROWTH for part in result.values()), result
    return result


@pytest.mark.parametrize("runtime, count", [("cpython", 1000), ("micropython", 4000)])
def test_a_slice(runtime, count):
    result = fuzz("--runtime", runtime, "--count", str(count))
    assert set(result) == set(TARGETS)
    assert all(part["frames"] >= count for part in result.values())
    if runtime == "micropython":
        assert all(part["heap_highest"] for part in result.values())


def test_it_finds_a_fault_and_replays_it(monkeypatch):
    """A server with one fault deep in it: the case is named, and alone it fails again."""
    from ams.cosem.axdr import Writer

    true = Writer.uint32

    def faulty(self, value):
        if value == 123456:
            raise IndexError("planted")
        true(self, value)

    monkeypatch.setattr(Writer, "uint32", faulty)
    found = lab.run("server", int(SEED), 0, 1000)
    assert "planted" in found["why"]
    assert lab.run("server", int(SEED), found["failed"], 1) == found


def test_it_finds_what_a_link_lets_through(monkeypatch):
    from ams.cosem import wrapper

    monkeypatch.setattr(wrapper.WrapperLink, "_head", lambda self: True)
    assert "failed" in lab.run("wrapper", int(SEED), 0, 1000)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "runtime, counts",
    [
        (
            "cpython",
            {
                "hdlc": 150_000,
                "wrapper": 250_000,
                "server": 80_000,
                "meter": 100_000,
                "keyed": 200_000,
            },
        ),
        (
            "micropython",
            {"hdlc": 25_000, "wrapper": 15_000, "server": 15_000, "meter": 8000, "keyed": 20_000},
        ),
    ],
)
def test_the_whole(runtime, counts):
    """A million frames and more on CPython, a tenth of that on the VM."""
    frames = 0
    assert set(counts) == set(TARGETS)
    for target, count in counts.items():
        done = fuzz("--runtime", runtime, "--target", target, "--count", str(count))
        frames += done[target]["frames"]
    assert frames >= (1_000_000 if runtime == "cpython" else 100_000) * 99 // 100

"""Flipped bits anywhere in a full state image: found out, and nothing else is lost."""

from __future__ import annotations

import os
import random

import pytest

from ams.storage import layout
from ams.storage.journal import Journal
from openams.emulator.faulty_flash import FaultyFlash
from openams.faultlab import flash_lab, powercut
from openams.grid.frontend import make_front_end

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
SECTORS = 37
SHARES = (2, 2, 2, 2, 2, 3, 3, 3, 3, 0)
RINGS = layout.make_layout(SECTORS, SHARES)
CONFIG = {
    "system": "3P4W",
    "calibration": make_front_end("ideal", "3P4W", 1).calibration("3P4W"),
    "identity": {"meter_id": "7359990000000017"},
    "han": {"format": "kaifa"},
    "rings": RINGS,
}


def lived():
    """The image of a meter whose rings have wrapped, and when it stopped."""
    flash = flash_lab.LabFlash(SECTORS)
    work = powercut.Work(flash, CONFIG, 3)
    for _ in range(5200):
        work.minute()
    image = b"".join(bytes(flash.sector(number) or b"\xff" * 4096) for number in range(SECTORS))
    return image, work.raw_ms, list(work.meter.energy.mwh), work.stored


IMAGE, ENDED_MS, TRUE_MWH, STORED_MWH = lived()


def records(image, ring):
    region, first, count = ring
    journal = Journal(FaultyFlash(SECTORS, image), first, count, region)
    return [(kind, bytes(data)) for kind, data in journal.records()]


ALL = {ring: records(IMAGE, ring) for ring in RINGS}


def flip(rng, kind):
    image = bytearray(IMAGE)
    at = rng.randrange((SECTORS - 2) * 4096 * 8)
    length = 1 if kind == "single" else rng.randint(2, 64)
    for bit in range(at, min(at + length, len(image) * 8)):
        if kind == "single" or bit in (at, at + length - 1) or rng.random() < 0.5:
            image[bit // 8] ^= 1 << bit % 8
    return at // 8 // 4096, bytes(image)


def play(count, boots):
    rng = random.Random(SEED)
    for number in range(count):
        sector, image = flip(rng, ("single", "burst")[number % 2])
        ring = next(ring for ring in RINGS if ring[1] <= sector < ring[1] + ring[2])
        found = records(image, ring)
        known = set(ALL[ring])
        assert all(record in known for record in found), f"seed {SEED}, flip {number}"
        # A burst may lie across two records; heads of sectors stand twice.
        assert len(ALL[ring]) - len(found) <= 3, f"seed {SEED}, flip {number}"
        if number % boots == 0:
            boot(image, f"seed {SEED}, flip {number}")


def boot(image, where):
    """A whole start on it: registers are those that were kept, or older ones that are marked."""
    base = {n: image[4096 * n : 4096 * n + 4096] for n in range(SECTORS)}
    flash = flash_lab.LabFlash(SECTORS, base)
    meter = flash_lab.start(flash, CONFIG, ENDED_MS + 1000)
    assert meter.nv_memory.writable, where
    names = [event[1] for event in meter.events.entries()]
    assert all(0 <= STORED_MWH[k] - meter.energy.mwh[k] < 600_000 for k in range(8)), where
    if meter.energy.mwh != STORED_MWH:
        assert powercut.events.ENERGY_MISSING in names, where


def test_the_image_is_full():
    for ring in RINGS:
        assert ALL[ring], ring
    assert len(ALL[RINGS[1]]) > 110, "the load profile has wrapped or fills two sectors"


def test_flips_are_found_out():
    play(1000, 25)


@pytest.mark.campaign
def test_ten_thousand_flips():
    play(int(os.environ.get("OPENAMS_COUNT", "10000")), 5)

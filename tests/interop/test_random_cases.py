"""Random waveforms against their formula: a slice in CI, as many as you like in a campaign.

A failure names its seed and number; `OPENAMS_SEED=s OPENAMS_NUMBER=n` plays that one again.
"""

from __future__ import annotations

import math
import os
import random

import pytest

from openams.bench.measure import measure_case
from openams.grid.cases import Case
from openams.grid.scenario import PAIRS
from openams.runtimes.process import MeterProcess

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
ONLY = os.environ.get("OPENAMS_NUMBER")
ANGLES = {"L1": 0, "L2": -120, "L3": 120, "U12": 30, "U32": 90}


def random_case(seed, number):
    rng = random.Random(f"{seed}/{number}")
    system = rng.choice(list(PAIRS))
    ampere = 10 ** rng.uniform(math.log10(0.05), 2)
    voltage, current = {}, {}
    lag = rng.choice((0, 180, 60, -37, rng.uniform(-180, 180)))
    for u, i in PAIRS[system]:
        base = ANGLES[u]
        voltage[u] = [(1, rng.uniform(190, 255), base)]
        current[i] = [(1, ampere * rng.uniform(0.3, 1), ANGLES[i] - lag + rng.uniform(-5, 5))]
        for _ in range(rng.randrange(4)):
            harmonic = rng.randrange(2, 37)  # below half the sampling rate at 52.5 Hz
            voltage[u].append((harmonic, rng.uniform(0, 8), rng.uniform(-180, 180)))
            current[i].append((harmonic, current[i][0][1] * rng.uniform(0, 0.3),
                               rng.uniform(-180, 180)))  # fmt: skip
    return Case(
        f"seed {seed} number {number}", system, rng.choice((50.0, rng.uniform(47.5, 52.5))),
        rng.choice((1.0, 2.0, rng.uniform(0.7, 4))), voltage, current, None,
        {"active": 0.5, "reactive": 1.0},
    )  # fmt: skip


def formula(case):
    """(P, Q of the fundamental, S, {channel: rms}) by sums over equal harmonics."""
    active = reactive = apparent = 0.0
    rms = {}
    for u, i in PAIRS[case.system]:
        by_order = {}
        for kind, parts in (("u", case.voltage[u]), ("i", case.current[i])):
            for harmonic, size, degrees in parts:
                phasor = size * complex(math.cos(math.radians(degrees)),
                                        math.sin(math.radians(degrees)))  # fmt: skip
                key = by_order.setdefault(harmonic, {"u": 0j, "i": 0j})
                key[kind] += phasor
        for harmonic, pair in by_order.items():
            s = pair["u"] * pair["i"].conjugate()
            active += s.real
            if harmonic == 1:
                reactive += s.imag
        rms["u", u] = math.sqrt(sum(abs(pair["u"]) ** 2 for pair in by_order.values()))
        rms["i", i] = math.sqrt(sum(abs(pair["i"]) ** 2 for pair in by_order.values()))
        apparent += rms["u", u] * rms["i", i]
    return active, reactive, apparent, rms


def check(process, number):
    case = random_case(SEED, number)
    measured = measure_case(process, case, "ideal")
    active, reactive, apparent, rms = formula(case)
    where = f"OPENAMS_SEED={SEED} OPENAMS_NUMBER={number}: {case}"

    def near(read, truth, percent, ripple=0.0):
        # Of the reading, and as a phase error of half a milliradian: of the apparent power.
        allowed = percent / 100 * abs(truth) + 0.0005 * apparent + ripple
        assert abs(read - truth) <= allowed, (read, truth, apparent, where)

    near(measured["active_power_w"], active, 0.1)
    near(measured["reactive_power_var"], reactive, 0.2)
    hours = case.duration_s / 3600
    net = (measured["a_plus_wh"] - measured["a_minus_wh"]) / hours
    # A piece of a cycle at the end: its ripple is real energy but not the mean's.
    # Neighbouring harmonics beat at the fundamental.
    ripple = apparent / (2 * math.pi * case.frequency_hz * case.duration_s)
    near(net, active, 0.5, ripple)
    near((measured["r_plus_varh"] - measured["r_minus_varh"]) / hours, reactive, 1.0, ripple)
    for u, i in PAIRS[case.system]:
        assert measured["voltage_v"][u] == pytest.approx(rms["u", u], rel=3e-4), where
        assert measured["current_a"][i] == pytest.approx(rms["i", i], rel=1e-3), where
    assert measured["frequency_hz"] == pytest.approx(case.frequency_hz, abs=5e-3), where


def play(count):
    with MeterProcess("micropython") as process:
        for number in [int(ONLY)] if ONLY else range(count):
            check(process, number)


def test_a_slice_of_random_cases():
    play(60)


@pytest.mark.campaign
def test_many_random_cases():
    play(int(os.environ.get("OPENAMS_COUNT", "5000")))

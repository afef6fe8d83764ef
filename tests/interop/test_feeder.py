"""A point of 11 kV, 100/5 A and 11000/110 V, as the bench runs it, and its transformers."""

from __future__ import annotations

import cmath
import json
import math

import pytest
from dlms_clients import running_meter
from helpers import ams
from typer.testing import CliRunner

from openams.bench import profiles
from openams.bench.options import Options
from openams.bench.session import Session
from openams.errors import BenchError
from openams.grid.feeder import USUAL, Feeder, Secondary, parse_ratios

HOUR_S = 3600.0


def run(scenario, seconds, sampled=False):
    if sampled:
        scenario.gives_quantities = False
    options = Options(
        runtime="cpython", speed=None, duration_s=seconds, transformers=scenario.ratios.config()
    )
    session = Session(scenario, options)
    try:
        session.play(lambda: None)
        return session.finish(entries=True)
    finally:
        session.close()


def truth(feeder, minutes, turned=1 + 0j):
    """(A+ less A-, R+ less R-) of the primary side in Wh and varh, as the meter is let see it."""
    total = sum((feeder.power(minute) * turned for minute in range(minutes)), 0j) / 60
    return total.real, total.imag


@pytest.mark.parametrize("system", ["3P3W", "3P4W"])
def test_an_hour_in_primary_values(system):
    feeder = Feeder(system)
    result = run(Secondary(feeder, parse_ratios(USUAL)), HOUR_S)
    registers = result["registers"]
    active, reactive = truth(feeder, 60)
    net = (registers["a_plus_mwh"] - registers["a_minus_mwh"]) / 1000
    assert net == pytest.approx(active, rel=2e-6)
    net = (registers["r_plus_mvarh"] - registers["r_minus_mvarh"]) / 1000
    assert net == pytest.approx(reactive, rel=2e-6)
    assert result["quantities"]["voltage_mv"][0] == pytest.approx(
        11e6 if system == "3P3W" else 11e6 / math.sqrt(3), rel=1e-5
    )
    assert len(result["entries"]) == 4
    assert sum(registers[f"r_q{k}_mvarh"] for k in (1, 2)) == pytest.approx(
        registers["r_plus_mvarh"], abs=1
    )


@pytest.mark.parametrize("system", ["3P3W", "3P4W"])
def test_the_same_through_samples(system):
    """Aron and four wires: ideal transformers and the ideal front end, at 2 to 4 A and 110 V."""
    feeder = Feeder(system)
    result = run(Secondary(feeder, parse_ratios(USUAL)), 6.0, sampled=True)
    s = feeder.power(0)
    q = result["quantities"]
    assert q["total_active_power_mw"] / 1000 == pytest.approx(s.real, rel=5e-4)
    assert q["total_reactive_power_mvar"] / 1000 == pytest.approx(s.imag, rel=5e-4)
    assert q["current_ua"][0] / 1e6 == pytest.approx(abs(s) / math.sqrt(3) / 11000, rel=1e-3)


# Limits of classes at rated values (IEC 61869-2, -3): percent, minutes.
CLASSES = {
    "0.2S/0.2": ((0.2, 10.0), (0.2, 10.0)),
    "0.5S/0.5": ((0.5, 30.0), (0.5, 20.0)),
    "0.2S/0.2, other signs": ((-0.2, -10.0), (-0.2, 10.0)),
}


@pytest.mark.parametrize("name", CLASSES)
def test_errors_of_the_transformers_are_those_of_the_point(name):
    """What docs/accuracy.md says they add: by formula, and by the meter."""
    ct, vt = CLASSES[name]
    feeder = Feeder()
    result = run(Secondary(feeder, parse_ratios(USUAL), ct, vt), HOUR_S)
    turned = (1 + ct[0] / 100) * (1 + vt[0] / 100)
    turned *= cmath.exp(1j * math.radians((vt[1] - ct[1]) / 60))
    active, _ = truth(feeder, 60, turned)
    registers = result["registers"]
    net = (registers["a_plus_mwh"] - registers["a_minus_mwh"]) / 1000
    assert net == pytest.approx(active, rel=5e-6)


@pytest.mark.parametrize("text", ["", "100", "100/0", "100/5,11000", "a/b", "1/1,1/1,1/1", "-5/1"])
def test_ratios_that_are_none(text):
    with pytest.raises(BenchError, match="100/5,11000/110"):
        parse_ratios(text)


def test_by_command():
    from openams.cli.main import app

    done = CliRunner().invoke(
        app, ["run", "--scenario", "feeder", "--speed", "max", "--duration", "3700", "--json"]
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [row["length_s"] for row in result["profile"]] == [900] * 4
    assert result["registers"]["a_plus_mwh"] > 5e8


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
@pytest.mark.parametrize("ratios", [USUAL, "2000/1,11000/110"])
def test_what_is_stored_is_shown_in_primary_values(ratios, runtime, tmp_path):
    """A point above 2 MVA counts in Wh: profiles of the image say mWh, and are."""
    scenario = Secondary(Feeder("3P3W"), parse_ratios(ratios))
    options = Options(
        runtime="cpython",
        speed=None,
        duration_s=HOUR_S,
        transformers=scenario.ratios.config(),
        state=tmp_path,
        start=scenario.usual_start,  # with --state it is the clock's
    )
    session = Session(scenario, options)
    try:
        session.play(lambda: None)
        result = session.finish(entries=True)
    finally:
        session.close()
    rows = profiles.read(tmp_path, "load", runtime)
    assert [row["a_plus_mwh"] for row in rows] == [row[4] for row in result["entries"]]
    assert len(rows) == 4
    for name, register in result["registers"].items():
        # The rest is of the interval that is open.
        assert 0.6 * register <= sum(row[name] for row in rows) <= register, name
    volts = profiles.read(tmp_path, "voltage", runtime)[0]
    assert volts["u1_mean_v"] == pytest.approx(11000, rel=1e-3)
    assert volts["i1_mean_a"] == pytest.approx(result["quantities"]["current_ua"][0] / 1e6, rel=0.5)


def test_the_meter_tells_what_its_image_holds(tmp_path):
    """Of a point above 2 MVA: the same names and values by DLMS, whose scaler says Wh."""
    state = tmp_path / "state"
    point = ["--scenario", "feeder", "--transformers", "2000/1,11000/110", "--state", state]
    begun = "2026-01-15T18:00:00+01:00"
    ams("run", *point, "--start", begun, "--speed", "max", "--duration", "2700", "--json")
    stored = json.loads(ams("profile", state, "--json").stdout)
    assert len(stored) == 3 and stored[1]["a_plus_mwh"] > 1e7
    later = ["--start", "2026-01-15T18:50:00+01:00"]
    with running_meter(tmp_path, *point, *later, runtime="cpython") as meter:
        told = json.loads(ams("profile", meter.urls[0], "--entries", "1:3", "--json").stdout)
    names = ("time", "status", "a_plus_mwh", "r_q1_mvarh", "r_q4_mvarh")
    for one, other in zip(told, stored, strict=True):
        assert [one[name] for name in names] == [other[name] for name in names]

"""`ams calibrate` on the emulated Pico: a known load, through its USB console."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from chipbench import START_MS, steady

from openams.emulator.models.atm90e32 import Atm90e32
from openams.flashing import provision
from openams.flashing.link import BoardLink
from openams.flashing.reading import read_elements
from openams.runtimes.rp2040.analog import OnChipAdc, WaveSource
from openams.runtimes.rp2040.converter import Ads131Board, Converter
from openams.runtimes.rp2040.desk import DeskBoard
from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import clock_chip
from openams.runtimes.rp2040.terminals import GridTerminals
from openams.runtimes.rp2040.wiring import SpiDevice, Wiring

AMS = Path(sys.executable).with_name("ams")
METER = "7359992889800001"


def ams(*arguments):
    done = subprocess.run(
        [AMS, *map(str, arguments), "--json"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def become_meter(board, *more):
    ams("flash", "--port", board.port, "--no-code", "--no-keys", "--no-reset",
        "--meter-id", METER, *more)  # fmt: skip


def settings_and_readings(board, windows):
    with BoardLink(board.port, timeout_s=60) as link:
        link.start_clean()
        settings = provision.read_settings(link)
        return settings, read_elements(link, windows)


@pytest.mark.campaign
def test_one_phase_by_the_adc():
    """The ADC errs as its datasheet has it, divider and transformer by up to a per cent."""
    machine = Machine(image("pico"))
    Wiring(machine.chip, clock_chip(START_MS))
    adc = OnChipAdc(True, 7)

    def put_on(volts, amperes, lag):
        load = steady("1P2W", volts, amperes, lag).scenario()
        machine.chip.sampled_adc.source = WaveSource(load, adc).code

    put_on(230.0, 10.0, 0.0)
    with DeskBoard(machine) as board:
        become_meter(board)
        report = ams("calibrate", "--port", board.port, "--voltage", 230, "--current", 10,
                     "--windows", 5)  # fmt: skip
        found, left = report["found"], report["left"]
        assert abs(found["voltage_ppm"]) + abs(found["current_ppm"]) > 2000
        for name in ("voltage_ppm", "current_ppm"):
            assert abs(left[name]) < 300 and abs(left[name]) < abs(found[name]) / 2, report
        # At another load it is right too, and it was not before.
        put_on(215.0, 20.0, 30.0)
        settings, (reading,) = settings_and_readings(board, 3)
    true_mw = 215 * 20 * 1000 * 0.8660254
    error = reading.active_power_mw / true_mw - 1
    gains = [1 + c.get("gain_ppb", 0) / 1e9 for c in settings["calibration"]["channels"]]
    nominal = provision.nominal_calibration("pico", "adc", "1P2W")["channels"]
    before = [1 + c.get("gain_ppb", 0) / 1e9 for c in nominal]
    error_before = (1 + error) * before[0] * before[1] / (gains[0] * gains[1]) - 1
    assert abs(error) < 0.005 and abs(error) < abs(error_before) / 2, (error, error_before)


@pytest.mark.campaign
def test_three_phases_by_the_metering_ic():
    machine = Machine(image("pico"))
    Wiring(machine.chip, clock_chip(START_MS))
    ic = SpiDevice(machine.chip, Atm90e32())
    ic.model.sensor_gain[2:4] = [1.013, 0.991]
    ic.model.sensor_lag_urad[1] = 4000
    GridTerminals(machine.chip, ic.model, steady("3P4W", 230.0, 10.0, 0.0).scenario())
    with DeskBoard(machine) as board:
        become_meter(board, "--system", "3P4W", "--front-end", "atm90e32")
        report = ams("calibrate", "--port", board.port, "--element", 2, "--voltage", 230,
                     "--current", 10, "--windows", 2)  # fmt: skip
    assert report["found"]["voltage_ppm"] == pytest.approx(13000, abs=100)
    assert report["found"]["current_ppm"] == pytest.approx(-9000, abs=150)
    assert report["found"]["phase_urad"] == pytest.approx(4000, abs=200)
    assert abs(report["left"]["voltage_ppm"]) < 100 and abs(report["left"]["current_ppm"]) < 150
    assert abs(report["left"]["phase_urad"]) < 200


@pytest.mark.campaign
def test_the_neutral_by_an_ads131m08():
    """Its transformer is off by some permille; the phases stay as they were."""
    machine = Machine(image("pico"))
    Wiring(machine.chip, clock_chip(START_MS))
    board_of = Ads131Board("3P4W", True, 2, neutral=True)
    case = steady("3P4W", 230.0, [10.0, 4.0, 2.0], 0.0)
    Converter(machine.chip, board_of, case.scenario())
    # What the phases leave: of 10 A, 4 A and 2 A a third of a turn apart.
    neutral_a = math.sqrt(52)
    with DeskBoard(machine) as board:
        become_meter(board, "--system", "3P4W", "--front-end", "ads131m08", "--neutral")
        report = ams("calibrate", "--port", board.port, "--neutral", "--current", neutral_a,
                     "--windows", 2)  # fmt: skip
        with BoardLink(board.port, timeout_s=60) as link:
            link.start_clean()
            channels = provision.read_settings(link)["calibration"]["channels"]
    nominal = provision.nominal_calibration("pico", "ads131m08", "3P4W", neutral=True)["channels"]
    true = board_of.calibration("3P4W")["channels"][6]["gain_ppb"] / 1e9
    off_ppm = 1e6 * ((1 + nominal[6]["gain_ppb"] / 1e9) / (1 + true) - 1)
    assert abs(off_ppm) > 1000
    assert report["found"]["current_ppm"] == pytest.approx(off_ppm, abs=150)
    assert abs(report["left"]["current_ppm"]) < 150
    assert channels[:6] == nominal[:6]
    assert channels[6]["gain_ppb"] / 1e9 == pytest.approx(true, abs=150e-6)

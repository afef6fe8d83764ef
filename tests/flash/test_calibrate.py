"""Calibration with the real metrology: on CPython, and on a board through its port."""

import json
import math
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from vmboard import VmBoard

from ams.metrology.calibration import Calibration
from ams.metrology.metrology import Metrology
from ams.metrology.quantities import Quantities
from openams.errors import BenchError
from openams.flashing import provision
from openams.flashing.calibrate import Load, Reading, correct, correct_neutral
from openams.flashing.link import BoardLink

ROOT = Path(__file__).parents[2]
AMS = Path(sys.executable).with_name("ams")
RECORD = {
    "sample_rate_hz": 4000, "full_scale": 8388607, "starting_power_mva": 700,
    "channels": [{"kind": "voltage", "lsb_pv": 100000000}, {"kind": "current", "lsb_pa": 40000000}],
}  # fmt: skip
NEUTRAL = {"kind": "current", "lsb_pa": 40000000, "gain_ppb": 2000000}
NEUTRAL_RECORD = RECORD | {"channels": RECORD["channels"] * 3 + [NEUTRAL]}
# The front end is off by so much: gain of both channels, and the current lags.
GAIN_U, GAIN_I, LAG_RAD = 1.013, 0.991, 0.004


def measured(record, load):
    shown = []
    meter = Metrology(Calibration("1P2W", record), Quantities("1P2W"), lambda *_: None)
    data = array("i")
    angle = math.radians(load.angle_deg) + LAG_RAD
    for n in range(4000):
        turn = 2 * math.pi * 50 * n / 4000
        data.append(round(GAIN_U * load.voltage_v * math.sqrt(2) * math.cos(turn) / 100e-6))
        data.append(round(GAIN_I * load.current_a * math.sqrt(2) * math.cos(turn - angle) / 40e-6))
    for _ in range(3):
        meter.feed(data, 4000)
        e = meter._elements[0]
        shown = [e.voltage_mv, e.current_ua, e.active_power_mw, e.reactive_power_mvar]
    return Reading(*shown)


@pytest.mark.parametrize("angle", [0.0, 60.0, -60.0, 180.0])
def test_errors_are_found_and_gone(angle):
    load = Load(230.0, 10.0, angle)
    record, found = correct(RECORD, 0, load, measured(RECORD, load))
    assert found.voltage_ppm == pytest.approx(13000, abs=30)
    assert found.current_ppm == pytest.approx(-9000, abs=30)
    assert found.phase_urad == pytest.approx(4000, abs=100)
    _, left = correct(record, 0, load, measured(record, load))
    assert max(map(abs, (left.voltage_ppm, left.current_ppm))) < 30
    assert abs(left.phase_urad) < 100
    # And at another load, since it was gain and phase that were learnt.
    other = Load(207.0, 1.0, 30.0)
    power = measured(record, other).active_power_mw / 1000
    assert power == pytest.approx(207 * math.cos(math.radians(30)), rel=3e-4)
    assert "gain_ppb" not in RECORD["channels"][0]


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        (Reading(230000, 100, 0, 0), "sees no load"),
        (Reading(330000, 10_000_000, 2_300_000, 0), "check load and wiring"),
        (Reading(230000, 10_000_000, -2_300_000, 0), "is it reversed"),
    ],
)
def test_wrong_wiring_is_not_calibrated_away(reading, says):
    with pytest.raises(BenchError, match=says):
        correct(RECORD, 0, Load(230.0, 10.0), reading)


@pytest.mark.parametrize(
    ("current_a", "shown_ua", "says"),
    [
        (0.0, 5e6, "above zero"),
        (5.0, 100.0, "go through its transformer"),
        (5.0, 7e6, r"the current of the neutral is off by \+40 %"),
    ],
)
def test_a_neutral_without_its_load_learns_nothing(current_a, shown_ua, says):
    with pytest.raises(BenchError, match=says):
        correct_neutral(NEUTRAL_RECORD, current_a, shown_ua)


def test_the_neutral_learns_its_gain_alone():
    record, found = correct_neutral(NEUTRAL_RECORD, 5.0, 4.9e6)
    assert found == pytest.approx(-20000, abs=1)
    assert record["channels"][:6] == NEUTRAL_RECORD["channels"][:6]
    gain = 1.002 / 0.98 - 1
    assert record["channels"][6] == NEUTRAL | {"gain_ppb": round(gain * 1e9)}
    assert correct_neutral(record, 5.0, 5e6)[1] == 0


BOARD = f"""
import sys
from array import array
sys.path.append({str(ROOT / "firmware")!r})
from ams.metrology import kernel

class FrontEnd:
    def __init__(self, channels):
        table = kernel.make_table()
        self.samples = array("i", bytes(4 * channels * 80))
        for n in range(80):
            for k in range(channels):
                gain = 43 if k & 1 or k == 6 else 400
                turn = n * 1024 // 80 - k // 2 % 3 * 341
                self.samples[channels * n + k] = table[turn & 1023] * gain
    def start(self):
        pass
    def read(self):
        return 80
    def taken(self, count):
        pass

class Board:
    def make_frontend(self, calibration, name=None):
        self.frontend = FrontEnd(calibration.channels)
"""
FLASH = f"""
import sys
sys.path.append({str(ROOT / "firmware")!r})
from ams.hal import Flash

class StateFlash(Flash):
    size = 65536
    def read(self, address, buffer):
        with open("state", "rb") as f:
            f.seek(address)
            f.readinto(buffer)
    def program(self, address, data):
        self._put(address, data)
    def erase(self, address):
        self._put(address, b"\\xff" * 4096)
    def _put(self, address, data):
        with open("state", "r+b") as f:
            f.seek(address)
            f.write(data)
"""


def put_board(folder):
    (folder / "board.py").write_text(BOARD)
    (folder / "flash.py").write_text(FLASH)
    (folder / "state").write_bytes(b"\xff" * 65536)
    return VmBoard(folder)


def calibrate(board, *arguments):
    return subprocess.run(
        [AMS, "calibrate", "--port", board.port, *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_board_learns_its_gains_and_keeps_them(tmp_path):
    with put_board(tmp_path) as board:
        with BoardLink(board.port) as link:
            provision.write_settings(
                link, provision.identity("7359992889800001", "1P2W", "adc", RECORD)
            )
        arguments = ["--voltage", "230", "--current", "10", "--windows", "5", "--json"]
        done = calibrate(board, *arguments)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        # Peak 8192 * 400 codes of 100 uV: 231.7 V; 8192 * 43 of 40 uA: 9.96 A.
        assert report["found"]["voltage_ppm"] == pytest.approx(7439, abs=50)
        assert report["found"]["current_ppm"] == pytest.approx(-3668, abs=50)
        assert abs(report["left"]["voltage_ppm"]) < 10 and abs(report["left"]["phase_urad"]) < 100
        with BoardLink(board.port) as link:
            kept = provision.read_settings(link)
    assert kept["calibration"]["channels"][0]["gain_ppb"] == pytest.approx(-7384000, abs=50000)
    assert kept["meter_id"] == "7359992889800001"


def test_a_board_learns_the_gain_of_its_neutral(tmp_path):
    with put_board(tmp_path) as board:
        with BoardLink(board.port) as link:
            settings = provision.identity("7359992889800001", "3P4W", "adc", NEUTRAL_RECORD)
            provision.write_settings(link, settings)
        done = calibrate(board, "--neutral", "--current", "10", "--windows", "5", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["neutral"] is True
        # Peak 8192 * 43 codes of 40 uA and 0.2 %: 9.983 A.
        assert report["found"] == {"current_ppm": pytest.approx(-1675, abs=50)}
        assert abs(report["left"]["current_ppm"]) < 10
        with BoardLink(board.port) as link:
            kept = provision.read_settings(link)["calibration"]["channels"]
    assert kept[:6] == NEUTRAL_RECORD["channels"][:6]
    assert kept[6]["gain_ppb"] == pytest.approx(3681000, abs=50000)


def test_a_neutral_that_is_not_sampled_is_one_line(tmp_path):
    with put_board(tmp_path) as board:
        with BoardLink(board.port) as link:
            provision.write_settings(
                link, provision.identity("7359992889800001", "1P2W", "adc", RECORD)
            )
        done = calibrate(board, "--neutral", "--current", "10")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("ams: ") and done.stderr.count("\n") == 1
        assert "ams flash --neutral" in done.stderr
        done = calibrate(board, "--neutral", "--current", "10", "--voltage", "230")
        assert done.returncode == 1 and "--neutral goes with --current alone" in done.stderr

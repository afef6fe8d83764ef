"""The ESP32 board's code on the emulated `machine`, `esp32` and `network`, on both Pythons."""

from __future__ import annotations

import re

import pytest
from boardrun import run_board

from tests.ports import free_port

PATHS = ("boards/esp32",)


@pytest.mark.parametrize("python", ["cpython", "micropython"])
def test_the_board_meters_serves_and_comes_back(python, tmp_path):
    out = run_board(python, "esp32_scenario.py", PATHS, tmp_path, free_port())
    seen = dict(re.findall(r"^([a-z ]+?) ((?:-?\d|[\[\]{(TF]).*)$", out, re.M))
    assert seen["resets"].startswith("1 start ")
    assert "calibration" not in seen["left in the file"]
    assert seen["left in the file"].endswith("{}"), "keys"
    assert seen["home"] == "[True, True, '127.0.0.1:1']"
    # By the radio, to a port where nobody listens.
    assert seen["home goes"] == "[True, True]"
    assert seen["tcp"] == "True True"
    # 6 kW for a minute: 360 kWs and 100 pulses, the last window still open.
    counted, pulses = re.match(r"(\d+) pulses (\d+)", seen["counted"]).groups()
    assert 3570 <= int(counted) <= 3600
    assert 97 <= int(pulses) <= 100
    assert seen["exported"].isdigit() and 560 <= int(seen["exported"]) <= 600
    assert seen["han"] == "(2400, 8, 0, 1) True True"
    assert seen["cover"] == "40"
    assert seen["watchdog"] == "8000 0"
    assert seen["again"].startswith("0 ")
    assert (seen["listens"], seen["listens again"]) == ("False", "True")
    assert "network: port" in out
    assert seen["exported while off"] == "True True"
    assert seen["bus"] == "(2400, 8, 0, 1) True"
    assert seen["modbus line"] == "(9600, 8, 0, 1)"
    assert (seen["modbus answer"], seen["modbus tcp"]) == ("True 9", "True")

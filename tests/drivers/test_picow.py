"""A Pico 2 W whose radio has a driver: what goes over a network, on both Pythons."""

from __future__ import annotations

import pytest
from boardrun import run_board

from tests.conftest import ROOT
from tests.ports import free_port


@pytest.mark.parametrize("python", ["cpython", "micropython"])
def test_the_radio_serves_and_costs_the_meter_nothing(python, tmp_path):
    ports = free_port(), free_port()
    words = (*ports, ROOT / "boards")
    out = run_board(python, "picow_scenario.py", ("boards/pico",), tmp_path, *words)
    seen = [tuple(line.split(" ", 1)) for line in out.splitlines()]
    told = dict(seen)
    # The converter's pin is the radio's, which has its supply.
    assert told["board"] == "pico2-w 1 None"
    assert told["open"] == "True True True"
    # 6 kW for a minute: 360 kWs.
    counted, pulses = told["counted"].split(" pulses ")
    assert 3570 <= int(counted) <= 3600 and 97 <= int(pulses) <= 100
    assert told["home"] == "True True"
    assert told["tcp"] == "True True" and told["busy"] == "True" and told["quiet"] == "True"
    assert told["modbus"] == "True"
    assert [rest for name, rest in seen if name == "faults"] == ["0 0", "0 0"]
    assert told["off"] == "[] True True"
    assert "wifi: not used: it is {ssid, password}, both texts" in out.splitlines()
    assert told["half"] == "a wifi True True"
    assert told["dead"] == "True None None" and "network: no radio: " in out
    assert told["tls"] == "a handshake would cost samples: TLS is with a metering IC"

"""The radio's driver, on both Pythons: its own network is never open, its certificate outlives."""

from __future__ import annotations

SCRIPT = """
import os
from wiring import board
board.networks = ("home",)
board.point = None
from drivers.radio import Radio
radio = Radio()
print(radio.joined(), radio.authority())
radio.join("elsewhere", "password of it")
print(radio.joined())
radio.join("home", "")
print(radio.joined())
radio.open_point("OpenAMS-0017", "a code of it")
print(sorted(board.point.items()), radio.point_address)
radio.close_point()
radio.close_point()
print(board.point, radio.joined())
radio.keep_authority(b"first")
radio.keep_authority(b"second")
print(radio.authority(), Radio().authority())
os.remove("broker-ca.pem")
"""


def test_it_joins_and_is_a_network_with_a_password(twin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert twin(SCRIPT).splitlines() == [
        "False b''",
        "False",
        "True",
        "[('authmode', 3), ('password', 'a code of it'), ('ssid', 'OpenAMS-0017')] 192.168.4.1",
        "None True",
        "b'second' b'second'",
    ]

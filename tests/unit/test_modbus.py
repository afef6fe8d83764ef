"""The Modbus slave of the firmware: registers, frames and connections, on both VMs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import modbus_vm
import pytest
import sunspec2
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.modbus import register_maps as rm
from ams.modbus.binary32 import float_bits
from ams.modbus.rtu import RtuLine, crc_plain
from ams.modbus.tcp_server import TcpServer
from openams.lines import modbusline
from tests.conftest import ROOT


@pytest.mark.parametrize("name", modbus_vm.CHECKS)
def test_on_cpython(name):
    getattr(modbus_vm, name)()


def test_on_the_vm(micropython):
    script = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests/unit')!r})\nimport modbus_vm\n"
    out = micropython(script + "modbus_vm.main()", heap_kib=512)
    assert out.split() == [str(len(modbus_vm.CHECKS)), "True"]


@given(st.integers(-(1 << 80), 1 << 80), st.integers(0, 9))
def test_floats_are_the_nearest(value, places):
    bits = float_bits(value, places)
    exact = Fraction(value, 10**places)

    def of(number):
        return Fraction(struct.unpack(">f", struct.pack(">I", number))[0])

    if not bits & 0x7FFFFFFF:
        assert value == 0
        return
    assert (bits >> 31 == 1) == (value < 0)
    error = abs(of(bits) - exact)
    for other in (bits - 1, bits + 1):
        distance = abs(of(other) - exact)
        assert error < distance or (error == distance and not bits & 1)


def test_the_crc_is_that_of_modbus():
    assert crc_plain(b"123456789", 0, 9) == 0x4B37


# --- against the models of the SunSpec Alliance ------------------------------------------

MODELS = Path(sunspec2.__file__).parent / "models" / "json"
FORMS = {
    rm.INT16: "int16",
    rm.ACC32: "acc32",
    rm.SUNSSF: "sunssf",
    rm.BITFIELD32: "bitfield32",
    rm.FLOAT32: "float32",
}
# Which of our scale factors a point's is; what is not there has any.
SCALES = {
    "A_SF": rm.SF_A, "V_SF": rm.SF_V, "Hz_SF": rm.SF_HZ, "W_SF": rm.SF_W, "VA_SF": rm.SF_W,
    "VAR_SF": rm.SF_W, "PF_SF": rm.SF_PF, "TotWh_SF": rm.SF_WH, "TotVAh_SF": rm.SF_NONE,
    "TotVArh_SF": rm.SF_WH,
}  # fmt: skip


@pytest.mark.parametrize("number", (201, 203, 204, 211, 213, 214))
def test_points_stand_where_the_alliance_has_them(number):
    points = json.loads((MODELS / f"model_{number}.json").read_text())["group"]["points"][2:]
    rows = rm.meter_float() if number > 210 else rm.meter_int()
    assert len(rows) == 3 * len(points)
    for at, point in enumerate(points):
        form = rows[3 * at + 2]
        assert FORMS[form & 0xF0] == point["type"], point["name"]
        scale = point["name"] if point["type"] == "sunssf" else point.get("sf")
        if scale:
            assert form & 0x0F == SCALES[scale], point["name"]


def test_the_common_model_is_as_long_as_the_alliance_has_it():
    points = json.loads((MODELS / "model_1.json").read_text())["group"]["points"][2:]
    assert sum(point["size"] for point in points) == rm.COMMON_LENGTH


def test_the_tables_of_the_page_are_those_of_the_code():
    tool = ROOT / "tools" / "modbus_tables.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_host_and_firmware_know_the_same_maps():
    from ams.modbus.served_maps import NAMES

    assert modbusline.MAPS == NAMES


# --- whatever comes ----------------------------------------------------------------------


@settings(max_examples=300)
@given(st.sampled_from((1, 2, 3)), st.binary(min_size=1, max_size=253))
def test_whatever_is_asked_is_answered_within_a_frame(unit, pdu):
    port = modbus_vm.make_port()
    answer = modbus_vm.ask(port.slave, unit, pdu)
    if answer[0] in (3, 4):
        assert answer[0] == pdu[0] and len(answer) == 2 + answer[1] <= 252
    else:
        assert answer[0] == pdu[0] | 0x80 and len(answer) == 2 and 1 <= answer[1] <= 3
    assert not port._meter.faults.taken


@settings(max_examples=100)
@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 30)), max_size=12))
def test_whatever_is_on_the_line_the_next_request_is_answered(pieces):
    wire = modbus_vm.Wire(poll_us=1000)
    for data, pause_ms in pieces:
        wire.uart.waiting += data
        wire.wait(1000 * pause_ms)
    wire.wait(30_000)
    wire.uart.said = b""
    wire.say(modbus_vm.REQUEST, 1000)
    assert wire.answer() == modbus_vm.ANSWER
    assert not wire.port._meter.faults.taken
    assert isinstance(wire.rtu, RtuLine)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40)), max_size=30))
def test_whatever_comes_by_tcp_a_new_client_is_answered(said):
    net = modbus_vm.Net()
    peers = {}
    for who, data in said:
        if who not in peers or peers[who].closed:
            peers[who] = net.join()
        net.ask(peers[who], data)
    assert net.ask(net.join(), modbus_vm.TCP_REQUEST) == modbus_vm.TCP_ANSWER
    assert not net.port._meter.faults.taken
    assert isinstance(net.server, TcpServer)

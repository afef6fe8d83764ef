"""pymodbus and pysunspec2 read what the meter measured, over TCP and RTU on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import math
import os
import random
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers import ams
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU, SunSpecModbusClientDeviceTCP

from openams.client.names import MODBUS_OPEN
from openams.errors import BenchError
from openams.grid.frontend import make_front_end
from openams.grid.scenario import Row
from openams.lines.modbusline import ModbusLine, is_modbus, parse_units
from openams.meter_time import parse_start, to_utc_ms
from openams.runtimes.process import MeterProcess

START_MS = to_utc_ms(parse_start("2026-01-15T12:00:00+01:00"))
UNITS = {"1": "sunspec", "2": "sdm630", "3": "sunspec-float"}
MODELS = {"1P2W": 201, "3P4W": 203, "3P3W": 204}

# What the grid does: import on all phases, then export over all, for an hour each.
_U = {"1P2W": (231400, 0, 0), "3P4W": (231400, 228700, 233100), "3P3W": (229100, 231200, 230300)}
_I = {"1P2W": (8123000, 0, 0), "3P4W": (8123000, 4567000, 17345000),
      "3P3W": (8123000, 9456000, 7345000)}  # fmt: skip
_P = {"1P2W": (1843200, 0, 0), "3P4W": (1843200, 1012300, 3912400), "3P3W": (1443200, 0, 1712400)}
_Q = {"1P2W": (212300, 0, 0), "3P4W": (212300, -112300, 312300), "3P3W": (212300, 0, 312300)}


def row(system: str, sign: int) -> Row:
    p = tuple(sign * value for value in _P[system])
    q = _Q[system]
    return Row(0, 3_600_000, _U[system], _I[system], p, q, sum(p), sum(q), 49_987)


class Running:
    """A meter in its process, with lines for masters; time passes as it is told."""

    def __init__(self, runtime, system, tmp_path, is_open=True, ways=None):
        self.system = system
        self.line = ModbusLine(ways or ["tcp:0", f"pty:{tmp_path / 'rs485'}"])
        self.port = int(self.line.urls[0].rsplit(":", 1)[1])
        self.tty = str(tmp_path / "rs485")
        self.process = MeterProcess(runtime, on_link=self._said)
        self.process.configure(
            {
                "system": system,
                "calibration": make_front_end("ideal", system, 1).calibration(system),
                "identity": {"meter_id": "7359990000000017", "meter_type": "OAMS"},
                "han": {"format": "kaifa"},
                "utc_ms": START_MS,
                "modbus": {"units": UNITS, "tcp": 0, "rtu": True},
                "modbus_open": is_open,
            }
        )
        self.process.answer_soon()
        self.line.attach(self.process.link)
        self.now_ms = START_MS

    def _said(self, channel, kind, data):
        assert is_modbus(channel)
        self.line.from_meter(channel, kind, data)

    def hold(self, sign, ms=3_600_000):
        self.process.hold(self.now_ms, ms, row(self.system, sign))
        self.now_ms += ms

    def figures(self):
        return self.process.view()

    @contextlib.contextmanager
    def beating(self):
        """The loop goes round while masters ask: what ends a frame on the line is a silence."""
        end = threading.Event()

        def beat():
            while not end.wait(0.005):
                self.process.tick(self.now_ms)

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def close(self):
        self.line.close()
        self.process.kill()


@contextlib.contextmanager
def running(*arguments, **more):
    meter = Running(*arguments, **more)
    try:
        yield meter
    finally:
        meter.close()


def sunspec_points(device):
    device.scan()
    numbers = [number for number in device.models if isinstance(number, int)]
    model = device.models[numbers[1]][0]
    model.read()
    common = device.common[0]
    device.close()
    return numbers, common, {name: point.cvalue for name, point in model.points.items()}


def close(shown, wanted, step):
    assert shown is not None and abs(shown - wanted) <= step / 2 + 1e-6 * abs(wanted), (
        shown,
        wanted,
    )


def check_points(points, system, sign, integers):
    """Against what the grid did, within the last digit that is shown."""
    u, i, p, q = _U[system], _I[system], _P[system], _Q[system]
    volt, amp = (0.1, 0.01) if integers else (0.001, 1e-6)
    watt = (1 if system == "1P2W" else 10) if integers else 0.001
    phases = 1 if system == "1P2W" else 3
    close(points["Hz"], 49.987, 0.01 if integers else 0.001)
    close(points["W"], sign * sum(p) / 1000, watt)
    close(points["VAR"], sum(q) / 1000, watt)
    close(points["A"], sum(i) / 1e6, amp)
    for k, phase in enumerate("ABC"):
        there = k < phases
        if there:
            close(points["Aph" + phase], i[k] / 1e6, amp)
        else:
            assert absent(points["Aph" + phase])
        if there and system != "3P3W":
            close(points["PhVph" + phase], u[k] / 1000, volt)
            close(points["Wph" + phase], sign * p[k] / 1000, watt)
            close(points["VARph" + phase], q[k] / 1000, watt)
        else:
            assert absent(points["PhVph" + phase]) and absent(points["Wph" + phase])
    if system == "3P3W":
        name = "PhVph" if integers else "PPVph"
        close(points[name + "AB"], u[0] / 1000, volt)
        close(points[name + "BC"], u[2] / 1000, volt)
        close(points[name + "CA"], u[1] / 1000, volt)


def absent(value):
    return value is None or math.isnan(value)


@pytest.mark.parametrize(
    ("runtime", "system"),
    [("micropython", "1P2W"), ("micropython", "3P3W"), ("micropython", "3P4W"),
     ("cpython", "3P4W")],
)  # fmt: skip
def test_masters_read_what_the_meter_measured(runtime, system, tmp_path):
    with running(runtime, system, tmp_path) as meter:
        for sign in (1, -1):
            meter.hold(sign)
            registers = meter.figures()["registers"]
            with meter.beating():
                tcp = SunSpecModbusClientDeviceTCP(
                    slave_id=1, ipaddr="127.0.0.1", ipport=meter.port, timeout=10
                )
                numbers, common, points = sunspec_points(tcp)
                assert numbers == [1, MODELS[system]]
                assert common.Mn.value == "OpenAMS" and common.SN.value == "7359990000000017"
                check_points(points, system, sign, integers=True)
                check_energies(points, registers, system, sign)
                rtu = SunSpecModbusClientDeviceRTU(
                    slave_id=3, name=meter.tty, baudrate=9600, timeout=10
                )
                numbers, _, points = sunspec_points(rtu)
                assert numbers == [1, MODELS[system] + 10]
                check_points(points, system, sign, integers=False)
                assert points["TotWhImp"] == pytest.approx(registers["a_plus_mwh"] / 1000, 1e-6)
                read_as_an_sdm630(meter, system, sign, registers)


def check_energies(points, registers, system, sign):
    """An hour of import, then one of export: the truth is the grid's, the register is exact."""
    hour_wh = sum(_P[system]) / 1000
    assert points["TotWhImp"] == registers["a_plus_mwh"] // 1000
    assert abs(points["TotWhImp"] - hour_wh) <= 1
    exported = points["TotWhExp"]
    if sign > 0:
        assert exported is None  # 0 says "not there" too
    else:
        assert exported == registers["a_minus_mwh"] // 1000 and abs(exported - hour_wh) <= 1
    # Reactive energy stays imported: quadrant I with the import, II with the export.
    assert points["TotVArhImpQ1"] == registers["r_q1_mvarh"] // 1000
    if sign < 0:
        assert points["TotVArhImpQ2"] == registers["r_q2_mvarh"] // 1000 > 0


def read_as_an_sdm630(meter, system, sign, registers):
    tcp = ModbusTcpClient("127.0.0.1", port=meter.port, timeout=10)
    rtu = ModbusSerialClient(meter.tty, baudrate=9600, timeout=10)
    seen = []
    for client in (tcp, rtu):
        assert client.connect()
        read = client.read_input_registers(0, count=88, device_id=2)
        assert not read.isError(), read
        floats = [
            client.convert_from_registers(read.registers[k : k + 2], client.DATATYPE.FLOAT32)
            for k in range(0, 88, 2)
        ]
        kind = client.read_holding_registers(10, count=2, device_id=2).registers
        client.close()
        seen.append(floats)
        assert kind == [0x3F80 if system == "1P2W" else 0x4000 if system == "3P3W" else 0x4040, 0]
    assert seen[0] == seen[1]
    values = seen[0]
    p = sum(_P[system]) / 1000
    assert values[0x34 // 2] == pytest.approx(sign * p, 1e-6)
    assert values[0x46 // 2] == pytest.approx(49.987, 1e-6)
    assert values[0x48 // 2] == pytest.approx(registers["a_plus_mwh"] / 1e6, 1e-6)
    assert values[0x4A // 2] == pytest.approx(registers["a_minus_mwh"] / 1e6, 1e-6)
    assert values[3] == pytest.approx(_I[system][0] / 1e6, 1e-6)
    if system != "3P3W":
        assert values[:3] == pytest.approx([u / 1000 for u in _U[system]], 1e-6)
        assert values[6:9] == pytest.approx([sign * w / 1000 for w in _P[system]], 1e-6)


def test_what_is_no_reading_is_an_exception_or_nothing_and_a_closed_port_is_closed(tmp_path):
    with running("micropython", "3P4W", tmp_path) as meter, meter.beating():
        tcp = ModbusTcpClient("127.0.0.1", port=meter.port, timeout=5)
        assert tcp.connect()
        assert tcp.write_register(0, 1, device_id=2).exception_code == 1
        assert tcp.write_registers(40000, [1, 2], device_id=1).exception_code == 1
        assert tcp.read_coils(0, count=1, device_id=1).exception_code == 1
        assert tcp.read_holding_registers(39990, count=20, device_id=1).exception_code == 2
        assert tcp.read_input_registers(400, count=2, device_id=2).exception_code == 2
        assert tcp.read_holding_registers(40000, count=2, device_id=77).exception_code == 11
        tcp.close()
        rtu = ModbusSerialClient(meter.tty, baudrate=9600, timeout=0.4, retries=0)
        assert rtu.connect()
        with pytest.raises(ModbusIOException):
            rtu.read_holding_registers(40000, count=2, device_id=77)
        assert rtu.write_register(0, 1, device_id=2).exception_code == 1
        rtu.close()
    with running("micropython", "3P4W", tmp_path, is_open=False) as meter, meter.beating():
        with socket.create_connection(("127.0.0.1", meter.port)) as raw:
            raw.settimeout(10)
            with contextlib.suppress(ConnectionError):
                raw.sendall(b"\0\1\0\0\0\6\1\3\x9c\x40\0\2")
                assert raw.recv(100) == b""
        rtu = ModbusSerialClient(meter.tty, baudrate=9600, timeout=0.4, retries=0)
        assert rtu.connect()
        with pytest.raises(ModbusIOException):
            rtu.read_holding_registers(40000, count=2, device_id=1)
        rtu.close()


def test_noise_and_floods_cost_the_meter_nothing(tmp_path):
    """Octets without sense on line and network; then a new master is answered, and it has counted
    all the while."""
    rng = random.Random(7)
    with running("micropython", "3P4W", tmp_path) as meter, meter.beating():
        before = meter.figures()
        line = os.open(meter.tty, os.O_RDWR | os.O_NOCTTY)
        peers = []
        for _ in range(40):
            os.write(line, rng.randbytes(rng.randrange(1, 300)))
            peer = socket.create_connection(("127.0.0.1", meter.port))
            with contextlib.suppress(OSError):
                peer.sendall(rng.randbytes(rng.randrange(1, 600)))
            peers.append(peer)
        for peer in peers:
            peer.close()
        meter.hold(1)
        time.sleep(0.3)
        os.close(line)
        tcp = ModbusTcpClient("127.0.0.1", port=meter.port, timeout=10)
        assert tcp.connect()
        assert tcp.read_input_registers(0, count=2, device_id=2).registers != [0, 0]
        tcp.close()
        after = meter.figures()
        counted = after["registers"]["a_plus_mwh"] - before["registers"]["a_plus_mwh"]
        assert abs(counted - sum(_P["3P4W"])) <= 1000
        assert meter.process.restarts == 0


def test_the_operator_opens_it_and_ams_says_where_it_is(tmp_path):
    """`ams run --modbus`: the meter's own operator opens the port, and the way is printed."""
    environment = dict(
        os.environ,
        OPENAMS_KEYSTORE=str(tmp_path / "keys"),
        OPENAMS_KEYSTORE_PASSPHRASE="of a test",
        XDG_DATA_HOME=str(tmp_path),
    )
    command = [sys.executable, "-m", "openams", "run", "--system", "1P2W", "--runtime", "cpython"]
    command += ["--modbus", "tcp:0", "--modbus-map", "5=sunspec", "--state", str(tmp_path / "s")]
    process = subprocess.Popen(
        [*command, "--duration", "60"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = ""
        while not url:
            line = process.stdout.readline()
            assert line, "it ended"
            if line.startswith("Modbus: tcp://127.0.0.1:"):
                url = line.strip()
        port = int(url.rsplit(":", 1)[1])
        tcp = ModbusTcpClient("127.0.0.1", port=port, timeout=10)
        assert tcp.connect()
        registers = tcp.read_holding_registers(40000, count=2, device_id=5).registers
        assert registers == [0x5375, 0x6E53]
        tcp.close()
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert MODBUS_OPEN == "0.0.128.8.0.255"


@pytest.mark.parametrize(
    "ways",
    [["udp:1"], ["tcp:x"], ["tcp:70000"], ["tcp:0", "tcp:0"], ["pty:/no/such/folder/x"]],
    ids=" ".join,
)
def test_a_way_that_cannot_be_is_said_in_one_line(ways):
    with pytest.raises(BenchError) as error:
        ModbusLine(ways)
    assert "--modbus" in str(error.value) and "\n" not in str(error.value)


def test_a_map_or_runtime_that_cannot_be_is_said_in_one_line():
    assert parse_units([]) == {"1": "sunspec", "2": "sdm630"}
    for pair in ("0=sunspec", "248=sunspec", "1=em24", "sunspec", "1"):
        with pytest.raises(BenchError, match="--modbus-map"):
            parse_units([pair])
    done = ams("run", "--modbus", "tcp:0", "--runtime", "rp2040", "--duration", 1, ok=False)
    assert done.returncode != 0
    assert [line[:13] for line in done.stderr.strip().splitlines()] == ["ams: --modbus"]

"""Clients of others read a running meter at its optical port: iec62056-21, smartmeter-obis, and
the parser of smartmeter-datacollector. Each value is the meter's, as DLMS gives it."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dlms_clients import METER, running_meter
from helpers import ams
from history import END, power_mw
from iec62056_21.client import Iec6205621Client
from iec62056_21.messages import CommandMessage, DataSet
from readout_clients import bridged, node_modules
from smartmeter_datacollector.smartmeter.siemens_td3511 import SiemensParser

from openams.meter_time import NORWAY

# The list and the runtime of each meter.
METERS = (
    ("landis", "micropython"), ("emh", "cpython"), ("abb", "micropython"), ("siemens", "cpython"),
)  # fmt: skip
# A load that stays: 1725 W and 863 var on three phases.
LOAD = (
    "time,active_import_W,reactive_import_var,voltage_l1_V,voltage_l2_V,voltage_l3_V,"
    "current_l1_A,current_l2_A,current_l3_A\n"
    "2026-01-01T00:00:00Z,1725,863,230,230,230,2.795,2.795,2.795\n"
    "2026-01-01T01:00:00Z,1725,863,230,230,230,2.795,2.795,2.795\n"
)
_KILO = {"1.8": "1.0.1.8.0.255", "2.8": "1.0.2.8.0.255", "3.8": "1.0.3.8.0.255",
         "4.8": "1.0.4.8.0.255"}  # fmt: skip
_NOW = {"1.7": 1.725, "2.7": 0, "3.7": 0.863, "4.7": 0, "14.7": 50, "32.7": 230, "52.7": 230,
        "72.7": 230, "31.7": 2.795, "51.7": 2.795, "71.7": 2.795, "81.7.4": 26.6, "81.7.15": 26.6,
        "81.7.26": 26.6}  # fmt: skip


@pytest.fixture(scope="module", params=METERS, ids=lambda pair: pair[0])
def meter(request, past, tmp_path_factory):
    listing, runtime = request.param
    folder = tmp_path_factory.mktemp(listing)
    shutil.copytree(past[0], folder / "state")
    scenario = folder / "load.csv"
    scenario.write_text(LOAD)
    with running_meter(
        folder,
        *["--scenario", scenario, "--state", folder / "state"],
        *["--start", (END + timedelta(seconds=5)).isoformat()],
        *["--readout", "profiles", "--readout-list", listing],
        runtime=runtime,
    ) as running:
        running.listing = listing
        yield running
        summary = running.stop()
        # Whatever the clients did, nothing went unmeasured.
        assert not summary["missed"]["samples"] and not summary["missed"]["samples_late"]


@pytest.fixture
def client(meter):
    with bridged(Path(meter.service)) as port:
        client = Iec6205621Client.with_tcp_transport(("127.0.0.1", port), device_address=METER)
        client.connect()
        yield client
        client.send_break()
        client.disconnect()


def registers(meter):
    """kWh and kvarh by C.8, as the reader gets them by DLMS."""
    shown = json.loads(ams("read", meter.urls[0], *_KILO.values(), "--json").stdout)
    return {code: entry["value"] / 1e3 for code, entry in zip(_KILO, shown, strict=True)}


def check(read, before, after):
    """{code: number} of a readout: registers between those before and after, cut to the decimals
    that are shown; what is measured as it is."""
    checked = 0
    for code, number in read.items():
        c, d, *rate = code.split(".")
        if (c, d) in (("0", "9"), ("0", "0"), ("0", "2")):
            continue
        if d == "8":
            if rate == ["2"]:
                assert number == 0
                continue
            low, high = before[f"{c}.8"], after[f"{c}.8"]
            assert low - 0.1 < number <= high, (code, low, number, high)
        else:
            name = code if code in _NOW else f"{c}.{d}"
            assert number == pytest.approx(_NOW[name], rel=0.004, abs=0.002), code
        checked += 1
    return checked


def numbers(data_sets):
    return {each.address: float(each.value) for each in data_sets if each.unit}


def test_iec62056_21_reads_the_list(meter, client):
    before = registers(meter)
    answer = client.standard_readout()
    assert client.manufacturer_id == "OAM" and client.switchover_baudrate == 9600
    read = {each.address: each.value for each in answer.data}
    assert read["0.0.0"] == METER
    assert check(numbers(answer.data), before, registers(meter)) >= 4
    if meter.listing != "siemens":
        assert read["F.F"] == "00000000"
    clock = {
        "landis": "%y-%m-%d %H:%M:%S", "siemens": "%y-%m-%d %H:%M:%S", "abb": "%y%m%d %H%M%S",
        "emh": "0%y%m%d 0%H%M%S",
    }[meter.listing]  # fmt: skip
    shown = datetime.strptime(f"{read['0.9.2']} {read['0.9.1']}", clock).replace(tzinfo=NORWAY)
    assert timedelta() < shown - END < timedelta(minutes=10)


def test_iec62056_21_programs_nothing_and_reads_values_profile_and_log(meter, client):
    challenge = client.access_programming_mode()
    assert (challenge.command, challenge.command_type) == ("P", 0)
    code = "1.8.1"
    first = client.read_single_value(code)
    assert first.unit == "kWh" and float(first.value) == pytest.approx(
        registers(meter)["1.8"], abs=0.2
    )
    assert client.read_single_value("9.9.9").value == "ERROR"
    # A day of quarters: R5 and, in blocks that it puts together, R6.
    day = END - timedelta(days=3)
    span = f"{day + timedelta(minutes=15):0%y%m%d%H%M};{day + timedelta(days=1):0%y%m%d%H%M}"
    whole = ask(client, 5, "P.01", span)
    assert ask(client, 6, "P.01", span) == whole
    rows = [line for line in whole if line[0][0] is None]
    assert [value for _, value in whole[0]][:3] == [
        f"{day + timedelta(minutes=15):0%y%m%d%H%M%S}", "00000000", "15",
    ]  # fmt: skip
    assert len(rows) == 96
    quarter = 8640 - 3 * 96
    for k, row in enumerate(rows):
        mw = power_mw(quarter + k)
        wanted = [max(mw, 0) / 4e6, max(-mw, 0) / 4e6]
        assert [float(value) for _, value in row][:2] == pytest.approx(wanted, abs=2e-6)
    log = ask(client, 5, "P.98", "")
    assert log[-1][0][0] == "P.98" and {line[0][0] for line in log} == {"P.98"}
    # A password is refused; nothing is written.
    password = CommandMessage("P", 1, DataSet(address="", value="00000000"))
    client.transport.send(password.to_bytes())  # its own send_password() ends in a TypeError
    assert [each.value for each in client.read_response().data] == ["ER06"]
    client.transport.send(CommandMessage.for_single_write("1.8.0", "0").to_bytes())
    assert [each.value for each in client.read_response().data] == ["ER06"]


def ask(client, number, address, argument):
    """Lines of an answer: [(address or None, value), ...] of each."""
    request = CommandMessage("R", number, DataSet(address=address, value=argument))
    client.transport.send(request.to_bytes())
    lines = client.read_response().data_block.data_lines
    return [
        [(each.address, each.value) for each in line.data_sets] for line in lines if line.data_sets
    ]


def test_smartmeter_obis_reads_the_list(meter):
    before = registers(meter)
    script = Path(__file__).with_name("smartmeter_obis.js")
    with bridged(Path(meter.service)) as port:
        done = subprocess.run(
            ["node", script, node_modules(), str(port), METER],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["error"] is None and answer["rates"] == [300, 300, 9600]
    read = {}
    for name, values in answer["values"].items():
        value, unit = values[0]
        if unit:
            read[name.rpartition(":")[2]] = value
    assert check(read, before, registers(meter)) >= 4


def test_smartmeter_datacollector_reads_the_groups_of_siemens(meter, client):
    if meter.listing != "siemens":
        return
    before = registers(meter)
    client.access_programming_mode()
    parser = SiemensParser()
    for group in ("F001", "F009"):
        data = b"R2\x02" + group.encode() + b"\x03"
        check_octet = 0
        for octet in data:
            check_octet ^= octet
        # As its reader sends them.
        client.transport.send(b"\x01" + data + bytes((check_octet,)) + b"\r\n")
        text = client.transport.read()[1:-2]
        for line in text.splitlines(keepends=True):
            parser.append_to_buffer(line)
    bundle = parser.parse_data_objects()
    after = registers(meter)
    assert bundle.source == METER
    angle = 180 / 3.141592653589793
    read = {}
    for point in bundle.data_points:
        code = str(point.obis).partition(":")[2].partition("*")[0]
        c, d, _ = code.split(".")
        scale = 1000 if d == "8" or int(c) < 10 else 1 / angle if c == "81" else 1
        read[code] = point.value / scale
    assert check(read, before, after) == 20

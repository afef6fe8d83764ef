"""Clients that are not ours against a running meter: gurux-dlms and dlms-cosem.

Over TCP and over HDLC on a pseudo-terminal, with HLS-GMAC and ciphering.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from datetime import datetime, timedelta

import pytest
import serial
from dlms_clients import (
    CLOCK,
    LOAD,
    METER,
    Gurux,
    attribute,
    dlms_cosem,
    read_all_by_dlms_cosem,
    running_meter,
)
from dlms_cosem import utils
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.protocol.xdlms import GeneralGlobalCipher
from dlms_cosem.time import datetime_to_bytes
from gurux_dlms import GXDateTime, GXDLMSException
from gurux_dlms.enums import DataType
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSProfileGeneric, GXDLMSRegister
from helpers import ams, amshan_frames
from history import END, ENTRIES, START

from openams.client.data import parse_date_time
from openams.client.hdlc import Deframer
from openams.client.names import HAN_OPEN

RUNTIMES = ("cpython", "micropython")


@pytest.fixture(scope="module", params=RUNTIMES)
def meter(request, past, tmp_path_factory):
    """A meter with 90 days of quarter hours behind it, which goes on in real time."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(past[0], folder / "state")
    with running_meter(
        folder,
        *["--state", folder / "state", "--start", (END + timedelta(seconds=5)).isoformat()],
        runtime=request.param,
    ) as running:
        yield running
        summary = running.stop()
        # Whatever the clients did, nothing went unmeasured.
        assert not summary["missed"]["samples"] and not summary["missed"]["samples_late"]


LINKS = ("tcp", "hdlc")


@pytest.mark.parametrize("link", LINKS)
def test_gurux_reads_every_attribute_that_it_may(meter, link):
    with Gurux(meter, "reader", link) as client:
        objects, read = client.read_all()
    assert objects > 100 and read > 3 * objects


@pytest.mark.parametrize("link", LINKS)
def test_gurux_reads_a_known_register_and_its_unit(meter, link):
    with Gurux(meter, "reader", link) as client:
        energy = GXDLMSRegister("1.0.1.8.0.255")
        client.read(energy, 3)
        assert (energy.scaler, int(energy.unit)) == (0.001, 30)
        client.read(energy, 2)
        assert energy.value > 0
        voltage = GXDLMSRegister("1.0.32.7.0.255")
        client.read(voltage, 3)
        client.read(voltage, 2)
        assert 200 < voltage.value < 260


@pytest.mark.parametrize(("link", "how"), [("tcp", "range"), ("hdlc", "entry")])
def test_gurux_reads_90_days_by_range_and_by_entry(meter, past, link, how):
    """The whole one way, a day the other: on each link."""
    with Gurux(meter, "reader", link) as client:
        if how == "range":
            rows = client.rows_by_range(LOAD, START, END)
        else:
            rows = client.rows_by_entry(LOAD, 1, ENTRIES)
        assert len(rows) == ENTRIES
        day = client.rows_by_range(LOAD, START + timedelta(days=1), START + timedelta(days=2))
        assert day == rows[95:192]
        assert client.rows_by_entry(LOAD, 96, 97) == day
        assert client.rows_by_entry(LOAD, 5, 3) == rows[4:7]
    # Time, status, A+ A- R+ R-: their sums are the registers, exactly.
    registers = past[1]
    assert sum(row[2] for row in rows) == registers["a_plus_mwh"]
    assert sum(row[3] for row in rows) == registers["a_minus_mwh"]
    assert registers["a_plus_mwh"] > 1e9 and registers["a_minus_mwh"] > 1e8


@pytest.mark.parametrize("link", LINKS)
def test_gurux_sets_clock_and_capture_period(meter, link):
    with Gurux(meter, "operator", link) as client:
        clock = GXDLMSClock(CLOCK)
        before = client.read(clock, 2).value
        wanted = before + timedelta(seconds=30)
        clock.time = GXDateTime(wanted)
        client.write(clock, 2)
        after = client.read(clock, 2).value
        assert timedelta() <= after - wanted < timedelta(seconds=20)
        for period_s in (3600, 900):
            profile = GXDLMSProfileGeneric(LOAD)
            profile.capturePeriod = period_s
            client.write(profile, 4)
            assert client.read(profile, 4) == period_s


def test_a_reader_changes_nothing(meter):
    with Gurux(meter, "reader", "tcp") as client:
        profile = GXDLMSProfileGeneric(LOAD)
        profile.capturePeriod = 3600
        with pytest.raises(GXDLMSException, match="(?i)denied"):
            client.write(profile, 4)
        # The association goes on.
        assert client.read(GXDLMSProfileGeneric(LOAD), 4) == 900


@pytest.mark.parametrize("link", LINKS)
def test_dlms_cosem_reads_every_attribute_that_it_may(meter, link):
    with dlms_cosem(meter, "reader", link) as client:
        objects, read = read_all_by_dlms_cosem(client)
    assert objects > 100 and read > 3 * objects


@pytest.mark.parametrize("link", LINKS)
def test_dlms_cosem_reads_90_days_by_range(meter, past, link):
    with dlms_cosem(meter, "reader", link) as client:
        data = client.get(
            attribute(7, LOAD, 2),
            RangeDescriptor(CaptureObject(attribute(8, CLOCK, 2)), START, END),
        )
    rows = utils.parse_as_dlms_data(data)
    assert len(rows) == ENTRIES
    times = [parse_date_time(bytes(row[0])) for row in rows]
    assert (times[0], times[-1]) == (START + timedelta(minutes=15), END)
    assert {b - a for a, b in zip(times, times[1:], strict=False)} == {timedelta(minutes=15)}
    assert sum(row[2] for row in rows) == past[1]["a_plus_mwh"]


@pytest.mark.parametrize("link", LINKS)
def test_dlms_cosem_sets_clock_and_period_and_opens_the_han_port(meter, link):
    with dlms_cosem(meter, "operator", link) as client:
        # Steps are few, four at once: the fourth here is the command line's.
        if link == "tcp":
            before = client.get(attribute(8, CLOCK, 2))
            wanted = parse_date_time(bytes(before[2:])) + timedelta(seconds=30)
            value = b"\x09\x0c" + datetime_to_bytes(wanted)
            assert int(client.set(attribute(8, CLOCK, 2), value).result) == 0
            after = parse_date_time(bytes(client.get(attribute(8, CLOCK, 2))[2:]))
            assert timedelta() <= after - wanted < timedelta(seconds=20)
        for value in (b"\x03\x01", b"\x03\x00"):
            assert int(client.set(attribute(1, HAN_OPEN, 2), value).result) == 0
            assert client.get(attribute(1, HAN_OPEN, 2)) == value
        for period_s in (3600, 900):
            answer = client.set(attribute(7, LOAD, 4), b"\x06" + period_s.to_bytes(4, "big"))
            assert int(answer.result) == 0
            assert client.get(attribute(7, LOAD, 4)) == b"\x06" + period_s.to_bytes(4, "big")


def test_the_public_client_sees_who_it_is_and_no_more(meter):
    with Gurux(meter, "public", "tcp") as client:
        names = {thing.logicalName for thing in client.objects()}
        assert "0.0.42.0.0.255" in names and not any(name.startswith("1.0") for name in names)
        name = client.read(GXDLMSData("0.0.42.0.0.255"), 2)
        assert bytes(name)[:3] == b"OAM"
        with pytest.raises(GXDLMSException):
            client.read(GXDLMSRegister("1.0.1.8.0.255"), 2)


# --- our own command line, the same way ---------------------------------------------------


@pytest.mark.parametrize("place", [0, 1], ids=LINKS)
def test_the_command_line_reads_what_the_others_read(meter, place):
    url = meter.urls[place]
    values = json.loads(ams("read", url, "--json").stdout)
    assert len(values) > 100 and not any("error" in value for value in values)
    one = json.loads(ams("read", url, "1-0:32.7.0", "--json").stdout)
    assert 200 < one[0]["value"] < 260 and one[0]["unit"] == "V"
    end = START + timedelta(days=2)
    limits = ["--from", (START + timedelta(days=1)).isoformat(), "--to", end.isoformat()]
    by_range = json.loads(ams("profile", url, *limits, "--json").stdout)
    assert len(by_range) == 97 and by_range[5]["a_plus_mwh"] > 0
    by_entry = json.loads(ams("profile", url, "--entries", "96:192", "--json").stdout)
    assert by_entry == by_range
    events = json.loads(ams("events", url, "--json").stdout)
    assert {"power-up", "power-down"} <= {event["name"] for event in events}
    assert events == sorted(events, key=lambda event: datetime.fromisoformat(event["time"]))


def test_the_command_line_sets_what_an_operator_may(meter):
    url = meter.urls[0]
    moved = json.loads(ams("clock", url, "set", "2026-01-30T12:00:00+01:00", "--json").stdout)
    assert moved["time"].startswith("2026-01-30T12:00:0")
    assert "15 min" in ams("interval", url, "15").stdout
    names = [event["name"] for event in json.loads(ams("events", url, "--json").stdout)]
    assert "clock-adjusted-new" in names


def test_wrong_keys_are_refused_in_one_line(meter, tmp_path):
    other = tmp_path / "keystore"
    environment = dict(os.environ)
    os.environ["OPENAMS_KEYSTORE_PASSPHRASE"] = "other"
    try:
        ams("keys", "new", METER, "--keystore", other)
        done = ams("read", meter.urls[0], "1.0.1.8.0", "--keystore", other, ok=False)
    finally:
        os.environ.clear()
        os.environ.update(environment)
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_replayed_counters_are_refused(meter):
    keys = meter.keys("reader")
    with contextlib.ExitStack() as stack:
        first = Gurux(meter, "reader", "tcp")
        first.client.ciphering.invocationCounter = keys["next_counter"]
        stack.enter_context(first)
    again = Gurux(meter, "reader", "tcp")
    again.client.ciphering.invocationCounter = keys["next_counter"]
    with pytest.raises(Exception, match=r"(?i)invocation|reject|refus"), again:
        pass


# --- the HAN port -----------------------------------------------------------------------


def test_lists_go_out_in_time_while_90_days_are_read(past, tmp_path):
    shutil.copytree(past[0], tmp_path / "state")
    link = tmp_path / "han"
    with running_meter(
        tmp_path,
        *["--state", tmp_path / "state", "--start", (END + timedelta(seconds=50)).isoformat()],
        *["--han", link],
    ) as meter:
        with Gurux(meter, "operator", "tcp") as client:
            port = GXDLMSData(HAN_OPEN)
            port.value = True
            port.setDataType(2, DataType.BOOLEAN)
            client.write(port, 2)
        with serial.Serial(str(link), 2400, timeout=0) as line:
            octets = b""
            with Gurux(meter, "reader", "hdlc") as client:
                while len(amshan_frames(octets)) < 3:
                    assert len(client.rows_by_entry(LOAD, 1, ENTRIES)) == ENTRIES
                    octets += line.read(100_000)
        summary = meter.stop()
    times = [frame["meter_datetime"] for frame in amshan_frames(octets)]
    assert len(times) > 2
    assert {(b - a).total_seconds() for a, b in zip(times, times[1:], strict=False)} == {2.0}
    assert summary["missed"] == {"samples": 0, "samples_late": 0, "lists": 0}
    assert summary["han"]["late_max_ms"] < 100
    assert "han-opened" in [event["name"] for event in summary["events"]]


def test_the_port_stays_as_the_operator_left_it_and_gets_other_keys(tmp_path):
    link, key_file, state = tmp_path / "han", tmp_path / "keys", tmp_path / "state"
    arguments = ["--state", state, "--han", link, "--start", "2026-01-15T12:00:00+01:00"]
    with running_meter(tmp_path, *arguments) as meter:
        url = meter.urls[0]
        assert not json.loads(ams("han-port", url, "--json").stdout)["open"]
        ams("han-port", url, "open")
        ams("han-port", url, "encrypt", "on")
        plain = read_lists(link)
        assert not amshan_frames(plain)
        ams("keys", "han", METER, key_file)
        assert {apdu[0] for apdu in opened_lists(plain, key_file)} == {0x0F}
        before = key_file.read_text()
        ams("han-port", url, "rekey")
        ams("keys", "han", METER, key_file)
        assert json.loads(key_file.read_text())["keys"][1] == json.loads(before)["keys"][0]
        done = ams("han", "watch", link, "--keys", key_file, "--count", "2", "--timeout", "20")
        assert done.stdout.count("kaifa list") == 2
        meter.stop()
    with running_meter(tmp_path, *arguments[:4], "--start", "2026-01-15T13:00:00+01:00") as meter:
        status = json.loads(ams("han-port", meter.urls[0], "--json").stdout)
        assert status["open"] and status["encrypted"]
        done = ams("han", "watch", link, "--keys", key_file, "--count", "2", "--timeout", "20")
        assert done.stdout.count("kaifa list") == 2
        closed = ams("han-port", meter.urls[0], "close", "--json")
        assert not json.loads(closed.stdout)["open"]
        events = json.loads(ams("events", meter.urls[0], "--json").stdout)
        names = [event["name"] for event in events]
        assert "han-opened" in names and names.count("keys-changed") == 2
        assert names[-1] == "han-closed"


def read_lists(link):
    with serial.Serial(str(link), 2400, timeout=9) as line:
        return line.read(300)


def opened_lists(octets, key_file):
    """The plain APDUs of the encrypted lists, as dlms-cosem opens them."""
    pair = json.loads(key_file.read_text())["keys"][0]
    out = []
    for body in Deframer().feed(octets):
        apdu = body[body.index(b"\xe6\xe7\x00") + 3 : -2]
        ciphered = GeneralGlobalCipher.from_bytes(apdu)
        plain = ciphered.to_plain_apdu(
            bytes.fromhex(pair["encryption"]), bytes.fromhex(pair["authentication"])
        )
        out.append(plain)
    assert out
    return out

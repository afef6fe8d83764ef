"""Clients that are not ours against a running meter: gurux-dlms and dlms-cosem.

Over TCP and over HDLC on a pseudo-terminal, with HLS-GMAC and ciphering.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from dlms_clients import METER, Gurux, attribute, dlms_cosem, running_meter
from dlms_cosem import utils
from dlms_cosem.client import DataResultError
from gurux_dlms import GXDateTime, GXDLMSException
from gurux_dlms.enums import DataType, ObjectType
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSProfileGeneric, GXDLMSRegister
from helpers import ams

from openams.client.data import parse_date_time

RUNTIMES = ("cpython", "micropython")
LOAD = "1.0.99.1.0.255"
CLOCK = "0.0.1.0.0.255"
START = datetime(2026, 1, 10, tzinfo=UTC)
DAYS = 2


@pytest.fixture(scope="module", params=RUNTIMES)
def meter(request, tmp_path_factory):
    """A meter with two days of quarter hours behind it, which goes on in real time."""
    folder = tmp_path_factory.mktemp(request.param)
    state = folder / "state"
    ams(
        *["run", "--scenario", "house", "--runtime", request.param, "--speed", "max"],
        *["--capture-period", "15", "--duration", str(DAYS * 86400), "--state", state],
        *["--start", START.isoformat()],
    )
    resume = (START + timedelta(days=DAYS, seconds=5)).isoformat()
    with running_meter(
        folder, "--state", state, "--start", resume, "--han-open", runtime=request.param
    ) as running:
        running.folder = folder
        yield running
        summary = running.stop()
        # Whatever the clients did, nothing went unmeasured.
        assert not summary["missed"]["samples"] and not summary["missed"]["samples_late"]


LINKS = ("tcp", "hdlc")


@pytest.mark.parametrize("link", LINKS)
def test_gurux_reads_every_attribute_that_it_may(meter, link):
    read, refused = 0, []
    with Gurux(meter, "reader", link) as client:
        things = client.objects()
        for thing in things:
            for number in thing.getAttributeIndexToRead(True):
                if thing.objectType == ObjectType.PROFILE_GENERIC and number == 2:
                    continue  # read by range and entry below
                if not int(thing.getAccess(number)) & 1:
                    continue
                try:
                    client.read(thing, number)
                    read += 1
                except GXDLMSException as error:
                    refused.append((thing.logicalName, number, str(error)))
    assert not refused
    assert len(things) > 100 and read > 3 * len(things)


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


@pytest.mark.parametrize("link", LINKS)
def test_gurux_reads_the_load_profile_by_range_and_by_entry(meter, link):
    with Gurux(meter, "reader", link) as client:
        day = client.rows_by_range(
            LOAD, START + timedelta(days=1), START + timedelta(days=2) - timedelta(seconds=1)
        )
        assert len(day) == 96
        whole = client.rows_by_entry(LOAD, 1, 96 * DAYS)
        assert len(whole) == 96 * DAYS
        assert whole[95:-1] == day
        assert client.rows_by_entry(LOAD, 5, 3) == whole[4:7]


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
        rows = utils.parse_as_dlms_data(client.get(attribute(15, "0.0.40.0.0.255", 2)))
        assert len(rows) > 100
        read = 0
        for class_id, _, name, (attributes, _) in rows:
            obis = ".".join(map(str, name))
            for number, mode, _ in attributes:
                if not mode & 1 or (class_id, number) == (7, 2):
                    continue
                client.get(attribute(class_id, obis, number))
                read += 1
        assert read > 3 * len(rows)


@pytest.mark.parametrize("link", LINKS)
def test_dlms_cosem_reads_the_load_profile_by_range(meter, link):
    from dlms_cosem.cosem.capture_object import CaptureObject
    from dlms_cosem.cosem.selective_access import RangeDescriptor

    with dlms_cosem(meter, "reader", link) as client:
        data = client.get(
            attribute(7, LOAD, 2),
            RangeDescriptor(
                CaptureObject(attribute(8, CLOCK, 2)),
                START + timedelta(days=1),
                START + timedelta(days=2) - timedelta(seconds=1),
            ),
        )
    rows = utils.parse_as_dlms_data(data)
    assert len(rows) == 96
    times = [parse_date_time(bytes(row[0])) for row in rows]
    assert times[0] == START + timedelta(days=1)
    assert {b - a for a, b in zip(times, times[1:], strict=False)} == {timedelta(minutes=15)}


def test_dlms_cosem_sets_the_capture_period(meter):
    with dlms_cosem(meter, "operator", "tcp") as client:
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
    begin, end = START + timedelta(days=1), START + timedelta(days=2)
    by_range = json.loads(
        ams(
            *["profile", url, "--from", begin.isoformat()],
            *["--to", (end - timedelta(seconds=1)).isoformat(), "--json"],
        ).stdout
    )
    assert len(by_range) == 96 and by_range[5]["a_plus_mwh"] >= 0
    by_entry = json.loads(ams("profile", url, "--entries", "96:191", "--json").stdout)
    assert by_entry == by_range
    events = json.loads(ams("events", url, "--json").stdout)
    assert {"power-up", "power-down"} <= {event["name"] for event in events}
    assert events == sorted(events, key=lambda event: datetime.fromisoformat(event["time"]))


def test_the_command_line_sets_what_an_operator_may(meter):
    url = meter.urls[0]
    moved = json.loads(ams("clock", url, "set", "2026-01-12T12:00:00+01:00", "--json").stdout)
    assert moved["time"].startswith("2026-01-12T12:00:0")
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


__all__ = ["DataResultError", "DataType"]

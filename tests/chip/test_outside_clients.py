"""gurux-dlms and dlms-cosem against the firmware on the chip, through the gateway and its UART.

A slice at every commit; the whole, as the other runtimes pass it, is a campaign of an hour.
"""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest
from dlms_clients import (
    CLOCK,
    LOAD,
    Gurux,
    attribute,
    dlms_cosem,
    read_all_by_dlms_cosem,
    running_meter,
)
from dlms_cosem import utils
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.time import datetime_to_bytes
from gurux_dlms import GXDateTime
from gurux_dlms.enums import DataType
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSProfileGeneric
from history import END, ENTRIES, START

from openams.client.data import parse_date_time
from openams.client.names import HAN_OPEN

# How much slower than a free core the machine may be.
SLOW = 20
HOUR = timedelta(hours=1)
# The enum of class 23 for 115200 Bd.
FASTEST = b"\x16\x09"


@pytest.fixture(scope="module")
def meter(past, image, tmp_path_factory):
    """A meter of three phases on the chip with 90 days behind it."""
    folder = tmp_path_factory.mktemp("chip")
    shutil.copytree(past[0], folder / "state")
    begin = (END + timedelta(seconds=5)).isoformat()
    arguments = ["--state", folder / "state", "--start", begin]
    with running_meter(folder, *arguments, runtime="rp2040", slow=SLOW) as running:
        with dlms_cosem(running, "operator", "tcp") as client:
            # At 9600 Bd, with which it begins, 90 days take six minutes of the line.
            assert int(client.set(attribute(23, "0.0.22.0.0.255", 2), FASTEST).result) == 0
        yield running
        summary = running.stop()
        names = [event["name"] for event in summary["events"]]
        assert "han-opened" in names and "clock-adjusted-new" in names
        assert summary["missed"] == {"samples": 0, "samples_late": 0, "lists": 0}
        assert summary["han"]["late_max_ms"] < 100
        assert summary["heap"]["used"] < 128 * 1024


def set_up_by_gurux(client):
    """Clock, capture period and HAN port."""
    clock = GXDLMSClock(CLOCK)
    wanted = client.read(clock, 2).value + timedelta(seconds=30)
    clock.time = GXDateTime(wanted)
    client.write(clock, 2)
    assert timedelta() <= client.read(clock, 2).value - wanted < timedelta(seconds=20)
    profile = GXDLMSProfileGeneric(LOAD)
    profile.capturePeriod = 3600
    client.write(profile, 4)
    assert client.read(profile, 4) == 3600
    port = GXDLMSData(HAN_OPEN)
    port.value = True
    port.setDataType(2, DataType.BOOLEAN)
    client.write(port, 2)
    assert client.read(port, 2) is True


def rows_by_dlms_cosem(client, begin, end):
    clock = CaptureObject(attribute(8, CLOCK, 2))
    return utils.parse_as_dlms_data(
        client.get(attribute(7, LOAD, 2), RangeDescriptor(clock, begin, end))
    )


def test_both_clients_read_and_set(meter, past):
    with Gurux(meter, "operator", "tcp") as client:
        by_range = client.rows_by_range(LOAD, START + HOUR, START + 2 * HOUR)
        assert len(by_range) == 5
        assert client.rows_by_entry(LOAD, 4, 5) == by_range
        set_up_by_gurux(client)
    with dlms_cosem(meter, "reader", "tcp") as client:
        rows = rows_by_dlms_cosem(client, START + HOUR, START + 2 * HOUR)
        assert [row[1:] for row in rows] == [row[1:] for row in by_range]
        assert (
            int.from_bytes(client.get(attribute(3, "1.0.1.8.0.255", 2))[1:], "big")
            >= (past[1]["a_plus_mwh"])
        )


@pytest.mark.campaign
@pytest.mark.parametrize("link", ["tcp", "hdlc"])
def test_all_that_gurux_does_elsewhere(meter, past, link):
    with Gurux(meter, "operator", link) as client:
        set_up_by_gurux(client)
    with Gurux(meter, "reader", link) as client:
        objects, read = client.read_all()
        assert objects > 100 and read > 3 * objects
        days = int(os.environ.get("OPENAMS_CHIP_DAYS", "90"))
        if link == "tcp":
            rows = client.rows_by_range(LOAD, START, START + timedelta(days=days))
        else:
            rows = client.rows_by_entry(LOAD, 1, 96 * days)
        assert len(rows) == 96 * days
        if len(rows) == ENTRIES:
            assert sum(row[2] for row in rows) == past[1]["a_plus_mwh"]
            assert sum(row[3] for row in rows) == past[1]["a_minus_mwh"]


@pytest.mark.campaign
@pytest.mark.parametrize("link", ["tcp", "hdlc"])
def test_all_that_dlms_cosem_does_elsewhere(meter, link):
    with dlms_cosem(meter, "operator", link) as client:
        before = parse_date_time(bytes(client.get(attribute(8, CLOCK, 2))[2:]))
        wanted = datetime_to_bytes(before + timedelta(seconds=30))
        assert int(client.set(attribute(8, CLOCK, 2), b"\x09\x0c" + wanted).result) == 0
        for period_s in (3600, 900):
            value = b"\x06" + period_s.to_bytes(4, "big")
            assert int(client.set(attribute(7, LOAD, 4), value).result) == 0
        assert int(client.set(attribute(1, HAN_OPEN, 2), b"\x03\x01").result) == 0
    with dlms_cosem(meter, "reader", link) as client:
        objects, read = read_all_by_dlms_cosem(client)
        assert objects > 100 and read > 3 * objects
        days = int(os.environ.get("OPENAMS_CHIP_DAYS", "90"))
        assert len(rows_by_dlms_cosem(client, START, START + timedelta(days=days))) == 96 * days

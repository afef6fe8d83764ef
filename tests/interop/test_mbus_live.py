"""Sub-meters on the M-Bus of a running meter, as an outside client installs and reads them."""

from __future__ import annotations

import os
import queue
import time

import pytest
from dlms_clients import Gurux, attribute, dlms_cosem, running_meter
from gurux_dlms.enums import DataType
from gurux_dlms.objects import GXDLMSExtendedRegister, GXDLMSMBusClient
from helpers import ams

from openams.emulator.models.mbus_slave import MBus
from openams.lines.mbusline import MBusLine, sub_meters
from openams.lines.ptylink import PtyLink

START = ("--start", "2026-01-15T12:00:00+01:00")


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_client_installs_and_reads_sub_meters(runtime, tmp_path):
    arguments = ["--mbus", "model", "--state", tmp_path / "state", *START]
    with running_meter(tmp_path, *arguments, runtime=runtime) as meter:
        with Gurux(meter, "operator", "tcp") as client:
            names = {thing.logicalName for thing in client.objects()}
            assert {f"0.{k}.24.1.0.255" for k in (1, 2, 3, 4)} <= names
            for channel in (1, 2):
                thing = GXDLMSMBusClient(f"0.{channel}.24.1.0.255")
                client.call(thing, 1, channel, DataType.UINT8)
            water = GXDLMSMBusClient("0.1.24.1.0.255")
            wait_for(lambda: client.read(water, 6) == 0x12345678)
            assert client.read(water, 9) == 7 and client.read(water, 12) == 0
        with dlms_cosem(meter, "reader", "hdlc") as client:
            # 123.456 m3, the heat meter's energy and power from two telegrams.
            assert value_of(client, "0.1.24.2.1.255") == (123456, -3, 13)
            wait_for(lambda: value_of(client, "0.2.24.2.2.255")[0] is not None)
            assert value_of(client, "0.2.24.2.1.255") == (34567, 3, 30)
            assert value_of(client, "0.2.24.2.2.255") == (8500, 0, 27)
    # Who is installed outlives the supply; the values are read anew.
    with (
        running_meter(tmp_path, *arguments, runtime=runtime) as meter,
        Gurux(meter, "reader", "tcp") as client,
    ):
        value = GXDLMSExtendedRegister("0.1.24.2.1.255")
        wait_for(lambda: client.read(value, 2) == 123456)


def value_of(client, obis):
    raw = client.get(attribute(4, obis, 2))
    unit = client.get(attribute(4, obis, 3))
    number = int.from_bytes(raw[1:], "big", signed=True) if raw[0] else None
    return number, int.from_bytes(unit[3:4], "big", signed=True), unit[5]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_serial_device_is_the_bus(tmp_path):
    """At its other end, where a level converter would be, are slaves."""
    heard = queue.Queue()
    far = PtyLink(tmp_path / "converter", "--mbus")
    os.set_blocking(far.master, True)
    line = MBusLine(str(far.link))
    try:
        line.attach(lambda channel, kind, octets: heard.put(octets))
        bus = MBus(sub_meters())
        line.from_meter(b"\x10\x40\x01\x41\x16")
        os.write(far.master, bus.put(os.read(far.master, 5)))
        assert heard.get(timeout=10) == b"\xe5"
    finally:
        line.close()
        far.close()


def test_no_such_device_is_one_line(tmp_path):
    done = ams("run", "--duration", 1, "--mbus", tmp_path / "none", ok=False)
    assert (
        done.returncode == 1 and done.stderr.count("\n") == 1 and "level converter" in done.stderr
    )

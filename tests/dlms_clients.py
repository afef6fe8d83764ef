"""Two clients that are not ours, gurux-dlms and dlms-cosem, pointed at a running `ams run`.

They know of the meter what `ams keys show --json` prints, and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import serial
import structlog
from dlms_cosem import cosem, enumerations, utils
from dlms_cosem.client import DlmsClient
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.io import BlockingTcpIO, HdlcTransport, SerialIO, TcpTransport
from dlms_cosem.security import HighLevelSecurityGmacAuthentication, NoSecurityAuthentication
from gurux_dlms import GXByteBuffer, GXDateTime, GXDLMSException, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, ObjectType, Security
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSObject,
    GXDLMSProfileGeneric,
)
from gurux_dlms.secure import GXDLMSSecureClient
from typer.testing import CliRunner

from openams.cli.keys import app as ams_keys
from openams.client.client import public_session
from openams.client.errors import ClientError
from openams.client.links import parse_url
from tests.ports import free_port

AMS = Path(sys.executable).with_name("ams")
METER = "7359990000000017"
LOAD = "1.0.99.1.0.255"
CLOCK = "0.0.1.0.0.255"

# dlms-cosem writes every message to stdout if nobody says otherwise.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@dataclass
class Running:
    """A meter that runs: where clients find it, and its keys."""

    process: subprocess.Popen[str]
    tcp: tuple[str, int] | None
    service: str | None
    timeout_s: float = 60

    def keys(self, role: str) -> dict[str, Any]:
        """As an outside client learns them; the counter is the next one of now."""
        shown = CliRunner().invoke(ams_keys, ["show", METER, "--json"])
        assert shown.exit_code == 0, shown.output
        clients = json.loads(shown.stdout)["clients"]
        return next(client for client in clients if client["name"] == role)

    @property
    def urls(self) -> list[str]:
        out = [f"tcp://{self.tcp[0]}:{self.tcp[1]}"] if self.tcp else []
        return out + ([f"serial://{self.service}"] if self.service else [])

    def stop(self) -> dict[str, Any]:
        """A normal stop; the summary of `ams run --json`."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=self.timeout_s)
        assert self.process.returncode == 0, err
        return dict(json.loads(out))


@contextmanager
def running_meter(
    folder: Path, *arguments: Any, runtime: str = "micropython", slow: float = 1.0
) -> Iterator[Running]:
    """`ams run` in a house, with a TCP port and a service port; `slow` stretches time-outs."""
    service = folder / "service"
    port = free_port()
    process = subprocess.Popen(
        [
            *[str(AMS), "run", "--scenario", "house", "--runtime", runtime, "--json"],
            *["--dlms-port", str(port), "--service", str(service)],
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120 * slow
        while not _at_home(f"tcp://127.0.0.1:{port}", 20 * slow):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield Running(process, ("127.0.0.1", port), str(service), 60 * slow)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60 * slow)


def _at_home(url: str, timeout_s: float) -> bool:
    """Associating is the only sign that somebody is."""
    try:
        with public_session(parse_url(url), timeout_s) as client:
            return bool(client.get(1, "0.0.42.0.0.255", 2))
    except ClientError:
        return False


# --- gurux-dlms ----------------------------------------------------------------------------


class Gurux:
    """gurux-dlms over TCP or HDLC; the transport is ours, since it has none."""

    def __init__(self, meter: Running, role: str, link: str) -> None:
        if link == "tcp":
            assert meter.tcp
            self._tcp: socket.socket | None = socket.create_connection(meter.tcp, meter.timeout_s)
            self._serial = None
        else:
            self._tcp = None
            self._serial = serial.Serial(meter.service, 115200, timeout=0.05)
        self._timeout_s = meter.timeout_s
        wrapper = InterfaceType.WRAPPER if link == "tcp" else InterfaceType.HDLC
        keys = meter.keys(role)
        level = Authentication.HIGH_GMAC if keys["mechanism"] else Authentication.NONE
        client = self.client = GXDLMSSecureClient(True, keys["sap"], 1, level, None, wrapper)
        if keys["mechanism"]:
            ciphering = client.ciphering
            ciphering.systemTitle = bytes.fromhex(keys["system_title"])
            ciphering.blockCipherKey = bytes.fromhex(keys["encryption_key"])
            ciphering.authenticationKey = bytes.fromhex(keys["authentication_key"])
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            ciphering.invocationCounter = keys["next_counter"]

    def __enter__(self) -> Gurux:
        client = self.client
        snrm = client.snrmRequest()
        if snrm:
            client.parseUAResponse(self._ask(snrm).data)
        with redirect_stdout(StringIO()):
            aarq = client.aarqRequest()
        client.parseAareResponse(self._ask(aarq).data)
        if client.authentication > Authentication.LOW:
            with redirect_stdout(StringIO()):
                proof = client.getApplicationAssociationRequest()
            client.parseApplicationAssociationResponse(self._ask(proof).data)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask(self.client.releaseRequest())
            disc = self.client.disconnectRequest()
            if disc and self._serial:
                self._ask(disc)
        finally:
            for line in (self._tcp, self._serial):
                if line:
                    line.close()

    def _ask(self, frames: Any) -> Any:
        """Sends the frames of a request one by one; gives the reply, all blocks of it."""
        reply = GXReplyData()
        with redirect_stdout(StringIO()):  # it says what it ciphers
            for frame in frames if isinstance(frames, list) else [frames]:
                reply.clear()
                self._exchange(frame, reply)
                while reply.isMoreData():
                    self._exchange(self.client.receiverReady(reply), reply)
        return reply

    def _exchange(self, frame: Any, reply: Any) -> None:
        if self._tcp:
            self._tcp.sendall(bytes(frame))
        else:
            self._serial.write(bytes(frame))
        buffer = GXByteBuffer()
        notify = GXReplyData()
        deadline = time.monotonic() + self._timeout_s
        while not self.client.getData(buffer, reply, notify):
            assert time.monotonic() < deadline, "no answer"
            if self._tcp:
                data = self._tcp.recv(4096)
                assert data, "the meter has closed the connection"
            else:
                data = self._serial.read(self._serial.in_waiting or 1)
            buffer.set(data)
        if reply.error:
            raise GXDLMSException(reply.error)

    def read(self, thing: GXDLMSObject, attribute: int) -> Any:
        reply = self._ask(self.client.read(thing, attribute))
        return self.client.updateValue(thing, attribute, reply.value)

    def write(self, thing: GXDLMSObject, attribute: int) -> None:
        self._ask(self.client.write(thing, attribute))

    def call(self, thing: GXDLMSObject, method: int, value: Any, kind: Any) -> None:
        self._ask(self.client.method(thing, method, value, kind))

    def objects(self) -> list[GXDLMSObject]:
        association = GXDLMSAssociationLogicalName()
        self.read(association, 2)
        return list(association.objectList)

    def read_all(self) -> tuple[int, int]:
        """Every attribute that the object list lets read, but buffers: (objects, attributes)."""
        read, refused = 0, []
        things = self.objects()
        for thing in things:
            for number in thing.getAttributeIndexToRead(True):
                if thing.objectType == ObjectType.PROFILE_GENERIC and number == 2:
                    continue
                if not int(thing.getAccess(number)) & 1:
                    continue
                try:
                    self.read(thing, number)
                    read += 1
                except GXDLMSException as error:
                    refused.append((thing.logicalName, number, str(error)))
        assert not refused
        return len(things), read

    def _profile(self, obis: str) -> GXDLMSProfileGeneric:
        """A new one each time: gurux adds the rows of a read to those it has."""
        profile = GXDLMSProfileGeneric(obis)
        self.read(profile, 3)
        return profile

    def rows_by_range(self, obis: str, begin: datetime, end: datetime) -> list[Any]:
        profile = self._profile(obis)
        reply = self._ask(self.client.readRowsByRange(profile, begin, end))
        self.client.updateValue(profile, 2, reply.value)
        return [[_plain(cell) for cell in row] for row in profile.buffer]

    def rows_by_entry(self, obis: str, first: int, count: int) -> list[Any]:
        profile = self._profile(obis)
        reply = self._ask(self.client.readRowsByEntry(profile, first, count))
        self.client.updateValue(profile, 2, reply.value)
        return [[_plain(cell) for cell in row] for row in profile.buffer]


def _plain(cell: Any) -> Any:
    """gurux's times do not compare."""
    return cell.value if isinstance(cell, GXDateTime) else cell


# --- dlms-cosem ------------------------------------------------------------------------------


class Hdlc(HdlcTransport):
    """With one fault less: a frame whose check ends in 7E was waited for for ever."""

    def recv_frame(self) -> bytes:
        return bytes(self.io.recv_until(b"\x7e"))


def read_all_by_dlms_cosem(client: DlmsClient) -> tuple[int, int]:
    """Every attribute that the object list lets read, but buffers: (objects, attributes)."""
    rows = utils.parse_as_dlms_data(client.get(attribute(15, "0.0.40.0.0.255", 2)))
    read = 0
    for class_id, _, name, (attributes, _) in rows:
        for number, mode, _ in attributes:
            if mode & 1 and (class_id, number) != (7, 2):
                client.get(attribute(class_id, ".".join(map(str, name)), number))
                read += 1
    return len(rows), read


@contextmanager
def dlms_cosem(meter: Running, role: str, link: str) -> Iterator[DlmsClient]:
    """dlms-cosem, over TCP as it is, associated."""
    keys = meter.keys(role)
    if link == "tcp":
        assert meter.tcp
        transport: Any = TcpTransport(keys["sap"], 1, BlockingTcpIO(*meter.tcp, meter.timeout_s))
    else:
        transport = Hdlc(keys["sap"], 1, SerialIO(meter.service, 115200, meter.timeout_s))
    if not keys["mechanism"]:
        client = DlmsClient(transport, NoSecurityAuthentication())
    else:
        client = DlmsClient(
            transport,
            HighLevelSecurityGmacAuthentication(challenge_length=16),
            encryption_key=bytes.fromhex(keys["encryption_key"]),
            authentication_key=bytes.fromhex(keys["authentication_key"]),
            client_system_title=bytes.fromhex(keys["system_title"]),
            client_initial_invocation_counter=keys["next_counter"],
        )
    with client.session():
        yield client


def attribute(class_id: int, obis: str, number: int) -> cosem.CosemAttribute:
    return cosem.CosemAttribute(
        enumerations.CosemInterface(class_id), cosem.Obis.from_string(obis), number
    )


__all__ = [
    "CLOCK",
    "LOAD",
    "METER",
    "Gurux",
    "RangeDescriptor",
    "Running",
    "attribute",
    "dlms_cosem",
    "os",
    "re",
    "read_all_by_dlms_cosem",
    "running_meter",
]

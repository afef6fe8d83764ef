"""Real meters on TCP ports with days behind them, a concentrator, and clients that are not ours."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.security import HighLevelSecurityGmacAuthentication
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import GXDLMSObject, GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient

from openams.cli.fleet import meter_number
from openams.client import prefix
from openams.concentrator.clock import SystemClock
from openams.concentrator.core import Concentrator
from openams.concentrator.roster import Listed
from openams.concentrator.service import Service, token_of
from openams.concentrator.state import Settings
from openams.concentrator.ways import TcpWay
from openams.keys.handover import give_readers
from openams.keys.keystore import Keystore
from openams.keys.model import MeterKeys
from openams.meter_time import NORWAY
from openams.runtimes.fleet import Fleet

ROLES = {"operator": 1, "reader": 2}
LOAD = "1.0.99.1.0.255"
A_PLUS = "1.0.1.8.0.255"


class Meters:
    """A fleet that serves, the keystore that has all its keys, and a collector's with readers'."""

    def __init__(self, folder: Path, count: int, days: int = 1) -> None:
        self.ids = [meter_number(k) for k in range(count)]
        self.keys = Keystore(folder / "keystore", b"p", scrypt_n=2)
        self.fleet = Fleet(self.keys, self.ids, days=days)
        self.given: dict[str, MeterKeys] = {}
        self.readers_path = folder / "readers"
        self.readers = Keystore(self.readers_path, b"c", scrypt_n=2)
        give_readers(self.keys, self.readers, self.ids)
        self.listed = [Listed(meter.meter_id, meter.url) for meter in self.fleet.meters]
        self._thread = threading.Thread(target=self.fleet.serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.fleet.stop()
        self._thread.join(timeout=10)
        self.fleet.close()

    def write_list(self, path: Path) -> Path:
        rows = "".join(f"{listed.meter_id},{listed.url}\n" for listed in self.listed)
        path.write_text("meter_id,url\n" + rows)
        return path


def a_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=64)


ALL_DAY = Settings(
    window_begin=datetime.min.time(),
    window_end=datetime.max.time(),
    retry_s=1,
    back_days=1,
    timeout_s=5,
)


@contextmanager
def served(
    meters: Meters, folder: Path, settings: Settings = ALL_DAY, **more: Any
) -> Iterator[Any]:
    """A concentrator that runs, with its ports."""
    way = TcpWay(more.pop("listed", meters.listed), more.pop("scan", None))
    listed = more.pop("roster", meters.listed)
    clock = more.pop("clock", None) or SystemClock()
    concentrator = Concentrator("C0001", folder, listed, meters.readers, way, clock, settings)
    service = Service(concentrator, way, (a_port(), a_port()), token_of(folder), **more)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: service.run(None, ready.set), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield service
    finally:
        service.stop()
        thread.join(timeout=20)
        concentrator.close()


def until(condition: Any, timeout_s: float = 30) -> Any:
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
    return found


class Asking:
    """A head-end's HTTP."""

    def __init__(self, service: Any, folder: Path) -> None:
        self.port = service.door.port
        self.token = token_of(folder)

    def __call__(self, path: str, order: Any = None, token: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        body = None if order is None else json.dumps(order)
        connection.request("GET" if order is None else "POST", path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found


class Wire:
    """A TCP connection to the gateway: wrapper frames out and in."""

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def message(self, source: int, destination: int, message: bytes) -> None:
        self.send(struct.pack(">4H", 1, source, destination, len(message)) + message)

    def receive(self) -> bytes:
        """A whole frame; empty at the end."""
        head = self._exactly(8)
        return head + self._exactly(struct.unpack(">H", head[6:])[0]) if head else b""

    def _exactly(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            piece = self.socket.recv(count - len(out))
            if not piece:
                return b""
            out += piece
        return out

    def close(self) -> None:
        self.socket.close()


class Gurux:
    """gurux-dlms at the gateway.

    Its own gateway puts the prefix inside of what it ciphers, where no gateway can read it
    (docs/concentrator.md). `outside`: it stands before what gurux has ciphered.
    """

    def __init__(
        self, port: int, meter_id: str, keys: MeterKeys | None, role: str = "operator",
        outside: bool = True, wire: Wire | None = None,
    ) -> None:  # fmt: skip
        self.wire = wire or Wire(port)
        self.meter_id = meter_id
        self.outside = outside
        sap = ROLES[role] if keys else 16
        level = Authentication.HIGH_GMAC if keys else Authentication.NONE
        client = GXDLMSSecureClient(True, sap, 1, level, None, InterfaceType.WRAPPER)
        if keys:
            of = keys.client(sap)
            client.ciphering.systemTitle = bytes.fromhex(of.title)
            client.ciphering.blockCipherKey = bytes.fromhex(of.current.encryption)
            client.ciphering.authenticationKey = bytes.fromhex(of.current.authentication)
            client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            client.ciphering.invocationCounter = of.current.next_counter
        self.client = client

    def _ask_one(self, frame: bytes, reply: Any) -> None:
        if self.outside:
            message = prefix.to_meter(self.meter_id, frame[8:])
            frame = frame[:6] + struct.pack(">H", len(message)) + message
        self.wire.send(frame)
        # It takes the answer's prefix off itself.
        assert self.client.getData(GXByteBuffer(self.wire.receive()), reply, None)

    def ask(self, frames: Any) -> Any:
        reply = GXReplyData()
        for one in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self._ask_one(bytes(one), reply)
            while reply.isMoreData():
                self._ask_one(bytes(self.client.receiverReady(reply)), reply)
        return reply

    def open(self) -> Gurux:
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        if self.client.authentication > Authentication.LOW:
            reply = self.ask(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(reply.data)
        return self

    def read(self, thing: GXDLMSObject, attribute: int) -> Any:
        reply = self.ask(self.client.read(thing, attribute))
        return self.client.updateValue(thing, attribute, reply.value)

    def register(self, obis: str = A_PLUS) -> int:
        return int(self.read(GXDLMSRegister(obis), 2))

    def yesterday(self) -> list[Any]:
        """Rows of the load profile, of the local day before."""
        profile = GXDLMSProfileGeneric(LOAD)
        self.read(profile, 3)
        today = datetime.now(NORWAY).replace(hour=0, minute=0, second=0, microsecond=0)
        begin = today - timedelta(days=1) + timedelta(seconds=1)
        reply = self.ask(self.client.readRowsByRange(profile, begin, today))
        self.client.updateValue(profile, 2, reply.value)
        return list(profile.buffer)

    def close(self) -> None:
        self.ask(self.client.releaseRequest())
        self.wire.close()


class Prefixing:
    """The small adapter that takes dlms-cosem through a gateway: around its transport."""

    def __init__(self, transport: TcpTransport, meter_id: str) -> None:
        self._transport = transport
        self._meter_id = meter_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send_request(self, data: bytes) -> bytes:
        answer = self._transport.send_request(prefix.to_meter(self._meter_id, data))
        return prefix.from_meter(self._meter_id, bytes(answer))


@contextmanager
def dlms_cosem(port: int, keys: MeterKeys) -> Iterator[DlmsClient]:
    of = keys.client(ROLES["operator"])
    transport = TcpTransport(of.sap, 1, io=BlockingTcpIO(host="127.0.0.1", port=port, timeout=20))
    client = DlmsClient(
        Prefixing(transport, keys.meter_id),
        HighLevelSecurityGmacAuthentication(challenge_length=16),
        encryption_key=bytes.fromhex(of.current.encryption),
        authentication_key=bytes.fromhex(of.current.authentication),
        client_system_title=bytes.fromhex(of.title),
        client_initial_invocation_counter=of.current.next_counter,
    )
    client.connect()
    client.associate()
    try:
        yield client
    finally:
        client.release_association()
        client.disconnect()


def local_yesterday() -> str:
    return (datetime.now(UTC).astimezone(NORWAY).date() - timedelta(days=1)).isoformat()

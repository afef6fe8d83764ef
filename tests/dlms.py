"""A server without a meter behind it, and the clients of others talking to it directly."""

from __future__ import annotations

import os
import struct
from typing import Any

from ams.cosem.keyring import Keyring
from ams.cosem.objects.base import EVERYBODY, KEYED, OPERATOR, PIECE, Object, Rights
from ams.cosem.results import CLASS_INCONSISTENT, OBJECT_UNDEFINED, READ_WRITE_DENIED, AccessError
from ams.cosem.server import Server

TITLE = bytes.fromhex("4F414D0000000001")
KEK = bytes(range(0x40, 0x50))
OPERATOR_KEYS = (bytes(range(16)), bytes(range(0xD0, 0xE0)))
READER_KEYS = (bytes(range(0x60, 0x70)), bytes(range(0x70, 0x80)))
CLIENT_TITLE = b"ABC\x00\x00\x00\x00\x07"


def security(**more: Any) -> dict[str, Any]:
    clients = [
        {"sap": 1, "encryption": OPERATOR_KEYS[0].hex(), "authentication": OPERATOR_KEYS[1].hex()},
        {"sap": 2, "encryption": READER_KEYS[0].hex(), "authentication": READER_KEYS[1].hex()},
    ]
    return {"system_title": TITLE.hex(), "kek": KEK.hex(), "clients": clients, **more}


class Cells(dict):
    """Cells in RAM, which remember in what order they were set."""

    def __init__(self) -> None:
        super().__init__()
        self.sets: list[tuple[int, bytes]] = []

    def set(self, key: int, value: bytes) -> None:
        self.sets.append((key, bytes(value)))
        self[key] = bytes(value)


class Register(Object):
    class_id = 3
    attributes = 3
    value = 123456

    def get(self, attribute: int, out: Any, selection: Any = None) -> Any:
        if attribute == 2:
            out.uint32(Register.value)
        else:
            out.structure(2)
            out.int8(0)
            out.enum(30)


class Long(Object):
    """A value of many pieces, and one that is written in blocks."""

    class_id = 1
    attributes = 2
    methods = 2
    rows = 200
    written = b""
    calls: list[bytes] = []

    def get(self, attribute: int, out: Any, selection: Any = None) -> Any:
        return self._rows(out)

    def _rows(self, out: Any) -> Any:
        out.array(Long.rows)
        for row in range(Long.rows):
            if out.length > PIECE - 20:
                yield
            out.structure(2)
            out.octets(struct.pack(">Q", row))
            out.uint32(row)
        yield

    def set(self, attribute: int, data: Any, who: int) -> None:
        Long.written = bytes(data.octets())

    def call(self, method: int, data: Any, out: Any, who: int) -> None:
        Long.calls.append(bytes(data.skip()) if data else b"")
        if method == 2:
            out.octets(bytes(range(200)))


class Model:
    """The least that a model is (see ams.model): three objects and those of the server."""

    def __init__(self) -> None:
        self.table: list[Any] = []
        self.extend(
            [
                (3, bytes.fromhex("0100010800FF"), lambda ln, s: Register(ln), Rights(EVERYBODY)),
                (
                    1,
                    bytes.fromhex("0000600100FF"),
                    lambda ln, s: Long(ln),
                    Rights(KEYED, writes={2: OPERATOR}, calls={1: OPERATOR, 2: OPERATOR}),
                ),
            ]
        )

    def extend(self, rows: Any) -> None:
        self.table += [row for row in rows]

    def device_name(self) -> bytes:
        return b"OAM0000000000001"

    def _find(self, class_id: int, ln: Any, session: Any) -> tuple[Object, Rights]:
        code = OBJECT_UNDEFINED
        for row in self.table:
            if row[1] == bytes(ln):
                if row[0] == class_id:
                    return row[2](bytes(ln), session), row[3]
                code = CLASS_INCONSISTENT
        raise AccessError(code)

    def get(self, class_id, ln, attribute, who, out, selection=None, session=None) -> Any:
        thing, rights = self._find(class_id, ln, session)
        if attribute > thing.attributes:
            raise AccessError(OBJECT_UNDEFINED)
        if not rights.may_read(attribute, who):
            raise AccessError(READ_WRITE_DENIED)
        if attribute == 1:
            out.octets(bytes(ln))
            return None
        return thing.get(attribute, out, selection)

    def set(self, class_id, ln, attribute, who, data, session=None) -> None:
        thing, rights = self._find(class_id, ln, session)
        if not rights.may_write(attribute, who):
            raise AccessError(READ_WRITE_DENIED)
        thing.set(attribute, data, who)

    def call(self, class_id, ln, method, who, data, out, session=None) -> None:
        thing, rights = self._find(class_id, ln, session)
        if not rights.may_call(method, who):
            raise AccessError(READ_WRITE_DENIED)
        thing.call(method, data, out, who)

    def count(self, who: int) -> int:
        return sum(1 for _ in self.rows(who))

    def rows(self, who: int) -> Any:
        for class_id, ln, factory, rights in self.table:
            if rights.seen_by() & who:
                thing = factory(ln, None)
                yield class_id, thing.version, ln, thing.attributes, thing.methods, rights


class Bench:
    """A server, its cells and its events; the clock is ours."""

    def __init__(self, config: dict[str, Any] | None = None, cells: Cells | None = None) -> None:
        self.cells = Cells() if cells is None else cells
        self.events: list[tuple[int, int, int]] = []
        self.complaints: list[str] = []
        self.now_ms = 1000
        self.model = Model()
        self.keyring = Keyring(self.cells, security() if config is None else config)
        self.server = Server(
            self.model,
            self.keyring,
            os.urandom,
            lambda code, detail, extra: self.events.append((code, detail, extra)),
            self.complaints.append,
        )

    def request(self, apdu: bytes, sap: int = 16, channel: int = 1, server: int = 1) -> Any:
        data = memoryview(bytearray(apdu))
        answer = self.server.request(channel, sap, server, data, self.now_ms)
        return None if answer is None else bytes(answer)

    def wrapper(self, frame: bytes, channel: int = 1) -> bytes:
        """A frame of the TCP wrapper, whole, and its answer."""
        version, source, destination, length = struct.unpack(">4H", frame[:8])
        assert version == 1 and length == len(frame) - 8
        answer = self.request(frame[8:], source, channel, destination)
        if answer is None:
            return b""
        return struct.pack(">4H", 1, destination, source, len(answer)) + answer

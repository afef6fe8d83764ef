"""A meter on a flash in RAM whose objects are read and written as a server would.

Values are decoded by gurux-dlms, ranges are encoded by hand: neither is ours.
"""

from __future__ import annotations

import os
import struct
from datetime import datetime
from typing import Any

from gurux_dlms.GXBitString import GXBitString
from gurux_dlms.GXByteBuffer import GXByteBuffer
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo

from ams.cosem import access
from ams.cosem.axdr import Reader, Writer
from ams.meter import Meter
from ams.results import AccessError
from amsbench.hold import hold
from openams.faultlab import flash_lab
from openams.grid.frontend import make_front_end
from openams.meter_time import to_utc_ms

METER_ID = "7359990000000017"
CLASSES: dict[str, int] = {}


class Board(flash_lab.LabBoard):
    """What goes out on each channel and on the HAN port stays here."""

    def __init__(self, flash: Any) -> None:
        super().__init__(flash)
        self.written: dict[int, bytes] = {channel: b"" for channel in range(5)}
        self.frames: list[bytes] = []
        self.dialled: list[tuple[int, bytes]] = []
        self.closed: list[int] = []
        self.han_uart = self

    def init(self, *line: Any) -> None:
        pass

    def write(self, data: Any) -> None:
        self.frames.append(bytes(data))

    def link_write(self, channel: int, data: Any) -> None:
        self.written[channel] += bytes(data)

    def link_close(self, channel: int) -> None:
        self.closed.append(channel)

    def link_connect(self, channel: int, destination: bytes) -> bool:
        self.dialled.append((channel, bytes(destination)))
        return True

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)


class Bench:
    """`raw_ms` is the board's time; the meter is started anew by `power_up`."""

    def __init__(
        self, start: Any = 828_187_200_000, system: str = "3P4W", sectors: int = 64,
        security: dict[str, Any] | None = None,
    ):  # fmt: skip
        self.security = security
        self.flash = flash_lab.LabFlash(sectors)
        self.raw_ms = to_utc_ms(start) if isinstance(start, datetime) else start
        self.system = system
        self.calibration = make_front_end("ideal", system, 1).calibration(system)
        self.power_up()

    def power_up(self) -> None:
        config = {
            "system": self.system,
            "calibration": self.calibration,
            "identity": {"meter_id": METER_ID, "meter_type": "OAM-3"},
            "han": {"format": "kaifa"},
        }
        if self.security:
            config["security"] = self.security
        self.board = Board(self.flash)
        self.meter = Meter(self.board, config)
        self.meter.start(self.raw_ms)
        self.model = self.meter.model

    def hold(self, seconds: float, power_w: int = 1000) -> None:
        flash_lab.set_power(self.meter, power_w)
        hold(self.meter, self.raw_ms, round(seconds * 1000), self.meter._board.clock)
        self.raw_ms += round(seconds * 1000)
        self.meter.tick(self.raw_ms)

    # --- services --------------------------------------------------------------------

    def raw(
        self, class_id: int, ln: str, attribute: int = 2, selection: bytes | None = None,
        who: int = access.READER,
    ) -> bytes:  # fmt: skip
        """The octets of an attribute, taken away piece by piece."""
        out = Writer(640)
        reader = None if selection is None else Reader(selection)
        pieces = self.model.get(class_id, name(ln), attribute, who, out, reader)
        whole = b""
        if pieces is not None:
            for _ in pieces:
                assert out.length <= access.PIECE + 8, "a piece is too long"
                whole += bytes(out.view())
                out.clear()
        return whole + bytes(out.view())

    def get(self, class_id: int, ln: str, attribute: int = 2, **more: Any) -> Any:
        return decode(self.raw(class_id, ln, attribute, **more))

    def set(
        self, class_id: int, ln: str, attribute: int, value: bytes, who: int = access.OPERATOR,
        session: Any = None,
    ) -> int:  # fmt: skip
        """The result code."""
        try:
            self.model.set(class_id, name(ln), attribute, who, Reader(value), session)
        except AccessError as error:
            return error.code
        return 0

    def call(
        self, class_id: int, ln: str, method: int, value: bytes | None = b"\x0f\x00",
        who: int = access.OPERATOR,
    ) -> int:  # fmt: skip
        data = None if value is None else Reader(value)
        try:
            self.model.call(class_id, name(ln), method, who, data, Writer(640))
        except AccessError as error:
            return error.code
        return 0

    def code(self, *what: Any, **more: Any) -> int:
        """The result code of a get."""
        try:
            self.raw(*what, **more)
        except AccessError as error:
            return error.code
        return 0


def name(text: str) -> bytes:
    parts = [int(part) for part in text.split(".")]
    return bytes(parts if len(parts) == 6 else [*parts, 255])


def decode(octets: bytes) -> Any:
    """By gurux-dlms; all of the octets must be used up."""
    buffer = GXByteBuffer(octets)
    value = _GXCommon.getData(None, buffer, _GXDataInfo())
    assert buffer.position == len(octets), "octets left over"
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, GXBitString):
        return str(value)
    return value if value is None or isinstance(value, (str, bytes, bool)) else int(value)


def stamp(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0,
    deviation: int | None = None, status: int = 0, weekday: int = 0xFF, hundredth: int = 0,
) -> bytes:  # fmt: skip
    """A date-time; without `deviation` it is local and not specified."""
    return struct.pack(
        ">HBBBBBBBhB", year, month, day, weekday, hour, minute, second, hundredth,
        -0x8000 if deviation is None else deviation, status,
    )  # fmt: skip


def parse_stamp(octets: bytes) -> tuple[datetime, int]:
    """(naive local time, deviation) with its status dropped."""
    year, month, day, _, hour, minute, second, hundredth, deviation, _ = struct.unpack(
        ">HBBBBBBBhB", octets
    )
    return datetime(year, month, day, hour, minute, second, hundredth * 10000), deviation


def octets(data: bytes) -> bytes:
    return b"\x09" + bytes((len(data),)) + data


def column(class_id: int, ln: str, attribute: int = 2) -> bytes:
    return struct.pack(">BBBHBB6sBbBH", 2, 4, 0x12, class_id, 9, 6, name(ln), 15, attribute, 18, 0)


CLOCK_COLUMN = column(8, "0.0.1.0.0")


def by_range(low: bytes, high: bytes, columns: list[bytes] | None = None) -> bytes:
    columns = columns or []
    return (
        b"\x01\x02\x04" + CLOCK_COLUMN + octets(low) + octets(high)
        + bytes((1, len(columns))) + b"".join(columns)
    )  # fmt: skip


def by_entry(first: int, last: int, from_column: int = 1, to_column: int = 0) -> bytes:
    return struct.pack(
        ">BBBBIBIBHBH", 2, 2, 4, 6, first, 6, last, 18, from_column, 18, to_column
    )  # fmt: skip

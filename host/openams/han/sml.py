"""Reads an SML file of a meter's push: transport, messages, the list and what kind of meter it is.

Written apart from the firmware's writer, on purpose: they check each other. Sources: SML 1.04
(BSI TR-03109-1, annex IV b) and captures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from openams.han.axdr import DateTime
from openams.han.errors import ChecksumError, CutShortError, HanError, UnknownListError
from openams.han.frames import crc_kermit, crc_x25, sml_is_whole
from openams.han.marks import SML_START, sml_end
from openams.han.obis import field_of
from openams.han.octet_reader import OctetReader
from openams.han.reading import Number, Reading, scaled
from openams.meter_time import EPOCH

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_LIST_NAME = b"\x01\x00\x62\x0a\xff\xff"


@dataclass(frozen=True)
class Node:
    """One element: `kind` s (octets), i, u, b or l (list), with the octets of an integer."""

    kind: str
    value: Any
    octets: int = 0

    @property
    def nodes(self) -> list[Node]:
        if self.kind != "l":
            raise UnknownListError("the SML file has a value where a list was due")
        return list(self.value)

    @property
    def text(self) -> bytes:
        if self.kind != "s":
            raise UnknownListError("the SML file has something where octets were due")
        return bytes(self.value)

    @property
    def number(self) -> int:
        if self.kind not in "iu":
            raise UnknownListError("the SML file has something where a number was due")
        return int(self.value)

    @property
    def absent(self) -> bool:
        return self.kind == "s" and not self.value


class _Octets(OctetReader):
    def short(self) -> HanError:
        return CutShortError("the SML file ends inside a value")

    def node(self, depth: int = 0) -> Node:
        head = self.octet()
        kind, size, heads = head >> 4 & 7, head & 15, 1
        while head & 0x80:
            head = self.octet()
            size, heads = size << 4 | head & 15, heads + 1
            if heads > 4:
                raise HanError("the SML file has a length that none has")
        if kind == 7:
            if depth > 8 or size > 255:
                raise HanError("the SML file is nested too deep")
            return Node("l", [self.node(depth + 1) for _ in range(size)])
        if size < heads or kind not in (0, 4, 5, 6):
            raise HanError(f"the SML file has a value of the unknown type 0x{head:02x}")
        data = self.take(size - heads)
        if kind == 0:
            return Node("s", data)
        number = int.from_bytes(data, "big", signed=kind == 5)
        return Node("b" if kind == 4 else "i" if kind == 5 else "u", number, len(data))


@dataclass
class _File:
    """A file's three messages, and how it was sent."""

    messages: list[list[Node]]
    traits: dict[str, Any] = field(default_factory=dict)


def _unpack(data: bytes) -> _File:
    if data[:8] != SML_START or sml_end(data) != len(data):
        raise CutShortError("this is no whole SML file")
    kermit = data[-2:] != crc_x25(data[:-2]).to_bytes(2, "little")
    if kermit and not sml_is_whole(data):
        raise ChecksumError("the check of the SML file is wrong")
    padding = data[-3]
    body = data[8:-8]
    if padding > 4 or padding and any(body[-padding:]):
        raise HanError("the SML file is filled up with something else than zeros")
    body = body[: len(body) - padding].replace(_ESCAPE + _ESCAPE, _ESCAPE)
    messages, short_checks = [], False
    reader = _Octets(body)
    while reader.rest:
        before = reader.rest
        message = _message(reader)
        octets = before[: len(before) - len(reader.rest)]
        size = message[4].octets
        _check(octets[: -2 - size], message[4], kermit)
        short_checks |= size < 2
        messages.append(message)
    if len(messages) != 3:
        raise UnknownListError(f"the SML file has {len(messages)} messages, not three")
    form = ("k" if kermit else "") + ("c" if short_checks else "")
    return _File(messages, {"form": form + ("p" if padding == 4 else "")})


def _message(reader: _Octets) -> list[Node]:
    nodes = []
    if reader.octet() != 0x76:
        raise HanError("the SML file has something else where a message was due")
    for _ in range(5):
        nodes.append(reader.node())
    if reader.octet() != 0:
        raise HanError("a message of the SML file has no end")
    return nodes


def _check(octets: bytes, node: Node, kermit: bool) -> None:
    # Holley's Kermit has the high octet first.
    crc = crc_kermit(octets) if kermit else int.from_bytes(crc_x25(octets).to_bytes(2, "little"))
    if crc != node.number:
        raise ChecksumError("the check of a message in the SML file is wrong")


# --- what the messages say -------------------------------------------------------------


def read_file(data: bytes) -> Reading:
    """Raises HanError."""
    file = _unpack(data)
    traits = file.traits
    bodies = []
    numbers = []
    for message, choice in zip(file.messages, (0x0101, 0x0701, 0x0201), strict=True):
        body = message[3].nodes
        if len(body) != 2 or body[0].number != choice:
            raise UnknownListError("the SML file has another message than open, list, close")
        if [node.number for node in message[1:3]] != [0, 0]:
            raise UnknownListError("a message of the SML file belongs to a group")
        numbers.append(message[0].text)
        bodies.append(body[1].nodes)
        traits["form"] += "w" if body[0].octets == 4 and "w" not in traits["form"] else ""
    _number_traits(numbers, traits)
    opened, listed, closed = bodies
    if len(opened) != 6 or len(listed) != 7 or len(closed) != 1 or not closed[0].absent:
        raise UnknownListError("the SML file has signatures, or fields of another version")
    _open_traits(opened, traits)
    return _list(opened, listed, traits, data)


def _number_traits(numbers: list[bytes], traits: dict[str, Any]) -> None:
    """The numbers of the messages: their octets, order and steps."""
    orders: tuple[Literal["big", "little"], ...] = ("big", "little")
    for order in orders:
        values = [int.from_bytes(number, order) for number in numbers]
        steps = [value - values[0] for value in values[1:]]
        if all(0 < step < 16 for step in steps):
            traits["form"] += "l" if order == "little" else ""
            traits["transaction"] = values[0]
            traits["transaction_octets"] = len(numbers[0])
            traits["steps"] = [*steps, 0]
            return
    raise UnknownListError("the messages of the SML file are not counted")


def _open_traits(opened: list[Node], traits: dict[str, Any]) -> None:
    _, client, file_id, _, when, version = opened
    if not client.absent:
        traits["form"] += "x"
        traits["client"] = client.text.hex()
    traits["file"] = int.from_bytes(file_id.text, "big")
    traits["file_octets"] = len(file_id.text)
    traits["form"] += "" if when.absent else "r"
    traits["version"] = 0 if version.absent else version.number


def _list(opened: list[Node], listed: list[Node], traits: dict[str, Any], data: bytes) -> Reading:
    client, server, name, when, entries, signature, gateway = listed
    if not signature.absent or not gateway.absent:
        raise UnknownListError("the SML list is signed, or has a gateway's time")
    if not client.absent:
        traits["form"] += "y"
        traits["client"] = client.text.hex()
    if not name.absent:
        if name.text != _LIST_NAME:
            raise UnknownListError(f"the SML list has the unknown name {name.text.hex()}")
        traits["form"] += "n"
    times = _Times(traits)
    if not opened[4].absent:
        times.take(opened[4])
    if not when.absent:
        traits["form"] += "s"
        times.take(when)
    meter_id, form = number_of(server.text)
    traits["form"] += form
    out = _Values(traits, times, server.text, meter_id)
    for node in entries.nodes:
        out.take(node)
    times.settle()
    traits["objects"] = " ".join(out.objects)
    return Reading("sml", 2, meter_id, out.maker, None, times.shown, out.values, data, traits)


class _Times:
    """The times of a file: all of them one index of seconds, or zero."""

    def __init__(self, traits: dict[str, Any]) -> None:
        self._traits = traits
        self.seconds: int | None = None
        self.octets: set[int] = set()
        self.bare: bool | None = None

    def take(self, node: Node, entry: bool = False) -> str:
        """How a value is timed: t, or z for zero. `entry`: that of an object, which may lag."""
        bare = node.kind == "u"
        if self.bare not in (None, bare):
            raise UnknownListError("the SML file has times of two kinds")
        self.bare = bare
        if not bare:
            choice, node = node.nodes if len(node.nodes) == 2 else (Node("s", b""), node)
            if choice.kind != "u" or choice.number != 1 or node.kind != "u":
                raise UnknownListError("the SML file has a time that is no index of seconds")
        if node.number == 0 and node.octets == 1 and self.seconds != 0:
            return "z"
        if self.seconds is None:
            self.seconds = node.number
        lag = self.seconds - node.number
        if entry and self._traits.setdefault("lag_s", lag) != lag or not entry and lag:
            raise UnknownListError("the SML file has more times than the list's and its objects'")
        self.octets.add(node.octets)
        return "t"

    def settle(self) -> None:
        if self.bare:
            self._traits["form"] += "u"
        least = max(1, ((self.seconds or 0).bit_length() + 7) // 8)
        if len(self.octets) > 1:
            raise UnknownListError("the SML file has times of two sizes")
        size = self.octets.pop() if self.octets else 4
        self._traits["time_octets"] = 0 if size == least and size < 4 else size

    @property
    def shown(self) -> DateTime | None:
        if self.seconds is None:
            return None
        if self.seconds >> 32:
            raise UnknownListError("the SML file has a time of more than four octets")
        at = EPOCH + timedelta(seconds=self.seconds)
        return DateTime(
            at.year, at.month, at.day, at.isoweekday(), at.hour, at.minute, at.second, 0, 0, 0
        )  # fmt: skip


class _Values:
    """The objects of a list."""

    def __init__(self, traits: dict[str, Any], times: _Times, server: bytes, meter_id: str) -> None:
        self._traits = traits
        self._times = times
        self._server = server
        self._meter_id = meter_id
        self.values: dict[str, Number] = {}
        self.objects: list[str] = []
        self.maker: str | None = None

    def take(self, node: Node) -> None:
        entry = node.nodes
        if len(entry) != 7 or len(entry[0].text) != 6 or not entry[6].absent:
            raise UnknownListError("the SML list has an object of another form")
        code = entry[0].text
        text = code_text(code)
        status, when, unit, scaler, value = entry[1:6]
        if not status.absent:
            known = self._traits.setdefault("status", status.number)
            if known != status.number:
                raise UnknownListError("the SML list has more than one status")
            text += f"/{status.octets}"
        timed = "" if when.absent else self._times.take(when, True)
        if value.kind == "s":
            self._said(code, text, timed, unit, value.text)
        elif value.kind == "l":
            raise UnknownListError(f"the SML list has a list under {text}")
        else:
            self._number(code, text + timed, unit, scaler, value)

    def _said(self, code: bytes, text: str, timed: str, unit: Node, said: bytes) -> None:
        if not unit.absent:
            self._traits["form"] += "" if "z" in self._traits["form"] else "z"
            timed = ""
        self.objects.append(text + timed)
        name = _name(code)
        known = said == self._server and name in ("96.1.0", "0.0.9")
        known |= name == "0.0.0" and said.decode("ascii", "replace") == self._meter_id
        if name in ("96.50.1*1", "199.130.3"):
            self.maker = said.decode("ascii", "replace")
            self._traits["maker"] = self.maker
        elif not known:
            self._traits.setdefault("texts", {})[name] = said.hex()

    def _number(self, code: bytes, text: str, unit: Node, scaler: Node, value: Node) -> None:
        c, d, e = code[2:5]
        if c == 96 and unit.absent and scaler.absent:
            if value.number != self._traits.get("status"):
                self._traits.setdefault("texts", {})[_name(code)] = value.number
            self.objects.append(f"{text}={value.kind}{value.octets}+0")
            return
        name = field_of(c, d, e) if code[:2] == b"\x01\x00" and code[5] == 255 else None
        if name is None or scaler.kind != "i" or unit.kind != "u":
            raise UnknownListError(f"the SML list has an object of unknown OBIS code {code.hex()}")
        self.objects.append(f"{text}={value.kind}{value.octets}{scaler.number:+d}")
        self.values[name] = scaled(value.number, scaler.number)


def code_text(code: bytes) -> str:
    """A code as the meter's setting names it: what is usual is left out."""
    a, b, c, d, e, f = code
    usual = (129, 129) if c == 199 else (1, 0)
    medium = "" if (a, b) == usual else f"{a}-{b}:"
    return f"{medium}{c}.{d}.{e}" + ("" if f == 255 else f"*{f}")


def _name(code: bytes) -> str:
    """A code as a meter's setting of texts has it."""
    name = ".".join(str(part) for part in code[2:5])
    return name if code[5] == 255 else f"{name}*{code[5]}"


def number_of(server: bytes) -> tuple[str, str]:
    """(the meter's number as text, letter of its form): see the firmware's server_id."""
    if len(server) == 10 and server[0] in (9, 10) and server[2:5].isalpha():
        number = int.from_bytes(server[6:], "big")
        text = f"{server[1]:X}{server[2:5].decode()}{server[5]:02X}{number:08d}"
        return text, "9" if server[0] == 9 else ""
    if len(server) == 10 and server[0] == 6 and server[1:4].isalpha():
        return server[1:4].decode() + server[4:].hex().upper(), "6"
    if len(server) == 9 and server[0] == 1:
        code = int.from_bytes(server[1:3], "little")
        letters = "".join(chr(64 + (code >> shift & 31)) for shift in (10, 5, 0))
        digits = server[3:7][::-1].hex()
        return f"{letters}-{digits}-{server[7]:02x}-{server[8]:02x}", "6"
    if server.isalnum():
        return server.decode("ascii"), "3"
    return server.hex(), "0"

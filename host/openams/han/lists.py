"""The lists of Aidon, Kaifa and Kamstrup, recognised and read.

Elements are found by OBIS code where the maker sends codes, by place where
not. Sources: the makers' HAN documents and captured frames; see docs/han.md.
"""

from __future__ import annotations

from typing import Any

from openams.han.axdr import DateTime, Item, Reader, date_time
from openams.han.errors import HanError, UnknownListError
from openams.han.frames import Hdlc
from openams.han.reading import Number, Reading, scaled

_POWERS = {
    1: "active_power_import{}_w",
    2: "active_power_export{}_w",
    3: "reactive_power_import{}_var",
    4: "reactive_power_export{}_var",
}
_ENERGIES = {1: "a_plus_wh", 2: "a_minus_wh", 3: "r_plus_varh", 4: "r_minus_varh"}
_PHASES = {1: 20, 2: 40, 3: 60}


def _name(code: bytes) -> str | None:
    """The field of an OBIS code A-B:C.D.E.F, or None."""
    c, d = code[2], code[3]
    if d == 7:
        if c in _POWERS:
            return _POWERS[c].format("")
        for phase, base in _PHASES.items():
            if c - base in (1, 2, 3, 4):
                return _POWERS[c - base].format(f"_l{phase}")
            if c == base + 11:
                return f"current_l{phase}_a"
            if c == base + 12:
                return f"voltage_l{phase}_v"
    if d == 8:
        return _ENERGIES.get(c)
    return None


def _text(item: Item) -> str:
    if not isinstance(item.value, bytes):
        raise UnknownListError("a text was due in the list")
    # Some makers fill up with zeros.
    return item.value.decode("ascii", "replace")


def _code(item: Item) -> bytes:
    if not isinstance(item.value, bytes) or len(item.value) != 6:
        raise UnknownListError("the list has a value where a code was due")
    return item.value


def _whole(item: Item) -> int:
    if not isinstance(item.value, int):
        raise UnknownListError("a number was due in the list")
    return item.value


class _Builder:
    """Collects what a list says."""

    def __init__(self, maker: str, hdlc: Hdlc, raw: bytes) -> None:
        self.maker = maker
        self.raw = raw
        self.values: dict[str, Number] = {}
        self.version: str | None = None
        self.meter_id: str | None = None
        self.meter_type: str | None = None
        self.time: DateTime | None = None
        self.traits: dict[str, Any] = {"address": hdlc.address.hex()}

    def coded(self, code: bytes, item: Item, scaler: int) -> None:
        """An element with its OBIS code."""
        group = (code[2], code[3], code[4])
        if code[:2] == b"\x00\x00" and group == (96, 1, 0) or group == (0, 0, 5):
            self.meter_id = _text(item)
        elif group in ((96, 1, 7), (96, 1, 1)):
            self.meter_type = _text(item)
        elif group == (0, 2, 129):
            self.version = _text(item)
        elif group == (1, 0, 0) and isinstance(item.value, bytes):
            self.time = date_time(item.value)
            self.traits["list_clock"] = True
        else:
            name = _name(code)
            if name is None:
                raise UnknownListError(f"the list has an element of unknown OBIS code {code.hex()}")
            self.values[name] = scaled(_whole(item), scaler)

    def reading(self) -> Reading:
        list_no = 3 if "a_plus_wh" in self.values else 2 if len(self.values) > 1 else 1
        return Reading(
            self.maker,
            list_no,
            self.meter_id,
            self.meter_type,
            self.version,
            self.time,
            self.values,
            self.raw,
            self.traits,
        )


def read_notification(hdlc: Hdlc, apdu: bytes, raw: bytes) -> Reading:
    """The list in a data-notification (0F). Raises HanError."""
    reader = Reader(apdu)
    if reader.octet() != 0x0F:
        raise UnknownListError(f"the frame carries APDU 0x{apdu[0]:02x}, not a data-notification")
    invoke = reader.take(4)
    tagged = reader.rest[:2] == b"\x09\x0c"
    if tagged:
        reader.octet()
    length = reader.length()
    header = date_time(reader.take(length)) if length else None
    body = reader.item()
    if reader.rest:
        raise HanError(f"{len(reader.rest)} octets follow the list")
    traits = {"invoke": invoke.hex(), "header_tag": tagged, "header": header is not None}
    items = body.items
    if not items:
        raise UnknownListError("the frame carries an empty list")
    if body.tag == 0x01:
        reading = _aidon(items, hdlc, raw)
    elif isinstance(items[0].value, bytes) and items[0].value.startswith(b"Kamstrup"):
        reading = _kamstrup(items, hdlc, raw, header)
    else:
        reading = _kaifa(items, hdlc, raw, header)
    reading.traits.update(traits)
    return reading


def _aidon(items: list[Item], hdlc: Hdlc, raw: bytes) -> Reading:
    """An array of structures: code, value, scaler and unit."""
    out = _Builder("aidon", hdlc, raw)
    codes = []
    for element in items:
        parts = element.items
        if len(parts) not in (2, 3):
            raise UnknownListError("the array holds something that is no coded element")
        code = _code(parts[0])
        scaler = 0
        if len(parts) == 3:
            if len(parts[2].items) != 2:
                raise UnknownListError("an element has no scaler and unit")
            scaler = _whole(parts[2].items[0])
        codes.append(code.hex())
        out.coded(code, parts[1], scaler)
        if out.values and code[2:4] == b"\x1f\x07":
            out.traits["current_scaler"] = scaler
    out.traits["swedish"] = codes[0] == "0000010000ff"
    return out.reading()


def _kamstrup(items: list[Item], hdlc: Hdlc, raw: bytes, header: DateTime | None) -> Reading:
    """Pairs of code and value after the version; null where a phase is missing."""
    out = _Builder("kamstrup", hdlc, raw)
    out.version = _text(items[0])
    pairs = items[1:]
    if len(pairs) % 2:
        raise UnknownListError("the Kamstrup list has a code without a value")
    order = []
    for first, item in zip(pairs[::2], pairs[1::2], strict=True):
        if first.value is None:
            continue
        code = _code(first)
        order.append(code[2:4])
        name = _name(code) or ""
        # 10 mA, 1 V and 10 Wh, by the maker's document.
        scaler = -2 if name.startswith("current") else 1 if code[3] == 8 else 0
        out.coded(code, item, scaler)
    out.time = out.time or header
    out.traits["elements"] = len(items)
    out.traits["first"] = order[0].hex() if order else ""
    return out.reading()


_KAIFA_PLACES = {
    1: ("P+",),
    9: ("version", "id", "type", "P+", "P-", "Q+", "Q-", "I1", "U1"),
    13: ("version", "id", "type", "P+", "P-", "Q+", "Q-", "I1", "I2", "I3", "U1", "U2", "U3"),
}
_KAIFA_FIELDS = {
    "P+": ("active_power_import_w", 0),
    "P-": ("active_power_export_w", 0),
    "Q+": ("reactive_power_import_var", 0),
    "Q-": ("reactive_power_export_var", 0),
    "I1": ("current_l1_a", -3),
    "I2": ("current_l2_a", -3),
    "I3": ("current_l3_a", -3),
    "U1": ("voltage_l1_v", -1),
    "U2": ("voltage_l2_v", -1),
    "U3": ("voltage_l3_v", -1),
    "A+": ("a_plus_wh", 0),
    "A-": ("a_minus_wh", 0),
    "R+": ("r_plus_varh", 0),
    "R-": ("r_minus_varh", 0),
}
for _count in (9, 13):
    _KAIFA_PLACES[_count + 5] = (*_KAIFA_PLACES[_count], "clock", "A+", "A-", "R+", "R-")


def _kaifa(items: list[Item], hdlc: Hdlc, raw: bytes, header: DateTime | None) -> Reading:
    """Values by place, or pairs of code and value (Sweden)."""
    out = _Builder("kaifa", hdlc, raw)
    first = items[0].value
    if isinstance(first, bytes) and len(first) == 6 and len(items) % 2 == 0:
        out.traits["coded"] = True
        for coded, item in zip(items[::2], items[1::2], strict=True):
            code = _code(coded)
            name = _name(code) or ""
            scaler = -3 if name.startswith("current") else -1 if name.startswith("voltage") else 0
            out.coded(code, item, scaler)
        return out.reading()
    if len(items) not in _KAIFA_PLACES:
        raise UnknownListError(f"a list of {len(items)} values is of no known maker")
    for place, item in zip(_KAIFA_PLACES[len(items)], items, strict=True):
        if place == "version":
            out.version = _text(item)
        elif place == "id":
            out.meter_id = _text(item)
        elif place == "type":
            out.meter_type = _text(item)
        elif place == "clock":
            out.time = date_time(item.value if isinstance(item.value, bytes) else b"")
        else:
            name, scaler = _KAIFA_FIELDS[place]
            if place == "A+":
                out.traits["energy_bits"] = 64 if item.tag == 0x15 else 32
            out.values[name] = scaled(_whole(item), scaler)
    out.time = out.time or header
    if out.version is not None and out.version != "KFM_001":
        raise UnknownListError(f"list version {out.version!r} is not known")
    return out.reading()

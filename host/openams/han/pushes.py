"""Reads the DLMS pushes of makers outside Norway: what a list holds, and how it is set up.

Written apart from the firmware's writer, on purpose: they check each other. A list tells itself
by its form; one of values alone is known by the types of its values.
"""

from __future__ import annotations

from typing import Any

from openams.han.assembly import Apdu
from openams.han.axdr import DateTime, Item, Reader, date_time
from openams.han.errors import HanError, UnknownListError
from openams.han.obis import field_of
from openams.han.reading import Number, Reading, scaled

_U32, _U16, _OCTETS, _UINT8, _ENUM, _BOOLEAN = 0x06, 0x12, 0x09, 0x11, 0x16, 0x03
_PHASES = "32.7.0 52.7.0 72.7.0 31.7.0 51.7.0 71.7.0"
_POWERS = "1.7.0 2.7.0 3.7.0 4.7.0"
# Lists of values alone: (format, variant, what stands where), as the operators describe them.
_PLACES = (
    ("landis", "at-burgenland",
     f"{_PHASES} 1.7.0 2.7.0 1.8.0 2.8.0 81.7.40 81.7.51 81.7.62 0-0:96.1.0"),
    ("landis", "at-burgenland", f"{_PHASES} 1.7.0 2.7.0 1.8.0 2.8.0 0-0:96.1.0"),
    ("iskraemeco", "si",
     f"0-0:42.0.0 0-0:96.1.3 {_POWERS} {_PHASES} 21.7.0 41.7.0 61.7.0 22.7.0 42.7.0 62.7.0"),
    ("iskraemeco", "si", "0-0:42.0.0 0-0:96.1.3 0-0:96.3.10#3 0-0:96.14.0 1.8.0 1.8.1 1.8.2 2.8.0 "
     "2.8.1 2.8.2 3.8.0 4.8.0"),
    ("iskraemeco", "si", f"0-0:42.0.0 0-0:96.1.2 {_POWERS} 32.7.0 31.7.0 21.7.0 22.7.0"),
    ("iskraemeco", "si", f"0-0:42.0.0 0-0:96.1.2 {_POWERS} 32.7.0 2.8.1 2.8.2"),
    ("iskraemeco", "si",
     "0-0:42.0.0 0-0:96.1.3 1.8.1 1.8.2 2.8.1 2.8.2 3.8.1 3.8.2 4.8.1 4.8.2"),
    ("iskraemeco", "si", "0-0:42.0.0 1.7.0 2.7.0 1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2"),
    ("iskraemeco", "si", "0-0:42.0.0 0-0:96.14.0=11 1.8.0 2.8.0"),
    ("iskraemeco", "si-celje", f"0-0:42.0.0 0-0:96.1.2 {_PHASES} {_POWERS}"),
    ("iskraemeco", "si-celje", f"0-0:42.0.0 0-0:96.1.2 32.7.0 31.7.0 {_POWERS}"),
    ("iskraemeco", "at-kelag", "0-6:25.9.0#1 0-0:96.1.0 0.9.1 0.9.2 1.8.0 2.8.0 3.8.0 4.8.0 1.7.0 "
     "2.7.0 0-0:96.13.0 0-0:96.13.1"),
    ("iskraemeco", "hr", "0-0:96.1.0 0.9.1 0.9.2 1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2 5.8.0 6.8.0 "
     f"7.8.0 8.8.0 1.7.0 2.7.0 13.7.0 21.7.0 41.7.0 61.7.0 22.7.0 42.7.0 62.7.0 {_PHASES} "
     "0-0:17.0.0 0-0:31.0.0 0-0:31.0.1 0-0:31.0.2 0-0:96.3.10#2"),
    ("iskraemeco", "hr", "0-0:96.1.0 0.9.1 0.9.2 1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2 1.7.0 2.7.0 "
     f"21.7.0 41.7.0 61.7.0 22.7.0 42.7.0 62.7.0 {_PHASES} 0-0:17.0.0 0-0:31.0.0 0-0:31.0.1 "
     "0-0:31.0.2 0-0:96.3.10#2"),
)  # fmt: skip
_MAKERS = {"LGZ": "landis", "ISK": "iskraemeco", "SAG": "sagemcom", "KFM": "kaifa"}


class _Token:
    """An object of a list: its code and how it is sent."""

    def __init__(self, text: str) -> None:
        self.text = text
        text, _, tag = text.lstrip("./").partition("=")
        text, _, attribute = text.partition("#")
        medium, _, code = text.rpartition(":")
        a, b = (medium or "1-0").split("-")
        self.code = bytes([*map(int, (a, b, *code.split("."))), 255])
        self.attribute = int(attribute or 2)
        self.tag = int(tag, 16) if tag else self.usual_tag

    @property
    def usual_tag(self) -> int:
        """The type that such an object has unless it is said otherwise."""
        a, c, d = self.code[0], self.code[2], self.code[3]
        if a == 0:
            if c == 17:
                return _U32
            if (c, d) == (96, 3):
                return _BOOLEAN if self.attribute == 2 else _ENUM
            return 0x01 if c == 31 else _OCTETS
        if c == 0:
            return _OCTETS
        return _U16 if c % 20 in (11, 12, 13) or c == 81 else _U32


def token_text(code: bytes, tag: int, attribute: int = 2, head: str = "") -> str:
    """The name of an object as a meter's setting has it: what is usual is left out."""
    a, b, c, d, e, f = code
    if f != 255:
        raise UnknownListError(f"the list has an object of unknown OBIS code {code.hex()}")
    medium = "" if (a, b) == (1, 0) else f"{a}-{b}:"
    text = f"{head}{medium}{c}.{d}.{e}" + (f"#{attribute}" if attribute != 2 else "")
    usual = _Token(text).usual_tag
    return text if tag == usual else f"{text}={tag:02x}"


def is_push(notification: bytes) -> bool:
    """Whether a data-notification (0F) holds one of these, and no list of the Nordic makers."""
    body = notification[5:]
    if body[:1] == b"\x09":  # its time is tagged: Kaifa, Kamstrup
        return False
    size = body[0] if body else 0
    body = body[1 + size :]
    if size not in (0, 12) or body[:1] != b"\x02" or body[1:2] in (b"", b"\x00", b"\x01"):
        return False
    first = body[4:] if body[2:3] in (b"\x09", b"\x0a") else b""
    return not first.startswith((b"Kamstrup", b"KFM_", b"\x01\x00\x00\x02\x81\xff"))


def read_push(apdu: Apdu, notification: bytes, title: bytes | None) -> Reading:
    """The list in a data-notification (0F); `title` is who sealed it. Raises HanError."""
    reader = Reader(notification)
    reader.octet()
    number = int.from_bytes(reader.take(4), "big")
    length = reader.length()
    if length not in (0, 12):
        raise UnknownListError(f"the push has a time of {length} octets")
    header = date_time(reader.take(12)) if length else None
    out = _Builder(apdu, number, header)
    if reader.rest[:4] == b"\x02\x02\x16\x01" and reader.rest[4:5] == b"\x01":
        out.descriptors(reader)
    else:
        body = reader.item()
        if reader.rest:
            raise HanError(f"{len(reader.rest)} octets follow the list")
        out.body(body)
    return out.reading(title)


class _Builder:
    """Collects what a push says, and how it is set up."""

    def __init__(self, apdu: Apdu, number: int, header: DateTime | None) -> None:
        self._apdu = apdu
        self._header = header
        self._clock: DateTime | None = None
        self._tokens: list[str] = []
        self._whole_volts: bool | None = None
        self.values: dict[str, Number] = {}
        self.texts: dict[str, str] = {}
        self.meter_id: str | None = None
        self.maker: str | None = None
        self.variant: str | None = None
        self.traits: dict[str, Any] = {"link": apdu.link, "invoke": number & 0x7FFFFFFF}
        self._letters = "h" if number >> 31 else ""

    # --- forms -----------------------------------------------------------------------

    def body(self, body: Item) -> None:
        items = body.items
        if body.tag != 0x02 or not items:
            raise UnknownListError("the push holds no structure")
        first = items[0]
        if first.tag == 0x01 and first.items and len(first.items[0].items) == 4:
            self._objects(items)
        elif first.tag == 0x01:
            raise UnknownListError("the push lists its objects in another form, or tells an event")
        elif self._is_coded(items):
            self._coded(items)
        else:
            self._by_place(items)

    def _is_coded(self, items: list[Item]) -> bool:
        if any(item.tag == 0x02 for item in items) or (len(items) > 2 and _is_code(items[1])):
            return True
        # Kaernten's list begins with its own code, and values follow.
        return _is_code(items[0]) and items[0].value[2:4] != b"\x19\x09"

    def _objects(self, items: list[Item]) -> None:
        """The list of objects, then the values of all but itself."""
        self.traits["layout"] = "o"
        listed = items[0].items
        if len(listed) != len(items):
            raise UnknownListError("the push has another number of values than of objects")
        for k, (entry, item) in enumerate(zip(listed, items, strict=True)):
            parts = entry.items
            if len(parts) != 4 or not _is_object(parts):
                raise UnknownListError("the push has an object of another form")
            code, attribute = parts[1].value, parts[2].value
            tag = item.tag if k else 0x09
            self._tokens.append(token_text(code, tag, attribute))
            if k and _class(code) != parts[0].value:
                raise UnknownListError(f"the push has an object of class {parts[0].value}")
            if k:
                self._take(_Token(self._tokens[-1]), item)

    def _coded(self, items: list[Item]) -> None:
        """Pairs of code and value, with scaler and unit or without, or structures of them."""
        at = 0
        layouts = set()
        while at < len(items):
            item = items[at]
            if item.tag == 0x02:
                layouts.add("s")
                parts = item.items
                if len(parts) not in (2, 3) or not _is_code(parts[0]):
                    raise UnknownListError("the push has a structure of another form")
                self._one(parts, "")
                at += 1
            elif not _is_code(item):
                # A value without its code: the clock first, the meter's number last.
                code = b"\x00\x00\x01\x00\x00\xff" if at == 0 else b"\x00\x00\x60\x01\x00\xff"
                self._one([Item(_OCTETS, code), item], ".")
                at += 1
            else:
                scaled = at + 2 < len(items) and _is_scaler(items[at + 2])
                pair = items[at : at + (3 if scaled else 2)]
                if len(pair) < 2:
                    raise UnknownListError("the push has a code without a value")
                beside = not scaled and any(other.tag == 0x02 for other in items)
                if not beside:
                    layouts.add("f" if scaled else "p")
                self._one(pair, "/" if beside else "")
                at += len(pair)
        if len(layouts) != 1:
            raise UnknownListError("the push has objects of several forms")
        self.traits["layout"] = layouts.pop()

    def _one(self, parts: list[Item], head: str) -> None:
        code, item = parts[0].value, parts[1]
        token = _Token(token_text(code, item.tag, head=head))
        self._tokens.append(token.text)
        scaler = None
        if len(parts) == 3:
            if not _is_scaler(parts[2]):
                raise UnknownListError("the push has an object without scaler and unit")
            scaler = parts[2].items[0].value
        self._take(token, item, scaler)

    def _by_place(self, items: list[Item]) -> None:
        tags = [item.tag for item in items]
        for self.maker, self.variant, places in _PLACES:
            tokens = [_Token(text) for text in places.split()]
            if [token.tag for token in tokens] == tags:
                break
        else:
            raise UnknownListError(f"a list of {len(items)} values is of no known maker")
        self.traits["layout"] = "v"
        if self.maker == "landis":
            self._whole_volts = True
        for token, item in zip(tokens, items, strict=True):
            self._tokens.append(token.text)
            self._take(token, item)

    def descriptors(self, reader: Reader) -> None:
        """Attribute descriptors without types, and values (Sagemcom XT211, EG.D)."""
        self.traits["layout"] = "a"
        reader.take(5)
        for _ in range(reader.length()):
            if reader.take(2) != b"\x02\x02":
                raise UnknownListError("the push has an attribute of another form")
            number = int.from_bytes(reader.take(2), "big")
            code, attribute = reader.take(6), reader.octet()
            item = reader.item()
            token = _Token(token_text(code, item.tag, attribute))
            if _class(code) != number:
                raise UnknownListError(f"the push has an object of class {number}")
            self._tokens.append(token.text)
            self._take(token, item)
        if reader.rest:
            raise HanError(f"{len(reader.rest)} octets follow the list")

    # --- values ------------------------------------------------------------------------

    def _take(self, token: _Token, item: Item, scaler: int | None = None) -> None:
        code, c, d, e = token.code, *token.code[2:5]
        if code[0] == 1 and c:
            self._number(c, d, e, item, scaler)
        elif code[0] == 1:
            self._half_clock(e, item)
        elif c == 1:
            self._clock = date_time(item.value if isinstance(item.value, bytes) else b"")
        elif c == 25:
            if item.value != code:
                raise UnknownListError("the push names another list than its own")
        elif c == 17:
            self.traits["limit"] = item.value
        elif c == 31:
            self.traits.setdefault("monitors", []).extend(part.value for part in item.items)
        elif (c, d) == (96, 3):
            self._switch(code[1], item)
        elif (c, d) == (96, 14):
            value = item.value
            if isinstance(value, bytes):
                value = _rate(value)
            self.traits["rate"] = value
        else:
            self._text(code, item)

    def _number(self, c: int, d: int, e: int, item: Item, scaler: int | None) -> None:
        name = field_of(c, d, e)
        if name is None or not isinstance(item.value, int):
            raise UnknownListError(f"the push has an object of unknown OBIS code 1-0:{c}.{d}.{e}")
        what = c % 20 if d == 7 and c != 81 else 0
        if what == 12:
            if scaler is None:
                scaler = 0 if self._volts_are_whole(item.value) else -1
            self._whole_volts = scaler == 0
        elif scaler is None:
            scaler = {11: -2, 13: -3}.get(what, 0)
        self.values[name] = scaled(item.value, scaler)

    def _volts_are_whole(self, value: int) -> bool:
        """The list does not say it: Landis+Gyr's E450 sends volts, the others tenths."""
        if self._whole_volts is None:
            self._whole_volts = value < 500 and self._apdu.link.split()[0] != "mbus" and value > 0
        return self._whole_volts

    def _half_clock(self, e: int, item: Item) -> None:
        if not isinstance(item.value, bytes) or len(item.value) != (4 if e == 1 else 5):
            raise UnknownListError("the push has a date or time of another form")

    def _switch(self, relay: int, item: Item) -> None:
        if not relay:
            self.traits["connected"] = bool(item.value)
        elif item.value:
            self.traits["relays"] = self.traits.get("relays", 0) | 1 << relay - 1

    def _text(self, code: bytes, item: Item) -> None:
        if not isinstance(item.value, bytes):
            raise UnknownListError(f"a text was due under {code.hex()}")
        name = ".".join(str(part) for part in code[:5])
        if code[2:4] == b"\x60\x0d" and not item.value:
            return
        if self.meter_id is None:
            self.meter_id = item.value.decode("ascii", "replace")
        if item.value != self.meter_id.encode():
            self.texts[name] = item.value.hex()

    # --- what it makes --------------------------------------------------------------------

    def reading(self, title: bytes | None) -> Reading:
        when = self._clock or self._header
        letters = self._letters
        if self._header is not None:
            letters += "t" + ("d" if self._header.deviation != -0x8000 else "")
            letters += "z" if self._header.hundredths != 0xFF else ""
            letters += self._status()
        letters += "w" if self._whole_volts else ""
        self.traits["header"] = letters
        self.traits["objects"] = " ".join(self._tokens)
        self.traits["texts"] = self.texts
        maker = self._maker(title)
        list_no = 3 if "a_plus_wh" in self.values else 2
        return Reading(maker, list_no, self.meter_id, None, None, when, self.values,
                       self._apdu.raw, self.traits)  # fmt: skip

    def _status(self) -> str:
        """s where the status says summer time; else what of the push's own differs."""
        header = self._header
        assert header is not None
        summer = header.deviation == -120
        says = summer == bool(header.status & 0x80) and header.deviation != -0x8000
        if self._clock is not None and self._clock != header:
            lead = self._clock.moment() - header.moment()
            self.traits["lead_s"] = lead // 1000
        if not says:
            self.traits["lead_status"] = header.status
        return "s" if says else ""

    def _maker(self, title: bytes | None) -> str:
        """By who sealed it, by the meter's name, by its form."""
        names = [title[:3] if title else b"", (self.meter_id or "").encode()[:3]]
        names += [bytes.fromhex(text)[:3] for text in self.texts.values()]
        for name in names:
            maker = _MAKERS.get(name.decode("ascii", "replace"))
            if maker:
                return maker
        if self.maker:
            return self.maker
        if self.traits["layout"] == "a" or self._apdu.link.startswith("mbus"):
            return "sagemcom"
        if self._apdu.link.split()[0] == "hdlc" and self._apdu.hdlc.address[:1] == b"\xcf":
            return "iskraemeco"
        return "landis" if self._apdu.link != "none" else "kaifa"


def _is_code(item: Item) -> bool:
    value = item.value
    if item.tag != _OCTETS or not isinstance(value, bytes) or len(value) != 6:
        return False
    return value[0] in (0, 1) and value[5] == 255


def _is_object(parts: list[Item]) -> bool:
    """Class, code, attribute and index of a capture object."""
    return _is_code(parts[1]) and isinstance(parts[2].value, int) and parts[3].value == 0


def _rate(text: bytes) -> int:
    """Of a T and digits, or a number's octets, whose last it is."""
    if text[:1] == b"T" and text[1:].isdigit():
        return int(text[1:])
    if not text or text[:1] == b"T":
        raise UnknownListError("the push has a rate of another form")
    return text[-1]


def _is_scaler(item: Item) -> bool:
    parts = item.items
    return item.tag == 0x02 and len(parts) == 2 and [part.tag for part in parts] == [0x0F, _ENUM]


def _class(code: bytes) -> int:
    """The interface class that an object of a list has (IEC 62056-6-2)."""
    if code[0]:
        return 1 if code[2] == 0 else 3
    if code[2] == 96:
        return 70 if code[3] == 3 else 1
    return {25: 40, 1: 8, 17: 71}.get(code[2], 1)

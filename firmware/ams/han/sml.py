"""SML push of the German meters: one file of three messages, sent unasked (9600 Bd, 8N1).

    1b1b1b1b 01010101 | open | list | close | 00... | 1b1b1b1b 1a padding CRC

Sources: SML 1.04 (BSI TR-03109-1, annex IV b), transport version 1; the FNN's "Lastenheft
Basiszaehler" for the status; captures for what each maker makes of it (sml_lists.py). The
number of a message is counted from power-up, the time is that of the meter in seconds since
2000: an index, as the meters' operating seconds are.

Options, each replacing what the variant has: `objects`, `form` (letters), `maker`, `transaction`
(number of the first message), `steps`, `transaction_octets`, `file` (number), `file_octets`,
`version`, `client`, `status` (None: as it stands), `time_octets`, `lag_s` (how old the times of
the objects are), and `texts`: what an object that is not measured says, by code ("199.130.5": the
public key), in hex, or a number.
"""

import binascii

from ams.crypto.octets import crc16_more, find
from ams.han.sml_lists import VARIANTS, manner
from ams.registers.obis import unit

_START = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
_ESCAPE = b"\x1b\x1b\x1b\x1b"
_INT = 0x50
_UINT = 0x60
_NO_CLIENT = b"\xff\xff\xff\xff\xff\xff"
# An object: six octets of its code, and how it is shown.
_CODE = 6
_STATUS, _TIMED, _TYPE, _OCTETS, _SCALER, _SIZE = 6, 7, 8, 9, 10, 11
_SECOND_MS = 1000


class Sml:
    name = "sml"
    ciphered = False
    wants_sources = True
    summer_time = True
    variants = VARIANTS
    line = (9600, 8, None, 1)
    hourly = None
    largest = 900

    def __init__(
        self,
        variant="emh",
        objects=None,
        form=None,
        maker=None,
        transaction=None,
        steps=None,
        transaction_octets=None,
        file=None,
        file_octets=None,
        version=None,
        client=None,
        status=None,
        time_octets=4,
        lag_s=0,
        texts=None,
    ):
        makers, period_ms, numbers, files, said, letters, listed = manner(variant)
        self.variant = variant
        self.schedule = ((period_ms, 2),)
        self._maker = (maker or makers).encode()
        self._octets = transaction_octets or numbers[0]
        self._steps = steps or numbers[1:4]
        self._number = numbers[4] if transaction is None else transaction
        self._file_octets = file_octets or files[0]
        self._file = files[1] if file is None else file
        self._counts = not files[1] and file is None
        self._version = said if version is None else version
        self._form = letters if form is None else form
        self._client = _NO_CLIENT
        if client is not None:
            self._client = binascii.unhexlify(client)
        elif "e" in self._form:
            self._client = self._maker
        self._status = status
        self._time_octets = 0 if "m" in self._form else time_octets
        self._lag_s = lag_s
        self._texts = texts or {}
        self._objects = [_object(text) for text in (objects or listed).split()]
        self._crc_start = 0 if "k" in self._form else 0xFFFF
        self._figures = None

    # --- a file ------------------------------------------------------------------

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a file and returns its length. `utc_ms` is the time of its list."""
        self._figures = view.figures()
        self._seconds = utc_ms // _SECOND_MS & 0xFFFFFFFF
        self._server = server_id(view.identity.meter_id, self._maker, self._form)
        if self._counts:
            self._file += 1
        writer.at = 0
        writer.octets(_START)
        self._open(writer)
        self._list(writer, view)
        self._message(writer, self._number + self._steps[1], 0x0201, 1)
        writer.octet(1)  # no signature
        self._seal(writer)
        self._number += self._steps[2]
        return self._end(writer)

    def _end(self, writer):
        """Escapes what looks like an escape, fills up to fours, and seals."""
        buffer = writer.buffer
        at = len(_START)
        while True:
            at = find(buffer, 0x1B, at, writer.at)
            if at > writer.at - 4:
                break
            if bytes(buffer[at : at + 4]) == _ESCAPE:
                writer.octets(_ESCAPE)
                for k in range(writer.at - 1, at + 7, -1):
                    buffer[k] = buffer[k - 4]
                buffer[at + 4 : at + 8] = _ESCAPE
                at += 8
            else:
                at += 1
        padding = -writer.at & 3
        if not padding and "p" in self._form:
            padding = 4
        writer.number(0, padding)
        writer.octets(_ESCAPE)
        writer.octet(0x1A)
        writer.octet(padding)
        self._check(writer, 0, 2)
        return writer.at

    # --- messages ------------------------------------------------------------------

    def _message(self, writer, number, choice, fields):
        """The beginning of a message, to the head of its body."""
        self._begun = writer.at
        writer.octet(0x76)
        writer.octet(self._octets + 1)
        at = writer.at
        writer.number(number, self._octets)
        if "l" in self._form:
            low = writer.buffer[at : writer.at]
            for k in range(self._octets):
                writer.buffer[at + k] = low[self._octets - 1 - k]
        writer.octets(b"\x62\x00\x62\x00\x72")  # group, abort on error
        _number(writer, _UINT, choice, 4 if "w" in self._form else 2)
        writer.octet(0x70 | fields)

    def _seal(self, writer):
        crc = self._checksum(writer.buffer, self._begun, writer.at)
        _number(writer, _UINT, crc, 0 if "c" in self._form else 2)
        writer.octet(0)

    def _open(self, writer):
        form = self._form
        self._message(writer, self._number, 0x0101, 6)
        writer.octet(1)  # code page
        _text(writer, self._client if "x" in form else b"")
        writer.octet(self._file_octets + 1)
        writer.number(self._seconds if "f" in form else self._file, self._file_octets)
        _text(writer, self._server)
        self._time(writer, self._seconds if "r" in form else None)
        if self._version:
            _number(writer, _UINT, self._version, 1)
        else:
            writer.octet(1)
        self._seal(writer)

    def _list(self, writer, view):
        form = self._form
        self._message(writer, self._number + self._steps[0], 0x0701, 7)
        _text(writer, self._client if "y" in form else b"")
        _text(writer, self._server)
        _text(writer, b"\x01\x00\x62\x0a\xff\xff" if "n" in form else b"")
        self._time(writer, self._seconds if "s" in form else None)
        shown = 0
        head = writer.at
        writer.at += 1 if len(self._objects) < 16 else 2
        for entry in self._objects:
            shown += self._entry(writer, entry, view)
        end = writer.at
        writer.at = head
        if len(self._objects) >= 16:
            writer.octet(0xF0 | shown >> 4)
            writer.octet(shown & 15)
        else:
            writer.octet(0x70 | shown)
        writer.at = end
        writer.octets(b"\x01\x01")  # signature, gateway's time
        self._seal(writer)

    def _time(self, writer, seconds):
        """An index of seconds; None: none, 0: one of zero."""
        if seconds is None:
            writer.octet(1)
            return
        if "u" not in self._form:
            writer.octets(b"\x72\x62\x01")  # a choice: the index of seconds
        _number(writer, _UINT, seconds, self._time_octets if seconds else 1)

    # --- objects ---------------------------------------------------------------------

    def _entry(self, writer, entry, view):
        """One object; gives 0 for one that this meter has not."""
        text = None
        if not entry[_TYPE]:
            text = self._said(entry, view)
            if text is None:
                return 0
        elif not _has(entry, view.system):
            return 0
        writer.octets(b"\x77\x07")
        writer.octets(entry[:_CODE])
        if entry[_STATUS]:
            _number(writer, _UINT, self._state(view, entry[_STATUS]), entry[_STATUS])
        else:
            writer.octet(1)
        zeroed = text is not None and "z" in self._form
        if zeroed or entry[_TIMED] == 2:
            self._time(writer, 0)
        else:
            self._time(writer, self._seconds - self._lag_s if entry[_TIMED] else None)
        if text is not None:
            writer.octets(b"\x62\x00\x52\x00" if zeroed else b"\x01\x01")
            _text(writer, text)
        else:
            self._value(writer, entry, view)
        writer.octet(1)  # signature
        return 1

    def _value(self, writer, entry, view):
        c, d, e = entry[2], entry[3], entry[4]
        if c == 96:
            value = self._texts.get(_name(entry))
            writer.octets(b"\x01\x01")
            if value is None:
                value = self._state(view, 4)
            _number(writer, entry[_TYPE], value, entry[_OCTETS])
            return
        scaler = entry[_SCALER] - 128
        _number(writer, _UINT, unit(c, d), 1)
        _number(writer, _INT, scaler, 1)
        _number(writer, entry[_TYPE], self._figures.value(c, d, e, scaler), entry[_OCTETS])

    def _said(self, entry, view):
        """What an object without a number says."""
        a, c, d, e = entry[0], entry[2], entry[3], entry[4]
        given = self._texts.get(_name(entry))
        if given is not None:
            return binascii.unhexlify(given)
        if (c, d, e) in ((96, 50, 1), (199, 130, 3)):
            return self._maker
        if (a, c, d, e) == (1, 96, 1, 0) or (c, d, e) == (0, 0, 9):
            return self._server
        if (c, d, e) == (0, 0, 0):
            if "9" in self._form:
                return din_text(view.identity.meter_id, self._maker)
            return view.identity.meter_id.encode()
        if (c, d, e) == (96, 1, 255):
            return ("%010d" % int(view.identity.meter_id)).encode()[-10:]
        return None

    def _state(self, view, octets):
        """The status: by the FNN for those that say it so, else import or export alone."""
        if self._status is not None:
            return self._status
        q = view.quantities
        exports = q.total_active_power_mw < 0
        if octets < 3 or "6" in self._form or "9" in self._form:
            return 0x1A2 if exports else 0x182
        state = 0x04
        if q.total_active_power_mw:
            state |= 0x100
        if exports:
            state |= 0x800
        for place in q.phases():
            if q.active_power_mw[place] < 0:
                state |= 0x1000 << place
            if q.voltage_mv[place]:
                state |= 0x40000 << place
        return state

    # --- checks ------------------------------------------------------------------------

    def _checksum(self, buffer, start, end):
        """As it is sent: X.25 the low octet first, Kermit the high one."""
        crc = crc16_more(self._crc_start, buffer, start, end) ^ self._crc_start
        return (crc & 0xFF) << 8 | crc >> 8 if self._crc_start else crc

    def _check(self, writer, start, octets):
        writer.number(self._checksum(writer.buffer, start, writer.at), octets)


# --- encoding ----------------------------------------------------------------------------


def _number(writer, kind, value, octets):
    """An integer in so many octets; 0: as few as hold it."""
    if not octets:
        octets = 1
        if kind == _UINT:
            while value >> 8 * octets:
                octets += 1
        else:
            while not -(1 << 8 * octets - 1) <= value < 1 << 8 * octets - 1:
                octets += 1
    writer.octet(kind | octets + 1)
    writer.number(value, octets)


def _text(writer, data):
    """An octet string; nothing is one of no octets."""
    size = len(data) + 1
    if size > 15:
        size += 1
        writer.octet(0x80 | size >> 4)
        writer.octet(size & 15)
    else:
        writer.octet(size)
    writer.octets(data)


def _object(text):
    """`A-B:C.D.E*F/Nt=i5-1`, see sml_lists, as octets."""
    entry = bytearray(_SIZE)
    text, _, form = text.partition("=")
    if form:
        entry[_TYPE] = _UINT if form[0] == "u" else _INT
        entry[_OCTETS] = int(form[1])
        entry[_SCALER] = int(form[2:]) + 128
    if text[-1] in "tz":
        entry[_TIMED] = 1 if text[-1] == "t" else 2
        text = text[:-1]
    text, _, status = text.partition("/")
    entry[_STATUS] = int(status or 0)
    text, _, last = text.partition("*")
    medium, _, code = text.rpartition(":")
    c, d, e = code.split(".")
    a, _, b = medium.partition("-")
    if not medium:
        a, b = ("129", "129") if c == "199" else ("1", "0")
    for k, part in enumerate((a, b, c, d, e, last or 255)):
        entry[k] = int(part)
    return bytes(entry)


def _name(entry):
    """A code as `texts` has it: C.D.E, with *F where that is not 255."""
    name = "%d.%d.%d" % tuple(entry[2:5])
    return name if entry[5] == 255 else name + "*%d" % entry[5]


def _has(entry, system):
    """Whether a meter of the system has an object: one phase has no second or third."""
    c, e = entry[2], entry[4]
    if system != "1P2W":
        return True
    if c == 81:
        return e in (4, 40)
    return entry[3] != 7 or c <= 36


def server_id(meter_id, maker, form):
    """The server's number, by DIN 43863-5 or as the makers had it before.

    A meter's number is given as text: `1EMH0010599732` (medium, maker, block, eight digits),
    `EMH01027156CD45` (maker and six octets in hex), `EMH-02806498-01-02` (M-Bus: maker, number,
    version, medium), or as what it is sent: text (form 3) or in hex (form 0). One of all digits
    becomes that of the maker, with the last eight.
    """
    if "3" in form:
        return meter_id.encode()
    if "0" in form:
        return binascii.unhexlify(meter_id)
    if "-" in meter_id:
        letters, number, version, medium = meter_id.split("-")
        code = 0
        for letter in letters:
            code = code << 5 | ord(letter) - 64
        low = bytes((code & 0xFF, code >> 8))
        digits = binascii.unhexlify(number)
        digits = bytes(digits[3 - k] for k in range(4))
        return b"\x01" + low + digits + binascii.unhexlify(version + medium)
    if meter_id[:3].isalpha():
        return b"\x06" + meter_id[:3].encode() + binascii.unhexlify(meter_id[3:])
    if meter_id.isdigit() and "6" in form:
        return b"\x06" + maker + b"\x01\x02" + int(meter_id[-8:]).to_bytes(4, "big")
    text = din_text(meter_id, maker).decode()
    head = bytes((9 if "9" in form else 10, int(text[0], 16)))
    block = binascii.unhexlify(text[4:6])
    return head + text[1:4].encode() + block + int(text[6:]).to_bytes(4, "big")


def din_text(meter_id, maker):
    """A meter's number of fourteen characters by DIN 43863-5."""
    if meter_id.isdigit():
        return b"1" + maker + b"00" + meter_id[-8:].encode()
    return meter_id.encode()

"""Meters behind this one: what M-Bus client objects (class 72) and their values show.

A channel is a sub-meter that is installed, or free. Numbers stay integers: `value` times ten
to the `scaler`, in a COSEM unit.
"""

import struct

from micropython import const

CHANNELS = const(4)
VALUES = const(4)
_SETUP = "<BBIHBBI32s"
SETUP_SIZE = struct.calcsize(_SETUP)
_LONGEST_BLOCK = const(4)

# Bits of `alarm`: the first three are the sub-meter's own, as its status octet has them.
ALARM_POWER_LOW = const(0x04)
ALARM_PERMANENT_ERROR = const(0x08)
ALARM_TEMPORARY_ERROR = const(0x10)
ALARM_NO_ANSWER = const(0x80)
# Beside them, in the status of one value.
MARK_OTHER = const(0x20)  # a VIFE makes it another quantity than its VIF says
MARK_ERROR = const(0x40)  # measured in error, or the meter says why it has none


class Value:
    """One captured value: the newest, and when it came."""

    def __init__(self):
        self.dib = b""
        self.vib = b""
        self.value = None  # int
        self.scaler = 0
        self.unit = 255
        self.utc_ms = None
        self.mark = 0


class SubMeter:
    """Fields are named as the attributes of class 72."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.installed = False
        self.primary_address = 0
        self.identification_number = 0  # eight BCD digits
        self.manufacturer_id = 0
        self.version = 0
        self.device_type = 0
        self.capture_period_s = 3600
        # Pairs (DIB, VIB) of the values wanted; none: the first that are numbers.
        self.capture_definition = []
        self.access_number = 0
        self.status = 0
        self.alarm = 0
        self.failures = 0  # readouts in a row without an answer
        self.captured_utc_ms = None
        self.values = [Value() for _ in range(VALUES)]

    def pack(self):
        """What must survive a power cut: who it is and how often it is read."""
        blocks = bytearray(32)
        for k, (dib, vib) in enumerate(self.capture_definition[:VALUES]):
            blocks[8 * k : 8 * k + len(dib)] = dib
            blocks[8 * k + 4 : 8 * k + 4 + len(vib)] = vib
        return struct.pack(
            _SETUP,
            self.primary_address if self.installed else 0xFF,
            len(self.capture_definition),
            self.identification_number,
            self.manufacturer_id,
            self.version,
            self.device_type,
            self.capture_period_s,
            bytes(blocks),
        )

    def restore(self, data):
        """From `pack`. Raises ValueError."""
        if len(data) != SETUP_SIZE:
            raise ValueError("setup of a sub-meter of an unknown version")
        self.clear()
        fields = struct.unpack(_SETUP, data)
        if fields[0] == 0xFF:
            return
        self.installed = True
        self.primary_address, count, self.identification_number, self.manufacturer_id = fields[:4]
        self.version, self.device_type, self.capture_period_s, blocks = fields[4:]
        for at in range(0, 8 * min(count, VALUES), 8):
            pair = (_block(blocks[at : at + 4]), _block(blocks[at + 4 : at + 8]))
            self.capture_definition.append(pair)

    def define(self, definition):
        """Sets the capture definition. Raises ValueError for what cannot be kept."""
        if len(definition) > VALUES:
            raise ValueError("at most %d values" % VALUES)
        for dib, vib in definition:
            for block in (dib, vib):
                if not 1 <= len(block) <= _LONGEST_BLOCK or block[-1] & 0x80:
                    raise ValueError("no DIB and VIB")
                if _block(block) != bytes(block):
                    raise ValueError("no DIB and VIB")
        self.capture_definition = [(bytes(dib), bytes(vib)) for dib, vib in definition]
        self.values = [Value() for _ in range(VALUES)]


def _block(data):
    """DIF or VIF with its extensions, of what stands at the start of `data`."""
    end = 1
    while end < len(data) and data[end - 1] & 0x80:
        end += 1
    return bytes(data[:end])


class SubMeters:
    def __init__(self):
        self.meters = [SubMeter() for _ in range(CHANNELS)]

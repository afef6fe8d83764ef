"""The registers of a unit: fills an answer with what stands at an address now."""

from micropython import const

from ams import __version__
from ams.metrology.fixed import div_rounded
from ams.modbus import points as pt
from ams.modbus import register_maps as rm
from ams.modbus.binary32 import NAN, float_bits

READ_HOLDING = const(3)
READ_INPUT = const(4)
_INT16_NONE = const(0x8000)
_INT16_MOST = const(0x7FFF)
_U32 = const(0xFFFFFFFF)
_HEAD = const(72)  # registers before the meter model's: mark, common model, its own head
_END = const(2)
_MAKER = "OpenAMS"
# What is carried at the most, for scale factors: by a meter that is connected directly, and by
# current transformers, of which 120 % is the least that they stand (IEC 61869-2, 5.3).
_LARGEST_MA = const(100000)
_LARGEST_PER_A = const(1200)


def put(out, at, value, size, first, start, end):
    """Big-endian words of a value whose register `start` is the first of `size`: those of them
    in [first, end) go to `out`, where that of `first` stands at `at`."""
    for k in range(size):
        register = start + k
        if first <= register < end:
            word = value >> 16 * (size - 1 - k) & 0xFFFF
            place = at + 2 * (register - first)
            out[place] = word >> 8
            out[place + 1] = word & 0xFF


class SunSpecMap:
    """The chain at 40000: mark, common model, one meter model of integers or floats, end."""

    def __init__(self, meter, floats, unit):
        self._points = pt.Points(meter)
        self._rows = rm.meter_float() if floats else rm.meter_int()
        self._scales = _scale_factors(meter)
        self._body = rm.SUNSPEC_BASE + _HEAD
        length = self._length()
        self._end = self._body + length
        model = 200 + 10 * floats + rm.MODELS[self._points.system]
        self._head = _sunspec_head(meter.identity, unit, model, length)

    def _length(self):
        length = 0
        for at in range(2, len(self._rows), 3):
            length += _words(self._rows[at])
        return length

    def covers(self, function, first, end):
        return rm.SUNSPEC_BASE <= first and end <= self._end + _END

    def fill(self, function, first, count, out, at):
        """Registers from `first` on, to `out` at `at`: all of one moment."""
        end = first + count
        head = self._head
        for register in range(first, min(end, self._body)):
            k = 2 * (register - rm.SUNSPEC_BASE)
            place = at + 2 * (register - first)
            out[place] = head[k]
            out[place + 1] = head[k + 1]
        start = self._body
        rows = self._rows
        row = 0
        while row < len(rows) and start < end:
            form = rows[row + 2]
            size = _words(form)
            if start + size > first:
                value = self._value(rows[row], rows[row + 1], form)
                put(out, at, value, size, first, start, end)
            start += size
            row += 3
        # Where the chain ends: model 0xFFFF of length 0.
        put(out, at, 0xFFFF0000, 2, first, self._end, end)

    def _value(self, what, k, form):
        """As the bits of its registers."""
        scale = self._scales[form & 0x0F]
        kind = form & 0xF0
        if kind == rm.SUNSSF:
            return scale & 0xFFFF
        value = self._points.of(what, k)
        if kind == rm.FLOAT32:
            return NAN if value is None else float_bits(value, self._points.places(what))
        if kind == rm.BITFIELD32:
            return value
        if kind == rm.ACC32:
            # It counts on from 0 when 32 bits are full; 0 is "not there" too.
            return 0 if value is None else _scaled(value, self._points.places(what) + scale) & _U32
        if value is None:
            return _INT16_NONE
        value = div_rounded(value, 10 ** (self._points.places(what) + scale))
        return max(-_INT16_MOST, min(_INT16_MOST, value)) & 0xFFFF


def _words(form):
    return 1 if form & 0xF0 in (rm.INT16, rm.SUNSSF) else 2


def _scaled(value, places):
    """Whole units that are full: a register shows no more than was counted."""
    return value // 10**places if places >= 0 else value * 10**-places


def _fitting(exponent, most):
    """The least exponent, from `exponent` on, by which `most` milli-units fit an int16."""
    while most > _INT16_MOST * 10 ** (exponent + 3):
        exponent += 1
    return exponent


def _scale_factors(meter):
    """Exponents in the order of register_maps; they never change while the meter runs."""
    transformers = meter.energy.transformers
    volts_mv = transformers.voltage(meter.calibration.nominal_voltage_mv)
    amperes_ma = _LARGEST_PER_A * transformers.ct[0] if transformers.fitted else _LARGEST_MA
    phases = 1 if meter.quantities.system == "1P2W" else 3
    # 15 % above the nominal voltage, as EN 50160 allows for a moment; of 3P3W that between
    # phases, of which the root of three makes the power.
    factor = {"1P2W": 115, "3P4W": 345, "3P3W": 200}[meter.quantities.system]
    power_mw = volts_mv * factor // 100 * amperes_ma // 1000
    return (
        _fitting(-2, phases * amperes_ma),
        _fitting(-1, 2 * volts_mv),
        -2,
        _fitting(0, power_mw),
        -1,
        transformers.exponent,
        -0x8000,
    )


def _text(out, at, text, size):
    data = text.encode()[: 2 * size]
    out[2 * at : 2 * at + len(data)] = data


def _sunspec_head(identity, unit, model, length):
    head = bytearray(2 * _HEAD)
    head[:4] = b"SunS"
    put(head, 0, rm.COMMON << 16 | rm.COMMON_LENGTH, 2, 0, 2, _HEAD)
    _text(head, 4, _MAKER, 16)
    _text(head, 20, identity.meter_type, 16)
    _text(head, 44, __version__, 8)
    _text(head, 52, identity.meter_id, 16)
    put(head, 0, unit << 16 | _INT16_NONE, 2, 0, 68, _HEAD)
    put(head, 0, model << 16 | length, 2, 0, 70, _HEAD)
    return bytes(head)


class Sdm630Map:
    """The input registers of an SDM630, and of its holding registers those that say how it is
    set up. `line` is (baud, parity, stop) of the RS-485."""

    def __init__(self, meter, line, unit):
        self._points = pt.Points(meter)
        self._rows = rm.sdm630_input()
        baud, parity, stop = line
        self._holding = (
            (rm.SDM630_SYSTEM, ("1P2W", "3P3W", "3P4W").index(self._points.system) + 1),
            (rm.SDM630_PARITY, (3 if stop == 2 else 0) if parity is None else parity + 1),
            (rm.SDM630_NODE, unit),
            (rm.SDM630_BAUD, {2400: 0, 4800: 1, 9600: 2, 19200: 3, 38400: 4}.get(baud, 2)),
        )

    def covers(self, function, first, end):
        return end <= (rm.SDM630_INPUT_END if function == READ_INPUT else rm.SDM630_HOLDING_END)

    def fill(self, function, first, count, out, at):
        """Registers from `first` on, to `out` at `at`: all of one moment."""
        end = first + count
        for place in range(at, at + 2 * count):
            out[place] = 0
        if function == READ_HOLDING:
            for half, value in self._holding:
                put(out, at, float_bits(value, 0), 2, first, 2 * half, end)
            return
        rows = self._rows
        for row in range(0, len(rows), 3):
            start = 2 * rows[row]
            if start >= end:
                return
            if start + 2 > first:
                value = self._points.of(rows[row + 1], rows[row + 2])
                if value is not None:
                    bits = float_bits(value, self._points.places(rows[row + 1]))
                    put(out, at, bits, 2, first, start, end)


NAMES = ("sunspec", "sunspec-float", "sdm630")


def make_map(name, meter, line, unit):
    """Raises ValueError for an unknown one."""
    if name == "sdm630":
        return Sdm630Map(meter, line, unit)
    if name not in NAMES:
        raise ValueError("modbus: no map %r: it is one of %s" % (name, ", ".join(NAMES)))
    return SunSpecMap(meter, name == "sunspec-float", unit)

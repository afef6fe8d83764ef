"""What stands in the lines of a P1 telegram: one function for each letter of the templates.

(writer, view, lines, at, utc_ms), where lines[at] is what follows the letter.
Each gives False when the meter has no such thing: then the line is left out.
"""

_DIGITS = b"0123456789ABCDEF"


def _time(writer, view, lines, at, utc_ms):
    write_time(writer, view, utc_ms)
    return True


def write_time(writer, view, utc_ms):
    """YYMMDDhhmmss, and S in summer time or W."""
    when = view.local(utc_ms)
    for value in (when[0] % 100, when[1], when[2], when[4], when[5], when[6]):
        _digits(writer, value, 2)
    writer.octet(0x53 if view.local_clock.offset_min(utc_ms) == 120 else 0x57)


def _long_time(writer, view, lines, at, utc_ms):
    """YYYYMMDD hh:mm:ss"""
    when = view.local(utc_ms)
    _digits(writer, when[0], 4)
    _digits(writer, when[1], 2)
    _digits(writer, when[2], 2)
    for k, value in enumerate((when[4], when[5], when[6])):
        writer.octet(0x3A if k else 0x20)
        _digits(writer, value, 2)
    return True


def _hex(writer, octets):
    for value in octets:
        writer.octet(_DIGITS[value >> 4])
        writer.octet(_DIGITS[value & 15])


def _equipment(writer, view, lines, at, utc_ms):
    _hex(writer, view.sources.equipment(0))
    return True


def _serial(writer, view, lines, at, utc_ms):
    _hex(writer, view.sources.equipment(1))
    return True


def _energy(writer, view, lines, at, utc_ms):
    _rolling(writer, view.register(lines[at] - 48), lines, at + 1)
    return True


def _rate_energy(writer, view, lines, at, utc_ms):
    which, rate = lines[at] - 48, lines[at + 1] - 48
    mwh = view.sources.of_rate(which, rate)[0] * view.energy_factor
    _rolling(writer, mwh, lines, at + 2)
    return True


def _sum_energy(writer, view, lines, at, utc_ms):
    _rolling(writer, view.register(0) + view.register(1), lines, at)
    return True


def _rolling(writer, mwh, lines, at):
    """Whole Wh; a register rolls over."""
    whole, decimals = lines[at] - 48, lines[at + 1] - 48
    _fixed(writer, mwh // 1000 % 10 ** (whole + decimals), whole, decimals)


def _power(writer, view, lines, at, utc_ms):
    _fixed(writer, view.power(lines[at] - 48), lines[at + 1] - 48, lines[at + 2] - 48)
    return True


def _phase_power(writer, view, lines, at, utc_ms):
    place = lines[at] - 48
    # Two elements are no phases: an IT meter gives no power per phase.
    if place not in view.quantities.phases() or view.system == "3P3W":
        return False
    value = view.phase_power(place, lines[at + 1] - 48)
    _fixed(writer, value, lines[at + 2] - 48, lines[at + 3] - 48)
    return True


def _quadrant(writer, view, lines, at, utc_ms):
    """Reactive power, where active and reactive power stand in that quadrant."""
    way, sign = divmod((0, 2, 3, 1)[lines[at] - 49], 2)  # I: P+ Q+, II: P- Q+, III: P- Q-, IV
    q = view.quantities
    # No active power is import, as the registers have it.
    exports = q.total_active_power_mw < 0
    value = view.power(2 + sign) if exports == bool(way) else 0
    _fixed(writer, value, lines[at + 1] - 48, lines[at + 2] - 48)
    return True


def _apparent(writer, view, lines, at, utc_ms):
    q = view.quantities
    exports = q.total_active_power_mw < 0
    value = q.total_apparent_power_mva if exports == (lines[at] == 49) else 0
    _fixed(writer, (value + 500) // 1000, lines[at + 1] - 48, lines[at + 2] - 48)
    return True


def _voltage(writer, view, lines, at, utc_ms):
    place, whole, decimals = lines[at] - 48, lines[at + 1] - 48, lines[at + 2] - 48
    if place not in view.quantities.phases():
        return False
    _fixed(writer, view.voltage(place, 10 ** (3 - decimals)), whole, decimals)
    return True


def _current(writer, view, lines, at, utc_ms):
    place, whole, decimals = lines[at] - 48, lines[at + 1] - 48, lines[at + 2] - 48
    if place not in view.quantities.phases():
        return False
    _fixed(writer, view.current(place, 10 ** (6 - decimals)), whole, decimals)
    return True


def _frequency(writer, view, lines, at, utc_ms):
    decimals = lines[at + 1] - 48
    step = 10 ** (3 - decimals)
    _fixed(writer, (view.quantities.frequency_mhz + step // 2) // step, lines[at] - 48, decimals)
    return True


def _factor(writer, view, lines, at, utc_ms):
    place = lines[at] - 48
    if place < 3 and (place not in view.quantities.phases() or view.system == "3P3W"):
        return False
    _fixed(writer, view.sources.power_factor(place), 1, 3)
    return True


def _rate(writer, view, lines, at, utc_ms):
    _digits(writer, view.sources.rate(), 4)
    return True


def _count(writer, view, lines, at, utc_ms):
    which = lines[at] - 48
    if which > 1 and (which - 2) % 3 not in view.quantities.phases():
        return False
    _digits(writer, min(view.sources.count(which), 99999), 5)
    return True


def _failures(writer, view, lines, at, utc_ms):
    """The log of long power failures: how many, then the end and the seconds of each."""
    log = view.sources.failures()
    # The brackets around it all stand in the template.
    _number(writer, len(log))
    writer.octets(b")(0-0:96.7.19")
    for end_ms, seconds in log:
        writer.octets(b")(")
        write_time(writer, view, end_ms)
        writer.octets(b")(")
        _digits(writer, min(seconds, 9999999999), 10)
        writer.octets(b"*s")
    return True


def _demand(writer, view, lines, at, utc_ms):
    """0: mean power now; 1: its maximum and when; 2: those of the months before."""
    which = lines[at] - 48
    sources = view.sources
    if which == 0:
        _fixed(writer, (sources.demand_mw(utc_ms) + 500) // 1000, 2, 3)
        writer.octets(b"*kW")
        return True
    entries = sources.maxima(which - 1)
    if which == 1:
        if not entries:
            return False
        _maximum(writer, view, entries[0])
        return True
    writer.octet(0x28)
    _number(writer, len(entries))
    writer.octets(b")(1-0:1.6.0)(1-0:1.6.0)")
    for month_ms, when_ms, mw in entries:
        writer.octet(0x28)
        write_time(writer, view, month_ms)
        writer.octet(0x29)
        _maximum(writer, view, (when_ms, mw))
    return True


def _maximum(writer, view, entry):
    """(when)(how much); without a when the time is that of a meter that knows none."""
    when_ms, mw = entry
    writer.octet(0x28)
    if when_ms is None:
        writer.octets(b"632525252525W")
    else:
        write_time(writer, view, when_ms)
    writer.octets(b")(")
    _fixed(writer, (mw + 500) // 1000, 2, 3)
    writer.octets(b"*kW)")


def _breaker(writer, view, lines, at, utc_ms):
    writer.octet(0x31 if view.sources.connected() else 0x30)
    return True


def _limit(writer, view, lines, at, utc_ms):
    whole, decimals = lines[at] - 48, lines[at + 1] - 48
    limit_mw = view.sources.limit_mw()
    step = 10 ** (6 - decimals)
    value = 10**9 if limit_mw is None else limit_mw // step
    _fixed(writer, value, whole, decimals)
    return True


def _fuse(writer, view, lines, at, utc_ms):
    if lines[at] - 48 not in view.quantities.phases():
        return False
    limit_ma = view.sources.limit_ma()
    _fixed(writer, 999 if limit_ma is None else limit_ma // 1000, 3, 0)
    return True


_CUBIC_METRES = (13, 14)  # and corrected
_WH, _JOULE = 30, 31


def _sub_meters(writer, view, lines, at, utc_ms):
    """The lines of the meters behind this one; 1: as in Belgium, 2: with the valve of DSMR 4.0."""
    belgian = lines[at] == 49
    valve = lines[at] == 50
    for channel, device, serial, when_ms, value, scaler, unit in view.sources.sub_meters():
        _channel(writer, channel, b"24.1.0(")
        _digits(writer, device, 3)
        _channel(writer, channel, b"96.1.1(" if belgian else b"96.1.0(", b")\r\n")
        _hex(writer, serial)
        if belgian and device == 3:
            _channel(writer, channel, b"24.4.0(1", b")\r\n")
        if value is not None:
            gas = belgian and device == 3
            _channel(writer, channel, b"24.2.3(" if gas else b"24.2.1(", b")\r\n")
            write_time(writer, view, when_ms)
            writer.octets(b")(")
            _amount(writer, value, scaler, unit)
        if valve and device == 3:
            _channel(writer, channel, b"24.4.0(1", b")\r\n")
        writer.octets(b")\r\n")
    return True


def _channel(writer, channel, code, before=b""):
    writer.octets(before)
    writer.octets(b"0-")
    _digits(writer, channel, 1)
    writer.octet(0x3A)
    writer.octets(code)


def _amount(writer, value, scaler, unit):
    """Thousandths of a cubic metre, or of a gigajoule for what is heat."""
    if unit in _CUBIC_METRES:
        _fixed(writer, _scaled(value, scaler + 3), 5, 3)
        writer.octets(b"*m3")
    elif unit == _WH:
        # 1 Wh is 3600 J, and a step a megajoule.
        _fixed(writer, _scaled(value, scaler) * 36 // 10000, 5, 3)
        writer.octets(b"*GJ")
    elif unit == _JOULE:
        _fixed(writer, _scaled(value, scaler - 6), 5, 3)
        writer.octets(b"*GJ")
    else:
        _digits(writer, _scaled(value, scaler), 8)


def _scaled(value, power):
    value = max(value, 0)
    return value * 10**power if power >= 0 else value // 10**-power


# By the letter in braces.
FIELDS = {
    65: _energy,  # A register
    66: _breaker,  # B
    67: _current,  # C place
    70: _frequency,  # F
    73: _equipment,  # I
    74: _serial,  # J
    76: _failures,  # L
    77: _sub_meters,  # M kind
    78: _long_time,  # N
    80: _power,  # P direction
    81: _quadrant,  # Q quadrant
    82: _rate_energy,  # R register rate
    83: _apparent,  # S way
    84: _time,  # T
    85: _voltage,  # U place
    88: _sum_energy,  # X
    99: _fuse,  # c place
    100: _demand,  # d which
    102: _factor,  # f place, 3 is all
    108: _limit,  # l
    110: _count,  # n which
    112: _phase_power,  # p place direction
    116: _rate,  # t
}


def _number(writer, value):
    for digit in b"%d" % value:
        writer.octet(digit)


def _digits(writer, value, count):
    at = writer.at + count
    writer.at = at
    for _ in range(count):
        at -= 1
        writer.buffer[at] = 0x30 + value % 10
        value //= 10


def _fixed(writer, value, whole, decimals):
    """What is larger than its digits can say is written as the largest."""
    scale = 10**decimals
    value = min(value, scale * 10**whole - 1)
    _digits(writer, value // scale, whole)
    if decimals:
        writer.octet(0x2E)
        _digits(writer, value % scale, decimals)

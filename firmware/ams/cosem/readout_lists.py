"""What a readout shows at the optical port, in the manner of makers' meters (IEC 62056-21).

`manner(name)` gives (form of the clock, ((name of a group, objects), ...)); a readout has all
groups. An object is a code, C.D.E or C.D, with =N.M for N digits and M decimals, 0: as many as
it needs. The forms: "s" season, then digits; "-" digits; ":" with colons and dashes.

Taken from what meters showed: EMH LZQJ, ABB (Elster) AS1440, Landis+Gyr ZMD120, Siemens TD-3511.
"""

from ams.registers.obis import decimal_text, unit

LISTS = ("emh", "abb", "landis", "siemens")
_UNITS = {8: "Deg", 27: "kW", 29: "kvar", 30: "kWh", 32: "kvarh", 33: "A", 35: "V", 44: "Hz"}
_ENERGIES = "1.8.0=%s 1.8.1=%s 2.8.0=%s 2.8.1=%s 3.8.0=%s 3.8.1=%s 4.8.0=%s 4.8.1=%s"


def manner(name):
    """Raises ValueError, in one line, for an unknown one."""
    if name == "emh":
        listed = "F.F 0.0.0 0.9.1 0.9.2 " + _ENERGIES.replace("%s", "5.3")
        return "s", ((None, listed + " 1.7.0=2.3 2.7.0=2.3 0.2.0"),)
    if name == "abb":
        listed = "F.F 0.0.0 1.8.1=6.1 2.8.1=6.1 0.9.1 0.9.2 32.7.0=3.1 52.7.0=3.1 72.7.0=3.1 0.2.0"
        return "-", ((None, listed),)
    if name == "landis":
        listed = "F.F 0.0.0 1.8.1=6.1 1.8.2=6.1 2.8.1=6.1 2.8.2=6.1 1.8.0=6.1 2.8.0=6.1"
        return ":", ((None, listed + " 0.9.1 0.9.2"),)
    if name == "siemens":
        energies = "1.8.0=0.3 1.8.1=0.3 1.8.2=0.3 2.8.0=0.3 2.8.1=0.3 2.8.2=0.3 3.8.1=0.3 4.8.1=0.3"
        now = "1.7.0=0.3 2.7.0=0.3 3.7.0=0.3 4.7.0=0.3 0.9.1 0.9.2 14.7=0.2 32.7=0.1 52.7=0.1 "
        now += "72.7=0.1 31.7=0.2 51.7=0.2 71.7=0.2 81.7.4=0.1 81.7.15=0.1 81.7.26=0.1"
        return ":", (("F001", "0.0.0 " + energies + " 0.9.1 0.9.2"), ("F009", now))
    raise ValueError("readout list %r is unknown: choose one of %s" % (name, ", ".join(LISTS)))


def season(clock, utc_ms):
    """1 in summer time, 0 in standard time."""
    return 1 if clock.offset_min(utc_ms) != _standard(clock) else 0


def _standard(clock):
    return 60 if clock.fixed_offset_min is None else clock.fixed_offset_min


def stamp(clock, utc_ms):
    """Season and local time, thirteen digits: YYMMDDhhmmss behind the season."""
    year, month, day, _, hour, minute, second, _ = clock.civil(utc_ms)
    return "%d%02d%02d%02d%02d%02d%02d" % (
        season(clock, utc_ms), year % 100, month, day, hour, minute, second,
    )  # fmt: skip


class Listing:
    """The objects of a list, read from the meter. `errors()`: its error register."""

    def __init__(self, name, meter, figures, errors):
        self.name = name
        self._meter = meter
        self._figures = figures
        self._errors = errors
        self._clock_form, self.groups = manner(name)

    def lines(self, group=None):
        """Yields the data lines of a group, or of all."""
        for name, listed in self.groups:
            if group is None or name == group:
                for token in listed.split():
                    line = self.line(token)
                    if line is not None:
                        yield line

    def find(self, code):
        """The object of a code that somebody asks for ("1-0:1.8.0*255" is "1.8.0"), or None."""
        code = code.split(":")[-1].split("*")[0]
        for _, listed in self.groups:
            for token in listed.split():
                if token.split("=")[0] == code:
                    return token
        return None

    def line(self, token):
        """A data set, or None of a phase that is not there."""
        code, _, form = token.partition("=")
        if code == "F.F":
            text = "%08X" % self._errors()
        elif code == "0.0.0":
            text = self._meter.identity.meter_id
        elif code == "0.2.0":
            import ams

            text = ams.__version__
        elif code in ("0.9.1", "0.9.2"):
            text = self._clock(code == "0.9.2")
        else:
            text = self._number(code, form)
        return None if text is None else code + "(" + text + ")"

    def _clock(self, is_date):
        meter, form = self._meter, self._clock_form
        when = meter.local_clock.civil(meter.utc_ms)
        parts = (when[0] % 100, when[1], when[2]) if is_date else when[4:7]
        text = ("%02d-%02d-%02d" if is_date else "%02d:%02d:%02d") % tuple(parts)
        if form != ":":
            text = text.replace("-" if is_date else ":", "")
        if form == "s":
            text = str(season(meter.local_clock, meter.utc_ms)) + text
        return text

    def _number(self, code, form):
        parts = [int(part) for part in code.split(".")]
        c, d, e = parts if len(parts) == 3 else (parts[0], parts[1], 0)
        system = self._figures.quantities.system
        phase = (e + 7) // 11 if c == 81 else c // 20
        if phase > 1 and system == "1P2W":
            return None
        whole, decimals = [int(part) for part in form.split(".")]
        kind = unit(c, d)
        scaler = (3 if 27 <= kind <= 32 else 0) - decimals
        value = self._figures.value(c, d, e, scaler)
        if whole:
            # A register rolls over, what is measured stops.
            largest = 10 ** (whole + decimals)
            value = value % largest if d == 8 else min(value, largest - 1)
        return decimal_text(value, max(whole, 1), decimals) + "*" + _UNITS[kind]


def moment(text, clock):
    """UTC in ms of YYMMDDhhmm with or without seconds, behind a season or none (0 standard,
    1 summer, 2 UTC). Raises ValueError."""
    if len(text) not in (10, 11, 12, 13) or not text.isdigit():
        raise ValueError(text)
    which = None
    if len(text) & 1:
        which, text = text[0], text[1:]
    parts = [int(text[k : k + 2]) for k in range(0, len(text), 2)]
    year, month, day, hour, minute = parts[:5]
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 25 and minute < 60):
        raise ValueError(text)
    from ams.clock.local import norway_utc_ms, utc_ms_of

    local_ms = utc_ms_of(2000 + year, month, day, hour, minute, parts[5] if len(parts) > 5 else 0)
    if which is None:
        if clock.fixed_offset_min is None:
            return norway_utc_ms(local_ms)
        which = "0"
    if which == "2":
        return local_ms
    return local_ms - (_standard(clock) + (60 if which == "1" else 0)) * 60000

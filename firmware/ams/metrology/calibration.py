"""What a front end is and how far it errs: the calibration record.

A record is a plain dict, so that it can be stored and sent as JSON:

    {"sample_rate_hz": 4000, "full_scale": 8388607, "lowest_code": -8388607,
     "starting_power_mva": 700, "nominal_voltage_mv": 230000,
     "channels": [{"kind": "voltage", "lsb_pv": 100000000, "offset": 0,
                   "gain_ppb": 0, "phase_urad": 0}, ...]}

Channels stand in the order of the samples: voltage and current of each
element in turn; on 3P4W the current of the neutral may come last.
`lsb_pv` / `lsb_pa` is picovolt / picoampere per code,
`offset` the code of zero in 1/256 codes, `gain_ppb` what the true value
exceeds code * lsb by, `phase_urad` the angle at 50 Hz by which the channel
lags the truth.
"""

_LARGEST = 0x7FFFFFFF
ELEMENTS = {"1P2W": 1, "3P3W": 2, "3P4W": 3}

_LIMITS = {
    "sample_rate_hz": (1000, 100000),
    "full_scale": (127, 8388607),
    "lowest_code": (-8388608, 0),
    "starting_power_mva": (0, 1000000000),
    "nominal_voltage_mv": (1000, 1000000),
}
_CHANNEL_LIMITS = {
    "lsb_pv": (1, 10**15),
    "lsb_pa": (1, 10**15),
    "offset": (-(1 << 31), (1 << 31) - 1),
    "gain_ppb": (-500000000, 500000000),
    "phase_urad": (-200000, 200000),
}


def _whole(record, name, limits, default=None):
    value = record.get(name, default)
    low, high = limits[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError("calibration: %s must be a whole number, %d to %d" % (name, low, high))
    return value


class Channel:
    """One calibrated channel: `scale` is picovolt or picoampere per code."""

    def __init__(self, record, kind):
        if record.get("kind") != kind:
            raise ValueError("calibration: channels must be voltage, current in turn")
        lsb = _whole(record, "lsb_pv" if kind == "voltage" else "lsb_pa", _CHANNEL_LIMITS)
        gain = _whole(record, "gain_ppb", _CHANNEL_LIMITS, 0)
        self.scale = (lsb * (1000000000 + gain) + 500000000) // 1000000000
        self.offset = (_whole(record, "offset", _CHANNEL_LIMITS, 0) + 128) >> 8
        self.phase_urad = _whole(record, "phase_urad", _CHANNEL_LIMITS, 0)


class Calibration:
    """A checked record. Raises ValueError, in one line, on a bad one."""

    def __init__(self, system, record):
        if system not in ELEMENTS:
            raise ValueError("system must be 1P2W, 3P3W or 3P4W")
        self.system = system
        self.sample_rate_hz = _whole(record, "sample_rate_hz", _LIMITS)
        self.full_scale = _whole(record, "full_scale", _LIMITS)
        self.lowest_code = _whole(record, "lowest_code", _LIMITS, -self.full_scale)
        self.starting_power_mva = _whole(record, "starting_power_mva", _LIMITS)
        self.nominal_voltage_mv = _whole(record, "nominal_voltage_mv", _LIMITS, 230000)
        channels = record.get("channels")
        count = 2 * ELEMENTS[system]
        more = 1 if system == "3P4W" else 0
        if not isinstance(channels, (list, tuple)) or not 0 <= len(channels) - count <= more:
            raise ValueError("calibration: %s needs %d channels" % (system, count))
        self.voltages = [Channel(record, "voltage") for record in channels[0:count:2]]
        self.currents = [Channel(record, "current") for record in channels[1:count:2]]
        # The neutral's current, where it is sampled.
        self.neutral = Channel(channels[count], "current") if len(channels) > count else None
        self.channels = len(channels)
        for k in range(count // 2):
            self._check_range(self.voltages[k], self.currents[k])

    def _check_range(self, voltage, current):
        """Quantities are 32 bits: what the codes can reach must fit, or it would wrap."""
        most_mv = self._reach(voltage) // 10**9
        most_ua = self._reach(current) // 10**6
        if most_mv > _LARGEST or most_ua > _LARGEST or most_mv * most_ua // 10**6 > _LARGEST:
            raise ValueError("calibration: full scale is above 2.1 kA, 2.1 MV or 2.1 MW")

    def _reach(self, channel):
        """Largest magnitude of a channel, in picovolt or picoampere."""
        most = max(self.full_scale - channel.offset, channel.offset - self.lowest_code)
        return most * channel.scale

    def headroom(self, channel):
        """Largest magnitude, counted from the channel's zero, that is not at a rail."""
        return min(self.full_scale - channel.offset, channel.offset - self.lowest_code) - 2

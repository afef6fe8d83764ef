"""The instantaneous quantities of the meter, as integers with their unit.

Lists have three places. On 1P2W only place 0 is used. On 3P4W the places
are L1, L2, L3 (voltages phase to neutral). On 3P3W the voltages are
L1-L2, L1-L3, L2-L3, the currents L1, L2, L3 (L2 by difference), and the
powers those of the two elements (places 0 and 2; place 1 stays 0).
"""

from micropython import const

from ams.metrology.transformers import Transformers

# Bits of `status`, for the last window.
STATUS_ACQUIRING = const(0x0001)  # frequency not locked yet
STATUS_NO_VOLTAGE = const(0x0002)  # no channel fit to lock to
STATUS_SATURATED = const(0x0004)  # a sample stood at the end of the range
STATUS_SAMPLES_MISSING = const(0x0008)  # samples never came
STATUS_SAMPLES_LATE = const(0x0010)  # samples came out of time and were dropped
STATUS_NO_LOAD = const(0x0020)  # every element below the starting power
STATUS_PHASE_LOSS_L1 = const(0x0100)  # L1, L2, L3: shift by the place
STATUS_NEUTRAL_LOST = const(0x0800)  # 3P4W
STATUS_REVERSED_L1 = const(0x1000)  # exports while the sum imports, per place

SYSTEMS = ("1P2W", "3P3W", "3P4W")


def _three():
    # No array of 32 bits: a load that the meter was not made for is still a load (milli-watts
    # pass 2 147 kW, micro-amperes 2 147 A), and each field stops where it is written.
    return [0, 0, 0]


class Quantities:
    """One reading of everything that changes from window to window.

    All is of the meter's own terminals; `transformers` makes the primary side of it.
    """

    def __init__(self, system, transformers=None):
        if system not in SYSTEMS:
            raise ValueError("system must be 1P2W, 3P3W or 3P4W")
        self.system = system
        self.transformers = transformers or Transformers()
        self.voltage_mv = _three()
        self.current_ua = _three()
        self.active_power_mw = _three()  # import positive
        self.reactive_power_mvar = _three()  # fundamental; lagging import positive
        self.apparent_power_mva = _three()
        self.power_factor_permille = _three()
        self.thd_voltage_permille = _three()
        self.thd_current_permille = _three()
        self.total_active_power_mw = 0
        self.total_reactive_power_mvar = 0
        self.total_apparent_power_mva = 0
        self.frequency_mhz = 0  # milli-hertz
        self.neutral_current_ua = None  # 3P4W, where it is measured
        self.status = 0

    def clear(self):
        """Nothing is known of now; `status` stays."""
        for values in (
            self.voltage_mv,
            self.current_ua,
            self.active_power_mw,
            self.reactive_power_mvar,
            self.apparent_power_mva,
            self.power_factor_permille,
            self.thd_voltage_permille,
            self.thd_current_permille,
        ):
            for place in range(3):
                values[place] = 0
        self.total_active_power_mw = 0
        self.total_reactive_power_mvar = 0
        self.total_apparent_power_mva = 0
        self.frequency_mhz = 0
        if self.neutral_current_ua is not None:
            self.neutral_current_ua = 0

    def phases(self):
        """Places that carry a phase on this system."""
        return (0,) if self.system == "1P2W" else (0, 1, 2)

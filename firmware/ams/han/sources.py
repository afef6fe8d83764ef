"""What lists show beside quantities and registers: here of a meter that has nothing else.

`MeterSources` (ams.han.meter_sources) gives what a meter has.
"""


class Sources:
    def __init__(self, view):
        self.view = view

    def keep(self):
        """Stores what has changed and should outlive a power cut."""

    def equipment(self, which):
        """Octets of the meter's number; 0 its name on the network, 1 its serial number."""
        return self.view.identity.meter_id.encode()

    def rate(self):
        """The rate in force, from 1."""
        return 1

    def of_rate(self, which, rate):
        """(mWh, remainder in uWs) of a register that were counted in a rate; 0: in all."""
        registers = self.view.registers
        if rate and rate != self.rate():
            return 0, 0
        return registers.fine_mwh(registers.mwh[which], registers.remainder_uws[which])

    # Degrees of U(L2) and U(L3) against U(L1), where somebody knows them.
    voltage_angles = (0, 0)

    def angle(self, active, reactive):
        """Of a vector, in 1/2**24 turn; None: nobody works it out."""
        return None

    def count(self, which):
        """0 power failures, 1 long ones, 2 to 4 sags and 5 to 7 swells of L1 to L3."""
        return 0

    def failures(self):
        """The last ten long power failures, newest first: (end as utc_ms, seconds)."""
        return ()

    def demand_mw(self, utc_ms):
        """Mean import of the running period."""
        return 0

    def maxima(self, which):
        """0: [(when as utc_ms, mW)] of the running month, or none; 1: (month, when, mW) before."""
        return ()

    def power_factor(self, place):
        """In thousandths; place 3 is the whole meter."""
        q = self.view.quantities
        if place < 3:
            return abs(q.power_factor_permille[place])
        apparent = q.total_apparent_power_mva
        return min(1000, abs(q.total_active_power_mw) * 1000 // apparent) if apparent else 0

    def connected(self):
        return True

    def limit_mw(self):
        """None: there is no limit."""
        return None

    def limit_ma(self):
        return None

    def sub_meters(self):
        """(channel, device type, serial, utc_ms, value, scaler, unit); value None: not read yet."""
        return ()

"""What lists show beside quantities and registers: of the meter, from all of its rooms."""

from micropython import const

from ams import settings as st
from ams.cosem.results import AccessError
from ams.han.sources import Sources
from ams.metrology.fixed import angle
from ams.registers.outages import Outages
from ams.registers.rates import RATES, REGISTERS, Rates
from ams.registers.supply import AVERAGE_IMPORT, THRESHOLD_OFF

_MINUTE_MS = const(60000)
_CALENDAR_CELLS = const(9)


class MeterSources(Sources):
    """Keeps in `settings` what outlives a power cut: failures, and energy by rate."""

    def __init__(self, view, meter, settings):
        super().__init__(view)
        self._meter = meter
        self._settings = settings
        self._rates = Rates()
        self._outages = Outages()
        self._looked_ms = None

    def start(self, utc_ms, kept_ms):
        """Power-up: `kept_ms` is when the registers were stored last, None: they never were."""
        self._rates.restore(self._settings.get(st.HAN_RATES))
        self._outages.restore(self._settings.get(st.HAN_OUTAGES))
        if kept_ms is not None:
            self._outages.failed(kept_ms, utc_ms)
        self._meter.events.tally = self._outages.event
        self.keep()

    def keep(self):
        if self._outages.changed:
            self._outages.changed = not self._store(st.HAN_OUTAGES, self._outages.pack())

    def _store(self, cell, data):
        try:
            self._settings.set(cell, data)
        except AccessError:
            return False  # the flash takes nothing: the telegrams go on
        return True

    def rate(self):
        """By the activity calendar, which changes on full minutes; 1 where it names none."""
        meter = self._meter
        minute_ms = meter.utc_ms - meter.utc_ms % _MINUTE_MS
        if minute_ms != self._looked_ms:
            self._looked_ms = minute_ms
            rate = 1
            if self._settings.any(st.CALENDAR, _CALENDAR_CELLS):
                # Who has no calendar does not load the rooms of it.
                rate = meter.model.calendar().tariff(meter.utc_ms) or 1
            if self._rates.change(rate, meter.energy.mwh):
                self._store(st.HAN_RATES, self._rates.pack())
        return self._rates.rate

    def of_rate(self, which, rate):
        energy = self._meter.energy
        mwh, rest = energy.mwh[which], energy.remainder_uws[which]
        if not rate:
            return mwh, rest
        in_force = self.rate()
        if not 1 <= rate <= RATES or which >= REGISTERS:
            return 0, 0
        return self._rates.mwh(which, rate, mwh), rest if rate == in_force else 0

    def angle(self, active, reactive):
        return angle(active, reactive)

    def count(self, which):
        return self._outages.counts[which]

    def failures(self):
        return [(1000 * end_s, seconds) for end_s, seconds in reversed(self._outages.long)]

    def demand_mw(self, utc_ms):
        energy = self.view.registers
        demand = energy.demand
        passed = utc_ms - demand.start_ms if demand.start_ms is not None else 0
        return (energy.mwh[0] - demand.start_mwh[0]) * 3600000 // passed if passed > 0 else 0

    def maxima(self, which):
        energy = self.view.registers
        if which or energy.max_demand_utc_ms[0] is None:
            return ()
        return ((energy.max_demand_utc_ms[0], energy.max_demand_mw[0]),)

    def connected(self):
        return self._meter.control.connected

    def _limit(self, of_power):
        limiter = self._meter.control.limiter
        if limiter.threshold_active == THRESHOLD_OFF:
            return None
        if (limiter.settings.monitored == AVERAGE_IMPORT) != of_power:
            return None
        return limiter.threshold_active

    def limit_mw(self):
        return self._limit(True)

    def limit_ma(self):
        return self._limit(False)

    def sub_meters(self):
        for channel, sub in enumerate(self._meter.han_keeper.sub_meters):
            if sub.installed:
                value = sub.values[0]
                yield (channel + 1, sub.device_type, _serial(sub), value.utc_ms, value.value,
                       value.scaler, value.unit)  # fmt: skip


def _serial(sub):
    """The maker's three letters and the eight digits, as on the sub-meter."""
    maker = sub.manufacturer_id
    letters = bytes([64 + (maker >> shift & 31) for shift in (10, 5, 0)])
    return letters + b"%08x" % sub.identification_number

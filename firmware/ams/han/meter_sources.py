"""What lists show beside quantities and registers: of the meter, from all of its rooms."""

from micropython import const

from ams.clock.local import STATUS_INVALID
from ams.control.supply import AVERAGE_IMPORT, THRESHOLD_OFF
from ams.events import events as ev
from ams.han.sources import Sources
from ams.metrology.fixed import angle
from ams.registers.demand import QUARTER
from ams.registers.outages import Outages
from ams.registers.rates import RATES, REGISTERS
from ams.results import AccessError
from ams.storage import settings as st

_PERIODS = const(13)


class MeterSources(Sources):
    """Keeps the failures in `settings`, over a power cut."""

    def __init__(self, view, meter, settings):
        super().__init__(view)
        self._meter = meter
        self._settings = settings
        self._outages = Outages()
        self._began_ms = 0  # by the board's clock

    def start(self, utc_ms, is_power_up):
        """Takes up what was kept; a power-up is the end of a failure, where something was."""
        outages, meter = self._outages, self._meter
        outages.restore(self._settings.get(st.HAN_OUTAGES))
        self._began_ms = meter.raw_ms
        gone_ms = meter.recorder.restored_ms if is_power_up else None
        if gone_ms is not None:
            if meter.recorder.restored_status & STATUS_INVALID:
                # By a clock that was wrong already nobody knows how long it was.
                gone_ms = None
            outages.failed(utc_ms if gone_ms is None else gone_ms, utc_ms)
        if meter.clock.status & STATUS_INVALID:
            outages.lost(gone_ms, utc_ms)
        meter.events.tally = self._event
        self.keep()

    def _event(self, utc_ms, code):
        if code == ev.CLOCK_VALID:
            self._outages.told(utc_ms - (self._meter.raw_ms - self._began_ms))
            self.keep()
        self._outages.event(utc_ms, code)

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
        return self._meter.energy.rates.active

    def of_rate(self, which, rate):
        energy = self._meter.energy
        rates, rest = energy.rates, energy.remainder_uws[which]
        if not rate:
            return energy.fine_mwh(energy.mwh[which], rest)
        if not 1 <= rate <= RATES or which >= REGISTERS:
            return 0, 0
        return energy.fine_mwh(rates.of(which, rate), rest if rate == rates.active else 0)

    def angle(self, active, reactive):
        return angle(active, reactive)

    def count(self, which):
        return self._outages.counts[which]

    def failures(self):
        return [(1000 * end_s, seconds) for end_s, seconds in reversed(self._outages.long)]

    def demand_mw(self, utc_ms):
        """Of the running quarter, as Belgium charges them."""
        energy = self.view.registers
        demand = energy.quarter
        passed = utc_ms - demand.start_ms if demand.start_ms is not None else 0
        moved = (energy.mwh[0] - demand.start_mwh[0]) * energy.transformers.unit
        return moved * 3600000 // passed if passed > 0 else 0

    def maxima(self, which):
        if which:
            return self._meter.ended_periods(_PERIODS)
        energy = self.view.registers
        mw, end_s = energy.highest.of(QUARTER, 0)
        return ((1000 * end_s, mw * energy.transformers.unit),) if end_s else ()

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
        for channel, sub in enumerate(self._meter.han_settings.sub_meters):
            if sub.installed:
                value = sub.values[0]
                yield (channel + 1, sub.device_type, _serial(sub), value.utc_ms, value.value,
                       value.scaler, value.unit)  # fmt: skip


def _serial(sub):
    """The maker's three letters and the eight digits, as on the sub-meter."""
    maker = sub.manufacturer_id
    letters = bytes([64 + (maker >> shift & 31) for shift in (10, 5, 0)])
    return letters + b"%08x" % sub.identification_number

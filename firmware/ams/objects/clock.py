"""Clock (class 8): the meter's time, local, with the law's summer time."""

from ams.cosem import datetime
from ams.cosem.axdr import INT16
from ams.objects.view import View, no_parameter
from ams.results import (
    OTHER_REASON,
    READ_WRITE_DENIED,
    TEMPORARY_FAILURE,
    TYPE_UNMATCHED,
    AccessError,
)

# Last Sunday of March at 02:00 standard time, of October at 03:00 summer time.
_DST_BEGIN = b"\xff\xff\x03\xfe\x07\x02\x00\x00\x00\xff\xc4\x00"
_DST_END = b"\xff\xff\x0a\xfe\x07\x03\x00\x00\x00\xff\x88\x80"
_INTERNAL_CRYSTAL = 1
_QUARTER_MS = 900000
_MINUTE_MS = 60000
_LATEST_MS = 3155760000000  # the end of 2099


class Clock(View):
    class_id = 8
    attributes = 9
    methods = 6

    def read(self, attribute, out):
        clock = self.meter.local_clock
        fixed = clock.fixed_offset_min
        if attribute == 2:
            out.octets(self.model.stamp.of(self.meter.utc_ms, self.meter.clock.status))
        elif attribute == 3:
            out.int16(-60 if fixed is None else -fixed)
        elif attribute == 4:
            out.uint8(self.model.stamp.of(self.meter.utc_ms, self.meter.clock.status)[11])
        elif attribute == 5:
            out.octets(_DST_BEGIN)
        elif attribute == 6:
            out.octets(_DST_END)
        elif attribute == 7:
            out.int8(60)
        elif attribute == 8:
            out.boolean(fixed is None)
        else:
            out.enum(_INTERNAL_CRYSTAL)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        utc_ms = datetime.read_date_time(data, self.meter)
        data.end()
        self._set(utc_ms)

    def call(self, method, data, out, who):
        now = self.meter.utc_ms
        if method == 5:
            self._preset(data)
            return
        if method == 6:
            if data is None:
                raise AccessError(TYPE_UNMATCHED)
            seconds = data.integer(INT16)
            data.end()
            if not -900 <= seconds <= 900:
                raise AccessError(OTHER_REASON)
            self._set(now + seconds * 1000)
            return
        no_parameter(data)
        if method == 1:
            self._set(_nearest(now, _QUARTER_MS))
        elif method == 2:
            self._set(_nearest(now, self.model.period_s("load") * 1000))
        elif method == 3:
            self._set(_nearest(now, _MINUTE_MS))
        elif method == 4:
            self._take_preset(now)
        else:
            raise AccessError(READ_WRITE_DENIED)

    def _set(self, utc_ms):
        if not 0 < utc_ms < _LATEST_MS:
            raise AccessError(OTHER_REASON)
        if not self.meter.adjust_clock(utc_ms):
            # Too many steps this hour.
            raise AccessError(TEMPORARY_FAILURE)

    def _preset(self, data):
        if data is None:
            raise AccessError(TYPE_UNMATCHED)
        data.structure(3)
        times = tuple([datetime.read_date_time(data, self.meter) for _ in range(3)])
        data.end()
        self.model.preset_time = times

    def _take_preset(self, now):
        preset = self.model.preset_time
        if preset is None or not preset[1] <= now <= preset[2]:
            raise AccessError(OTHER_REASON)
        self.model.preset_time = None
        self._set(preset[0])


def _nearest(now, step_ms):
    return (now + step_ms // 2) // step_ms * step_ms

"""Limiter (class 71), and beside it what the class has no attributes for: window and quota."""

from micropython import const

from ams.control import supply
from ams.cosem import datetime
from ams.cosem.axdr import INT8, INT32, UINT8, UINT16, UINT32
from ams.objects.disconnect_control import answer
from ams.objects.view import View
from ams.results import OTHER_REASON, TYPE_UNMATCHED, AccessError

_SCRIPTS_LN = bytes((0, 0, 10, 0, 106, 255))
# The monitored attribute by supply.AVERAGE_IMPORT to CURRENT_MAX: class, C and D of its name.
_MONITORED = ((5, 1, 4), (3, 31, 7), (3, 51, 7), (3, 71, 7), (3, 11, 7))
_S32 = const(0x7FFFFFFF)
_U32 = const(0xFFFFFFFF)


def _name(c, d):
    return bytes((1, 0, c, d, 0, 255))


class Limiter(View):
    class_id = 71
    attributes = 11

    def read(self, attribute, out):
        limiter = self.meter.control.limiter
        s = limiter.settings
        if attribute == 2:
            class_id, c, d = _MONITORED[s.monitored]
            out.structure(3)
            out.uint16(class_id)
            out.octets(_name(c, d))
            out.int8(2)
        elif attribute in (3, 4, 5):
            values = (limiter.threshold_active, s.threshold_normal, s.threshold_emergency)
            self._write_threshold(out, s, values[attribute - 3])
        elif attribute in (6, 7):
            out.uint32(s.min_over_s if attribute == 6 else s.min_under_s)
        elif attribute == 8:
            out.structure(3)
            out.uint16(s.emergency_id)
            start_ms = s.emergency_start_s * 1000
            out.octets(self.model.stamp.of(start_ms) if start_ms else datetime.NEVER)
            out.uint32(s.emergency_duration_s)
        elif attribute == 9:
            out.array(len(s.groups))
            for group in s.groups:
                out.uint16(group)
        elif attribute == 10:
            out.boolean(limiter.emergency_active)
        else:
            out.structure(2)
            for selector in (s.action_over, s.action_under):
                out.structure(2)
                out.octets(_SCRIPTS_LN)
                out.uint16(selector)

    @staticmethod
    def _write_threshold(out, s, value):
        """With the type of what is monitored."""
        if s.monitored == supply.AVERAGE_IMPORT:
            out.uint32(value)
        else:
            out.int32(min(value, _S32))

    def set(self, attribute, data, who):
        start = data.at
        s = self.meter.control.limiter.settings.copy()
        self._take(attribute, data, s)
        value = bytes(data.data[start : data.at])
        data.end()
        control = self.meter.control
        answer(control.set_limiter(s, attribute, value, *self.asker()))

    def _take(self, attribute, data, s):
        if attribute == 2:
            self._take_monitored(data, s)
        elif attribute in (4, 5):
            value = self._read_threshold(data, s)
            if attribute == 4:
                s.threshold_normal = value
            else:
                s.threshold_emergency = value
        elif attribute == 6:
            s.min_over_s = data.integer(UINT32)
        elif attribute == 7:
            s.min_under_s = data.integer(UINT32)
        elif attribute == 8:
            data.structure(3)
            s.emergency_id = data.integer(UINT16)
            s.emergency_start_s = self._moment_s(data.octets())
            s.emergency_duration_s = data.integer(UINT32)
        elif attribute == 9:
            s.groups = [data.integer(UINT16) for _ in range(data.array(supply.GROUPS_MAX))]
        elif attribute == 11:
            data.structure(2)
            s.action_over = self._selector(data)
            s.action_under = self._selector(data)
        else:
            raise AccessError(OTHER_REASON)

    def _moment_s(self, octets):
        """Without a year it is a profile that never comes; else it must name a moment."""
        datetime.check(octets)
        utc_ms = datetime.parse(octets, self.meter.local_clock)
        if utc_ms is None:
            return 0
        if not datetime.complete(octets):
            raise AccessError(OTHER_REASON)
        return min(max(utc_ms // 1000, 0), _U32)

    @staticmethod
    def _take_monitored(data, s):
        data.structure(3)
        class_id = data.integer(UINT16)
        ln = bytes(data.octets(6))
        attribute = data.integer(INT8)
        for kind in range(supply.MONITORED_COUNT):
            of, c, d = _MONITORED[kind]
            if (of, _name(c, d), 2) == (class_id, ln, attribute):
                if kind != s.monitored:
                    # A threshold in W is none in A: off until it is set anew.
                    s.threshold_normal = s.threshold_emergency = supply.THRESHOLD_OFF
                s.monitored = kind
                return
        raise AccessError(OTHER_REASON)

    @staticmethod
    def _read_threshold(data, s):
        if s.monitored == supply.AVERAGE_IMPORT:
            return data.integer(UINT32)
        value = data.integer(INT32)
        if value < 0:
            raise AccessError(OTHER_REASON)
        return supply.THRESHOLD_OFF if value == _S32 else value

    @staticmethod
    def _selector(data):
        data.structure(2)
        if bytes(data.octets(6)) != _SCRIPTS_LN:
            raise AccessError(OTHER_REASON)
        selector = data.integer(UINT16)
        if selector > supply.ACTION_RECONNECT:
            raise AccessError(OTHER_REASON)
        return selector


class LimiterWindow(View):
    """Data 0.0.96.3.131: structure of window in s (u32) and reconnections an hour (u8)."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        s = self.meter.control.limiter.settings
        out.structure(2)
        out.uint32(s.window_s)
        out.uint8(s.reconnections_per_hour)

    def set(self, attribute, data, who):
        start = data.at
        s = self.meter.control.limiter.settings.copy()
        data.structure(2)
        s.window_s = data.integer(UINT32)
        s.reconnections_per_hour = data.integer(UINT8)
        value = bytes(data.data[start : data.at])
        data.end()
        if not 1 <= s.window_s <= supply.WINDOW_MAX_S:
            raise AccessError(OTHER_REASON)
        if s.reconnections_per_hour > supply.RECONNECTIONS_MAX:
            raise AccessError(OTHER_REASON)
        control = self.meter.control
        answer(control.set_limiter(s, attribute, value, *self.asker()))


class QuotaSetup(View):
    """Data 0.0.96.3.129: structure of quota in Wh (u32), period in s (u32), warning in permille
    (u16); read, with what is used in Wh (u32) and flags (u8) behind them."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        quota = self.meter.control.quota
        out.structure(5)
        out.uint32(quota.limit_mwh // 1000)
        out.uint32(quota.period_s)
        out.uint16(quota.warning_permille)
        used = quota.used_mwh(self.meter.energy.mwh[0]) if quota.period_s else 0
        out.uint32(min(max(used // 1000, 0), 0xFFFFFFFF))
        out.uint8(quota.flags)

    def set(self, attribute, data, who):
        start = data.at
        data.structure(3)
        limit_wh = data.integer(UINT32)
        period_s = data.integer(UINT32)
        warning = data.integer(UINT16)
        value = bytes(data.data[start : data.at])
        data.end()
        if warning > 1000 or (period_s and not 900 <= period_s <= 31 * 86400):
            raise AccessError(TYPE_UNMATCHED if warning > 1000 else OTHER_REASON)
        control = self.meter.control
        answer(control.set_quota(1000 * limit_wh, period_s, warning, value, *self.asker()))

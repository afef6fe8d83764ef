"""M-Bus client (class 72) for each channel, and the values of its sub-meter (class 4)."""

from ams.cosem.axdr import INT64, UINT8, UINT32
from ams.objects.register import write_unit
from ams.objects.view import View, no_parameter
from ams.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

_PORT_LN = b"\x00\x00\x18\x06\x00\xff"
_INT32_MAX = 0x7FFFFFFF
_VALUES = 4
_PRIMARY_MAX = 250
_PERIOD_LEAST_S = 60


class Channel(View):
    """0-n:24.1.0: what is known of the sub-meter of channel n."""

    class_id = 72
    attributes = 12
    methods = 8

    def sub_meter(self):
        return self.model.submeters.meters[self.ln[1] - 1]

    def read(self, attribute, out):
        meter = self.sub_meter()
        if attribute == 2:
            out.octets(_PORT_LN)
        elif attribute == 3:
            out.array(len(meter.capture_definition))
            for dib, vib in meter.capture_definition:
                out.structure(2)
                out.octets(dib)
                out.octets(vib)
        elif attribute == 4:
            out.uint32(meter.capture_period_s)
        elif attribute == 6:
            out.uint32(meter.identification_number)
        elif attribute == 7:
            out.uint16(meter.manufacturer_id)
        else:
            out.uint8(
                {
                    5: meter.primary_address,
                    8: meter.version,
                    9: meter.device_type,
                    10: meter.access_number,
                    11: meter.status,
                    12: meter.alarm,
                }[attribute]
            )

    def set(self, attribute, data, who):
        meter = self.sub_meter()
        if attribute == 3:
            definition = []
            for _ in range(data.array(_VALUES)):
                data.structure(2)
                definition.append((bytes(data.octets()), bytes(data.octets())))
            data.end()
            try:
                meter.define(definition)
            except ValueError:
                raise AccessError(OTHER_REASON)
        elif attribute == 4:
            period_s = data.integer(UINT32)
            data.end()
            if period_s < _PERIOD_LEAST_S:
                raise AccessError(OTHER_REASON)
            meter.capture_period_s = period_s
        elif attribute == 5:
            address = data.integer(UINT8)
            data.end()
            if not 1 <= address <= _PRIMARY_MAX:
                raise AccessError(OTHER_REASON)
            meter.primary_address = address
        else:
            raise AccessError(READ_WRITE_DENIED)
        self._changed(attribute)

    def _changed(self, attribute):
        self.model.submeters.keep()
        self.model.changed(self.ln, attribute)

    def call(self, method, data, out, who):
        """1 installs at an address, 2 deinstalls, 3 captures, 4 resets the alarm."""
        port = self.model.submeters.port
        channel = self.ln[1] - 1
        if method == 1:
            address = data.integer(UINT8) if data is not None else 0
            if data is not None:
                data.end()
            if not 1 <= address <= _PRIMARY_MAX:
                raise AccessError(OTHER_REASON)
            port.install(channel, address)
            self._changed(5)
            return
        no_parameter(data)
        if method == 2:
            port.deinstall(channel)
            self._changed(5)
        elif method == 3:
            if not self.sub_meter().installed:
                raise AccessError(OTHER_REASON)
            port.capture(channel)
        elif method == 4:
            self.sub_meter().alarm = 0
        else:
            raise AccessError(READ_WRITE_DENIED)


class Value(View):
    """0-n:24.2.k: value k of the sub-meter of channel n, and when it came."""

    class_id = 4
    attributes = 5
    methods = 1

    def read(self, attribute, out):
        meter = self.model.submeters.meters[self.ln[1] - 1]
        value = meter.values[self.ln[4] - 1]
        if attribute == 2:
            if value.value is None:
                out.null()
            elif -_INT32_MAX - 1 <= value.value <= _INT32_MAX:
                out.int32(value.value)
            else:
                out.integer(INT64, value.value)
        elif attribute == 3:
            write_unit(out, value.scaler, value.unit)
        elif attribute == 4:
            out.uint8(meter.alarm | value.mark)
        elif value.utc_ms is None:
            out.octets(b"\xff" * 9 + b"\x80\x00\xff")
        else:
            out.octets(self.model.stamp.of(value.utc_ms))

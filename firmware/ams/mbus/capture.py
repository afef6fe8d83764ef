"""The M-Bus port: reads each installed sub-meter when its capture is due."""

from ams.mbus import records, submeters, vif
from ams.mbus.master import Master

_MOST = 0x7FFFFFFFFFFFFFFF
# Measured, though there is no unit for them.
_UNITLESS = (
    "heat-cost-allocation", "volume-flow-per-min", "volume-flow-per-s", "mass-flow-per-h",
    "dimensionless",
)  # fmt: skip


class MBusPort:
    """`utc_ms()` gives the meter's time, None while it is not known.

    Time for `feed` and `tick` is any count of milliseconds that does not jump.
    """

    def __init__(self, write, table, utc_ms, log=None, baud=2400):
        self.master = Master(write, baud, log)
        self.table = table
        self._utc_ms = utc_ms
        self._log = log
        self._due_ms = [0] * submeters.CHANNELS
        self._channel = 0  # that is being read
        self._kept = 0
        self._wanted = []  # jobs of the client: (function, arguments)

    def feed(self, data, now_ms):
        self.master.feed(data, now_ms)

    def tick(self, now_ms):
        self.master.tick(now_ms)
        if self.master.busy:
            return
        if self._wanted:
            start, arguments = self._wanted.pop(0)
            start(*arguments, now_ms=now_ms)
            return
        for channel, meter in enumerate(self.table.meters):
            if meter.installed and now_ms >= self._due_ms[channel]:
                self._due_ms[channel] = now_ms + meter.capture_period_s * 1000
                self._channel = channel
                self._kept = 0
                self.master.read(meter.primary_address, self._captured, now_ms, self._wants)
                return

    # What a client may ask for: methods of class 72, and the search of the bus.

    def install(self, channel, primary_address):
        """Takes the slave at the address as this channel's; who it is its first readout says."""
        meter = self.table.meters[channel]
        definition, period = meter.capture_definition, meter.capture_period_s
        meter.clear()
        meter.capture_definition, meter.capture_period_s = definition, period
        meter.primary_address = primary_address
        meter.installed = True
        self._due_ms[channel] = 0

    def deinstall(self, channel):
        self.table.meters[channel].clear()

    def capture(self, channel):
        """Reads at the next opportunity."""
        self._due_ms[channel] = 0

    def search(self, done):
        """Finds every slave of the bus; done(list of Header), minutes later."""
        self._wanted.append((self.master.search, (done,)))

    def _captured(self, answer):
        meter = self.table.meters[self._channel]
        if not meter.installed:
            return
        if answer.header is None and answer.error is not None:
            meter.failures += 1
            meter.alarm |= submeters.ALARM_NO_ANSWER
            self._say("channel %d: %s" % (self._channel + 1, answer.error))
            return
        header = answer.header
        # Some answer without saying who they are.
        if header is not None:
            if meter.identification_number not in (0, header.identification):
                # Another meter here: its values must not pass for those of the one before.
                self._say("channel %d: another meter answers" % (self._channel + 1))
                meter.values = [submeters.Value() for _ in range(submeters.VALUES)]
            meter.identification_number = header.identification
            meter.manufacturer_id = header.manufacturer_id
            meter.version = header.version
            meter.device_type = header.medium
        meter.failures = 0
        meter.access_number, meter.status = answer.state or (0, 0)
        meter.alarm = meter.status & 0x1C
        meter.captured_utc_ms = self._utc_ms()
        self._keep(meter, answer.records)

    def _wants(self, record):
        """Those of the definition; without one the first plain ones that are measured."""
        meter = self.table.meters[self._channel]
        if meter.capture_definition:
            return (record.dib, record.vib) in meter.capture_definition and (
                record.error or _is_number(record.value)
            )
        if not record.is_plain or not _is_number(record.value):
            return False
        if record.unit == vif.NONE and record.quantity not in _UNITLESS:
            return False
        if _place_of(meter, record) is None:
            self._kept += 1
            return self._kept <= submeters.VALUES
        return True

    def _keep(self, meter, found):
        """Each value has its place: that of the definition, or the one it had first."""
        definition = meter.capture_definition
        for value in meter.values:
            # Of what does not come this time the old value stays, with its time.
            if value.utc_ms is not None:
                value.mark |= submeters.MARK_ERROR
        for record in found:
            pair = (record.dib, record.vib)
            if definition:
                # It may have changed since the readout began.
                place = definition.index(pair) if pair in definition else None
            else:
                place = _place_of(meter, record)
                if place is None:
                    place = _free_place(meter)
            if place is not None:
                _put(meter.values[place], record, meter.captured_utc_ms)

    def _say(self, text):
        if self._log:
            self._log("M-Bus: " + text)


def _place_of(meter, record):
    for place in range(submeters.VALUES):
        value = meter.values[place]
        if value.dib == record.dib and value.vib == record.vib:
            return place
    return None


def _free_place(meter):
    for place in range(submeters.VALUES):
        if not meter.values[place].dib:
            return place
    return None


def _put(value, record, utc_ms):
    value.dib, value.vib = record.dib, record.vib
    value.value = record.value
    value.scaler, value.unit = record.power, record.unit
    value.mark = 0
    if record.changed:
        value.unit = vif.changed_unit(record.vib, record.unit)
        value.mark = submeters.MARK_OTHER
    if record.error or record.function == records.IN_ERROR:
        value.mark |= submeters.MARK_ERROR
    value.utc_ms = utc_ms


def _is_number(value):
    # COSEM has numbers of 64 bits; a slave may send longer ones.
    return isinstance(value, int) and -_MOST - 1 <= value <= _MOST

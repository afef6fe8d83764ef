"""The M-Bus port: reads each installed sub-meter when its capture is due."""

from ams.mbus.master import Master
from ams.registers import submeters

_MOST = 0x7FFFFFFFFFFFFFFF


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
        if answer.header is None:
            meter.failures += 1
            meter.alarm |= submeters.ALARM_NO_ANSWER
            self._say("channel %d: %s" % (self._channel + 1, answer.error))
            return
        header = answer.header
        if meter.identification_number not in (0, header.identification):
            # Another meter at this address: its values must not pass for those of the one before.
            self._say("channel %d: another meter answers" % (self._channel + 1))
            meter.values = [submeters.Value() for _ in range(submeters.VALUES)]
        meter.failures = 0
        meter.identification_number = header.identification
        meter.manufacturer_id = header.manufacturer_id
        meter.version = header.version
        meter.device_type = header.medium
        meter.access_number = header.access_number
        meter.status = header.status
        meter.alarm = header.status & 0x1C
        meter.captured_utc_ms = self._utc_ms()
        self._keep(meter, answer.records)

    def _wants(self, record):
        """Numbers of the definition, or the first plain ones."""
        # COSEM has numbers of 64 bits; a slave may send longer ones.
        if not isinstance(record.value, int) or not -_MOST - 1 <= record.value <= _MOST:
            return False
        definition = self.table.meters[self._channel].capture_definition
        if definition:
            return (record.dib, record.vib) in definition
        self._kept += 1
        return self._kept <= submeters.VALUES

    def _keep(self, meter, records):
        definition = meter.capture_definition
        for place, record in enumerate(records):
            pair = (record.dib, record.vib)
            # It may have changed since the readout began.
            if place >= submeters.VALUES or (definition and pair not in definition):
                continue
            value = meter.values[definition.index(pair) if definition else place]
            value.dib, value.vib = record.dib, record.vib
            value.value = record.value
            value.scaler, value.unit = record.power, record.unit
            value.utc_ms = meter.captured_utc_ms

    def _say(self, text):
        if self._log:
            self._log("M-Bus: " + text)

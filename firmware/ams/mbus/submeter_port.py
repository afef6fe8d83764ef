"""The M-Bus port of a meter: its line, and what of the sub-meters outlives a power cut."""

from ams.mbus import submeters
from ams.mbus.capture import MBusPort
from ams.storage import settings as st

_PIECE = 64


class SubMeterPort:
    """`uart` is the line of the bus (hal.Uart), None where a board has none."""

    def __init__(self, uart, settings, utc_ms, log):
        self._uart = uart
        self._settings = settings
        self._log = log
        self._piece = memoryview(bytearray(_PIECE))
        table = submeters.SubMeters()
        self.port = MBusPort(uart.write, table, utc_ms, log)
        self.meters = table.meters
        self._kept = []
        for channel, meter in enumerate(self.meters):
            stored = settings.get(st.MBUS + channel)
            if stored is not None:
                try:
                    meter.restore(stored)
                except ValueError:
                    log("M-Bus: setup of channel %d is not understood" % (channel + 1))
            self._kept.append(meter.pack())

    def poll(self, now_ms):
        """Every 10 ms or so; `now_ms` is any count of milliseconds that does not jump."""
        try:
            count = self._uart.readinto(self._piece)
            if count:
                self.port.feed(self._piece[:count], now_ms)
            self.port.tick(now_ms)
            self.keep()
        except Exception as error:
            # Whatever is wrong on the bus, the metering that called this goes on.
            self._log("M-Bus: %r" % error)

    def keep(self):
        """Stores what has changed: who is installed, and what is known of him."""
        for channel, meter in enumerate(self.meters):
            packed = meter.pack()
            if packed != self._kept[channel]:
                self._kept[channel] = packed
                self._settings.set(st.MBUS + channel, packed)

"""What hangs on the pins and buses of the emulated board: the bench fills this in.

Plain Python, for CPython and MicroPython. `machine` and its like ask here.
"""


class Uart:
    """A serial line: what the board wrote, and what it may read."""

    def __init__(self):
        self.sent = bytearray()
        self.waiting = bytearray()
        self.line = None  # baud rate, bits, parity, stop
        self.takes_time = False  # what is written leaves at the pace of the line
        self.busy_until_us = 0


class Wiring:
    def __init__(self):
        self.clear()

    def clear(self):
        """A board without anything connected, just powered up."""
        self.spi = {}  # bus: list of (select pin, SpiDevice)
        self.i2c = {}  # bus: {address: device}
        self.uart = {}  # bus: Uart
        self.levels = {}  # pin: level that stands on it
        self.pulls = {}  # pin: level when nothing drives it
        self.watch = {}  # pin: function(level), called when the board drives it
        self.adc = {}  # pin or channel: function() -> 16-bit code
        self.partitions = {}  # label: bytearray
        self.networks = ()  # names of the radio networks in reach
        self.fed_us = None  # when the watchdog was fed last; None: not started
        self.watchdog_ms = None
        self.now_us = 0
        self.resets = 0
        self.timers = []  # what each timer of `machine` was set to
        self.armed = []  # those that run
        self.unique_id = b"\x24\x0a\xc4\x00\x00\x01"
        self.alarms = []  # functions(now_us) that run as time passes

    def attach_spi(self, bus, select, device):
        self.spi.setdefault(bus, []).append((select, device))
        self.levels.setdefault(select, 1)
        self.watch[select] = lambda level: device.select(not level)

    def attach_i2c(self, bus, device):
        self.i2c.setdefault(bus, {})[device.address] = device

    def line(self, bus):
        if bus not in self.uart:
            self.uart[bus] = Uart()
        return self.uart[bus]

    def drive(self, pin, level):
        """The board sets a pin."""
        if self.levels.get(pin) != level:
            self.levels[pin] = level
            if pin in self.watch:
                self.watch[pin](level)

    def level(self, pin):
        level = self.levels.get(pin, self.pulls.get(pin, 0))
        return level() if callable(level) else level

    def selected(self, bus):
        """The device on `bus` whose select pin is low, or None."""
        found = None
        for select, device in self.spi.get(bus, ()):
            if self.levels.get(select, 1) == 0:
                if found is not None:
                    raise RuntimeError("two devices of one SPI bus are selected")
                found = device
        return found

    def advance(self, us):
        """Time passes; a watchdog that is not fed resets the board."""
        end_us = self.now_us + us
        while True:
            first = None
            for timer in self.armed:
                if timer.due_us <= end_us and (first is None or timer.due_us < first.due_us):
                    first = timer
            if first is None:
                break
            self.now_us = max(self.now_us, first.due_us)
            first.fire()
        self.now_us = end_us
        for alarm in self.alarms:
            alarm(self.now_us)
        if self.watchdog_ms is not None:
            if self.now_us - self.fed_us > self.watchdog_ms * 1000:
                self.resets += 1
                self.watchdog_ms = None


board = Wiring()

"""A relay and cells that fail on demand, for tests of the breaker; runs on both VMs."""

COIL_CLOSE = 2


class Cells:
    """A dict that can fail, as the flash can."""

    def __init__(self):
        self.data = {}
        self.fails = False
        self.sets = 0

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value):
        if self.fails:
            raise OSError
        self.sets += 1
        self.data[key] = bytes(value)


class Relay:
    """A bistable relay that needs 60 ms of current; faults on demand."""

    def __init__(self, closed=True):
        self.contact = closed
        self.coil = 0
        self.now = 0
        self._since = 0
        self.stuck = False
        self.has_feedback = True
        self.voltage = None
        self.pulses = []

    def set_coil(self, coil):
        if self.coil and not self.stuck and self.now - self._since >= 60:
            self.contact = self.coil == COIL_CLOSE
        if coil and coil != self.coil:
            self.pulses.append(coil)
        self.coil = coil
        self._since = self.now

    def closed(self):
        return self.contact if self.has_feedback else None

    def load_voltage(self):
        return self.voltage

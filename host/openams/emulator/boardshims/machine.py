"""MicroPython's `machine` for a board of the bench: its pins and buses end in `wiring`."""

from wiring import board

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
SOFT_RESET = 5
# How long a UART waits for an octet that it was asked for and that does not come.
_WAIT_US = 10_000


class Pin:
    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_FALLING = 4
    IRQ_RISING = 8

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self.id = number
        self._out = False
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, value=None):
        self._out = mode in (Pin.OUT, Pin.OPEN_DRAIN)
        if pull == Pin.PULL_UP:
            board.pulls[self.id] = 1
        elif pull == Pin.PULL_DOWN:
            board.pulls[self.id] = 0
        if self._out and value is not None:
            board.drive(self.id, 1 if value else 0)

    def value(self, level=None):
        if level is None:
            return board.level(self.id)
        if not self._out:
            # As in silicon: the level of an input goes nowhere.
            return None
        board.drive(self.id, 1 if level else 0)
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class SPI:
    MSB = 0
    LSB = 1

    def __init__(self, bus, baudrate=1000000, **settings):
        self._bus = bus
        self.baudrate = baudrate
        self._mode = 0
        self.init(baudrate, **settings)

    def init(
        self,
        baudrate=1000000,
        polarity=0,
        phase=0,
        bits=8,
        firstbit=0,
        sck=None,
        mosi=None,
        miso=None,
    ):
        self.baudrate = baudrate
        self._mode = polarity << 1 | phase

    def deinit(self):
        pass

    def _transfer(self, octet):
        device = board.selected(self._bus)
        if device is None:
            return 0xFF
        if device.spi_mode != self._mode:
            raise RuntimeError("SPI mode %d, device has %d" % (self._mode, device.spi_mode))
        return device.transfer(octet)

    def write_readinto(self, out, into):
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        for k in range(len(out)):
            into[k] = self._transfer(out[k])

    def write(self, out):
        for octet in out:
            self._transfer(octet)

    def readinto(self, into, octet=0):
        for k in range(len(into)):
            into[k] = self._transfer(octet)


class I2C:
    def __init__(self, bus, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._bus = bus
        self.freq = freq

    def _device(self, address):
        device = board.i2c.get(self._bus, {}).get(address)
        if device is None:
            raise OSError(19)  # ENODEV
        return device

    def scan(self):
        return sorted(board.i2c.get(self._bus, {}))

    def writeto(self, address, data, stop=True):
        self._device(address).write(bytes(data))
        return len(data)

    def readfrom_into(self, address, into, stop=True):
        into[:] = self._device(address).read(len(into))

    def readfrom_mem_into(self, address, register, into):
        device = self._device(address)
        device.write(bytes((register,)))
        into[:] = device.read(len(into))

    def writeto_mem(self, address, register, data):
        self._device(address).write(bytes((register,)) + bytes(data))


_FIFO = 32


class UART:
    def __init__(self, bus, baudrate=9600, bits=8, parity=None, stop=1, **settings):
        self._wire = board.line(bus)
        self.init(baudrate, bits, parity, stop, **settings)

    def init(
        self,
        baudrate=9600,
        bits=8,
        parity=None,
        stop=1,
        tx=None,
        rx=None,
        timeout=0,
        timeout_char=0,
        txbuf=256,
        rxbuf=256,
    ):
        self._wire.line = (baudrate, bits, parity, stop)
        self._txbuf = txbuf
        self._octet_us = 1000000 * (1 + bits + (parity is not None) + stop) // baudrate

    def _pending(self):
        """Octets that wait in the buffer and the FIFO of 32, when the wire takes its time."""
        if not self._wire.takes_time:
            return 0
        return max(0, -(-(self._wire.busy_until_us - board.now_us) // self._octet_us))

    def write(self, data):
        # As the port does with a timeout of 0: what fits, None when nothing does.
        pending = self._pending()
        count = min(len(data), self._txbuf + _FIFO - pending)
        if data and not count:
            return None
        self._wire.sent.extend(data[:count])
        start = max(self._wire.busy_until_us, board.now_us)
        self._wire.busy_until_us = start + count * self._octet_us
        return count

    def txdone(self):
        return self._pending() == 0

    def any(self):
        return len(self._wire.waiting)

    def readinto(self, into, count=None):
        count = len(into) if count is None else min(count, len(into))
        waiting = self._wire.waiting
        if count > len(waiting):
            # The port waits for more: what else there is to do stands still.
            board.advance(_WAIT_US)
        count = min(count, len(waiting))
        if not count:
            return None
        into[:count] = waiting[:count]
        self._wire.waiting = bytearray(waiting[count:])
        return count


class WDT:
    def __init__(self, id=0, timeout=5000):
        board.watchdog_ms = timeout
        board.fed_us = board.now_us

    def feed(self):
        board.fed_us = board.now_us


class Timer:
    """Its calls come while the board sleeps. What each was set to stands in `board.timers`."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, **settings):
        self.due_us = None
        if settings:
            self.init(**settings)

    def init(self, mode=PERIODIC, period=-1, callback=None):
        self._period_us = None if mode == Timer.ONE_SHOT else 1000 * period
        self._callback = callback
        self.due_us = board.now_us + 1000 * period
        board.timers.append({"mode": mode, "period": period, "callback": callback})
        if self not in board.armed:
            board.armed.append(self)

    def deinit(self):
        self.due_us = None
        if self in board.armed:
            board.armed.remove(self)

    def fire(self):
        if self._period_us is None:
            self.deinit()
        else:
            self.due_us += self._period_us
        self._callback(self)


class ADC:
    ATTN_11DB = 3

    def __init__(self, channel, atten=None):
        self._channel = channel.id if isinstance(channel, Pin) else channel

    def read_u16(self):
        return board.adc[self._channel]()


def unique_id():
    return board.unique_id


def reset():
    board.resets += 1
    raise SystemExit


def reset_cause():
    return WDT_RESET if board.resets else PWRON_RESET


def idle():
    pass


def freq(hz=None):
    return 160000000

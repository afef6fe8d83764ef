"""A UART of the chip as a line of the meter."""

from machine import UART

from ams import hal


class Line(hal.Uart):
    """`buffer` is the room for what is sent, `received` that for what comes; `fifo` the chip's own.

    `tx` and `rx` are pins as the port's UART takes them; `level()` is that of `rx`.
    """

    def __init__(self, number, tx, rx, buffer, received, fifo, level=None):
        self._number = number
        self.room = buffer + fifo
        self._tx = tx
        self._rx = rx
        self._level = level
        self._buffer = buffer
        self._received = received
        self._uart = None
        self._left = self.room  # octets that it still takes

    def init(self, baudrate, bits, parity, stop):
        settings = {
            "baudrate": baudrate,
            "bits": bits,
            "parity": parity,
            "stop": stop,
            "tx": self._tx,
            "rx": self._rx,
            "txbuf": self._buffer,
            "rxbuf": self._received,
        }
        if self._uart is None:
            self._uart = UART(self._number, **settings)
        else:
            self._uart.init(**settings)
        self._left = self.room

    def write(self, data):
        # The port writes a part where there is no room for all, or waits for it: neither is asked.
        if self._uart.txdone():
            self._left = self.room
        count = len(data)
        if count > self._left:
            return False
        self._left -= count
        self._uart.write(data)

    def idle(self):
        return self._uart.txdone()

    def readinto(self, buffer):
        # The port waits for what it is asked for, as long as octets come: only for what is there.
        count = min(self._uart.any(), len(buffer))
        return self._uart.readinto(buffer, count) if count else 0

    def held(self):
        # What the UART itself says of a break is gone with the octet that it makes of it.
        return None if self._level is None else not self._level()

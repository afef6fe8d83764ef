"""The PC as a board: clock, front end and HAN line are the bench's.

Time is what the bench last said, so that a year can pass in an hour. The
state image is a file of raw flash; killing the process is a power cut.
"""

import os
import struct
import time

from ams.hal import COIL_CLOSE, COIL_NONE, INPUT_BUTTON, Flash, Inputs, Relay, Uart


class BenchClock:
    # A super-capacitor: after a longer time without supply the clock is not to be trusted.
    backup_s = 7 * 86400

    def __init__(self):
        self._utc_ms = 0

    def set(self, utc_ms):
        self._utc_ms = utc_ms

    def utc_ms(self):
        return self._utc_ms


class BenchUart(Uart):
    """Hands frames to the bench, stamped with the meter's time."""

    def __init__(self, link, clock):
        self._link = link
        self._clock = clock
        self._stamp = bytearray(8)

    def init(self, baudrate, bits, parity, stop):
        line = '{"baudrate":%d,"bits":%d,"parity":%s,"stop":%d}' % (
            baudrate,
            bits,
            "null" if parity is None else parity,
            stop,
        )
        self._link.send(ord("U"), line.encode())

    def write(self, data):
        struct.pack_into("<q", self._stamp, 0, self._clock.utc_ms())
        self._link.send(ord("H"), self._stamp, data)


class BenchRelay(Relay):
    """A bistable relay that moves after 60 ms of current; `fault` makes it fail.

    `stuck`: it does not move. `welded`: the contact that carries the current
    does not, though the feedback says so.
    """

    MOVES_MS = 60

    def __init__(self, clock):
        self._clock = clock
        self._coil = COIL_NONE
        self._since_ms = 0
        self._feedback = True
        self.contact = True  # what carries the current
        self.fault = None

    def set_coil(self, coil):
        now_ms = self._clock.utc_ms()
        if self._coil and self.fault != "stuck" and now_ms - self._since_ms >= self.MOVES_MS:
            self._feedback = self._coil == COIL_CLOSE
            if self._feedback or self.fault != "welded":
                self.contact = self._feedback
        self._coil = coil
        self._since_ms = now_ms

    def closed(self):
        return self._feedback


class BenchInputs(Inputs):
    """What somebody at the case does, as the bench says."""

    def __init__(self):
        self.bits = 0

    def press(self, pressed):
        self.bits = self.bits | INPUT_BUTTON if pressed else self.bits & ~INPUT_BUTTON

    def read(self):
        return self.bits


_ERASED_PAGE = b"\xff" * Flash.page_size


class FileFlash(Flash):
    """NOR flash in a file, which the bench made and filled with ones."""

    def __init__(self, path, size):
        # Unbuffered: what is written survives a kill of the process, at once.
        self._file = open(path, "r+b", 0)
        self._length = self._file.seek(0, 2)
        self.size = size or self._length

    def read(self, address, buffer):
        """What a file that was cut short does not hold reads as erased."""
        self._file.seek(address)
        got = self._file.readinto(buffer)
        for k in range(got, len(buffer)):
            buffer[k] = 0xFF

    def _reach(self, end):
        while self._length < end:
            self._file.seek(self._length)
            self._length += self._file.write(_ERASED_PAGE[: end - self._length])

    def program(self, address, data):
        """Clears bits; a bit that is 0 stays 0."""
        old = bytearray(len(data))
        self.read(address, old)
        for k in range(len(data)):
            old[k] &= data[k]
        self._reach(address)
        self._length = max(self._length, address + len(data))
        self._file.seek(address)
        self._file.write(old)

    def erase(self, address):
        self._reach(address)
        self._length = max(self._length, address + self.sector_size)
        self._file.seek(address)
        # By page: a whole sector is a large piece of a small heap.
        for _ in range(self.sector_size // self.page_size):
            self._file.write(_ERASED_PAGE)


def ticks_ms():
    """Milliseconds that pass for whoever is at the other end of a link, at any speed."""
    if hasattr(time, "ticks_ms"):
        return time.ticks_ms()
    return time.monotonic_ns() // 1000000


# Kinds of a message on a channel of the two-way link, from the meter.
LINK_DATA = 0
LINK_CLOSE = 1
LINK_CONNECT = 3  # the octets name where to
LINK_CLOSED = 2  # the bench's word that a channel closed has been taken


class Board:
    def __init__(self, link, flash_path=None, flash_size=0):
        self._link = link
        self.clock = BenchClock()
        self.han_uart = BenchUart(link, self.clock)
        self.relay = BenchRelay(self.clock)
        self.inputs = BenchInputs()
        self.flash = FileFlash(flash_path, flash_size) if flash_path else None
        self._link_head = bytearray(2)

    def link_write(self, channel, data):
        """Octets of the two-way link; channel 0 is the service port, others TCP connections."""
        self._link_send(channel, LINK_DATA, data)

    def link_close(self, channel):
        """Ends a TCP connection when what was written has gone out."""
        self._link_send(channel, LINK_CLOSE, b"")

    def link_connect(self, channel, destination):
        """Asks for a connection of our own to "host:port"; gives whether that was understood."""
        self._link_send(channel, LINK_CONNECT, destination)
        return True

    def link_closed(self, channel):
        self._link_send(channel, LINK_CLOSED, b"")

    def _link_send(self, channel, kind, data):
        self._link_head[0] = channel
        self._link_head[1] = kind
        self._link.send(ord("d"), self._link_head, data)

    def entropy(self, count):
        return os.urandom(count)

    def log(self, text):
        self._link.send(ord("L"), text.encode())

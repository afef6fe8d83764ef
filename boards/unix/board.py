"""The PC as a board: clock, front end and HAN line are the bench's.

Time is what the bench last said, so that a year can pass in an hour. Killing the
process is a power cut.
"""

import os
import struct
import sys

from ams.hal import COIL_CLOSE, COIL_NONE, INPUT_BUTTON, Inputs, Network, Relay, Uart


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

    def __init__(self, clock, closed=True, moved=None):
        self._clock = clock
        self._moved = moved  # called with whether it is closed now
        self._coil = COIL_NONE
        self._since_ms = 0
        self._feedback = closed
        self.contact = closed  # what carries the current
        self.fault = None

    def set_coil(self, coil):
        now_ms = self._clock.utc_ms()
        if self._coil and self.fault != "stuck" and now_ms - self._since_ms >= self.MOVES_MS:
            self._feedback = self._coil == COIL_CLOSE
            if self._feedback or self.fault != "welded":
                self.contact = self._feedback
            if self._moved is not None:
                self._moved(self.contact)
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


# Kinds of a message on a channel of the two-way link, from the meter.
LINK_DATA = 0
LINK_CLOSE = 1
LINK_OPENED = 1  # from the bench
LINK_CONNECT = 3  # the octets name where to
LINK_CLOSED = 2  # the bench's word that a channel closed has been taken
# In the place of a channel: M-Bus, Modbus line, bus of the display, and Modbus by TCP.
MBUS_CHANNEL = 255
MODBUS_LINE = 254
DISPLAY_BUS = 253
MODBUS_FIRST, MODBUS_LAST = 16, 31
# Octets from a line that wait: more than any telegram has.
_HEARD_MOST = 1024
# Exit code of a process that is to be started anew: docs/update.md.
RESTART = 3


class BenchLine(Uart):
    """A two-way serial line: what is on its other end is the bench's."""

    def __init__(self, send, channel):
        self._send = send
        self._channel = channel
        self._heard = b""

    def init(self, baudrate, bits, parity, stop):
        pass

    def idle(self):
        return True

    def hear(self, data):
        # Who goes on and on: a line holds no more than this.
        self._heard = (self._heard + bytes(data))[:_HEARD_MOST]

    def write(self, data):
        self._send(self._channel, LINK_DATA, data)

    def readinto(self, buffer):
        piece, self._heard = self._heard[: len(buffer)], self._heard[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


class BenchI2C:
    """The bus of the display: what is written goes to the bench's model of it."""

    def __init__(self, send):
        self._send = send
        self.silent = False  # nothing answers

    def writeto(self, address, data):
        if self.silent:
            raise OSError(19)
        self._send(DISPLAY_BUS, LINK_DATA, bytes((address,)) + bytes(data))
        return len(data)


class BenchConnection:
    """A connection that the bench has taken; it reads on only as its client takes answers."""

    def __init__(self, network, channel):
        self._network = network
        self.channel = channel
        self.heard = b""
        self.gone = False

    def readinto(self, buffer):
        if not self.heard:
            return 0 if self.gone else None
        piece, self.heard = self.heard[: len(buffer)], self.heard[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data):
        if self.gone:
            raise OSError(104)
        self._network.send(self.channel, LINK_DATA, data)
        return len(data)

    def close(self):
        self._network.forget(self)


class BenchNetwork(Network):
    def __init__(self, send):
        self.send = send
        self._waiting = []
        self._open = {}

    def accept(self):
        return self._waiting.pop(0) if self._waiting else None

    def hear(self, channel, kind, data):
        """What the bench says of a connection."""
        connection = self._open.get(channel)
        if kind == LINK_OPENED:
            connection = self._open[channel] = BenchConnection(self, channel)
            self._waiting.append(connection)
        elif connection is None:
            pass  # it was closed here meanwhile
        elif kind == LINK_DATA:
            connection.heard += bytes(data)
        else:
            connection.gone = True
        if kind == LINK_CLOSED:
            # The bench gives the channel to nobody else before this.
            self._open.pop(channel, None)
            self.send(channel, LINK_CLOSED, b"")

    def forget(self, connection):
        if self._open.get(connection.channel) is connection:
            del self._open[connection.channel]
        if not connection.gone:
            connection.gone = True
            self.send(connection.channel, LINK_CLOSE, b"")


class Board:
    name = "unix"

    def __init__(self, link, flash=None, slots=None, started=None, closed=True):
        self._link = link
        self.clock = BenchClock()
        self.han_uart = BenchUart(link, self.clock)
        self.relay = BenchRelay(self.clock, closed, self._relay_moved)
        self.inputs = BenchInputs()
        self.flash = flash
        self.slots = slots
        self.started = started
        self._link_head = bytearray(2)
        self.mbus = None
        self.modbus_line = self.modbus_network = None
        self.display_bus = None

    def join_mbus(self):
        self.mbus = BenchLine(self._link_send, MBUS_CHANNEL)
        return self.mbus

    def make_display_bus(self, hz):
        self.display_bus = BenchI2C(self._link_send)
        return self.display_bus

    def join_modbus(self, port):
        """Gives the Modbus port the line and the network that its settings ask for."""
        if port.wants_line:
            self.modbus_line = BenchLine(self._link_send, MODBUS_LINE)
            port.join_line(self.modbus_line)
        if port.tcp_port is not None:
            self.modbus_network = BenchNetwork(self._link_send)
            port.join_network(self.modbus_network)

    def hear_modbus(self, channel, kind, data):
        """What the bench says of a Modbus client; whether it was one."""
        if channel == MODBUS_LINE:
            if self.modbus_line is not None:
                self.modbus_line.hear(data)
        elif MODBUS_FIRST <= channel <= MODBUS_LAST:
            if self.modbus_network is not None:
                self.modbus_network.hear(channel, kind, data)
        else:
            return False
        return True

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

    def _relay_moved(self, closed):
        """The bench remembers it: a bistable relay stays where it is when the meter restarts."""
        self._link.send(ord("c"), b"\x01" if closed else b"\x00")

    def restart(self):
        """Ends the process: the bench starts it again, with the same flash."""
        sys.exit(RESTART)

    def entropy(self, count):
        return os.urandom(count)

    def more_numbers(self, least):
        """Asks the bench, which has the keystore, for numbers from `least` on: message G comes."""
        self._link.send(ord("G"), struct.pack("<I", least))

    def log(self, text):
        self._link.send(ord("L"), text.encode())

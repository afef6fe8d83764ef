"""Asks a time server the time (RFC 5905, client mode; no authentication), and never waits.

One question at a time, once an hour; what comes is held against what was asked. A server is named
by its address: to look a name up would wait. What its word may do is for the meter to say (see
ams.clock.timing): it slews the clock a little, and sets nothing.
"""

import socket
import struct

from micropython import const

PORT = const(123)
_EVERY_MS = const(3600000)
_FIRST_AGAIN_MS = const(60000)
_ANSWER_MS = const(2000)
# A way of a second is no way to learn half a second from.
_ROUND_TRIP_MOST_MS = const(1000)
_UNSURE_MOST_MS = const(500)
# A pass of the loop: an answer may have waited so long.
_PASS_MS = const(10)
_SIZE = const(48)
_ASK = const(0x23)  # version 4, client
_SERVER = const(4)
_NOT_SET = const(3)  # leap indicator: the server's clock is not
_STRATUM_MOST = const(15)
# From 1900 to 2000; the 32 bits of an era reach from there to 2136.
_EPOCH_S = const(3155673600)
_U32 = const(0xFFFFFFFF)


def _ms(seconds, fraction):
    """ms since 2000 of an NTP timestamp."""
    return ((seconds - _EPOCH_S) & _U32) * 1000 + (fraction * 1000 >> 32)


class Ntp:
    """`entropy(n)`: n octets that nobody can guess. Raises ValueError for what is no address."""

    def __init__(self, address, entropy, port=PORT):
        parts = str(address).split(".")
        if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
            raise ValueError("ntp: the server is an IPv4 address, like 192.0.2.1")
        self._address = (address, port)
        self._entropy = entropy
        self._socket = None
        self._asked = b""  # what the answer must repeat
        self._asked_ms = 0
        self._due_ms = 0
        self._again_ms = _FIRST_AGAIN_MS
        self._buffer = bytearray(_SIZE)

    def poll(self, raw_ms):
        """Asks when it is time, and looks for the answer. Gives (true time at `raw_ms`, within
        how much) in ms when there is one, else None."""
        if self._socket is None:
            if raw_ms >= self._due_ms:
                self._ask(raw_ms)
            return None
        found = None
        try:
            data = self._socket.recv(_SIZE)
            if data:
                found = self._judge(bytes(data), raw_ms)
        except OSError:
            # Nothing there yet; or nobody, which ends when the time is up.
            pass
        if found is not None:
            self._end(raw_ms + _EVERY_MS)
            self._again_ms = _FIRST_AGAIN_MS
        elif raw_ms - self._asked_ms > _ANSWER_MS:
            self._fail(raw_ms)
        return found

    def _ask(self, raw_ms):
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            # Connected: what others send is not given.
            self._socket.connect(socket.getaddrinfo(*self._address)[0][-1])
            self._asked = bytes(self._entropy(8))
            self._socket.send(bytes((_ASK,)) + bytes(39) + self._asked)
            self._asked_ms = raw_ms
        except OSError:
            self._fail(raw_ms)

    def _fail(self, raw_ms):
        """Ever more seldom, to once an hour."""
        self._end(raw_ms + self._again_ms)
        self._again_ms = min(2 * self._again_ms, _EVERY_MS)

    def _end(self, due_ms):
        self._due_ms = due_ms
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _judge(self, data, raw_ms):
        """(true time, within how much), or None for what is no answer to the question."""
        if len(data) < _SIZE or data[24:32] != self._asked or data[0] & 7 != _SERVER:
            return None
        # The same answer does not count twice.
        self._asked = bytes(8)
        if data[0] >> 6 == _NOT_SET or not 1 <= data[1] <= _STRATUM_MOST:
            # Its clock is not set; or, of stratum 0, it wants to be asked less.
            self._again_ms = _EVERY_MS
            return None
        delay, dispersion = struct.unpack_from(">II", data, 4)
        received = _ms(*struct.unpack_from(">II", data, 32))
        sent = _ms(*struct.unpack_from(">II", data, 40))
        there_ms = sent - received
        way_ms = raw_ms - self._asked_ms - there_ms
        if there_ms < 0 or not 0 <= way_ms <= _ROUND_TRIP_MOST_MS:
            return None
        unsure_ms = way_ms // 2 + _PASS_MS + ((delay // 2 + dispersion) * 1000 >> 16)
        return (sent + way_ms // 2, unsure_ms) if unsure_ms <= _UNSURE_MOST_MS else None

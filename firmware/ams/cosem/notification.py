"""What the meter says unasked: DataNotification, ciphered for one client (IEC 62056-5-3, 6.2.3).

    0F | long invoke id u32 | length, date-time | data

One message waits for each channel. It is written when the link can take it, so
what it says is what is true then.
"""

import struct

from ams.cosem import security
from ams.cosem.axdr import Full

_TAG = 0x0F


class Outbox:
    def __init__(self, keyring, answer_class, size, channels):
        self._keyring = keyring
        self._answer_class = answer_class
        self._size = size
        self._answer = None
        self._waiting = [None] * channels
        self._number = 0

    def put(self, channel, sap, write, stamp=b""):
        """`write(out)` writes the data, `stamp` is a date-time. False: one still waits there."""
        if self._waiting[channel] is not None:
            return False
        self._waiting[channel] = (sap, write, stamp)
        return True

    def take(self, channel, association):
        """The message, good until the next; or None. Raises what `write` raises.

        It is no longer than the client of the `association` takes: `write` leaves out what
        does not fit, and where nothing fits there is none.
        """
        message = self._waiting[channel]
        if message is None:
            return None
        self._waiting[channel] = None
        sap, write, stamp = message
        client = self._keyring.client(sap)
        if client is None:
            return None
        if self._answer is None:
            self._answer = self._answer_class(self._size)
        out = self._answer
        out.begin()
        out.size = self._size
        if association.client is client:
            most = association.pdu_size
            if client.keys is not None:
                most = security.room(most, security.GENERAL)
            out.size = min(out.size, most)
        try:
            self._write(out, write, stamp)
        except Full:
            if out.size == self._size:
                raise
            return None
        if client.keys is None:
            return out.plain()
        number = self._keyring.take(client, client.keys)
        return out.seal(client.keys, number, self._keyring.title, security.GENERAL)

    def _write(self, out, write, stamp):
        self._number = (self._number + 1) & 0xFFFFFF
        out.octet(_TAG)
        out.raw(struct.pack(">I", self._number))
        out.octet(len(stamp))
        out.raw(stamp)
        write(out)

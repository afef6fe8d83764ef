"""What the meter says unasked: DataNotification, ciphered for one client (IEC 62056-5-3, 6.2.3).

    0F | long invoke id u32 | length, date-time | data

One message of a kind waits for each channel. It is written when the link can take it, so
what it says is what is true then.
"""

import struct

from micropython import const

from ams.cosem import security
from ams.cosem.axdr import Full

_TAG = 0x0F
# Kinds of message: the higher goes first.
_KINDS = const(2)


class Outbox:
    """`answer()` gives the buffer in which messages are made."""

    def __init__(self, keyring, answer, channels):
        self._keyring = keyring
        self._answer = answer
        self._waiting = [None] * (channels * _KINDS)
        self._number = 0

    def put(self, channel, sap, write, stamp=b"", kind=0, named=False, lost=None):
        """`write(out)` writes the data, `stamp` is a date-time. False: one still waits there.

        `named`: it is for that client whoever is there, and is said unasked. `lost()` is called
        when it will never go: its client is no longer there.
        """
        place = channel * _KINDS + kind
        if self._waiting[place] is not None:
            return False
        self._waiting[place] = (sap, write, stamp, named, lost)
        return True

    def named(self, channel):
        """The SAP of the client whom the next message is for that is said unasked, or None."""
        place = self._next(channel, True)
        return None if place is None else self._waiting[place][0]

    def _next(self, channel, named):
        """Where the next message waits."""
        for place in range((channel + 1) * _KINDS - 1, channel * _KINDS - 1, -1):
            message = self._waiting[place]
            if message is not None and (message[3] or not named):
                return place
        return None

    def drop(self, channel):
        """Whoever was on the channel has left."""
        for place in range(channel * _KINDS, (channel + 1) * _KINDS):
            message, self._waiting[place] = self._waiting[place], None
            if message is not None and message[4] is not None:
                message[4]()

    def take(self, channel, association, named=False):
        """The message, good until the next; or None. Raises what `write` raises.

        Whoever has the `association`: if he has keys one that names nobody is for him, else for
        whom it was left. Only such as do, if `named`. It is no longer than its client takes:
        `write` leaves out what does not fit, and where nothing fits there is none.
        """
        place = self._next(channel, named)
        if place is None:
            return None
        sap, write, stamp, named, _ = self._waiting[place]
        self._waiting[place] = None
        client = association.client
        if named or client is None or client.keys is None:
            client = self._keyring.client(sap)
        if client is None:
            return None
        out = self._answer()
        out.begin()
        whole = out.size
        if association.client is client:
            most = association.pdu_size
            if client.keys is not None:
                most = security.room(most, security.GENERAL)
            out.size = min(out.size, most)
        try:
            self._write(out, write, stamp)
        except Full:
            if out.size == whole:
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

"""General block transfer: an APDU of any kind in numbered blocks (IEC 62056-5-3, 9.4.6.13).

    E0 | control | block number u16 | acknowledged u16 | length | octets
    control: 80 last block, 40 streaming, 3F window

It is spoken only to a client that begins with it: its request is put together,
served, and the answer goes back the same way, one block to each acknowledgement,
whatever larger window the client offers. The buffers are made when they are
first needed and belong to the client that began last.
"""

import struct

from micropython import const

from ams.cosem.answers import NOT_ALLOWED, NOT_POSSIBLE, OTHER, PDU_TOO_LONG, ServiceError
from ams.cosem.axdr import Reader
from ams.cosem.security import Answer
from ams.results import AccessError

TAG = const(0xE0)
_LAST = const(0x80)
_STREAMING = const(0x40)
_WINDOW = const(1)
# Of a block of up to 127 octets, and of a longer one.
_HEAD = const(7)
_LONG_HEAD = const(9)


class GeneralBlocks:
    """The longest request and answer. `out` is what goes to the client, or None."""

    def __init__(self, request_size, answer_size):
        self._size = request_size
        self._answer_size = answer_size
        self._buffer = None
        self.answer = None  # where what is sent in blocks is made
        self.out = None
        self.owner = None
        self._received = 0  # number of the newest block that came in order
        self._length = 0
        self._sending = None
        self._number = 0  # of the newest block that went out
        self._at = self._end = 0  # of that block
        self._step = 0

    def drop(self, association):
        if self.owner is association:
            self.owner = self._sending = None

    def is_sending(self, association):
        """Whether more of an answer is to come."""
        sending = self._sending
        return self.owner is association and sending is not None and self._end < len(sending)

    def feed(self, association, apdu):
        """A whole APDU, once its last block is here; else None, and `out` may hold an answer."""
        self.out = None
        reader = Reader(apdu, 1)
        try:
            control = reader.octet()
            number = reader.octet() << 8 | reader.octet()
            acknowledged = reader.octet() << 8 | reader.octet()
            data = reader.take(reader.count())
            reader.end()
        except AccessError:
            raise ServiceError(NOT_ALLOWED, OTHER)
        if not len(data):
            if self.owner is association and self._sending is not None:
                self._acknowledge(acknowledged)
            return None
        if number == 1:
            self._begin(association)
        elif self.owner is not association or self._sending is not None:
            raise ServiceError(NOT_ALLOWED, NOT_POSSIBLE)
        if number == self._received + 1:
            end = self._length + len(data)
            if end > self._size:
                self.drop(association)
                raise ServiceError(NOT_ALLOWED, PDU_TOO_LONG)
            self._buffer[self._length : end] = data
            self._length = end
            self._received = number
            if control & _LAST:
                return self._buffer[:end]
        # Between blocks, or after a lost one: what came so far.
        if not control & _STREAMING:
            self.out = struct.pack(">BBHHB", TAG, _WINDOW, 1, self._received, 0)
        return None

    def _begin(self, association):
        if self._buffer is None:
            self._buffer = memoryview(bytearray(self._size))
            self.answer = Answer(self._answer_size)
        self.owner = association
        self._received = self._length = 0
        self._sending = None

    def send(self, association, apdu):
        """The first block of an answer, which stands in `answer`."""
        self._sending = apdu
        self._number = self._at = 0
        size = association.pdu_size
        self._step = size - _LONG_HEAD if size > 0x7F + _HEAD else size - _HEAD
        return self._block()

    def _acknowledge(self, number):
        if number == self._number:
            self._at += self._step
        elif number != self._number - 1:
            # Neither the block that went out nor the one before it: nothing can mend that.
            self.owner = self._sending = None
            return
        else:
            self._number -= 1
        if self._at >= len(self._sending):
            self._sending = None
        else:
            self.out = self._block()

    def _block(self):
        end = self._end = min(self._at + self._step, len(self._sending))
        self._number += 1
        control = _WINDOW | (_LAST if end == len(self._sending) else 0)
        count = end - self._at
        head = struct.pack(">BBHH", TAG, control, self._number, self._received)
        head += bytes((count,)) if count < 0x80 else struct.pack(">BH", 0x82, count)
        return head + bytes(self._sending[self._at : end])

"""How an answer to a service is put together: whole, or as blocks of what does not fit."""

import struct

from micropython import const

from ams.cosem import acse
from ams.cosem.axdr import Full, Writer
from ams.cosem.block import STAGE_SIZE
from ams.results import (
    BLOCK_NUMBER_INVALID,
    LONG_ACTION_ABORTED,
    NO_LONG_ACTION,
    NO_LONG_GET,
    OTHER_REASON,
    AccessError,
)

GET_RESPONSE = const(0xC4)
SET_RESPONSE = const(0xC5)
ACTION_RESPONSE = const(0xC7)
CONFIRMED = const(0x40)
# The longest head of an answer: that of a block with a long length.
HEAD = const(12)
# That of a block of a get whose length is one octet, and from which limit on nobody counts octets.
_SHORT_HEAD = const(10)
_AMPLE = const(28)

# Exception response: what is wrong with the state, what with the service.
NOT_ALLOWED = const(1)
UNKNOWN = const(2)
NOT_POSSIBLE = const(1)
NOT_SUPPORTED = const(2)
OTHER = const(3)
PDU_TOO_LONG = const(4)


class ServiceError(Exception):
    """No service at all: an exception response (see NOT_ALLOWED and on)."""

    def __init__(self, state, error):
        super().__init__(state, error)
        self.state = state
        self.error = error


def need(association, bit):
    """A service that was not negotiated is none."""
    if not association.conformance & bit:
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)


def room_of(limit):
    """Octets of an answer that a block takes."""
    return limit - (HEAD if limit >= _AMPLE else _SHORT_HEAD)


def put_block_head(out, transfer, invoke, last):
    """What stands in `out` from HEAD on becomes the block after the one that went out last."""
    count = out.length - HEAD
    head = struct.pack(">BBBBI", transfer.service, 2, invoke, 1 if last else 0, transfer.number + 1)
    if transfer.service == GET_RESPONSE:
        head += b"\x00"
    head += bytes((count,)) if count < 0x80 else struct.pack(">BH", 0x82, count)
    out.put_head(head)


class Answers:
    """`out` is the Answer in which they are made; `made`: the Ahead that had it."""

    made = None

    def __init__(self, out):
        self.out = out
        self._stages = []

    def _short(self, octets):
        self.out.begin()
        self.out.raw(octets)
        return True

    def _reply(self, invoke, octets):
        """The answer to what may have asked for none."""
        if not invoke & CONFIRMED:
            return False
        return self._short(octets)

    def _finish(self, invoke, head):
        """What stands in the answer gets its head."""
        if not invoke & CONFIRMED:
            return False
        self.out.put_head(head)
        return True

    def _send(self, association, transfer, head):
        """The whole answer if it fits, else its first block."""
        out = self.out
        out.begin(HEAD)
        if transfer.fill(out, association.limit - len(head)):
            out.put_head(head)
            self._stages.append(transfer.stage)
            return True
        response = transfer.service
        bit = acse.BLOCK_GET if response == GET_RESPONSE else acse.BLOCK_ACTION
        if not association.conformance & bit:
            transfer.close()
            self._stages.append(transfer.stage)
            raise ServiceError(NOT_ALLOWED, PDU_TOO_LONG)
        # The head of a block is longer than that of an answer.
        transfer.put_back(out, HEAD + room_of(association.limit))
        association.transfer = transfer
        put_block_head(out, transfer, head[2], False)
        return self._went(association, transfer, head[2], False)

    def _block(self, association, transfer, invoke):
        ahead = transfer.ahead
        last = None
        if ahead is not None:
            last = ahead.finish(association.limit, invoke)
        if last is None:
            out = self.out
            out.begin(HEAD)
            last = transfer.fill(out, room_of(association.limit))
            put_block_head(out, transfer, invoke, last)
        else:
            # Its buffer for ours, in which is nothing any more that anybody reads.
            self.out, ahead.answer = ahead.answer, self.out
            self.made = ahead
            transfer.ahead = None
        return self._went(association, transfer, invoke, last)

    def _went(self, association, transfer, invoke, last):
        transfer.number += 1
        transfer.invoke = invoke
        transfer.limit = association.limit
        if last:
            self._end(association)
        return True

    def _next(self, association, response, invoke, data):
        """The following block of an answer."""
        number = struct.unpack(">I", data.take(4))[0]
        data.end()
        transfer = association.transfer
        if transfer is None or transfer.service != response:
            return self._no_block(response, invoke, number, NO_LONG_GET)
        if number != transfer.number:
            self._end(association)
            return self._no_block(response, invoke, number, BLOCK_NUMBER_INVALID)
        try:
            return self._block(association, transfer, invoke)
        except (AccessError, Full) as error:
            self._end(association)
            code = error.code if isinstance(error, AccessError) else OTHER_REASON
            return self._no_block(response, invoke, number + 1, code)

    def _no_block(self, response, invoke, number, code):
        if response == ACTION_RESPONSE:
            code = NO_LONG_ACTION if code == NO_LONG_GET else LONG_ACTION_ABORTED
            return self._short(bytes((response, 1, invoke, code, 0)))
        head = struct.pack(">BBBBIBB", response, 2, invoke, 1, number & 0xFFFFFFFF, 1, code)
        return self._short(head)

    def _stage(self):
        if self._stages:
            stage = self._stages.pop()
            stage.clear()
            return stage
        return Writer(STAGE_SIZE)

    def _end(self, association):
        transfer = association.transfer
        if transfer is not None:
            association.transfer = None
            transfer.close()
            self._stages.append(transfer.stage)

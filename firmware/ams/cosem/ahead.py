"""The next block of a long answer, made and ciphered while the line sends the one before it.

For one channel, whose line is slow. The client is taken to ask as it did before: with the same
invoke id, in the same wrapping and under the same keys. A block that is asked for in another way
is made as if nothing had been done, and one that is no longer the newest message under its keys
is ciphered anew: nothing of it has been told to anybody.
"""

import struct

from ams.cosem.answers import HEAD, put_block_head, room_of
from ams.cosem.security import PLAIN, Answer


class Ahead:
    """`size`: of the longest answer; `keyring` has the numbers that it is ciphered under."""

    def __init__(self, size, keyring):
        self.answer = Answer(size)
        self._keyring = keyring
        self.drop()

    def drop(self):
        self._transfer = None
        self._last = None  # whether it is the last of the answer, when it is whole
        self._sealed = None  # as it goes out, ciphered under `_number` of `_keys`
        self._keys = None
        self._how = PLAIN
        self._number = 0

    def step(self, association, transfer):
        """One piece of the value, or the ciphering: some 10 ms of an RP2040 at the most. False when
        nothing is left to do before the block is asked for."""
        if transfer.ahead is not self:
            self.drop()
            self._transfer = transfer
            transfer.ahead = self
            self._how = transfer.how
            self.answer.begin(HEAD)
            # What a request may have looked at, see Profile.
            association.scanned = 0
        if self._last is None and transfer.failed is None:
            try:
                self._make()
            except Exception as error:
                transfer.failed = error  # who asks for the block is told
            return True
        if self._last is None or self._how == PLAIN or self._keys is not None:
            return False
        self._seal(association.client, transfer.keys)
        return True

    def _make(self):
        transfer = self._transfer
        out = self.answer
        last = transfer.part(out, HEAD + room_of(transfer.limit) - out.length)
        if last is not None:
            put_block_head(out, transfer, transfer.invoke, last)
            self._last = last

    def _seal(self, client, keys):
        self._keys = keys  # once: what goes wrong here does so again when it is asked for
        try:
            self._number = self._keyring.take(client, client.keys)
        except Exception:
            return
        self._sealed = self.answer.seal(keys, self._number, self._keyring.title, self._how)

    # --- the request -----------------------------------------------------------------

    def finish(self, limit, invoke):
        """The block is asked for: gives whether it is the last; None: another one is asked for
        than was thought, and what was made is taken back."""
        transfer = self._transfer
        if transfer.limit != limit or transfer.invoke != invoke:
            self._open(self.answer)
            transfer.put_back(self.answer, HEAD)
            transfer.ahead = None
            return None
        while self._last is None:
            self._make()
        return self._last

    def sealed(self, out, keys, how, newest):
        """The block in `out` as it goes out, or None: it is still to be ciphered. `newest`: number
        of the last message under the client's keys."""
        if self._sealed is not None:
            if self._keys is keys and self._how == how and self._number == newest:
                return self._sealed
            self._open(out)
        return None

    def _open(self, out):
        if self._sealed is not None:
            self._sealed = None
            iv = bytes(self._keyring.title) + struct.pack(">I", self._number)
            self._keys.gcm().counter(iv, out.plain())

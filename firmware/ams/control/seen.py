"""Orders that were armed: none of them is armed again while it could still be good."""

import struct

from micropython import const

# Orders that are good for long and not spent; while there are so many no more are armed.
_MOST = const(16)


class Seen:
    """Of each order four octets of its first seal, and its expiry (own time, in s)."""

    def __init__(self):
        self._orders = []

    def has(self, order):
        return any(tag == order.tag for tag, _ in self._orders)

    def add(self, order, now_s):
        """Whether there was room for it. Forgets what is over."""
        kept = [entry for entry in self._orders if entry[1] >= now_s]
        if len(kept) >= _MOST:
            return False
        kept.append((order.tag, order.expiry_s))
        self._orders = kept
        return True

    def clear(self):
        self._orders = []

    def pack(self):
        out = bytes((len(self._orders),))
        for entry in self._orders:
            out += struct.pack("<II", *entry)
        return out

    def unpack(self, data):
        """Gives what follows in `data`."""
        end = 1 + 8 * data[0]
        self._orders = [struct.unpack_from("<II", data, at) for at in range(1, end, 8)]
        return data[end:]

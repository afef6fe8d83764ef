"""Orders that were armed: none of them is armed again while it could still be good."""

import struct

from micropython import const

# Of orders that are good for long and were not spent so many are remembered.
_MOST = const(16)
_ENTRY = "<III"
_SIZE = const(12)


class Seen:
    """Of each order four octets of its first seal, its number and its expiry (own time, in s)."""

    def __init__(self):
        self._orders = []

    def has(self, order):
        return any(entry[0] == order.tag for entry in self._orders)

    def add(self, order, now_s, last):
        """Forgets what is over, and what has a number up to `last`.

        Gives up to which number orders have served: `last`, or more where there was no room.
        """
        kept = [entry for entry in self._orders if entry[2] >= now_s and entry[1] > last]
        kept.append((order.tag, order.number, order.expiry_s))
        if len(kept) > _MOST:
            last = min(entry[1] for entry in kept)
            kept = [entry for entry in kept if entry[1] > last]
        self._orders = kept
        return last

    def is_full(self, now_s):
        return sum(entry[2] >= now_s for entry in self._orders) >= _MOST

    def clear(self):
        self._orders = []

    def pack(self):
        out = bytes((len(self._orders),))
        for entry in self._orders:
            out += struct.pack(_ENTRY, *entry)
        return out

    def unpack(self, data):
        """Gives what follows in `data`. What is none of it is as if nothing had been armed."""
        count = data[0] if data else 0
        end = 1 + _SIZE * count
        if count <= _MOST and end <= len(data):
            self._orders = [struct.unpack_from(_ENTRY, data, at) for at in range(1, end, _SIZE)]
        return data[end:]

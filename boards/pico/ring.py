"""The RAM that a front end's DMA fills.

The image keeps it out of the heap: it is there whatever else is, no collection looks through it,
and what was sampled is taken for no pointer. On MicroPython as it comes it is of the heap.
"""

import chip
import uctypes
from flashmap import RING_ADDRESS, RING_SIZE

_reserved = None


def room(octets):
    """So many octets, the same at each call: early, the heap still has pieces of that size."""
    global _reserved
    if chip.OURS:
        if octets > RING_SIZE:
            raise MemoryError
        return uctypes.bytearray_at(RING_ADDRESS, octets)
    if _reserved is None:
        _reserved = bytearray(octets)
    return _reserved

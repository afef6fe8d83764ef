"""Whether flash is erased, and what is nearly so."""

from micropython import const

# Zeros in a sector that are noise: bits that flipped, a burst of 32 at the most. No head of a
# journal, of whatever version, has so few.
NOISE_BITS = const(32)
_PIECE = const(64)


def is_blank(flash, address, size):
    """Whether `size` octets from `address` on, a multiple of 16, are ones.

    A new meter has all of its flash to look through before it measures: a board that sees
    its flash as memory has a `blank(address, size)` of its own.
    """
    quick = getattr(flash, "blank", None)
    if quick is not None:
        return quick(address, size)
    piece = bytearray(4 * flash.page_size)
    ones = b"\xff" * len(piece)
    end = address + size
    view = memoryview(piece)
    while address < end:
        count = min(len(piece), end - address)
        flash.read(address, view[:count])
        if view[:count] != memoryview(ones)[:count]:
            return False
        address += count
    return True


def zeros(flash, address, size):
    """How many bits of `size` octets are zero; what is more than NOISE_BITS is not counted on."""
    piece = bytearray(_PIECE)
    view = memoryview(piece)
    ones = b"\xff" * _PIECE
    count = 0
    end = address + size
    while address < end and count <= NOISE_BITS:
        got = view[: min(_PIECE, end - address)]
        flash.read(address, got)
        if got != memoryview(ones)[: len(got)]:
            for octet in got:
                while octet != 0xFF:
                    octet |= octet + 1
                    count += 1
        address += len(got)
    return count

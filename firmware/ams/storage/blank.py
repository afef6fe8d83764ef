"""Whether flash is erased."""


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

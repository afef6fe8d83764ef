"""The SHA-256 of what a slot holds, in pieces between which the meter measures."""

import hashlib

from micropython import const

_PIECE = const(1024)
# Pieces before control goes back.
_AT_A_TIME = const(8)


def hash_steps(read, at, end):
    """A generator that returns the SHA-256 of image octets from `at` to `end`."""
    digest = hashlib.sha256()
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    number = 0
    while at < end:
        piece = view[: min(_PIECE, end - at)]
        read(at, piece)
        digest.update(piece)
        at += len(piece)
        number += 1
        if number % _AT_A_TIME == 0:
            yield
    return digest.digest()


def run(generator):
    """A generator of this kind at one go; gives what it returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value

"""MicroPython's `uctypes` for a board of the bench. MicroPython never sees this file."""


def addressof(octets):
    return id(octets) & 0xFFFFFFFF

"""What the starter of a flash with two halves does (tools/firmware/starter/choose.c), in Python.

For CPython and MicroPython alike; tests/unit/test_starter.py holds it to the C.
"""

import binascii

_RECORDS = 128
_SIZE = 64
_MARKS = 48
_BODY = 44


def _number(data, at):
    return int.from_bytes(data[at : at + 4], "big")


def choose(flash, read_code, code_max, failed=False):
    """(half that runs, 0: none; whether under the watchdog).

    `flash`: two sectors of records; `read_code(half, size)` gives octets of its code.
    """
    newest = None
    for place in range(0, _RECORDS * _SIZE, _SIZE):
        data = bytearray(_SIZE)
        flash.read(place, data)
        good = data[:4] == b"OAB1" and data[8] in (1, 2) and data[9] <= 1 and data[10] <= 8
        if not good or binascii.crc32(data[:_BODY]) != _number(data, _BODY):
            continue
        if newest is None or _number(data, 4) > _number(newest[1], 4):
            newest = place, data
    if newest is None:
        return 1, False
    place, data = newest
    half, trial, starts = data[8], data[9], data[10]

    def whole(which):
        size = _number(data, 4 + 8 * which)
        return 0 < size <= code_max and binascii.crc32(read_code(which, size)) == _number(
            data, 8 + 8 * which
        )

    def used():
        marks = bytearray(starts)
        flash.read(place + _MARKS, marks)
        count = 0
        while count < starts and marks[count] != 0xFF:
            count += 1
        return count

    count = used()
    left, good = count < starts, whole(half)
    if good and left and (trial or failed):
        flash.program(place + _MARKS + count, b"\x00")
        left = used() > count and (trial or used() < starts)
    if good and left:
        return half, True
    if data[11] and whole(3 - half):
        return 3 - half, True
    return (half if good else 0), True

"""A small reader: the power that a Kaifa meter tells on its HAN port.

It knows the frame (HDLC, CRC-16/X-25) and one element: the active power, which is the only one in
list 1 and stands after the meter's type in lists 2 and 3.
"""

import sys
from collections.abc import Iterator

FLAG = 0x7E
# Frame format, addresses, control, header check, LLC.
_HEAD = 11
# Data-Notification, its number, tag and length of the date-time that follows.
_NOTIFICATION = 7
_UINT32 = 0x06
_OCTETS = 0x09
_POWER_PLACE = {1: 0, 9: 3, 13: 3, 14: 3, 18: 3}


def crc(data: bytes) -> int:
    value = 0xFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value ^ 0xFFFF


def power_w(frame: bytes) -> int | None:
    """The imported active power in watts; None for a frame that is not whole."""
    if len(frame) < 20 or int.from_bytes(frame[:2]) & 0x7FF != len(frame):
        return None
    if crc(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        return None
    at = _HEAD + _NOTIFICATION + frame[_HEAD + _NOTIFICATION - 1]
    count, at = frame[at + 1], at + 2
    for _ in range(_POWER_PLACE.get(count, -1)):
        if frame[at] != _OCTETS:
            return None
        at += 2 + frame[at + 1]
    return int.from_bytes(frame[at + 1 : at + 5]) if frame[at] == _UINT32 else None


class Reader:
    """Takes octets as they come; gives powers."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, octets: bytes) -> Iterator[int]:
        self._buffer += octets
        while (start := self._buffer.find(FLAG)) >= 0 and len(self._buffer) >= start + 3:
            length = int.from_bytes(self._buffer[start + 1 : start + 3])
            if length >> 12 != 0xA:
                self._buffer = self._buffer[start + 1 :]
                continue
            end = start + 1 + (length & 0x7FF)
            if len(self._buffer) < end:
                return
            power = power_w(self._buffer[start + 1 : end])
            self._buffer = self._buffer[end if power is not None else start + 1 :]
            if power is not None:
                yield power


def main() -> None:
    import serial

    reader = Reader()
    with serial.Serial(sys.argv[1], 2400, timeout=1) as port:
        while True:
            for power in reader.feed(port.read(64)):
                print(power, flush=True)


if __name__ == "__main__":
    main()

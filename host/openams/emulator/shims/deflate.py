"""MicroPython's `deflate` for CPython, over `zlib`: reads raw streams."""

from __future__ import annotations

import zlib
from typing import BinaryIO

RAW = 1


class DeflateIO:
    def __init__(self, stream: BinaryIO, format: int, wbits: int) -> None:
        if format != RAW:
            raise ValueError("format")
        self._stream = stream
        self._inflater = zlib.decompressobj(-wbits)

    def readinto(self, buffer: bytearray) -> int:
        """Fills `buffer` as far as the stream goes; what is not one raises OSError."""
        done = 0
        try:
            while done < len(buffer) and not self._inflater.eof:
                data = self._inflater.unconsumed_tail or self._stream.read(256)
                out = self._inflater.decompress(data, len(buffer) - done)
                if not data and not out:
                    raise EOFError
                buffer[done : done + len(out)] = out
                done += len(out)
        except zlib.error as error:
            raise OSError(22, str(error)) from None
        return done

"""Files of an image as they will be run: inflated, never beyond the size the manifest says."""

import hashlib
import io

import deflate
from micropython import const

from ams.update import image, reasons

# The window of the streams: 2 ** 12 octets of RAM while one is inflated.
WINDOW_BITS = const(12)
_PIECE = const(1024)


def pieces(read, file):
    """Yields views of a file, each good until the next. Raises image.Refused."""
    packed = bytearray(file.packed)
    read(file.at, packed)
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    size = 0
    digest = hashlib.sha256()
    try:
        stream = deflate.DeflateIO(io.BytesIO(packed), deflate.RAW, WINDOW_BITS)
        while True:
            got = stream.readinto(buffer)
            if not got:
                break
            size += got
            image.demand(size <= file.size, reasons.TOO_LARGE)
            digest.update(view[:got])
            yield view[:got]
    except (OSError, ValueError, EOFError):
        raise image.Refused(reasons.BAD_FILE)
    image.demand(size == file.size and digest.digest() == file.hash, reasons.BAD_FILE)

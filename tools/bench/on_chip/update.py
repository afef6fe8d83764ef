# Verification of the image in the first slot, piece by piece, and what it needs of the heap.
import gc
import json
import time

import flashmap
import rp2
from ams.update import verify


def read(offset, buffer):
    # The image stands behind the map of its slot.
    at = flashmap.SLOTS_OFFSET - flashmap.STATE_OFFSET + 4096 + offset
    flash.readblocks(at // 4096, buffer, at % 4096)


flash = rp2.Flash(start=0, len=flashmap.STATE_SIZE + flashmap.SLOTS_SIZE)
size, update_key, release_key = BENCH  # noqa: F821
terms = verify.Terms(
    b"openams", b"pico", (0, 1, 0), 1, b"OAM\x00\x00\x00\x00\x01", update_key, release_key,
    lambda: 1000,
)  # fmt: skip
gc.collect()
before = gc.mem_alloc()
gc.disable()
steps = verify.steps(read, size, terms)
pieces = []
while True:
    start = time.ticks_us()
    try:
        next(steps)
    except StopIteration as end:
        pieces.append(time.ticks_diff(time.ticks_us(), start))
        version = end.value.version
        break
    pieces.append(time.ticks_diff(time.ticks_us(), start))
    if gc.mem_free() < 40000:
        gc.collect()
print(
    json.dumps(
        {
            "verify_ms": sum(pieces) / 1000,
            "pieces": len(pieces),
            "longest_piece_ms": max(pieces) / 1000,
            "image": size,
            "version": version,
        }
    )
)

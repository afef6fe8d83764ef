"""Runs on the MicroPython VM: the load profile of 90 days through its COSEM object.

stdin gives the configuration of a meter, with the path and size of a flash
image that holds the profile (it is written to). The time is that of the PC, the heap
that of the VM.
"""

import binascii
import gc
import json
import sys
import time

from fileflash import FileFlash

from ams.cosem import access
from ams.cosem.axdr import Reader, Writer
from ams.meter import Meter

LOAD = b"\x01\x00\x63\x01\x00\xff"


class Clock:
    backup_s = None

    def utc_ms(self):
        return 0

    def set(self, utc_ms):
        pass


class Line:
    def init(self, *line):
        pass

    def write(self, data):
        pass


class Board:
    def __init__(self, flash):
        self.flash = flash
        self.clock = Clock()
        self.han_uart = Line()

    def entropy(self, count):
        return bytes(count)

    def log(self, text):
        pass


def read(meter, selection):
    """Rows out, octets, seconds in all and to the first piece, and most of the heap in use."""
    out = Writer(640)
    octets = 0
    gc.collect()
    low = gc.mem_alloc()
    begin = time.ticks_ms()
    reader = None if selection is None else Reader(selection)
    pieces = meter.model.get(7, LOAD, 2, access.READER, out, reader)
    first = None
    high = 0
    for count, _ in enumerate(pieces):
        if first is None:
            first = time.ticks_diff(time.ticks_ms(), begin)
        octets += out.length
        out.clear()
        if count % 100 == 99:
            spent = time.ticks_ms()
            gc.collect()
            high = max(high, gc.mem_alloc())
            begin += time.ticks_diff(time.ticks_ms(), spent)
    octets += out.length
    total = time.ticks_diff(time.ticks_ms(), begin)
    return {"octets": octets, "ms": total, "first_ms": first, "heap": max(high - low, 0)}


def main():
    # Code that is loaded from source finds its place only where no garbage is left lying.
    gc.threshold(65536)
    job = json.loads(sys.stdin.read())
    meter = Meter(Board(FileFlash(job["image"], job["size"])), job["config"])
    meter.start(job["utc_ms"])
    gc.collect()
    before = gc.mem_alloc()
    model = meter.model
    gc.collect()
    made = gc.mem_alloc() - before
    out = Writer(640)
    seen = 0
    for class_id, _, ln, attributes, _, rights in model.rows():
        for attribute in range(2, attributes + 1):
            if class_id != 7 and rights.may_read(attribute, access.READER):
                out.clear()
                model.get(class_id, ln, attribute, access.READER, out)
                seen += 1
    import ams.objects.profile_generic  # noqa: F401

    gc.collect()
    gc.threshold(-1)
    loaded = gc.mem_alloc() - before
    result = {
        "objects": model.count(access.EVERYBODY),
        "attributes_read": seen,
        "model_heap": made,
        "model_heap_all_classes": loaded,
        "all": read(meter, None),
    }
    for name in ("range", "entry", "one"):
        result[name] = read(meter, binascii.unhexlify(job[name]))
    print(json.dumps(result))


main()

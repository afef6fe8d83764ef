# Time to find every ring of a flash whose rings are all full.
import gc
import json
import time

import flashmap
import rp2

from ams.hal import Flash
from ams.registers.nv_memory import NvMemory


class StateFlash(Flash):
    size = flashmap.STATE_SIZE

    def __init__(self):
        self._flash = rp2.Flash(start=0, len=flashmap.STATE_SIZE)

    def read(self, address, buffer):
        self._flash.readblocks(address // 4096, buffer, address % 4096)


gc.collect()
before = gc.mem_alloc()
start = time.ticks_us()
nv_memory = NvMemory(StateFlash(), "")
nv_memory.mount_rings()
spent = time.ticks_diff(time.ticks_us(), start)
gc.collect()
print(
    json.dumps(
        {
            "mount_ms": spent / 1000,
            "rings": len(nv_memory.journals),
            "found": nv_memory.found,
            "heap": gc.mem_alloc() - before,
        }
    )
)

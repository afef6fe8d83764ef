"""A flash that takes its time, for CPython and MicroPython alike.

Each erase and program takes a time of its own between the typical one of a W25Q16JV and the
maximum, by seed. Erases can go on by and by, as on the Pico. The power goes at a moment
(`cut_us`): in the middle of an operation, or while one is suspended.
"""

try:
    from flash_lab import ERASED, NEVER, SECTOR, LabFlash, PowerCut, Random, apply
except ImportError:
    from openams.faultlab.flash_lab import (
        ERASED,
        NEVER,
        SECTOR,
        LabFlash,
        PowerCut,
        Random,
        apply,
    )

SLICE_US = 1000
# Around each slice: the interface is set up anew for reading.
OVERHEAD_US = 100
ERASE_US, ERASE_MAX_US = 45000, 400000


class TimedFlash(LabFlash):
    """`now_us` is the time, which whoever uses it may move on as well (`pass_us`)."""

    def __init__(self, sectors, base=None, seed=1, longest=False):
        super().__init__(sectors, base)
        self.random = Random(seed)
        self.longest = longest
        self.now_us = 0
        self.cut_us = NEVER
        self.waited_us = 0  # for the flash, but for slices of erases ahead
        self.erases_waited_for = 0
        self.erased = 0
        self._address = -1  # of the sector that is being erased
        self._left_us = 0

    # --- time ----------------------------------------------------------------------

    def pass_us(self, us):
        """Time passes, and the flash is idle; it may be suspended."""
        self.now_us += us
        if self.now_us >= self.cut_us:
            self._go()

    def _go(self, number=-1, at=0, data=None):
        """The power goes, in the middle of a change or not."""
        if number >= 0:
            apply(self.own, self.writable(number), number, at, data, "bits", self.random)
        if self._address >= 0:
            place = self._address // SECTOR
            apply(self.own, self.writable(place), place, 0, None, "bits", self.random)
        raise PowerCut()

    def _between(self, low_us, high_us):
        if self.longest:
            return high_us
        # Most are short, some are long.
        share = self.random.below(1001)
        return low_us + (high_us - low_us) * share * share // 1000000

    # --- operations ------------------------------------------------------------------

    def read(self, address, buffer):
        super().read(address, buffer)
        # What is read where an erase is on its way is anything.
        for k in range(len(buffer)) if self._address >= 0 else ():
            if 0 <= address + k - self._address < SECTOR:
                buffer[k] = self.random.below(256)

    def program(self, address, data):
        assert not 0 <= address - self._address < SECTOR or self._address < 0, "it is being erased"
        most = 50 + 12 * (len(data) - 1)
        self._take(self._between(30 + 5 * (len(data) - 1) // 2, most))
        super().program(address, data)

    def change(self, number, at, data):
        if self.now_us >= self.cut_us:
            self._go(number, at, ERASED if data is None else data)
        super().change(number, at, data)

    def _take(self, us):
        us += OVERHEAD_US
        self.now_us += us
        self.waited_us += us

    def erase(self, address):
        waited_us = self.waited_us
        begun_us = self.now_us
        more = self.begin_erase(address)
        while more:
            more = self.erase_on()
        self.erases_waited_for += 1
        self.waited_us = waited_us + self.now_us - begun_us

    def begin_erase(self, address):
        assert address % SECTOR == 0
        while self._address >= 0:
            self.erase_on()
        self._address = address
        self._left_us = self._between(ERASE_US, ERASE_MAX_US)
        return self.erase_on()

    def erase_on(self):
        if self._address < 0:
            return 0
        us = min(SLICE_US, self._left_us)
        self._left_us -= us
        self.now_us += us + OVERHEAD_US
        if self.now_us >= self.cut_us:
            self._go()
        if self._left_us:
            return 1
        address, self._address = self._address, -1
        self.erased += 1
        super().erase(address)
        return 0

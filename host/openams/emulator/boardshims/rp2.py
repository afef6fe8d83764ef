"""MicroPython's `rp2` as far as drivers of this repository use it: what a state machine pushes is
put into a DMA channel by the test (`DMA.store`). The real ones are in the emulated chip.
"""


class PIO:
    OUT_LOW = 0
    OUT_HIGH = 1
    SHIFT_LEFT = 0
    SHIFT_RIGHT = 1
    JOIN_NONE = 0
    JOIN_TX = 1
    JOIN_RX = 2

    programs = ()  # that are in its instruction memory

    def __init__(self, number):
        pass

    def remove_program(self, program):
        PIO.programs = tuple(one for one in PIO.programs if one is not program)


def asm_pio(**settings):
    return lambda program: (program, settings)


class StateMachine:
    def __init__(self, number, program=None, **settings):
        self.number = number
        self.runs = False
        self.settings = settings

    def init(self, program, **settings):
        self.settings = settings
        if not any(one is program for one in PIO.programs):
            PIO.programs += (program,)

    def restart(self):
        pass

    def rx_fifo(self):
        return 0

    def active(self, on):
        self.runs = bool(on)


class DMA:
    _made = 0
    claimed = 0

    def __init__(self):
        self.channel = DMA._made
        DMA._made += 1
        DMA.claimed += 1
        self.registers = [0] * 16
        self.count = 0

    def pack_ctrl(self, **settings):
        return settings

    def config(self, read=None, write=None, count=None, ctrl=None, trigger=False):
        self._write = write
        self._whole = count
        self.count = count

    def active(self, on):
        if on:
            self.count = self._whole

    def close(self):
        DMA.claimed -= 1

    def store(self, word):
        """A word of 32 bits comes; at the end the channel that it is chained to winds it back."""
        at = 4 * (self._whole - self.count)
        for k in range(4):
            self._write[at + k] = word >> 8 * k & 0xFF
        self.count = self.count - 1 or self._whole

"""Contacts of the case, the button and the supply, read from pins."""

from ams.hal import Inputs


class PinInputs(Inputs):
    """`pins` are (pin, level when it is to be reported, INPUT_ bit)."""

    def __init__(self, pins):
        self._pins = pins

    def read(self):
        bits = 0
        for pin, level, bit in self._pins:
            if pin() == level:
                bits |= bit
        return bits

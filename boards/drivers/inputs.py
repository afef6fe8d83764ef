"""Contacts of the case, the button and the supply, read from pins."""

from ams.hal import INPUT_POWER_FAIL, Inputs


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

    def on_supply_fall(self, call):
        """`call()` comes at once when the supply falls: between two steps of whatever the code is
        at, not with the next pass of the main loop."""
        for pin, level, bit in self._pins:
            if bit == INPUT_POWER_FAIL and hasattr(pin, "irq"):
                edge = pin.IRQ_RISING if level else pin.IRQ_FALLING
                pin.irq(lambda pin: call(), edge)


def watch_supply(board, meter):
    """What is registered is stored when the supply falls, whatever the meter is doing."""
    watch = getattr(getattr(board, "inputs", None), "on_supply_fall", None)
    if watch is not None:
        watch(lambda: meter.case.supply_falls(board.clock.utc_ms()))

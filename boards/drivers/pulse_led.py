"""The test output on a pin."""

from ams.hal import PulseLed


class PinLed(PulseLed):
    def __init__(self, pin):
        self._pin = pin
        pin(0)

    def set(self, on):
        self._pin(1 if on else 0)

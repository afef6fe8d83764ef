"""The push button of the case: debounced by the time it is held."""

from micropython import const

NONE = const(0)
SHORT = const(1)
LONG = const(2)
SHORT_MS = const(1000)
LONG_MS = const(5000)


class Button:
    """`look` gives SHORT at the release after SHORT_MS, LONG once while held for LONG_MS."""

    def __init__(self):
        self._since = None
        self._long = False

    def look(self, now_ms, pressed):
        if pressed:
            if self._since is None:
                self._since = now_ms
                self._long = False
            if not self._long and now_ms - self._since >= LONG_MS:
                self._long = True
                return LONG
            return NONE
        held = 0 if self._since is None else now_ms - self._since
        self._since = None
        return SHORT if held >= SHORT_MS and not self._long else NONE

    def due_ms(self):
        """When a press that goes on becomes a long one; None: at no time."""
        if self._since is None or self._long:
            return None
        return self._since + LONG_MS

"""The push button of the case: debounced by the time it is held."""

from micropython import const

NONE = const(0)
SHORT = const(1)
LONG = const(2)
SHORT_MS = const(1000)
LONG_MS = const(5000)


class Press:
    """`look`, often, gives at the release how long the button was held, in ms; else None."""

    since_ms = None  # it is held

    def look(self, now_ms, pressed):
        since_ms = self.since_ms
        if pressed:
            if since_ms is None:
                self.since_ms = now_ms
            return None
        self.since_ms = None
        return None if since_ms is None else now_ms - since_ms


class Button(Press):
    """`look` gives SHORT at the release after SHORT_MS, LONG once while held for LONG_MS."""

    _long = False

    def look(self, now_ms, pressed):
        held_ms = Press.look(self, now_ms, pressed)
        if held_ms is not None:
            long, self._long = self._long, False
            return SHORT if held_ms >= SHORT_MS and not long else NONE
        if pressed and not self._long and now_ms - self.since_ms >= LONG_MS:
            self._long = True
            return LONG
        return NONE

    def due_ms(self):
        """When a press that goes on becomes a long one; None: at no time."""
        if self.since_ms is None or self._long:
            return None
        return self.since_ms + LONG_MS

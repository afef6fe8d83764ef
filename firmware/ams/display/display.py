"""The display: scrolls the registers by itself, the button pages, and a slice at a time goes out.

A press shorter than a second shows the next item, a longer one the next list; half a minute after
the last press it scrolls the registers again. While the breaker is ready for reconnection a long
press is the breaker's (see control.button), and the display says so.
"""

from micropython import const

from ams.control.button import Press
from ams.control.transitions import READY
from ams.display import items as it
from ams.faults import DISPLAY

# A pass has time for one slice, and a bench that jumps in time for no more.
_TEST_MS = const(3000)  # all segments, of which a second goes by until they are on
_SCROLL_MS = const(6000)
_HELD_MS = const(30000)
_LONG_MS = const(1000)
# The clock goes on by the second, all else is looked at so often.
_FRESH_MS = const(2000)
_SECOND_MS = const(1000)
_CLOCK_CODE = "0.9.1"
# A display that does not answer is set up anew so often, and told of so seldom.
_RETRY_MS = const(60000)
_TELL_MS = const(3600000)
_BREAKER_CODE = "96.3.10"


class Display:
    """`face` lays out and sends (faces.py), `screen` is a hal.Screen; both None where only somebody
    asks what is shown."""

    def __init__(self, meter, screen=None, face=None):
        self._meter = meter
        self._screen = screen
        self._face = face
        self._items = it.Items(meter)
        self.which = it.REGISTERS
        self.at = 0
        self._codes = ()
        self.item = ("", "", "", "")
        self.testing = True
        self._test_to_ms = None
        self._next_ms = None  # it goes on by itself
        self._by_hand_to_ms = None
        self._fresh_ms = 0  # when the meter is read again
        self._busy = face is not None  # the display does not show yet what it should
        self._due_ms = None  # of the set-up; None: the display is set up
        self._ready = screen is None
        self._press = Press()
        self._quiet_to_ms = None
        self._lost = False
        self._was_ready = False

    # --- the button ----------------------------------------------------------------------

    def press(self, now_ms, long):
        """A press of the button; also of somebody who has no button."""
        if self.testing:
            return
        self._by_hand_to_ms = now_ms + _HELD_MS
        if long:
            self._go((self.which + 1) % len(it.LISTS), 0)
        else:
            self._go(self.which, self.at + 1)

    def _look_at_button(self, now_ms, pressed):
        held_ms = self._press.look(now_ms, pressed)
        if held_ms is None:
            return
        long = held_ms >= _LONG_MS
        if not (long and self._was_ready):
            self.press(now_ms, long)

    # --- what is shown -------------------------------------------------------------------

    def _go(self, which, at):
        if which != self.which or not 0 < at < len(self._codes):
            # What there is to show is looked for where a list begins.
            self.which = which
            self._codes = self._items.codes(which)
        self.at = at % len(self._codes)
        self._next_ms = None
        self._fresh_ms = 0

    def _turn(self, now_ms):
        """By time: the test ends, hands are gone, the next register. Whether it went on."""
        if self.testing:
            if self._test_to_ms is None:
                self._test_to_ms = now_ms + _TEST_MS
            if now_ms < self._test_to_ms:
                return False
            self.testing = False
            self._go(it.REGISTERS, 0)
            self._next_ms = now_ms + _SCROLL_MS
            return True
        ready = self._meter.control.breaker.state == READY
        if ready and not self._was_ready:
            self._go(it.METER, 0)
            self.at = self._codes.index(_BREAKER_CODE)
            self._by_hand_to_ms = now_ms + _HELD_MS
            self._was_ready = True
            return True
        self._was_ready = ready
        if self._by_hand_to_ms is not None and now_ms >= self._by_hand_to_ms:
            self._by_hand_to_ms = None
            self._go(it.REGISTERS, 0)
            self._next_ms = now_ms + _SCROLL_MS
            return True
        if self._next_ms is None:
            self._next_ms = now_ms + _SCROLL_MS
        elif now_ms >= self._next_ms and self._by_hand_to_ms is None:
            self._go(it.REGISTERS, self.at + 1)
            self._next_ms = now_ms + _SCROLL_MS
            return True
        return False

    def _freshen(self, now_ms):
        """Reads the meter, now and then and when it goes on. Whether it did."""
        if self.testing or now_ms < self._fresh_ms:
            return False
        code = self._codes[self.at]
        self._fresh_ms = now_ms + (_SECOND_MS if code == _CLOCK_CODE else _FRESH_MS)
        item = self._items.item(code)
        where = "%d/%d" % (self.at + 1, len(self._codes))
        if self._was_ready and code == _BREAKER_CODE:
            item = item[:3] + ("HOLD 1 S: ON",)
        elif self._of_setup() is not None:
            item = self._of_setup()
            where = ""
        self.item = item
        if self._face is not None:
            self._face.show(item, where, self._items)
            self._busy = True
        return True

    def _of_setup(self):
        """What who sets the meter up has to type, while its network is open (home.setup_mode)."""
        home = self._meter.home
        return None if home is None or home.setup is None else home.setup.item

    @property
    def place(self):
        """(list, title, item, of how many)"""
        return self.which, it.TITLES[self.which], self.at, len(self._codes)

    # --- time ----------------------------------------------------------------------------

    def poll(self, now_ms, pressed=False):
        """With each pass: one slice, a few milliseconds at the most."""
        held = pressed or self._press.since_ms is not None
        if not (held or self._busy or now_ms >= self._fresh_ms):
            if self._next_ms is not None and now_ms < self._next_ms:
                # As nearly each time: nothing is due.
                return
        try:
            self._look_at_button(now_ms, pressed)
            if self._turn(now_ms) or self._freshen(now_ms) or self._face is None:
                return
            if not self._ready:
                self._set_up(now_ms)
            elif self.testing:
                self._face.test()
                self._face.step()
            elif self._busy:
                self._busy = self._face.step()
        except OSError as error:
            self._lose(now_ms, error)
        except Exception as error:
            self._meter.faults.take(DISPLAY, error)

    def _set_up(self, now_ms):
        """A step of the set-up: some have to wait."""
        if self._due_ms is not None and now_ms < self._due_ms:
            return
        wait_ms = self._screen.begin()
        if wait_ms is not None:
            self._due_ms = now_ms + wait_ms
            return
        self._ready = self._busy = True
        self._due_ms = None
        self._face.forget()
        if self._lost:
            self._lost = False
            self._meter.say("display: answers again")

    def _lose(self, now_ms, error):
        """It does not answer: told once, and tried again now and then."""
        self._ready = False
        self._busy = True
        self._screen.restart()
        self._due_ms = now_ms + _RETRY_MS
        if self._quiet_to_ms is None or now_ms >= self._quiet_to_ms:
            self._quiet_to_ms = now_ms + _TELL_MS
            self._lost = True
            self._meter.say("display: no answer: %r" % error)

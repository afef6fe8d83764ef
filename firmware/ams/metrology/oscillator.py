"""The reference oscillator: locks to the mains by the phase advance per window.

Its phase decides where a window ends (ten whole turns), and its cosine and
sine are what the fundamental is measured against. While it is not locked the
windows are two turns long, at 50 Hz first and then at 60: from 45 to 65 Hz
one of the two is so near that the advance is less than half a turn, and that
what is measured against it carries most of the voltage. A frequency is known
only while it is locked.
"""

from micropython import const

from ams.metrology.fixed import TURN, TURN_BITS, angle, div_rounded

WINDOW_CYCLES = const(10)
SHORT_CYCLES = const(2)
_FIRST_HZ = const(50)
_SECOND_HZ = const(60)
# Beyond 45 to 65 Hz by so much that the ends are locked to for sure.
_LOWEST_MHZ = const(44500)
_HIGHEST_MHZ = const(65500)


class Oscillator:
    def __init__(self, sample_rate_hz):
        self.sample_rate_hz = sample_rate_hz
        self._begun_hz = _FIRST_HZ
        self.step = TURN * _FIRST_HZ // sample_rate_hz  # phase per sample set, 1/2**24 turn
        self.locked = False
        self.frequency_mhz = 0  # of the last window; 0: not known
        self.progress = 0  # phase since the window began
        self._last = None  # (x, y, samples64, step) of the last window's fundamental
        self._doubtful = False  # the last window had next to nothing of this frequency

    def target(self):
        """Phase at which the window ends."""
        return (WINDOW_CYCLES if self.locked else SHORT_CYCLES) << TURN_BITS

    def lose(self):
        """Nothing to lock to, or a gap: the next window starts a new comparison."""
        self._last = None

    def unlock(self):
        self._last = None
        self.locked = False
        self.frequency_mhz = 0

    def _elsewhere(self):
        """Not near this frequency: the next window tries the other one."""
        self.unlock()
        self._begun_hz = _FIRST_HZ + _SECOND_HZ - self._begun_hz
        self.step = TURN * self._begun_hz // self.sample_rate_hz

    def follow(self, x, y, samples64, square, fundamental):
        """Takes the fundamental (x + j*y) of a window that was `samples64`/64 long.

        The advance of its angle since the last window is the distance between
        the mains and the oscillator, taken from middle to middle. `square` and
        `fundamental`: the sum of squares of the window, and the fundamental's part of it:
        most of it within 0.44 turns a window, and next to nothing a whole number of turns
        off, where the advance looks like none.
        """
        if (8 if self.locked else 2) * fundamental < square:
            # An interruption ends in the middle of a window: once is no other frequency yet.
            if self.locked and not self._doubtful:
                self._doubtful = True
                self._last = None
                self.frequency_mhz = 0
            else:
                self._elsewhere()
            return
        self._doubtful = False
        last = self._last
        self._last = (x, y, samples64, self.step)
        if last is None:
            return
        x0, y0, samples64_0, step_0 = last
        advance = angle(x * x0 + y * y0, y * x0 - x * y0)
        span = samples64 + samples64_0
        # 256ths of a step, so that the reading is finer than the oscillator.
        fine = div_rounded(
            (self.step * samples64 + step_0 * samples64_0 + 128 * advance) * 256, span
        )
        frequency_mhz = div_rounded(fine * self.sample_rate_hz * 1000, TURN * 256)
        if not _LOWEST_MHZ <= frequency_mhz <= _HIGHEST_MHZ:
            self._elsewhere()
            return
        self.step = (fine + 128) >> 8
        if self.locked:
            # An eighth of a turn per window is 0.6 Hz off: that is a jump.
            self.locked = abs(advance) < TURN // 8
            self.frequency_mhz = frequency_mhz if self.locked else 0
        else:
            # What two short windows say is near enough to lock, and not to be told.
            self.locked = abs(advance) < TURN // 50

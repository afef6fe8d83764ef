"""The reference oscillator: locks to the mains by the phase advance per window.

Its phase decides where a window ends (ten whole turns), and its cosine and
sine are what the fundamental is measured against. While it is not locked the
windows are two turns long, which pulls in from 38 to 62 Hz.
"""

from micropython import const

from ams.metrology.fixed import TURN, TURN_BITS, angle, div_rounded

WINDOW_CYCLES = const(10)
SHORT_CYCLES = const(2)
_LOWEST_HZ = const(40)
_HIGHEST_HZ = const(60)


class Oscillator:
    def __init__(self, sample_rate_hz):
        self.sample_rate_hz = sample_rate_hz
        self.step_nominal = TURN * 50 // sample_rate_hz
        self.step = self.step_nominal  # phase per sample set, 1/2**24 turn
        self.locked = False
        self.frequency_mhz = 0  # of the last window; 0 when there is nothing to lock to
        self.progress = 0  # phase since the window began
        self._last = None  # (x, y, samples64, step) of the last window's fundamental

    def target(self):
        """Phase at which the window ends."""
        return (WINDOW_CYCLES if self.locked else SHORT_CYCLES) << TURN_BITS

    def lose(self):
        """Nothing to lock to, or a gap: the next window starts a new comparison."""
        self._last = None

    def unlock(self):
        self._last = None
        self.locked = False

    def follow(self, x, y, samples64):
        """Takes the fundamental (x + j*y) of a window that was `samples64`/64 long.

        The advance of its angle since the last window is the distance between
        the mains and the oscillator, taken from middle to middle.
        """
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
        if not _LOWEST_HZ * 1000 <= frequency_mhz <= _HIGHEST_HZ * 1000:
            self.step = self.step_nominal
            self.unlock()
            return
        self.frequency_mhz = frequency_mhz
        self.step = (fine + 128) >> 8
        if self.locked:
            # An eighth of a turn per window is 0.6 Hz off: that is a jump.
            self.locked = abs(advance) < TURN // 8
        else:
            self.locked = abs(advance) < TURN // 50

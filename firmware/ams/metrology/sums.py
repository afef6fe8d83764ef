"""The sums of one window, per element, with its last sample split in 64ths.

Ten cycles are seldom a whole number of samples. The sample that straddles
the end of a window counts by 64ths in both windows, so that a window is ten
cycles long and no sample is lost or counted twice.
"""

from array import array

from micropython import const

from ams.metrology import channel_sums, kernel, window_end
from ams.metrology.fixed import sqrt_rounded

PARTS = const(64)
# Arguments and sums of the kernel, as numbers: names of another module are looked up each time.
_FIRST = const(0)
_CURRENT = const(1)
_STRIDE = const(2)
_COUNT = const(3)
_PHASE = const(4)
_STEP = const(5)
_OFFSET = const(6)
_OFFSET_CURRENT = const(7)
_PEAK_U = const(27)
_PEAK_I = const(28)
_SUM_COUNT = const(9)


class ElementSums:
    """Sums of one voltage-current pair."""

    def __init__(self, first, stride, offset_u, offset_i, table):
        self._args = kernel.new_arguments()
        self._args[_CURRENT] = 1
        self._args[_STRIDE] = stride
        self._args[_OFFSET] = offset_u
        self._args[_OFFSET_CURRENT] = offset_i
        self._first = first
        self._stride = stride
        self._table = table
        self._add = kernel.pair_sums
        self._acc = kernel.new_accumulator()
        # The straddling sample: what is left of it begins the next window.
        self._next = kernel.new_accumulator()
        self.total = [0] * _SUM_COUNT
        self.peak_u = 0
        self.peak_i = 0

    def take(self, samples, at, count, phase, step):
        """Adds `count` sample sets from set `at` on."""
        args = self._args
        args[_FIRST] = self._first + at * self._stride
        args[_COUNT] = count
        args[_PHASE] = phase
        args[_STEP] = step
        self._add(args, samples, self._acc, self._table)

    def close(self, samples, at, phase, part):
        """Ends the window `part`/64 into the sample set `at`; makes `total`."""
        acc = self._acc
        following = self._next
        kernel.clear(following)
        if part is not None:
            args = self._args
            args[_FIRST] = self._first + at * self._stride
            args[_COUNT] = 1
            args[_PHASE] = phase
            self._add(args, samples, following, self._table)
            window_end.part_sums(acc, following, part)
        self.total = window_end.sum_values(acc)
        self.peak_u = acc[_PEAK_U]
        self.peak_i = acc[_PEAK_I]
        self._acc = following
        self._next = acc

    def drop(self):
        kernel.clear(self._acc)


class CrossSum:
    """Sum of products of two channels that are no element's pair, and the sum of the first."""

    def __init__(self, first, other, stride, offset, offset_other):
        self._args = array("i", (first, other - first, stride, 0, 0, 0, offset, offset_other))
        self._first = first
        self._add = channel_sums.product_sum
        self._acc = kernel.new_accumulator()
        self._carry = self._carry_first = 0
        self.total = self.first = 0

    def take(self, samples, at, count):
        args = self._args
        args[_FIRST] = self._first + at * args[_STRIDE]
        args[_COUNT] = count
        self._add(args, samples, self._acc)

    def close(self, samples, at, part):
        self.total = kernel.limbs_value(self._acc, 0) + self._carry
        self.first = kernel.limbs_value(self._acc, 1) + self._carry_first
        self._carry = self._carry_first = 0
        if part is not None:
            args = self._args
            first = self._first + at * args[_STRIDE]
            other = samples[first + args[_CURRENT]] - args[_OFFSET_CURRENT]
            one = samples[first] - args[_OFFSET]
            straddling = one * other
            mine = part * straddling >> 6
            self.total += mine
            self._carry = straddling - mine
            mine = part * one >> 6
            self.first += mine
            self._carry_first = one - mine
        kernel.clear(self._acc)

    def drop(self):
        kernel.clear(self._acc)
        self._carry = self._carry_first = 0


class ChannelSum(CrossSum):
    """The same of a channel with itself, and its `peak`."""

    def __init__(self, which, stride, offset):
        CrossSum.__init__(self, which, which, stride, offset, offset)
        self._add = channel_sums.square_sum
        self.peak = 0

    def close(self, samples, at, part):
        self.peak = self._acc[_PEAK_U]
        CrossSum.close(self, samples, at, part)
        if part is not None:
            # Of the set that straddles the end, in both windows: as with the elements.
            args = self._args
            one = samples[self._first + at * args[_STRIDE]] - args[_OFFSET]
            one ^= one >> 31
            self.peak = max(self.peak, one)
            self._acc[_PEAK_U] = one

    def rms(self, scale, unit, weight):
        """Without its DC, after `close`: `scale` a code, over `unit`."""
        square = self.total - 64 * self.first * self.first // weight
        return sqrt_rounded(64 * max(square, 0) * scale * scale // (weight * unit * unit))

"""The sums of one window, per element, with its last sample split in 64ths.

Ten cycles are seldom a whole number of samples. The sample that straddles
the end of a window counts by 64ths in both windows, so that a window is ten
cycles long and no sample is lost or counted twice.
"""

from array import array

from micropython import const

from ams.metrology import kernel

PARTS = const(64)
_NOTHING = [0] * kernel.SUM_COUNT


class ElementSums:
    """Sums of one voltage-current pair. All values are times 64."""

    def __init__(self, first, stride, offset_u, offset_i, table):
        self._args = kernel.new_arguments()
        self._args[kernel.ARG_FIRST] = first
        self._args[kernel.ARG_CURRENT] = 1
        self._args[kernel.ARG_STRIDE] = stride
        self._args[kernel.ARG_OFFSET] = offset_u
        self._args[kernel.ARG_OFFSET_CURRENT] = offset_i
        self._first = first
        self._table = table
        self._acc = kernel.new_accumulator()
        self._carry = [0] * kernel.SUM_COUNT
        self.total = [0] * kernel.SUM_COUNT
        self.peak_u = 0
        self.peak_i = 0

    def take(self, samples, at, count, phase, step):
        """Adds `count` sample sets from set `at` on."""
        args = self._args
        args[kernel.ARG_FIRST] = self._first + at * args[kernel.ARG_STRIDE]
        args[kernel.ARG_COUNT] = count
        args[kernel.ARG_PHASE] = phase
        args[kernel.ARG_STEP] = step
        kernel.pair_sums(args, samples, self._acc, self._table)

    def close(self, samples, at, phase, part):
        """Ends the window `part`/64 into the sample set `at`; makes `total`."""
        acc = self._acc
        carry = self._carry
        total = self.total
        self.peak_u = acc[kernel.PEAK_U]
        self.peak_i = acc[kernel.PEAK_I]
        for k in range(kernel.SUM_COUNT):
            total[k] = PARTS * kernel.limbs_value(acc, k) + carry[k]
        kernel.clear(acc)
        if part is None:
            carry[:] = _NOTHING
            return
        args = self._args
        args[kernel.ARG_FIRST] = self._first + at * args[kernel.ARG_STRIDE]
        args[kernel.ARG_PHASE] = phase
        straddling = kernel.one_set(args, samples, self._table)
        self.peak_u = max(self.peak_u, kernel.magnitude(straddling[kernel.SUM_U]))
        self.peak_i = max(self.peak_i, kernel.magnitude(straddling[kernel.SUM_I]))
        rest = PARTS - part
        for k in range(kernel.SUM_COUNT):
            total[k] += part * straddling[k]
            carry[k] = rest * straddling[k]

    def drop(self):
        kernel.clear(self._acc)
        for k in range(kernel.SUM_COUNT):
            self._carry[k] = 0


class CrossSum:
    """Sum of products of two channels that are no element's pair."""

    def __init__(self, first, other, stride, offset, offset_other):
        self._args = array("i", (first, other - first, stride, 0, 0, 0, offset, offset_other))
        self._first = first
        self._acc = kernel.new_accumulator()
        self._carry = 0
        self.total = 0

    def take(self, samples, at, count):
        args = self._args
        args[kernel.ARG_FIRST] = self._first + at * args[kernel.ARG_STRIDE]
        args[kernel.ARG_COUNT] = count
        kernel.product_sum(args, samples, self._acc)

    def close(self, samples, at, part):
        self.total = PARTS * kernel.limbs_value(self._acc, 0) + self._carry
        self._carry = 0
        if part is not None:
            args = self._args
            first = self._first + at * args[kernel.ARG_STRIDE]
            other = samples[first + args[kernel.ARG_CURRENT]] - args[kernel.ARG_OFFSET_CURRENT]
            straddling = (samples[first] - args[kernel.ARG_OFFSET]) * other
            self.total += part * straddling
            self._carry = (PARTS - part) * straddling
        kernel.clear(self._acc)

    def drop(self):
        kernel.clear(self._acc)
        self._carry = 0

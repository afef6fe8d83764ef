"""The hot loop: the viper source and its plain twin do the same, in 32 bits."""

import math
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from ams.metrology import channel_sums, kernel, window_end

RAILS = (-8388608, 8388607)
SAMPLE = st.one_of(st.sampled_from(RAILS), st.integers(*RAILS))


class Word(int):
    """An integer that a 32-bit register can hold: every result is checked."""


def _checked(name):
    plain = getattr(int, name)

    def operation(self, other):
        value = plain(self, other)
        assert -(1 << 31) <= value < 1 << 31, f"{int(self)} {name} {int(other)} = {value}"
        return Word(value)

    return operation


for _name in ("add", "sub", "mul", "and", "or", "xor", "rshift", "lshift"):
    setattr(Word, f"__{_name}__", _checked(f"__{_name}__"))
    setattr(Word, f"__r{_name}__", _checked(f"__r{_name}__"))


def arguments(count, phase=0, step=209715, first=0, stride=2, offsets=(0, 0)):
    args = kernel.new_arguments()
    for place, value in enumerate((first, 1, stride, count, phase, step, *offsets)):
        args[place] = value
    return args


@given(
    st.lists(SAMPLE, min_size=2, max_size=300),
    st.integers(0, (1 << 24) - 1),
    st.integers(1, 1 << 20),
    st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000)),
)
@settings(max_examples=60, deadline=None)
def test_viper_source_equals_the_plain_twin(samples, phase, step, offsets):
    samples = array("i", samples[: len(samples) // 2 * 2])
    args = arguments(len(samples) // 2, phase, step, offsets=offsets)
    table = kernel.make_table()
    fast, plain = kernel.new_accumulator(), kernel.new_accumulator()
    for _ in range(2):
        kernel.accumulate(args, samples, fast, table)
        kernel.accumulate_plain(args, samples, plain, table)
    assert fast == plain
    fast, plain = kernel.new_accumulator(), kernel.new_accumulator()
    channel_sums.cross_sum(args, samples, fast)
    channel_sums.cross_sum_plain(args, samples, plain)
    assert fast == plain
    fast, plain = kernel.new_accumulator(), kernel.new_accumulator()
    for _ in range(2):
        channel_sums.channel_sum(args, samples, fast)
        channel_sums.channel_sum_plain(args, samples, plain)
    assert fast == plain
    assert fast[kernel.PEAK_U] == max(
        (u - offsets[0]) ^ (u - offsets[0] >> 31) for u in samples[::2]
    )


def test_no_intermediate_result_leaves_32_bits():
    """At the rails, with the largest zero offset, and everything in phase."""
    table = [Word(value) for value in kernel.make_table()]
    for u in RAILS:
        for i in RAILS:
            for phase in (0, 1 << 22, 1 << 23, 3 << 22):
                # A step of a whole turn keeps the reference at its peak.
                args = [Word(value) for value in arguments(70, phase, 1 << 24, offsets=(-900, 900))]
                acc = [Word(0)] * kernel.ACC_LENGTH
                kernel.accumulate(args, [Word(u), Word(i)] * 70, acc, table)
                channel_sums.cross_sum(args, [Word(u), Word(i)] * 70, acc)
                channel_sums.channel_sum(args, [Word(u), Word(i)] * 70, acc)
                expected = kernel.new_accumulator()
                plain = arguments(70, phase, 1 << 24, offsets=(-900, 900))
                kernel.accumulate_plain(
                    plain, array("i", [u, i] * 70), expected, kernel.make_table()
                )
                channel_sums.cross_sum_plain(plain, array("i", [u, i] * 70), expected)
                channel_sums.channel_sum_plain(plain, array("i", [u, i] * 70), expected)
                assert list(expected) == acc


def test_table_is_a_cosine():
    table = kernel.make_table()
    for k, value in enumerate(table):
        assert abs(value - kernel.TABLE_AMPLITUDE * math.cos(2 * math.pi * k / 1024)) < 0.53


@given(st.integers(-(1 << 70), 1 << 70), st.integers(-(1 << 69), 1 << 69))
def test_limbs_hold_signed_72_bits(first, second):
    acc = kernel.new_accumulator()
    kernel.add_to_limbs(acc, 4, first)
    kernel.add_to_limbs(acc, 4, second)
    assert kernel.limbs_value(acc, 4) == first + second


LIMBS = st.integers(-(1 << 61), (1 << 61) - 1)
STRADDLING = st.integers(-(1 << 47), 1 << 47)


@given(
    st.lists(st.tuples(LIMBS, STRADDLING), min_size=9, max_size=9),
    st.tuples(st.integers(0, 1 << 23), st.integers(0, 1 << 23)),
    st.integers(0, 64),
)
@settings(max_examples=200, deadline=None)
def test_what_straddles_is_split_and_none_of_it_lost(values, peaks, part):
    """In 32 bits, as the plain twin, and the two parts are the whole."""
    fast, plain = [], []
    for k in range(2):
        acc = kernel.new_accumulator()
        for which, pair in enumerate(values):
            kernel.add_to_limbs(acc, which, pair[k])
        acc[kernel.PEAK_U] = peaks[k]
        plain.append(acc)
        fast.append([Word(value) for value in acc])
    window_end.split(*fast, Word(part))
    window_end.split_plain(*plain, part)
    assert [list(acc) for acc in plain] == fast
    for which, (window, straddling) in enumerate(values):
        mine = kernel.limbs_value(plain[0], which) - window
        assert mine == straddling * part >> 6
        assert mine + kernel.limbs_value(plain[1], which) == straddling
    assert plain[0][kernel.PEAK_U] == max(peaks)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=9, max_size=9))
def test_sums_come_out_as_they_are(values):
    acc = kernel.new_accumulator()
    for which, value in enumerate(values):
        kernel.add_to_limbs(acc, which, value)
    assert list(window_end.values_plain(acc)) == values


VM_TWIN = """
import sys
from array import array
from ams.metrology import channel_sums, kernel, window_end
assert sys.implementation.name == "micropython"
assert kernel.pair_sums is kernel.accumulate
state = 12345
def rand():
    global state
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return ((state >> 7) & 0xFFFFFF) - 0x800000
table = kernel.make_table()
for trial in range(60):
    n = trial * 3
    samples = array("i", [rand() if trial % 3 else (-8388608, 8388607)[rand() & 1]
                          for _ in range(2 * n + 2)])
    args = kernel.new_arguments()
    for k, v in enumerate((0, 1, 2, n, rand() & 0xFFFFFF, rand() & 0xFFFFF, trial - 30, 7)):
        args[k] = v
    a, b = kernel.new_accumulator(), kernel.new_accumulator()
    for _ in range(2):
        kernel.accumulate(args, samples, a, table)
        kernel.accumulate_plain(args, samples, b, table)
        channel_sums.cross_sum(args, samples, a)
        channel_sums.cross_sum_plain(args, samples, b)
        channel_sums.channel_sum(args, samples, a)
        channel_sums.channel_sum_plain(args, samples, b)
    assert a == b, trial
    assert list(window_end.values(a)) == window_end.values_plain(a), trial
    one, two = kernel.new_accumulator(), kernel.new_accumulator()
    args[3] = 1
    kernel.accumulate(args, samples, one, table)
    kernel.accumulate_plain(args, samples, two, table)
    window_end.split(a, one, trial)
    window_end.split_plain(b, two, trial)
    assert a == b and one == two, trial
print("equal", sum(table))
"""


def test_viper_equals_the_plain_twin_on_the_vm(micropython):
    assert micropython(VM_TWIN).strip() == f"equal {sum(kernel.make_table())}"

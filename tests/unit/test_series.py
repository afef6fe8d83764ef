"""Entries by number and by time are what a scan of the whole ring gives, and cost little."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.storage.eraser import Eraser
from ams.storage.journal import Journal, footprint
from ams.storage.series import Series
from openams.emulator.faulty_flash import FaultyFlash, PowerCut

REGION = 2
KIND = 1


class Counting(FaultyFlash):
    def __init__(self, sectors, image=None):
        super().__init__(sectors, image)
        self.reads = self.octets = self.waited_for = 0

    def erase(self, address):
        self.waited_for += 1
        super().erase(address)

    def begin_erase(self, address):
        self._slices = address, 3
        return True

    def erase_on(self):
        address, left = self._slices
        self._slices = address, left - 1
        if left == 2:
            super().erase(address)
        return left > 1

    def read(self, address, buffer):
        self.reads += 1
        self.octets += len(buffer)
        super().read(address, buffer)


def series_on(flash, ahead=None):
    journal = Journal(flash, 0, flash.size // 4096, REGION)
    if ahead is not None:
        journal.ahead = ahead
        journal.spare = 2200
        journal.look_ahead()
    return Series(journal, KIND)


def entry(number, time, size):
    return struct.pack("<II", number, time) + bytes([number % 251]) * (size - 8)


def scan(flash, leaving=-1):
    """(number, time) of all, the plain way; but for a sector that is being erased."""
    journal = Journal(FaultyFlash(flash.size // 4096, flash.image()), 0, flash.size // 4096, REGION)
    journal._leaving = leaving
    return [struct.unpack_from("<II", data) for kind, data in journal.records() if kind == KIND]


def by_number(series, first, last):
    out = []
    for data in series.between(first, last):
        number, time = struct.unpack_from("<II", data)
        assert bytes(data[8:]) == bytes([number % 251]) * (len(data) - 8)
        out.append((number, time))
    return out


def by_time(series, from_s, to_s):
    out = []
    end = 0
    for first, last in series.numbers_between(from_s, to_s):
        assert end < first <= last, "runs are in order and apart"
        end = last
        out += by_number(series, first, last)
    return out


def compare(series, flash, rng, times=12):
    everything = scan(flash, series._journal._leaving)
    numbers = [number for number, _ in everything]
    assert series.newest() == (numbers[-1] if numbers else 0)
    assert series.oldest() == (numbers[0] if numbers else 0)
    assert by_number(series, 0, 0xFFFFFFFF) == everything
    assert by_time(series, 0, 0xFFFFFFFF) == everything
    known = [time for _, time in everything] or [0]
    for _ in range(times):
        first, last = sorted(rng.choice(numbers or [1]) + rng.randint(-2, 2) for _ in range(2))
        assert by_number(series, first, last) == [e for e in everything if first <= e[0] <= last]
        low, high = sorted(rng.choice(known) + rng.randint(-2, 2) for _ in range(2))
        low, high = max(low, 0), max(high, 0)
        assert by_time(series, low, high) == [e for e in everything if low <= e[1] <= high]
    assert by_time(series, 5, 4) == by_number(series, 7, 6) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(1, 60), st.integers(0, 900)),
        st.tuples(st.just("clock"), st.integers(-40_000, 40_000)),
        st.tuples(st.just("mount")),
        st.tuples(st.just("rest"), st.integers(0, 4)),
        st.tuples(st.just("cut"), st.integers(0, 12), st.sampled_from([None, "bytes", "bits"])),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=200, deadline=None)
@given(
    STEPS, st.integers(2, 6), st.sampled_from([28, 200, 700]), st.integers(0, 2**32), st.booleans()
)
def test_ranges_are_those_of_a_plain_scan(steps, sectors, size, seed, ahead):
    """With the clock set forward and back, cuts, mounts and a ring that wraps; sectors erased
    when they are needed, and ahead of need wherever there is a rest."""
    rng = random.Random(seed)
    flash = Counting(sectors)
    eraser = Eraser() if ahead else None
    series = series_on(flash, eraser)
    number, time = 0, 100_000
    for step in steps:
        try:
            if step[0] == "fill":
                for _ in range(step[1]):
                    time += step[2]
                    series.append(entry(number + 1, time, size))
                    number += 1
            elif step[0] == "clock":
                time = max(0, time + step[1])
            elif step[0] == "cut":
                flash.cut_at, flash.torn = flash.operations + step[1], step[2]
            elif step[0] == "rest":
                for _ in range(step[1] if ahead else 0):
                    eraser.work()
            else:
                eraser = Eraser() if ahead else None
                series = series_on(flash, eraser)
        except PowerCut:
            flash = Counting(sectors, flash.image())
            eraser = Eraser() if ahead else None
            series = series_on(flash, eraser)
            number = series.newest()
        compare(series, flash, rng, 4)
    compare(series_on(flash), flash, rng)


def life_before(left, sectors=4, size=200):
    """A ring that has gone round, has room for `left` entries, and the next sector ready;
    (series, flash, number, time)."""
    flash = Counting(sectors)
    eraser = Eraser()
    series = series_on(flash, eraser)
    journal = series._journal
    number = 1
    while journal.sequence < 7 or (journal._limit - journal._at) // footprint(size) != left:
        series.append(entry(number, 900 * number, size))
        number += 1
        while eraser.work():
            pass
    assert journal._ready >= 0
    return series, flash, number, 900 * number


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("left", range(10))
def test_time_that_goes_back_behind_a_sector_that_is_ready(left, cut):
    """Before its last entries, with its first, and, after a cut, while nothing stands in it."""
    series, flash, number, time = life_before(left)
    flash.waited_for = 0
    for k in range(30):
        if cut:
            series = series_on(flash, Eraser())
        compare(series, flash, random.Random(k), 4)
        # Twice: the second time with entries of the era between them.
        time += -5000 if k in (0, 4) else 900
        series.append(entry(number, time, 200))
        number += 1
        compare(series_on(flash), flash, random.Random(k), 4)
        while not cut and series._journal.ahead.work():
            pass
    assert cut or flash.waited_for == 0


def test_flips_change_nothing_but_what_they_take():
    rng = random.Random(4)
    flash = Counting(5)
    series = series_on(flash)
    time = 10_000
    for number in range(1, 700):
        time += 900 if number % 97 else -50_000 * (number // 97 % 2)
        series.append(entry(number, max(time, 0), 28))
    for _ in range(60):
        image = bytearray(flash.image())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(image) * 8)
            for bit in range(at, min(at + rng.randint(1, 32), len(image) * 8)):
                image[bit // 8] ^= 1 << bit % 8
        other = Counting(5, bytes(image))
        compare(series_on(other), other, rng, 8)


def year(sectors=178, days=206):
    flash = Counting(sectors)
    series = series_on(flash)
    for number in range(1, days * 96 + 1):
        series.append(entry(number, 900 * number, 28))
    return flash


def test_ninety_days_cost_little_more_than_what_they_give():
    flash = year()
    series = series_on(flash)
    flash.reads = 0
    runs = list(series.numbers_between(900 * 5000 - 10, 900 * 13639 + 10))
    assert runs == [(5000, 13639)]
    assert flash.reads < 250, flash.reads
    flash.reads = 0
    assert len(by_number(series, *runs[0])) == 90 * 96
    assert flash.reads < 90 * 96 + 350, flash.reads
    flash.reads = 0
    assert series.count() == series.newest() - series.oldest() + 1 == len(scan(flash))
    assert flash.reads < 20
    # One day out of the middle, by number.
    flash.reads = 0
    assert len(by_number(series, 9000, 9095)) == 96
    assert flash.reads < 96 + 100, flash.reads


def test_what_is_appended_while_a_range_is_read():
    """What the ring pushes out meanwhile is left out; nothing comes twice or wrong."""
    flash = Counting(3)
    series = series_on(flash)
    for number in range(1, 300):
        series.append(entry(number, 900 * number, 28))
    number = 300
    seen = []
    for data in series.between(1, 0xFFFFFFFF):
        seen.append(struct.unpack_from("<I", data)[0])
        if len(seen) % 2:
            series.append(entry(number, 900 * number, 28))
            number += 1
        if number > 700:
            break
    assert seen == sorted(set(seen))


VM = """
import struct
from ams.storage.journal import Journal
from ams.storage.series import Series
BLANK = b"\\xff" * 64
class Flash:
    sector_size = 4096
    page_size = 256
    def __init__(self):
        self.data = bytearray(b"\\xff" * 4096 * 5)
    def read(self, address, buffer):
        buffer[:] = self.data[address : address + len(buffer)]
    def program(self, address, data):
        for k in range(len(data)):
            self.data[address + k] &= data[k]
    def erase(self, address):
        for at in range(address, address + 4096, 64):
            self.data[at : at + 64] = BLANK
flash = Flash()
series = Series(Journal(flash, 0, 5, 2), 1)
time = 100000
wanted = [0] * 900  # made once: the heap is small
for number in range(1, 900):
    time += 900 if number % 50 else (-30000, 20000)[number // 50 % 2]
    series.append(struct.pack("<II", number, time) + bytes(number % 40 if number > 600 else 20))
    wanted[number] = time
for series in (series, Series(Journal(flash, 0, 5, 2), 1)):
    oldest = series.oldest()
    assert 900 - oldest == series.count() > 400
    for low in range(wanted[oldest] - 5000, wanted[899] + 60000, 7700):
        for high in (low, low + 899, low + 50000, low + 10000000):
            following = oldest
            for run in series.numbers_between(low, high):
                for data in series.between(*run):
                    number, time = struct.unpack_from("<II", data)
                    while following < number:
                        assert not low <= wanted[following] <= high, (low, high, following)
                        following += 1
                    assert wanted[number] == time and low <= time <= high, (low, high, number)
                    following += 1
            for number in range(following, 900):
                assert not low <= wanted[number] <= high, (low, high, number)
print("held")
"""


def test_ranges_on_the_vm(micropython):
    assert micropython(VM).strip() == "held"

"""Entries by number and by time are what a scan of the whole ring gives, and cost little."""

from __future__ import annotations

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from ams.storage.journal import Journal
from ams.storage.series import Series
from openams.emulator.faulty_flash import FaultyFlash, PowerCut

REGION = 2
KIND = 1


class Counting(FaultyFlash):
    def __init__(self, sectors, image=None):
        super().__init__(sectors, image)
        self.reads = self.octets = 0

    def read(self, address, buffer):
        self.reads += 1
        self.octets += len(buffer)
        super().read(address, buffer)


def series_on(flash):
    return Series(Journal(flash, 0, flash.size // 4096, REGION), KIND)


def entry(number, time, size):
    return struct.pack("<II", number, time) + bytes([number % 251]) * (size - 8)


def scan(flash):
    """(number, time) of all, the plain way."""
    journal = Journal(FaultyFlash(flash.size // 4096, flash.image()), 0, flash.size // 4096, REGION)
    return [struct.unpack_from("<II", data) for _, data in journal.records()]


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
    everything = scan(flash)
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
        st.tuples(st.just("cut"), st.integers(0, 12), st.sampled_from([None, "bytes", "bits"])),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.integers(2, 6), st.sampled_from([28, 200, 700]), st.integers(0, 2**32))
def test_ranges_are_those_of_a_plain_scan(steps, sectors, size, seed):
    """With the clock set forward and back, cuts, mounts and a ring that wraps."""
    rng = random.Random(seed)
    flash = Counting(sectors)
    series = series_on(flash)
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
            else:
                series = series_on(flash)
        except PowerCut:
            flash = Counting(sectors, flash.image())
            series = series_on(flash)
            number = series.newest()
        compare(series, flash, rng, 4)
    compare(series_on(flash), flash, rng)


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

"""The journal under power cuts at every operation, torn writes and flipped bits."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.storage.journal import LARGEST, Journal, JournalError
from openams.emulator.faulty_flash import FaultyFlash, PowerCut

SECTORS = 4
REGION = 7


def payload(number):
    """A record that knows its number: 4 octets of it, then as many as it says."""
    rng = random.Random(number)
    return struct.pack("<I", number) + rng.randbytes(rng.choice((0, 9, 40, 41, 200, 600)))


def numbers(journal):
    out = []
    for kind, data in journal.records():
        number = struct.unpack_from("<I", data)[0]
        assert bytes(data) == payload(number) and kind == number % 200
        out.append(number)
    return out


def work(flash, first, count):
    """Appends records from `first` on; gives the number of those that returned."""
    journal = Journal(flash, 0, SECTORS, REGION)
    done = 0
    try:
        for number in range(first, first + count):
            journal.append(number % 200, payload(number))
            done += 1
    except PowerCut:
        pass
    return done


def check(flash, committed, attempted):
    """Every committed record that the ring still has room for is there, in order.

    `committed` were returned, `attempted` may be one more.
    """
    journal = Journal(FaultyFlash(SECTORS, flash.image()), 0, SECTORS, REGION)
    found = numbers(journal)
    if not committed:
        assert found in ([], [0])
        return found
    assert found == list(range(found[0], found[-1] + 1)), "a gap"
    assert committed - 1 <= found[-1] <= attempted - 1
    # Three sectors at least are full or the newest: of the oldest something may be gone.
    held = sum(8 + (len(payload(number)) + 3) // 4 * 4 for number in found)
    assert found[0] == 0 or held > (SECTORS - 2) * 3000
    assert struct.unpack_from("<I", journal.last(found[-1] % 200))[0] == found[-1]
    return found


def operations_of(count):
    flash = FaultyFlash(SECTORS)
    assert work(flash, 0, count) == count
    return flash.operations


COUNT = 250
TOTAL = operations_of(COUNT)


def test_the_workload_is_worth_it():
    assert TOTAL > 600


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_a_cut_at_every_operation_loses_nothing_committed(torn):
    for cut in range(TOTAL):
        flash = FaultyFlash(SECTORS)
        flash.cut_at, flash.torn, flash.seed = cut, torn, 11
        done = work(flash, 0, COUNT)
        check(flash, done, done + 1)


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_a_second_cut_while_going_on_loses_nothing_either(torn):
    """After a cut the meter mounts and writes on, and is cut again at each of its first steps."""
    for cut in range(3, TOTAL, 29):
        flash = FaultyFlash(SECTORS)
        flash.cut_at, flash.torn, flash.seed = cut, torn, 5
        done = work(flash, 0, COUNT)
        before = check(flash, done, done + 1)
        following = before[-1] + 1 if before else 0
        for again in range(8):
            second = FaultyFlash(SECTORS, flash.image())
            second.cut_at, second.torn, second.seed = again, torn, cut
            more = work(second, following, COUNT)
            check(second, following + more, following + more + 1)


def filled():
    flash = FaultyFlash(SECTORS)
    work(flash, 0, COUNT)
    return flash


FULL = filled()
ALL = numbers(Journal(FaultyFlash(SECTORS, FULL.image()), 0, SECTORS, REGION))


@given(st.integers(0, SECTORS * 4096 * 8 - 33), st.integers(1, 32))
@settings(max_examples=600, deadline=None)
def test_a_flipped_burst_is_never_believed_and_costs_little(bit, length):
    flash = FaultyFlash(SECTORS, FULL.image())
    flash.flip(bit, length)
    # `numbers` holds every record against what was written.
    found = numbers(Journal(flash, 0, SECTORS, REGION))
    assert set(found) <= set(ALL)
    # A burst of 32 bits touches two records at most; sector heads stand twice.
    assert len(ALL) - len(found) <= 2


def test_wear_is_level():
    flash = FaultyFlash(SECTORS)
    work(flash, 0, 3000)
    assert max(flash.erases) - min(flash.erases) <= 1


@pytest.mark.parametrize("content", [b"\x00", b"\x5a", b"\xfe"])
def test_garbage_is_an_empty_journal_that_stays_as_it_is(content):
    flash = FaultyFlash(SECTORS, content * (SECTORS * 4096))
    journal = Journal(flash, 0, SECTORS, REGION)
    assert list(journal.records()) == [] and journal.last(0) is None
    assert not journal.writable
    with pytest.raises(JournalError, match="format"):
        journal.append(0, payload(0))
    assert flash.image() == content * (SECTORS * 4096) and not flash.operations


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_a_cut_first_write_leaves_a_journal_that_can_be_used(torn):
    for cut in range(4):
        for seed in range(20):
            flash = FaultyFlash(SECTORS)
            flash.cut_at, flash.torn, flash.seed = cut, torn, seed
            assert work(flash, 0, 1) == 0
            again = FaultyFlash(SECTORS, flash.image())
            assert work(again, 1, 3) == 3


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_cuts_before_anything_was_stored_leave_a_journal_that_can_be_used(torn):
    """Cut again and again before the first record is whole: it is no unknown data."""
    rng = random.Random(3)
    for life in range(40):
        flash = FaultyFlash(SECTORS)
        for cut in range(12):
            flash = FaultyFlash(SECTORS, flash.image())
            flash.cut_at, flash.torn, flash.seed = rng.randrange(5), torn, 100 * life + cut
            if work(flash, 0, 1):
                break
            assert Journal(FaultyFlash(SECTORS, flash.image()), 0, SECTORS, REGION).writable
        again = FaultyFlash(SECTORS, flash.image())
        assert work(again, 1, 3) == 3


def test_a_worn_sector_is_passed_by_and_nothing_is_lost():
    flash = FaultyFlash(SECTORS)
    journal = Journal(flash, 0, SECTORS, REGION)
    for number in range(300):
        if number == 100:
            flash.wear_out(1)
        if number == 150:
            flash.wear_out(2)
        journal.append(number % 200, payload(number))
        found = numbers(Journal(FaultyFlash(SECTORS, flash.image()), 0, SECTORS, REGION))
        assert found[-1] == number
        # A sector that wears out while in use takes what it holds with it, no other.
        assert found == list(range(found[0], number + 1))
    assert journal.worn


def test_when_every_sector_is_worn_it_says_so():
    flash = FaultyFlash(SECTORS)
    journal = Journal(flash, 0, SECTORS, REGION)
    for sector in range(SECTORS):
        flash.wear_out(sector)
    with pytest.raises(JournalError, match="no sector"):
        journal.append(0, payload(0))


@pytest.mark.parametrize("before", [0, 1, 300])
def test_a_flash_that_took_nothing_for_a_while_goes_on_where_it_was(before):
    """Neither what stood there nor what comes after goes lost, and no sector is tried twice."""
    flash = FaultyFlash(SECTORS)
    journal = Journal(flash, 0, SECTORS, REGION)
    for number in range(before):
        journal.append(number % 200, payload(number))
    held = numbers(Journal(FaultyFlash(SECTORS, flash.image()), 0, SECTORS, REGION))
    works = flash.program, flash.erase
    tries = set()
    # Each that is tried gets a head.
    flash.program = lambda address, data: tries.add(address // flash.sector_size)
    flash.erase = lambda address: None
    for _ in range(3):
        tries.clear()
        with pytest.raises(JournalError, match="no sector"):
            journal.append(before % 200, payload(before))
        assert SECTORS - 1 <= len(tries) <= SECTORS
    flash.program, flash.erase = works
    journal.append(before % 200, payload(before))
    found = numbers(Journal(FaultyFlash(SECTORS, flash.image()), 0, SECTORS, REGION))
    # The oldest sector makes room, as always.
    assert found == [*(n for n in held if n >= found[0]), before]
    assert len(found) > len(held) - len(held) // (SECTORS - 1) - 2


def test_a_large_ring_is_not_spent_on_a_flash_that_takes_nothing():
    sectors = 40
    flash = FaultyFlash(sectors)
    journal = Journal(flash, 0, sectors, REGION)
    count = 0
    while journal.sequence < sectors:
        journal.append(0, bytes(900))
        count += 1
    works = flash.program
    flash.program = lambda address, data: None
    for _ in range(2):
        before = sum(flash.erases)
        with pytest.raises(JournalError, match="no sector"):
            journal.append(0, bytes(900))
        assert sum(flash.erases) - before == 8
    flash.program = works
    journal.append(0, bytes(900))
    left = sum(1 for _ in Journal(flash, 0, sectors, REGION).records())
    assert left >= count - 18 * 4
    # A row of dead sectors that is longer than that is passed by in some tries.
    dead = [(journal.head + 1 + place) % sectors for place in range(20)]
    flash.program = lambda address, data: (
        None if address // flash.sector_size in dead else works(address, data)
    )
    refused = 0
    for _ in range(30):
        try:
            journal.append(0, bytes(900))
        except JournalError:
            refused += 1
    assert refused == 2
    assert sum(1 for _ in Journal(flash, 0, sectors, REGION).records()) >= 28 - refused


def test_journals_side_by_side_keep_apart():
    flash = FaultyFlash(6)
    one, two = Journal(flash, 0, 2, 1), Journal(flash, 2, 4, 2)
    for number in range(120):
        one.append(number % 200, payload(number))
        two.append(number % 200, payload(number))
    assert numbers(Journal(flash, 0, 2, 1))[-1] == 119
    assert numbers(Journal(flash, 2, 4, 2))[-1] == 119
    # Sectors of another region are not taken for one's own.
    assert list(Journal(flash, 2, 4, 3).records()) == []


def test_what_cannot_be_stored_is_refused():
    journal = Journal(FaultyFlash(2), 0, 2, 1)
    with pytest.raises(JournalError, match="1000 octets"):
        journal.append(1, bytes(LARGEST + 1))
    with pytest.raises(JournalError, match="two sectors"):
        Journal(FaultyFlash(2), 0, 1, 1)


VM = """
from ams.storage.journal import Journal
class Flash:
    sector_size = 4096
    page_size = 256
    def __init__(self, sectors, budget):
        self.data = bytearray(b"\\xff" * 4096 * sectors)
        self.budget = budget
    def spend(self):
        self.budget -= 1
        if self.budget < 0:
            raise OSError("cut")
    def read(self, address, buffer):
        for k in range(len(buffer)):
            buffer[k] = self.data[address + k]
    def program(self, address, data):
        self.spend()
        for k in range(len(data)):
            self.data[address + k] &= data[k]
    def erase(self, address):
        self.spend()
        for k in range(4096):
            self.data[address + k] = 0xFF
for budget in range(0, 260, 3):
    flash = Flash(3, budget)
    done = 0
    try:
        journal = Journal(flash, 0, 3, 1)
        for number in range(200):
            journal.append(number % 50, bytes([number]) * (number % 90 + 1))
            done += 1
    except OSError:
        pass
    flash.budget = 1000
    found = []
    for kind, data in Journal(flash, 0, 3, 1).records():
        assert len(data) == data[0] % 90 + 1 and kind == data[0] % 50
        found.append(data[0])
    assert not done or found[-1] in (done - 1, done), (budget, done, found)
    assert found == list(range(found[0], found[-1] + 1)) if found else done == 0
print("held")
"""


def test_cuts_on_the_vm(micropython):
    assert micropython(VM).strip() == "held"

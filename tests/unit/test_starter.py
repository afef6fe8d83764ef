"""The starter of a flash with two halves: the C that runs on the chip, held to its Python twin."""

from __future__ import annotations

import binascii
import ctypes
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from ams.update.halves import HalfSwitch, Records
from openams.emulator.faulty_flash import FaultyFlash, PowerCut
from openams.faultlab import starter

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "tools" / "firmware" / "starter"
CODES = (b"old" * 50, b"new code" * 30)
CODE_MAX = 4096
ORIGINS = (0x10006000, 0x100BA000)
MARK = ctypes.CFUNCTYPE(None, ctypes.c_uint32)


class Flash(ctypes.Structure):
    _fields_ = [
        ("records", ctypes.c_char_p),
        ("code", ctypes.c_char_p * 2),
        ("code_max", ctypes.c_uint32),
        ("mark", MARK),
    ]


class Choice(ctypes.Structure):
    _fields_ = [("half", ctypes.c_int), ("guarded", ctypes.c_bool)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "no C compiler: install gcc"
    out = tmp_path_factory.mktemp("starter") / "choose.so"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", out,
         STARTER / "choose.c"],
        check=True,
    )  # fmt: skip
    loaded = ctypes.CDLL(str(out))
    loaded.choose.restype = Choice
    loaded.choose.argtypes = [ctypes.POINTER(Flash), ctypes.c_bool]
    return loaded


def c_choice(library, records: bytearray, codes, failed, takes=True):
    """What the C chooses, with its marks in `records`."""
    held = ctypes.create_string_buffer(bytes(records), len(records))
    marked = []

    def mark(offset):
        marked.append(offset)
        if takes:
            held[offset] = b"\0"

    # Behind its end the code reads as erased.
    padded = [ctypes.create_string_buffer(code.ljust(CODE_MAX, b"\xff")) for code in codes]
    flash = Flash(
        ctypes.cast(held, ctypes.c_char_p),
        (ctypes.c_char_p * 2)(*(ctypes.cast(code, ctypes.c_char_p) for code in padded)),
        CODE_MAX,
        MARK(mark),
    )
    found = library.choose(ctypes.byref(flash), failed)
    records[:] = held.raw
    return found.half, found.guarded, marked


class Memory:
    """Two sectors that are plain octets."""

    def __init__(self, data, takes=True):
        self.data, self.takes, self.marked = data, takes, []

    def read(self, at, buffer):
        buffer[:] = self.data[at : at + len(buffer)]

    def program(self, at, data):
        self.marked.append(at)
        if self.takes:
            self.data[at : at + len(data)] = data


def both(library, records, codes=CODES, failed=False, takes=True):
    """The choice of the C, which is the twin's; marks it made are in `records`."""
    twin = Memory(bytearray(records), takes)

    def read_code(half, size):
        return codes[half - 1].ljust(CODE_MAX, b"\xff")[:size]

    chosen = starter.choose(twin, read_code, CODE_MAX, failed)
    half, guarded, marked = c_choice(library, records, codes, failed, takes)
    assert (half, guarded, marked) == (*chosen, twin.marked) and records == twin.data
    return half


def record(number=1, half=2, trial=1, starts=3, other=1, codes=CODES, marks=0, damage=None):
    body = struct.pack(">4sIBBBB", b"OAB1", number, half, trial, starts, other)
    for code in codes:
        body += struct.pack(">II", len(code), binascii.crc32(code))
    body += bytes(16)
    data = bytearray(body + struct.pack(">I", binascii.crc32(body)))
    data += (b"\0" * marks).ljust(8, b"\xff")
    if damage is not None:
        data[damage] ^= 1
    return bytes(data.ljust(64, b"\xff"))


def flashed(*records):
    return bytearray(b"".join(records).ljust(8192, b"\xff"))


ROT = (CODES[0], CODES[1][:-1] + b"!")
OLD_ROT = (b"X" + CODES[0][1:], CODES[1])


@pytest.mark.parametrize(
    ("what", "expected", "options"),
    [
        ((), 1, {}),
        ((record(),), 2, {}),
        ((record(marks=2),), 2, {}),
        ((record(marks=3),), 1, {}),
        ((record(),), 1, {"codes": ROT}),
        ((record(),), 1, {"takes": False}),  # a start that cannot be counted never ends
        ((record(marks=3, other=0),), 2, {}),  # nothing else is there
        ((record(marks=3),), 2, {"codes": OLD_ROT}),
        ((record(other=0),), 0, {"codes": ROT}),
        ((record(trial=0, starts=6),), 2, {}),
        ((record(trial=0, starts=6, marks=5),), 2, {}),
        ((record(trial=0, starts=6, marks=5),), 1, {"failed": True}),
        ((record(trial=0, starts=6, marks=4),), 2, {"failed": True}),
        ((record(trial=0, starts=6),), 1, {"codes": ROT}),
        ((record(1, 1, 0, 6), record(2, 2)), 2, {}),
        ((record(2, 1, 0, 6), record(1, 2)), 1, {}),
        ((record(1, 1, 0, 6), record(2, 2, damage=9)), 1, {}),
        ((record(1, 3), record(1, 2, 2), record(1, 2, 1, 9)), 1, {}),
    ],
)
def test_what_runs(library, what, expected, options):
    assert both(library, flashed(*what), **options) == expected


def test_sums_are_those_of_any_length_from_any_place(library):
    library.crc32.restype = ctypes.c_uint32
    octets = random.Random(7).randbytes(4100)
    held = ctypes.create_string_buffer(octets, len(octets))
    for at in range(8):
        for size in (*range(40), 1023, 4092):
            found = library.crc32(ctypes.byref(held, at), ctypes.c_uint32(size))
            assert found == binascii.crc32(octets[at : at + size])


def test_a_trial_ends_after_three_starts_and_no_failure_counts_twice(library):
    records = flashed(record(1, 1, 0, 6), record(2))
    assert [both(library, records) for _ in range(5)] == [2, 2, 2, 1, 1]
    records = flashed(record(trial=0, starts=6))
    assert [both(library, records, failed=True) for _ in range(8)] == [2] * 5 + [1] * 3
    records = flashed(record(trial=0, starts=6))
    assert {both(library, records) for _ in range(8)} == {2}


def test_any_records_give_the_same_choice_in_both(library):
    chance = random.Random(5)
    for _ in range(400):
        made = [
            record(
                chance.randrange(1, 6), chance.randrange(4), chance.randrange(3),
                chance.randrange(10), chance.randrange(2),
                chance.choice((CODES, ROT, OLD_ROT)), chance.randrange(9),
                chance.choice((None, None, None, chance.randrange(56))),
            )
            for _ in range(chance.randrange(1, 5))
        ]  # fmt: skip
        failed, takes = chance.random() < 0.5, chance.random() < 0.8
        both(library, flashed(*made), chance.choice((CODES, ROT)), failed, takes)


# --- what the firmware writes ------------------------------------------------------------------


class Verified:
    security = 2
    size = 4096 + len(CODES[1])


class CodeSlot:
    def __init__(self, code):
        self._code = code

    def read(self, at, buffer):
        buffer[:] = self._code[at - 4096 : at - 4096 + len(buffer)]


SLOTS = {1: CodeSlot(CODES[0]), 2: CodeSlot(CODES[1])}


def start(flash, library):
    """The starter's choice, and the switch of the code that runs then."""
    records = bytearray(8192)
    flash.read(0, records)
    marked = bytearray(records)
    half = both(library, marked)
    for at, octet in enumerate(marked):
        if octet != records[at]:
            flash.program(at, bytes((octet,)))
    return HalfSwitch(flash, half, len(CODES[0]), ORIGINS)


def update(flash, library):
    """An update from wherever it stands; gives what it was told of at each start."""
    switch = start(flash, library)
    if switch.running == 1:
        for _ in switch.weigh(SLOTS, Verified):
            pass
        switch.activate(switch.free_slot(), Verified)
        switch = start(flash, library)
    if switch.trial:
        switch.confirm()
    if switch.untold:
        switch.told()
    return switch


def test_the_firmware_writes_what_the_starter_reads(library):
    flash = FaultyFlash(2)
    switch = start(flash, library)
    assert (switch.running, switch.known, switch.origin()) == (1, False, ORIGINS[1])
    switch = update(flash, library)
    assert (switch.running, switch.confirmed, switch.trial, switch.floor) == (2, 2, 0, 2)
    again = start(flash, library)
    assert (again.running, again.untold, again.origin()) == (2, 0, ORIGINS[0])
    # The old code has a lower security version: it would not run any more.
    assert again.codes[1] == (0, 0)


def test_one_that_never_confirms_is_given_up_and_told(library):
    flash = FaultyFlash(2)
    switch = start(flash, library)
    for _ in switch.weigh(SLOTS, Verified):
        pass
    switch.activate(2, Verified)
    tries = [start(flash, library) for _ in range(3)]
    assert [(at.running, at.trial, at.tries) for at in tries] == [
        (2, 2, left) for left in (2, 1, 0)
    ]
    back = start(flash, library)
    assert (back.running, back.confirmed, back.trial, back.untold) == (1, 1, 0, 2)
    back.told()
    assert start(flash, library).untold == 0
    # What was given up runs no more, whatever becomes of the old.
    assert start(flash, library).codes[2] == (0, 0)


def test_what_is_told_on_trial_gives_no_start_back(library):
    flash = FaultyFlash(2)
    switch = start(flash, library)
    for _ in switch.weigh(SLOTS, Verified):
        pass
    switch.activate(2, Verified)
    for _ in range(3):
        start(flash, library).told()
    assert start(flash, library).running == 1


def test_both_sectors_are_used_in_turn(library):
    flash = FaultyFlash(2)
    update(flash, library)
    for number in range(70):
        switch = start(flash, library)
        assert switch.running == 2 and switch.floor == 2
        switch.heal()
        assert switch._records.number == 4 + number


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
@pytest.mark.parametrize("before", [0, 62, 63, 64])
def test_a_cut_anywhere_leaves_the_old_or_the_new(library, torn, before):
    """`before`: records that are there, so that sectors change within the update."""

    def used():
        flash = FaultyFlash(2)
        records = Records(flash)
        for _ in range(before):
            records.append(1, 0, 6, 0, len(CODES[0]), binascii.crc32(CODES[0]), 0, 0, 0, 0, 0, 0)
        return flash

    whole = used()
    update(whole, library)
    first = used()
    begin = first.operations
    assert whole.operations - begin >= 4
    for cut in range(begin, whole.operations):
        flash = used()
        flash.cut_at, flash.torn = cut, torn
        with pytest.raises(PowerCut):
            update(flash, library)
        after = FaultyFlash(2, flash.image())
        assert start(after, library).running in (1, 2)
        for _ in range(3):
            switch = update(after, library)
        assert (switch.running, switch.trial, switch.floor) == (2, 0, 2)


def test_a_flash_that_takes_nothing_changes_nothing(library):
    class Dead(FaultyFlash):
        def program(self, address, data):
            pass

    flash = Dead(2)
    switch = start(flash, library)
    for _ in switch.weigh(SLOTS, Verified):
        pass
    with pytest.raises(OSError):
        switch.activate(2, Verified)
    assert (switch.trial, switch.codes[2]) == (0, (0, 0))
    assert start(flash, library).running == 1

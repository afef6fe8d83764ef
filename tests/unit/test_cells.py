"""Cells under power cuts, torn writes, flips and wear: the old value or the new, never else."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.registers.energy import EnergyRegisters
from ams.registers.nv_memory import NvMemory
from ams.registers.profile import LoadProfile
from ams.storage import layout
from ams.storage.cells import KEYS, LARGEST_VALUE, Cells
from ams.storage.journal import Journal, JournalError
from openams.emulator.faulty_flash import FaultyFlash, PowerCut

SEED = int(os.environ.get("OPENAMS_SEED", "17"))
SECTORS = 3
REGION = 6
TORN = [None, "bytes", "bits"]


def cells_on(flash, sectors=SECTORS):
    return Cells(Journal(flash, 0, sectors, REGION))


def settings_made(seed, count):
    """(key, value) one after the other: a counter often, others of many sizes seldom."""
    rng = random.Random(seed)
    out = []
    for number in range(count):
        key = rng.choice((0, 0, 0, 0, 1, 2, 7, 200, 253))
        size = {0: 43, 1: 4, 2: 300, 7: 16, 200: 500, 253: 0}[key]
        out.append((key, number.to_bytes(4, "little") + rng.randbytes(size)))
    return out


def work(flash, todo):
    """Sets one after the other; gives how many returned."""
    done = 0
    try:
        cells = cells_on(flash)
        for key, value in todo:
            cells.set(key, value)
            done += 1
            flash.done = done
    except PowerCut:
        pass
    return done


def check(flash, done, where):
    """What was set holds, and the one under way is old or new; gives how many hold."""
    cells = cells_on(FaultyFlash(SECTORS, flash.image()))
    old, new = dict(TODO[:done]), dict(TODO[: done + 1])
    found = {key: cells.get(key) for key in new if cells.get(key) is not None}
    assert found in (old, new), where
    assert not cells.damaged, where
    return done if found == old else done + 1


TODO = settings_made(1, 420)


class Recorder(FaultyFlash):
    """Keeps what the flash held before each operation, so that none is done twice."""

    def __init__(self, sectors):
        super().__init__(sectors)
        self.done = 0
        self.moments = []

    def _operate(self, address, target):
        self.moments.append((self.image(), address, bytes(target), self.done))
        super()._operate(address, target)

    def cut(self, number, torn):
        """The flash after a cut at an operation, and how many settings had returned."""
        image, address, target, done = self.moments[number]
        flash = FaultyFlash(SECTORS, image)
        flash.seed = SEED
        flash.torn = torn
        if torn:
            flash._tear(address, bytearray(target), number)
        return flash, done


def operations():
    flash = Recorder(SECTORS)
    assert work(flash, TODO) == len(TODO)
    return flash


WHOLE = operations()
TOTAL = WHOLE.operations


def test_the_work_wraps_the_ring():
    assert min(WHOLE.erases) >= 5 and TOTAL > 800


@pytest.mark.parametrize("torn", TORN)
def test_a_cut_at_every_operation_leaves_old_or_new(torn):
    for cut in range(TOTAL):
        check(*WHOLE.cut(cut, torn), f"seed {SEED}, cut {cut}")


def play_further_cuts(torn, cuts):
    """After a cut it goes on, is cut at each of its first operations, and once more."""
    for cut in cuts:
        flash, done = WHOLE.cut(cut, torn)
        done = check(flash, done, f"cut {cut}")
        for again in range(24):
            second = FaultyFlash(SECTORS, flash.image())
            second.cut_at, second.torn, second.seed = again, torn, cut
            more = done + work(second, TODO[done:])
            more = check(second, more, f"seed {SEED}, cut {cut}, then {again}")
            third = FaultyFlash(SECTORS, second.image())
            third.cut_at, third.torn, third.seed = (again * 7 + cut) % 24, torn, again
            last = more + work(third, TODO[more:])
            check(third, last, f"seed {SEED}, cut {cut}, then {again} and {third.cut_at}")


@pytest.mark.parametrize("torn", TORN)
def test_a_second_and_a_third_cut(torn):
    play_further_cuts(torn, range(SEED % 61, TOTAL, 61))


@pytest.mark.campaign
@pytest.mark.parametrize("torn", TORN)
def test_a_second_and_a_third_cut_after_every_operation(torn):
    play_further_cuts(torn, range(TOTAL))


def test_cuts_without_end_between_few_operations():
    """A supply that comes for some operations only: nothing is lost, and it gets on."""
    rng = random.Random(5)
    flash = FaultyFlash(SECTORS)
    done = 0
    for number in range(3000):
        flash = FaultyFlash(SECTORS, flash.image())
        flash.cut_at, flash.torn = rng.randrange(40), rng.choice(TORN)
        flash.seed = number
        done += work(flash, TODO[done:])
        done = check(flash, done, f"life {number}")
        if done >= len(TODO):
            break
    assert done == len(TODO)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 253), st.integers(0, 250)),
            st.just("mount"),
            st.tuples(st.just("cut"), st.integers(0, 30), st.sampled_from(TORN)),
        ),
        max_size=80,
    ),
    st.integers(3, 5),
)
def test_it_does_what_a_dict_does(steps, sectors):
    flash = FaultyFlash(sectors)
    cells = cells_on(flash, sectors)
    model: dict[int, bytes] = {}
    number = 0
    for step in steps:
        pending = None
        try:
            if step == "mount":
                cells = cells_on(flash, sectors)
            elif step[0] == "cut":
                flash.cut_at, flash.torn = flash.operations + step[1], step[2]
            else:
                number += 1
                pending = step[0], bytes([number % 251]) * step[1]
                cells.set(*pending)
                model[pending[0]] = pending[1]
        except JournalError as error:
            assert "full" in str(error) and sum(len(v) + 16 for v in model.values()) > 3500
        except PowerCut:
            flash = FaultyFlash(sectors, flash.image())
            cells = cells_on(flash, sectors)
            if cells.get(pending[0]) == pending[1]:
                model[pending[0]] = pending[1]
        assert {key: cells.get(key) for key in model} == model
    assert all(cells.get(key) is None for key in range(KEYS) if key not in model)


def flipped(image, rng):
    image = bytearray(image)
    at = rng.randrange(len(image) * 8)
    for bit in range(at, min(at + rng.randint(1, 32), len(image) * 8)):
        if bit == at or rng.random() < 0.5:
            image[bit // 8] ^= 1 << bit % 8
    return bytes(image)


def test_a_burst_of_flips_is_mended_or_said():
    """Never a value that was not set; an older one only together with `damaged`."""
    rng = random.Random(9)
    set_before = {(key, value) for key, value in TODO}
    old = 0
    for count in range(180, 260, 2):
        flash = FaultyFlash(SECTORS)
        work(flash, TODO[:count])
        wanted = dict(TODO[:count])
        for _ in range(60):
            cells = cells_on(FaultyFlash(SECTORS, flipped(flash.image(), rng)))
            found = {key: cells.get(key) for key in wanted}
            assert all((key, value) in set_before for key, value in found.items() if value)
            if found != wanted:
                assert cells.damaged
                old += 1
    assert old < 400


def test_a_flip_while_it_runs_takes_an_older_copy_or_none():
    flash = FaultyFlash(SECTORS)
    damages = []
    cells = Cells(Journal(flash, 0, SECTORS, REGION), lambda: damages.append(1))
    for number in range(200):
        cells.set(1, bytes([number]) * 40)
        cells.set(2, b"kept")
    # The copy of cell 2 that was carried last goes; the one before it is there.
    newest = flash.data.rfind(b"kept")
    for at in [k for k in range(len(flash.data)) if flash.data.startswith(b"kept", k)][-1:]:
        assert at == newest
        flash.data[at] ^= 0xFF
    assert cells.get(2) == b"kept" and cells.damaged and damages == [1]
    for number in range(200):
        cells.set(1, bytes([number]) * 41)
    assert cells.get(2) == b"kept" and cells_on(flash).get(2) == b"kept"


def test_a_copy_that_rots_before_it_is_carried_costs_no_other():
    """It is found while the next sector is half made, which goes on where it is."""
    flash = FaultyFlash(SECTORS)
    cells = cells_on(flash)
    number = 0
    while cells._journal.sequence < 5 or cells._journal.fits(205):
        cells.set(number % 5, number.to_bytes(2, "little") * 100)
        number += 1
    place, at = cells._index[2] >> 22, cells._index[2] >> 10 & 4095
    flash.flip((4096 * place + at + 40) * 8)
    before = {key: cells.get(key) for key in (0, 1, 3, 4)}
    cells.set(9, b"new!" * 50)
    assert cells.damaged and cells._journal.worn == 0
    for there in (cells, cells_on(FaultyFlash(SECTORS, flash.image()))):
        assert {key: there.get(key) for key in before} == before
        assert there.get(9) == b"new!" * 50


@pytest.mark.parametrize("worn", range(SECTORS))
def test_a_worn_sector_is_passed_by(worn):
    flash = FaultyFlash(SECTORS)
    cells = cells_on(flash)
    for number, (key, value) in enumerate(TODO):
        if number == 100:
            flash.wear_out(worn)
        try:
            cells.set(key, value)
        except JournalError:
            # Two sectors that hold data are needed; what was set before is there.
            value = dict(TODO[:number])[key]
        assert cells.get(key) == value
    again = cells_on(FaultyFlash(SECTORS, flash.image()))
    assert again.get(0) == cells.get(0)


def test_what_it_does_not_take():
    cells = cells_on(FaultyFlash(SECTORS))
    with pytest.raises(ValueError, match="0 to 253"):
        cells.set(254, b"")
    with pytest.raises(JournalError, match="900"):
        cells.set(1, bytes(LARGEST_VALUE + 1))
    with pytest.raises(JournalError, match="full"):
        for key in range(20):
            cells.set(key, bytes(500))
    assert cells.get(0) == bytes(500)
    with pytest.raises(JournalError, match="three"):
        Cells(Journal(FaultyFlash(2), 0, 2, REGION))


def test_setting_the_same_value_costs_no_flash():
    flash = FaultyFlash(SECTORS)
    cells = cells_on(flash)
    cells.set(3, b"same")
    before = flash.operations
    cells.set(3, b"same")
    assert flash.operations == before


def mounted(flash, meter_id="1"):
    nv_memory = NvMemory(flash, meter_id)
    nv_memory.load_settings()
    energy = EnergyRegisters()
    nv_memory.mount(energy, LoadProfile(energy))
    nv_memory.save_settings({"meter_id": meter_id})
    return nv_memory


def test_the_rings_of_a_meter():
    flash = FaultyFlash(256)
    nv_memory = mounted(flash)
    for region in (layout.SECURITY, layout.CONTROL, layout.PARAMETERS, layout.UPDATE):
        nv_memory.cells(region).set(0, bytes([region]))
        nv_memory.cells(region).set(9, bytes(LARGEST_VALUE))
    for region in (layout.SECURITY, layout.CONTROL, layout.PARAMETERS, layout.UPDATE):
        assert mounted(flash).cells(region).get(0) == bytes([region])
    assert mounted(flash).cells(layout.CONTROL) is not nv_memory.cells(layout.CONTROL)
    assert nv_memory.cells(layout.CONTROL) is nv_memory.cells(layout.CONTROL)


def test_without_a_flash_they_live_in_ram():
    cells = mounted(None).cells(layout.CONTROL)
    assert cells.get(4) is None
    cells.set(4, bytearray(b"open"))
    assert cells.get(4) == b"open"
    with pytest.raises(JournalError):
        cells.set(4, bytes(LARGEST_VALUE + 1))


def test_the_keys_of_another_meter_are_not_read():
    flash = FaultyFlash(256)
    mounted(flash, "1").cells(layout.SECURITY).set(0, b"key")
    image = flash.image()
    cells = mounted(flash, "2").cells(layout.SECURITY)
    assert cells.get(0) is None
    with pytest.raises(JournalError, match="format"):
        cells.set(0, b"mine")
    assert flash.image() == image


def test_unknown_data_is_not_overwritten():
    flash = FaultyFlash(256)
    _, first, count = next(ring for ring in layout.layout(256) if ring[0] == layout.CONTROL)
    for at in range(first * 4096, (first + count) * 4096):
        flash.data[at] = 0x55
    image = flash.image()
    cells = mounted(flash).cells(layout.CONTROL)
    assert cells.get(0) is None
    with pytest.raises(JournalError, match="format"):
        cells.set(0, b"x")
    assert (
        flash.image()[first * 4096 : (first + count) * 4096]
        == image[first * 4096 : (first + count) * 4096]
    )


VM = """
from ams.storage.journal import Journal
from ams.storage.cells import Cells
class Flash:
    sector_size = 4096
    page_size = 256
    def __init__(self, data, budget):
        self.data = data
        self.budget = budget
    def read(self, address, buffer):
        buffer[:] = self.data[address : address + len(buffer)]
    def program(self, address, data):
        self.budget -= 1
        if self.budget < 0:
            if self.budget == -1:
                self.clear(address, data[: len(data) * TORN // 8])
            raise OSError("cut")
        self.clear(address, data)
    def clear(self, address, data):
        for k in range(len(data)):
            self.data[address + k] &= data[k]
    def erase(self, address):
        self.budget -= 1
        if self.budget < 0:
            if self.budget == -1:
                self.fill(address, 512 * TORN)
            raise OSError("cut")
        self.fill(address, 4096)
    def fill(self, address, length):
        self.data[address : address + length] = b"\\xff" * length
def play(data, budget, model, todo):
    last = None
    try:
        cells = Cells(Journal(Flash(data, budget), 0, 3, 6))
        for key, size in todo:
            last = key, bytes([len(model) + key & 0xFF]) * size
            cells.set(*last)
            model[key] = last[1]
            last = None
    except OSError:
        pass
    cells = Cells(Journal(Flash(data, 0), 0, 3, 6))
    if last and cells.get(last[0]) == last[1]:
        model[last[0]] = last[1]
    for key in model:
        assert cells.get(key) == model[key], (budget, key)
    assert not cells.damaged
TODO = [(k * 7 % 5, 40 + k * 13 % 400) for k in range(90)]
for TORN in (0, 3, 8):
    for budget in range(0, 400, 5):
        data = bytearray(b"\\xff" * 12288)
        model = {}
        play(data, budget, model, TODO)
        for again in range(3):
            play(data, budget % 11 + again, model, TODO[again:])
print("held")
"""


def test_cuts_on_the_vm(micropython):
    assert micropython(VM).strip() == "held"

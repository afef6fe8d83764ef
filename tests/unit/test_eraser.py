"""Erases ahead of need, on a flash that takes the datasheet's time, on both VMs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import eraser_vm
import pytest

from ams.storage import layout
from ams.storage.cells import Cells
from ams.storage.eraser import Eraser
from ams.storage.journal import Journal
from openams.faultlab.flash_lab import START_MS, PowerCut, make_meter
from openams.faultlab.timed_flash import ERASE_MAX_US, ERASE_US, TimedFlash

ROOT = Path(__file__).resolve().parents[2]
PATHS = ("firmware", "boards/unix", "host/openams/faultlab", "tests/unit")
PROMISE_US = eraser_vm.PROMISE_US


def check(result: dict[str, Any], cuts: int = 0) -> None:
    assert result["wrong"] == []
    assert result["erased"] > 40 and result["waited_for"] == 0
    # Of the promise the flash takes a part; the code has the rest.
    assert 0 < result["fall_us"] < PROMISE_US // 3
    assert result["cuts"] >= cuts // 2


@pytest.mark.parametrize("longest", [False, True])
def test_no_pass_waits_for_an_erase(longest: bool) -> None:
    """Clock and period set, logs filled, cells set, the supply falling: all at any moment."""
    check(eraser_vm.run(1, 3, longest, 0))


def test_cuts_at_any_moment_lose_a_minute_at_the_most_and_are_marked() -> None:
    for seed in (2, 3):
        check(eraser_vm.run(seed, 4, False, 30), 30)


def test_the_same_on_the_vm(micropython: Any) -> None:
    script = (ROOT / "tests" / "unit" / "eraser_vm.py").read_text()
    done = micropython(script, "2", "3", "0", "20", paths=PATHS, heap_kib=8192)
    result = ast.literal_eval(done.strip().splitlines()[-1])
    check(result, 20)
    here = eraser_vm.run(2, 3, False, 20)
    # Which of two cells is written first may differ, as dicts have no order there: and with it
    # how long the longest pass took.
    assert 0 < result.pop("longest_us") < 2 * here.pop("longest_us")
    assert result == here


@pytest.mark.campaign
def test_many_lives() -> None:
    for seed in range(10, 40):
        check(eraser_vm.run(seed, 12, seed % 3 == 0, 30), 30)


def test_times_are_between_the_typical_one_and_the_longest() -> None:
    flash = TimedFlash(8, seed=5)
    took = []
    for _ in range(300):
        begun_us = flash.now_us
        flash.erase(0)
        took.append(flash.now_us - begun_us)
    assert ERASE_US <= min(took) < 1.2 * ERASE_US
    assert 0.9 * ERASE_MAX_US < max(took) <= 1.2 * ERASE_MAX_US


def filled(flash: TimedFlash, eraser: Eraser) -> tuple[Journal, int]:
    """A journal that goes round its ring for the second time, and asks for a sector."""
    journal = Journal(flash, 0, 4, 7)
    journal.ahead = eraser
    journal.spare = 300
    number = 0
    while journal.sequence < 6 or journal._at + 200 < 4080 - 300:
        journal.append(0, number.to_bytes(4, "little") * 48)
        number += 1
        while eraser.work():
            pass
    journal.append(0, number.to_bytes(4, "little") * 48)
    return journal, number + 1


def test_what_is_needed_before_it_is_erased_is_waited_for() -> None:
    flash = TimedFlash(8, seed=2)
    eraser = Eraser()
    journal, number = filled(flash, eraser)
    assert eraser.work()
    for _ in range(3):
        journal.append(0, number.to_bytes(4, "little") * 48)
        number += 1
    assert not eraser.is_at(journal) and flash.erases_waited_for == 0
    found = [bytes(data[:4]) for _, data in journal.records()]
    assert found[-1] == (number - 1).to_bytes(4, "little")
    assert [int.from_bytes(one, "little") for one in found] == list(
        range(number - len(found), number)
    )


def test_a_cut_while_an_erase_is_suspended_costs_no_record_of_another_sector() -> None:
    for slices in range(0, 400, 23):
        flash = TimedFlash(8, seed=slices)
        eraser = Eraser()
        journal, number = filled(flash, eraser)
        for _ in range(slices):
            eraser.work()
        # Of the sector that goes nothing is read any more.
        held = {bytes(data) for _, data in journal.records()}
        assert len(held) > 50
        flash.cut_us = flash.now_us + 1
        with pytest.raises(PowerCut):
            flash.pass_us(1000)
        image = {number: bytes(data) for number, data in flash.own.items()}
        again = Journal(TimedFlash(8, image), 0, 4, 7)
        kept = {bytes(data) for _, data in again.records()}
        assert held <= kept
        again.append(0, b"after" * 40)
        assert bytes(again.last(0) or b"") == b"after" * 40


def test_programs_go_on_while_an_erase_is_suspended() -> None:
    """A falling supply does not wait for it."""
    flash = TimedFlash(8, seed=4, longest=True)
    eraser = Eraser()
    journal, number = filled(flash, eraser)
    assert eraser.work() and eraser.is_at(journal)
    begun_us = flash.now_us
    journal.append(0, b"last" * 48)
    assert flash.now_us - begun_us < 5000
    assert eraser.is_at(journal) or journal._ready >= 0


def cells_on(flash: TimedFlash, eraser: Eraser) -> tuple[Journal, Cells]:
    journal = Journal(flash, 0, 3, 8)
    journal.ahead = eraser
    journal.spare = 1536
    return journal, Cells(journal)


@pytest.mark.parametrize("torn_us", range(1000, 13000, 1500))
def test_cells_that_a_cut_left_half_copied_are_made_anew_in_a_sector_erased_ahead(
    torn_us: int,
) -> None:
    flash, eraser = TimedFlash(3, seed=6), Eraser()
    journal, cells = cells_on(flash, eraser)
    value = 0
    while True:
        # Over two rounds of the ring, until copies go to the next sector.
        if journal.sequence > 6 and not journal.fits(205):
            flash.cut_us = flash.now_us + torn_us
        try:
            cells.set(value % 5, value.to_bytes(2, "little") * 100)
        except PowerCut:
            break
        value += 1
        while eraser.work():
            pass
    image = {number: bytes(data) for number, data in flash.own.items()}
    flash, eraser = TimedFlash(3, image, seed=7), Eraser()
    journal, cells = cells_on(flash, eraser)
    held = [cells.get(key) for key in range(5)]
    journal.look_ahead()
    for number in range(value - 5, value):
        kept = held[number % 5]
        assert kept in (
            number.to_bytes(2, "little") * 100,
            (number + 5).to_bytes(2, "little") * 100,
        )
    while eraser.work():
        pass
    assert [cells.get(key) for key in range(5)] == held
    cells.set(9, b"new")
    assert flash.erases_waited_for == 0 and cells.get(9) == b"new"
    image.update((number, bytes(data)) for number, data in flash.own.items())
    _, again = cells_on(TimedFlash(3, image), eraser)
    assert [again.get(key) for key in range(5)] == held and again.get(9) == b"new"


class Waiting:
    """Somebody with a sector; `order` is in which they had their turn."""

    def __init__(self, flash: TimedFlash, sector: int, order: list[int]) -> None:
        self._flash, self._sector, self._order = flash, sector, order

    def to_erase(self) -> tuple[TimedFlash, int]:
        return self._flash, 4096 * self._sector

    def erased(self) -> None:
        self._order.append(self._sector)


def test_who_cannot_wait_is_next() -> None:
    """What is under way is ended first: there is one erase at a time."""
    flash, eraser, order = TimedFlash(8, seed=3), Eraser(), []
    waiting = [Waiting(flash, sector, order) for sector in range(4)]
    for one in waiting[:3]:
        eraser.want(one)
    eraser.work()
    eraser.want(waiting[3], first=True)
    assert all(eraser.is_busy_for(one) for one in waiting)
    while eraser.work():
        pass
    assert order == [0, 3, 1, 2] and not any(eraser.is_busy_for(one) for one in waiting)


def test_a_supply_that_comes_and_falls_again_and_again_finds_room_for_the_registers() -> None:
    """Lives that are too short for an erase: each begins with room for what it stores."""
    image: dict[int, bytes] = {}
    begun_full, took_us = 0, []
    for life in range(60):
        flash = TimedFlash(eraser_vm.SECTORS, image, longest=True)
        meter = make_meter(flash, eraser_vm.config())
        meter.start(START_MS + 10_000 * life)
        registers = meter.nv_memory.journals[layout.REGISTERS]
        begun_full += registers._ready >= 0 and flash.erased > 0
        # No pass of the loop in which something would be erased ahead.
        for _ in range(3):
            meter.recorder._store(False)
        stored_us: list[int] = []
        append = registers.append

        def appended(*what: object, append=append, stored_us=stored_us, flash=flash) -> None:
            append(*what)
            stored_us.append(flash.waited_us)

        registers.append = appended
        flash.waited_us = 0
        meter.power_fail()
        # Logs come behind it, and may wait.
        took_us.append(stored_us[0])
        # What was begun and not done is torn.
        flash.cut_us = flash.now_us + 1
        with pytest.raises(PowerCut):
            flash.pass_us(1000)
        image = {number: bytes(data) for number, data in {**image, **flash.own}.items()}
    assert begun_full and max(took_us) < PROMISE_US // 3

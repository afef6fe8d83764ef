"""Orders beside one another: each is done once, and a slow meter keeps no other waiting."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from openams.client.links import parse_url
from openams.errors import BenchError
from openams.headend.collect.crew import Crew
from openams.headend.collect.orders import Doer
from openams.headend.days import day_bounds
from openams.headend.store import GoneError
from tests.headend.village import Transport, Village

NOON = day_bounds(date(2026, 1, 5))[0] + 12 * 3_600_000


class Town(Village):
    """Meters with an order each to open their HAN port. `came(number)`: a session begins."""

    def __init__(self, folder, store, count, came):
        super().__init__(folder, store, count)
        self.clock.advance_to(NOON)
        self.sessions = Counter()
        self._came = came
        now = self.clock.now_ms()
        for meter_id in self.ids:
            order = (meter_id, 20260105, now, now + 3_600_000, {"who": "kari"})
            store.add_jobs("han-open", [order], now)

    def crew(self, store_url, count, say=print):
        def open_one(number, sap):
            self.sessions[number] += 1
            self._came(number)
            return Transport(self, number, sap)

        def url_of(meter_id, url):
            number = self.ids.index(meter_id)
            return replace(parse_url(url), opener=lambda sap, timeout_s: open_one(number, sap))

        def make(store, keystore, timeout_s):
            return Doer(store, keystore, timeout_s, 1, url_of, self.clock.now_ms)

        return Crew(store_url, self.keys, count, self.clock.now_ms, say, 5.0, make)

    def open_ports(self):
        return [self.played(k).meter.han.is_open for k in range(len(self.ids))]


def test_as_many_as_there_are_do_orders_at_a_time_and_each_once(tmp_path, store, store_url):
    together = threading.Barrier(3)
    town = Town(tmp_path, store, 6, lambda number: together.wait(60))
    assert town.crew(store_url, 3).run(once=True) == {"done": 6}
    assert town.sessions == dict.fromkeys(range(6), 1)
    assert town.open_ports() == [True] * 6
    assert store.all("SELECT state, attempts FROM job WHERE kind = 'han-open'") == [("done", 1)] * 6


def test_a_slow_meter_keeps_no_other_waiting(tmp_path, file_store):
    others = threading.Event()

    def came(number):
        if number == 0:
            assert others.wait(60)
        elif len(town.sessions) == 5:
            others.set()

    town = Town(tmp_path, file_store, 5, came)
    assert town.crew(str(tmp_path / "headend.db"), 2).run(once=True) == {"done": 5}


def test_what_is_wrong_with_the_store_is_an_error_or_waited_for(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store, 2, lambda number: None)
    with pytest.raises(BenchError):
        town.crew(str(tmp_path), 2).run(once=True)
    real, said, gone = Doer.work, [], [True, True]

    def work(self, now_ms, most=50):
        if gone and gone.pop():
            raise GoneError("the database has gone away")
        return real(self, now_ms, most)

    monkeypatch.setattr(Doer, "work", work)
    monkeypatch.setattr("openams.headend.collect.crew._IDLE_S", 0.05)
    crew = town.crew(str(tmp_path / "headend.db"), 2, said.append)
    # It goes on until somebody ends it.
    waiting = threading.Thread(target=crew.run, args=(False,))
    waiting.start()
    while crew.counts["done"] < 2:
        assert waiting.is_alive()
        waiting.join(0.05)
    crew.stop()
    waiting.join(30)
    assert not waiting.is_alive() and said == ["the database has gone away"] * 2
    gone[:] = [True]
    with pytest.raises(GoneError):
        town.crew(str(tmp_path / "headend.db"), 1).run(once=True)


def test_ctrl_c_ends_all_and_leaves_what_is_under_way_to_be_looked_up(
    tmp_path, file_store, monkeypatch
):
    begun, end = threading.Event(), threading.Event()

    def came(number):
        begun.set()
        assert end.wait(60)

    town = Town(tmp_path, file_store, 3, came)
    crew = town.crew(str(tmp_path / "headend.db"), 2)
    monkeypatch.setattr("openams.headend.collect.crew._ENDING_S", 0.05)
    real = threading.Thread.join

    def join(self, timeout=None):
        if begun.wait(60) and not crew._stop.is_set():
            raise KeyboardInterrupt
        return real(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        crew.run(once=False)
    monkeypatch.setattr(threading.Thread, "join", real)
    states = Counter(state for (state,) in file_store.all("SELECT state FROM job"))
    assert states["trying"] in (1, 2) and states["trying"] + states["due"] == 3
    end.set()
    # None is taken up any more.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(10)
    states = Counter(state for (state,) in file_store.all("SELECT state FROM job"))
    assert states["due"] >= 1


def steps_of(store, orders, meters):
    """What it takes SQLite to give out orders, of so many that are due, of meters that have days
    to be read: in steps of its machine, by the hundred."""
    with store.transaction():
        store.run("DELETE FROM job")
        store.add_jobs("day", [(str(k), 20260105, 0, NOON, {}) for k in range(meters)], 0)
        store.add_jobs("clock", [(str(k), 20260105, 0, NOON, {}) for k in range(orders)], 0)
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    store.database.connection.set_progress_handler(step, 100)
    assert len(store.take_orders(("clock", "limit"), NOON // 2, 50, 1000)) == 50
    store.database.connection.set_progress_handler(None, 0)
    return steps


def test_what_is_due_is_found_in_a_time_that_grows_with_it_and_no_faster(file_store):
    few, many = steps_of(file_store, 250, 1000), steps_of(file_store, 2500, 10_000)
    assert many < 15 * few, (few, many)

"""A process that delivers, killed at any moment: nothing is lost, nothing is doubled.

The hub runs in the same process and has a file of its own: it dies in the same moments. Replay a
run by its seed; a campaign kills a thousand times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from datetime import timedelta

import pytest
from elhubpeers import identity
from elhubstore import FIRST, Chain, add_points, different, put, terms
from test_elhub_deliver import MORNING

from openams.headend.store import open_store

STEP = timedelta(minutes=20)


def _child(path, points, now) -> int:
    """A process that does steps from a time on, until it is killed; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with open_store(path / "store.db") as store:
            chain = Chain(store, now, [], path / "hub.db")
            for _ in range(3):
                chain.delivery.step()
                chain.clock.now += STEP
    finally:
        os._exit(0)


def run(path, seed: int, kills: int) -> None:
    dice = random.Random(seed)
    points = [terms(number) for number in range(8)]
    identity("hub"), identity("company")  # made once, not in each child
    now, day, days = MORNING, FIRST, [FIRST]
    with open_store(path / "store.db") as store:
        add_points(store, points)
        for one in points:
            put(store, one, FIRST, now, seed)
        Chain(store, now, points, path / "hub.db").hub_store.close()
    most_s = 0.05
    killed = 0
    for number in range(kills):
        with open_store(path / "store.db") as store:
            if number % 10 == 9:
                day += timedelta(days=1)
                days.append(day)
                now = max(now, MORNING + (day - FIRST))
                for one in points:
                    put(store, one, day, now, seed)
            which = dice.choice(points)
            change = {dice.randrange(23): (dice.randrange(99), "measured")}
            put(store, which, dice.choice(days), now, change=change)
        pid = _child(path, points, now)
        time.sleep(dice.random() * most_s)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            most_s = min(most_s * 1.1, 0.6)
        else:
            most_s *= 0.7
        now += STEP
    assert killed >= kills // 3
    _settled(path, points, now, days)


def _settled(path, points, now, days) -> None:
    with open_store(path / "store.db") as store:
        chain = Chain(store, now, [], path / "hub.db")
        chain.run(hours=24, steps=48)
        assert different(store, chain.hub_store, days) == []
        states = dict(store.all("SELECT state, COUNT(*) FROM delivery GROUP BY state"))
        assert set(states) <= {"accepted", "nothing"}, states
        whole = store.all(
            "SELECT day, gsrn, series, COUNT(*) FROM delivery WHERE intervals IS NULL"
            " GROUP BY day, gsrn, series HAVING COUNT(*) > 1"
        )
        assert whole == []
        (sent,) = store.one("SELECT COUNT(*) FROM message")
        hub = chain.hub_store.figures()
        assert (hub["messages"], hub["refused"]) == (sent, 0)
        _held(store, chain.hub_store)


def _held(store, hub_store) -> None:
    """Corrections as they were accepted, one over the other, are what the hub holds."""
    for day, gsrn, series in store.all("SELECT DISTINCT day, gsrn, series FROM delivery"):
        spans = store.all(
            "SELECT intervals FROM delivery WHERE day = ? AND gsrn = ? AND series = ?"
            " AND state = 'accepted' AND intervals IS NOT NULL",
            day, gsrn, series,
        )  # fmt: skip
        assert all(json.loads(span)[0] < json.loads(span)[1] for (span,) in spans)


def test_ten_kills(tmp_path):
    run(tmp_path, seed=1, kills=10)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills(tmp_path, seed):
    run(tmp_path, seed + 100, kills=100)

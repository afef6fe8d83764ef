"""One meter says what none would to who does the operator's orders: the orders of the others are
done, and of its own nothing is told as done that was not, or repeated without a word."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from openams.client.client import Client
from openams.client.errors import ClientError, LateError, LinkError, ResultError, ServiceError
from openams.client.links import TcpTransport, parse_url
from openams.headend.collect import orders
from openams.headend.collect.orders import DOES, Doer
from openams.headend.days import day_bounds
from openams.headend.store.jobs import TRYING
from openams.image import transfer
from tests.headend.test_hostile_meter import garbled
from tests.headend.village import Transport, Village

NOON = day_bounds(date(2026, 1, 5))[0] + 12 * 3_600_000
DETAILS = {
    "han-open": {}, "han-close": {}, "clock": {}, "limit": {"watt": 4000},
    "ration": {"action": "disconnect"}, "interval": {"minutes": 15, "day": "2026-01-05"},
}  # fmt: skip
SEALED = ("limit", "ration")


class Town(Village):
    """Two meters whose orders are done."""

    def __init__(self, folder, store):
        super().__init__(folder, store, 2)
        self.clock.advance_to(NOON)

    def doer(self, clock=True):
        def url_of(meter_id, url):
            number = self.ids.index(meter_id)
            return replace(
                parse_url(url), opener=lambda sap, timeout_s: Transport(self, number, sap)
            )

        return Doer(self.store, self.keys, 5.0, 1, url_of, self.clock.now_ms if clock else None)

    def order(self, kind, number=0, **more):
        detail = {**DETAILS[kind], **more, "who": "kari"}
        now = self.clock.now_ms()
        until = now + 6 * 3_600_000
        self.store.run("UPDATE job SET day = -job_id WHERE kind = ? AND day = 20260105", kind)
        self.store.add_jobs(kind, [(self.ids[number], 20260105, now, until, detail)], now)

    def work(self, **more):
        return self.doer(**more).work(self.clock.now_ms())

    def pass_s(self, seconds):
        self.clock.advance_to(self.clock.now_ms() + 1000 * seconds)

    def jobs(self, number=0):
        return [
            (kind, state, json.loads(result)) for kind, state, result in self.store.all(
                "SELECT kind, state, result FROM job WHERE subject = ? AND kind <> 'day' "
                "ORDER BY job_id", self.ids[number],
            )
        ]  # fmt: skip

    def meter(self, number=0):
        return self.played(number).meter

    def notices(self, kind=None):
        return [row[4] for row in self.store.notices() if kind in (None, row[2])]


def lies(monkeypatch, meter_id, what):
    """`what(name, value)`: what a call of that name gives of this meter, after it was done."""
    for name in ("get", "get_all", "set", "action"):
        real = getattr(Client, name)

        def call(self, *args, real=real, name=name):
            if self.meter_id != meter_id:
                return real(self, *args)
            return what(name, lambda: real(self, *args))

        monkeypatch.setattr(Client, name, call)


ERRORS = (
    LinkError("no answer\0"), LateError("no \ud800answer"), ResultError("it", 3),
    ServiceError(1, 2, None),
)  # fmt: skip


def test_the_others_orders_are_done_whatever_one_says(tmp_path, store, monkeypatch):
    monkeypatch.setattr("openams.control.client._MOVES_S", 0.0)
    monkeypatch.setattr("openams.control.client._LOOK_S", 0.0)
    town = Town(tmp_path, store)
    rng = random.Random(int(os.environ.get("OPENAMS_SEED", "0")))

    def what(name, ask):
        chance = rng.random()
        if chance < 0.05:
            raise rng.choice(ERRORS)
        value = ask()
        if chance < 0.08:
            raise rng.choice(ERRORS)
        if name == "get_all":
            return [garbled(rng, one) if rng.random() < 0.2 else one for one in value]
        return garbled(rng, value) if name != "set" and rng.random() < 0.2 else value

    lies(monkeypatch, town.ids[0], what)
    states = set()
    for number in range(int(os.environ.get("OPENAMS_LIES", "36"))):
        kind = tuple(DETAILS)[number % len(DETAILS)]
        town.order(kind, 0)
        action = ("disconnect", "reconnect")[number // len(DETAILS) % 2]
        town.order(kind, 1, **({"action": action} if kind == "ration" else {}))
        town.work()
        *_, (_, state, result) = town.jobs(1)
        assert state == "done", (number, kind, result)
        for _ in range(3):
            town.pass_s(3600)
            town.work()
        states |= {(one[0], one[1]) for one in town.jobs(0)}
        assert all("it broke" not in one[2].get("error", "") for one in town.jobs(0)), town.jobs(0)
    assert {("han-open", "done"), ("ration", "refused"), ("limit", "done")} <= states
    assert town.notices()


def test_orders_that_break_are_their_own_end_and_no_others(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store)

    def what(name, ask):
        raise RuntimeError("nobody thought of that")

    lies(monkeypatch, town.ids[0], what)
    town.order("han-open", 0)
    town.order("han-open", 1)
    assert town.work() == {"due": 1, "done": 1}
    assert "nobody thought of that" in town.jobs(0)[0][2]["error"]


@pytest.mark.parametrize("kind", sorted(set(DOES) - {"firmware"}))
def test_who_says_yes_and_does_nothing_has_done_nothing(tmp_path, file_store, monkeypatch, kind):
    town = Town(tmp_path, file_store)

    def what(name, ask):
        return None if name in ("set", "action") else ask()

    town.meter()
    town.devices[0].set_clock(120_000)
    if kind == "han-close":
        town.order("han-open")
        town.work()
    lies(monkeypatch, town.ids[0], what)
    town.order(kind)
    counts = town.work()
    assert "done" not in counts, town.jobs()
    assert counts == ({"refused": 1} if kind in SEALED else {"due": 1}), town.jobs()
    assert bool(town.notices("order-refused")) is (kind in SEALED)


def spoiled(town, monkeypatch, number):
    """The meter does what the `number`th write or call asks for, and its answer is lost."""
    count = [0]

    def what(name, ask):
        value = ask()
        if name in ("set", "action"):
            count[0] += 1
            if count[0] == number:
                raise LateError("no answer")
        return value

    lies(monkeypatch, town.ids[0], what)


@pytest.mark.parametrize(("kind", "number"), [("limit", 2), ("ration", 2)])
def test_what_an_order_without_an_answer_did_is_looked_up(
    tmp_path, file_store, monkeypatch, kind, number
):
    town = Town(tmp_path, file_store)
    spoiled(town, monkeypatch, number)
    town.order(kind)
    assert town.work() == {"due": 1}
    ((_, _, result),) = town.jobs()
    used = result["sent"]
    town.pass_s(3600)
    assert town.work() == {"done": 1}
    ((_, _, result),) = town.jobs()
    assert result["sent"] == used and result["order"] is None
    assert town.meter().control.guard.last_number == used[0]
    assert not town.notices("order-again")


@pytest.mark.parametrize("kind", SEALED)
def test_a_second_order_is_told(tmp_path, file_store, monkeypatch, kind):
    """The first was taken, and what was to follow it did not come."""
    town = Town(tmp_path, file_store)
    spoiled(town, monkeypatch, 1)
    town.order(kind)
    assert town.work() == {"due": 1}
    town.pass_s(3600)
    assert town.work() == {"done": 1}
    ((_, _, result),) = town.jobs()
    assert len(result["sent"]) == 1 and result["order"] != result["sent"][0]
    (text,) = town.notices("order-again")
    assert str(result["sent"][0]) in text


@pytest.mark.parametrize("kind", SEALED)
def test_a_killed_process_leaves_an_order_of_which_nobody_knows(
    tmp_path, file_store, monkeypatch, kind
):
    town = Town(tmp_path, file_store)

    def what(name, ask):
        value = ask()
        if name in ("set", "action"):
            raise KeyboardInterrupt
        return value

    with monkeypatch.context() as some:
        lies(some, town.ids[0], what)
        town.order(kind)
        with pytest.raises(KeyboardInterrupt):
            town.work()
    assert town.jobs()[0][1] == TRYING
    town.pass_s(3600)
    assert town.work() == {"done": 1}
    assert "not known" in town.notices("order-again")[0]


def test_one_that_is_over_and_may_have_been_done_says_so(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store)
    spoiled(town, monkeypatch, 2)
    town.order("ration")
    town.work()
    town.pass_s(7 * 3600)
    assert town.work() == {"expired": 1}
    assert "nobody knows" in town.notices("order-expired")[0]


def test_a_reading_after_an_order_that_is_none_is_no_refusal(tmp_path, file_store, monkeypatch):
    """The breaker has moved: that is not to be told as refused."""
    town = Town(tmp_path, file_store)
    moved = []

    def what(name, ask):
        value = ask()
        if name == "action":
            moved.append(1)
        return b"\xff" if moved == [1] and name == "get" and type(value) is bool else value

    lies(monkeypatch, town.ids[0], what)
    town.order("ration")
    assert town.work() == {"due": 1}
    moved.append(1)
    town.pass_s(3600)
    assert town.work() == {"done": 1}


def test_numbers_of_orders_that_a_meter_makes_up_are_not_taken(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store)
    before = town.keys.get(town.ids[0]).next_order

    def what(name, ask):
        value = ask()
        return (1 << 32) - 1 if name == "get" and value == 0 else value

    lies(monkeypatch, town.ids[0], what)
    town.order("limit")
    town.work()
    assert town.keys.get(town.ids[0]).next_order == before


# --- one after the other ---------------------------------------------------------------------


def test_a_silent_meter_does_not_make_the_next_ones_clock_late(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store)
    passed = [0.0]
    monkeypatch.setattr(orders.time, "monotonic", lambda: passed[0])

    def down(number, utc_ms):
        if number == 0:
            passed[0] += 60
            town.pass_s(60)
        return number == 0

    town.down = down
    town.order("clock", 0)
    town.order("clock", 1)
    assert town.work(clock=False) == {"due": 1, "done": 1}
    device = town.played(1)
    assert abs(device.meter.utc_ms - town.clock.now_ms()) < 5_000


def test_orders_whose_lease_ended_meanwhile_are_anothers(tmp_path, file_store):
    town = Town(tmp_path, file_store)
    town.order("limit", 0)
    town.order("limit", 1)
    passed, again = [], []

    def down(number, utc_ms):
        if number == 0 and not passed:
            # It takes long: another takes up what is not begun.
            passed.append(town.pass_s(301))
            again.append(town.work())
        return number == 0

    town.down = down
    first = town.doer().work(NOON)
    assert first == {"due": 1}
    assert again[0].get("done") == 1
    assert town.meter(1).control.guard.last_number == 1


# --- one octet after the other -------------------------------------------------------------


def drip(octets, stop):
    """A port at which somebody sends an octet each tenth of a second."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection:
            for octet in octets:
                if stop.wait(0.1):
                    return
                try:
                    connection.sendall(bytes((octet,)))
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_an_answer_that_drips_has_an_end():
    stop = threading.Event()
    head = (1).to_bytes(2, "big") + (1).to_bytes(2, "big") + (16).to_bytes(2, "big") + b"\0\x64"
    with drip(head + bytes(100), stop) as server:
        url = parse_url(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        transport = TcpTransport(url, 16, 0.3)
        began = time.monotonic()
        with pytest.raises(LateError):
            transport.send_request(b"\xc0")
        assert time.monotonic() - began < 3
        transport.disconnect()
        stop.set()


def test_a_session_has_an_end_too(tmp_path, file_store, monkeypatch):
    town = Town(tmp_path, file_store)
    monkeypatch.setattr("openams.headend.collect.zone._SESSION_S", -1.0)
    town.order("han-open")
    assert town.work() == {"due": 1}
    assert "has not ended in time" in town.jobs()[0][2]["error"]


def test_a_name_that_is_none_is_said():
    with pytest.raises(LinkError, match="that is no name"):
        TcpTransport(parse_url("tcp://" + "a" * 70 + ":4059"), 1, 1.0)


# --- images ----------------------------------------------------------------------------------


class Imaging:
    """A meter to which an image goes; `said` of attributes of the image transfer."""

    def __init__(self, **said):
        self.said = {
            2: 256,
            3: "0000",
            6: 1,
            **{int(name[1:]): what for name, what in said.items()},
        }
        self.refuses = set()

    def get(self, class_id, obis, number, selection=b""):
        return self.said[number]

    def set(self, *what):
        pass

    def action(self, class_id, obis, number, value):
        if number in self.refuses:
            raise ResultError("it", 3)


IMAGE = SimpleNamespace(octets=lambda: bytes(1000), identifier=b"i")


@pytest.mark.parametrize("said", [
    {"_2": 0}, {"_2": -1}, {"_2": 1 << 40}, {"_2": b"x"}, {"_2": float("nan")}, {"_3": 7},
    {"_3": None}, {"_3": ""}, {"_6": 2}, {"_6": [[]]}, {"_6": 99},
])  # fmt: skip
def test_an_image_to_a_meter_that_says_what_none_would_ends_in_words(monkeypatch, said):
    monkeypatch.setattr(transfer, "_VERIFIED_S", 0.0)
    meter = Imaging(**said)
    monkeypatch.setattr(transfer, "last_refusal", lambda meter: None)
    sender = transfer.Sender(lambda: nullcontext(meter))
    with pytest.raises(ClientError):
        sender.send(IMAGE, 256, lambda done, of: None)


@pytest.mark.parametrize("state", [5, 6, 7])
def test_an_activation_whose_answer_was_lost_is_no_refusal(monkeypatch, state):
    """The meter starts anew, and refuses what it has done already."""
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.0)
    meter = Imaging(_6=3)

    def action(*what):
        if meter.said[6] == 3:
            meter.said[6] = state
            raise LinkError("the connection has fallen")
        raise ResultError("it", 3)

    meter.action = action
    transfer.Sender(lambda: nullcontext(meter)).activate()
    with pytest.raises(transfer.Refusal):
        transfer.Sender(lambda: nullcontext(meter)).activate()

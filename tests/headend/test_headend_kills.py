"""All of a head-end killed at random: nothing is lost, nothing is doubled, deliveries are exact.

Real processes with SIGKILL: dispatch, two collectors, engine, who asks it, delivery, the hub, a
concentrator, PostgreSQL with all its processes, and nats-server. Meters are the real firmware, the
truth is what they say themselves. A round has its kills and then settles; OPENAMS_SEED and
OPENAMS_ROUND replay one.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from elhubmessages import COMPANY
from elhubpeers import identity
from elhubstore import hub_points

from openams.client.client import session
from openams.client.links import parse_url
from openams.client.meterday import read_day
from openams.concentrator.service import token_of
from openams.headend.collect.plan import Plan
from openams.headend.collect.reading import interval_rows
from openams.headend.collect.taking import plan_new
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.elhub.build import DIRECTIONS
from openams.headend.elhub.hubstore import HubStore
from openams.headend.register import Area, ConcentratorRow, MeterRow, Relation, Tables, Terms
from openams.headend.store import GoneError, open_store
from openams.meter_time import to_utc_ms
from tests.concentrator.substation import Meters
from tests.headend import killable
from tests.headend.registers import AREA, gsrn
from tests.ports import free_port

SEED = int(os.environ.get("OPENAMS_SEED", "11"))
ROUND = int(os.environ.get("OPENAMS_ROUND", "0"))
COUNT, DAYS = 3, 2
BEHIND = 1  # the last ones are behind a concentrator
KILLS = 10  # of a round
# Beside others on few cores; alone it takes a few seconds.
_SETTLES_S = 150
SERVERS = ("postgresql", "nats-server")


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), COUNT, DAYS + 1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def truth(meters):
    """Rows of each meter's days, as it says itself."""
    out = {}
    now = datetime.now(UTC)
    for number, meter in enumerate(meters.fleet.meters):
        with session(parse_url(meter.url), "operator", meters.keys, meter.meter_id) as client:
            for day in days():
                found = read_day(client, day, now)
                out[number, day] = interval_rows(found.rows, found.period_s)
    return out


def days():
    today = local_day(to_utc_ms(datetime.now(UTC)))
    return [today - timedelta(days=k) for k in range(DAYS, 0, -1)]


class HeadEnd:
    """One round's: a new store, bus, hub and concentrator, and the processes between them."""

    def __init__(self, folder, meters, postgres, nats, name):
        self.folder, self.meters, self.postgres, self.nats = folder, meters, postgres, nats
        folder.mkdir()
        nats.empty()
        self.store_url = postgres.store_url(name)
        master = folder / "master"
        master.mkdir(mode=0o700)
        ports = [free_port(), free_port()]
        self.told = {
            "store": self.store_url, "nats": nats.url, "readers": str(meters.readers_path),
            "token": token_of(master), "master_folder": str(master), "master_ports": ports,
            "behind": [(one.meter_id, one.url) for one in meters.listed[-BEHIND:]],
            "hub_path": str(folder / "hub.db"), "hub_port": free_port(), "party": COMPANY,
            "hub_pem": identity("hub").pem(), "company": identity("company").pem(),
            "days": [day.isoformat() for day in days()], "t0": time.time(),
        }  # fmt: skip
        self._register(f"http://127.0.0.1:{ports[1]}")
        self.processes = {}
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.headend.killable"])
        for name in killable.PARTS:
            self.start(name)

    def _register(self, url):
        first = days()[0]
        tables = Tables()
        tables.areas.append(Area(AREA, "Test"))
        tables.concentrators.append(ConcentratorRow("C0001", "mesh", url))
        for k, one in enumerate(self.meters.listed):
            behind = k >= COUNT - BEHIND
            tables.terms.append(Terms(
                gsrn(k), day_number(first), None, "consumption", "interval", "", 60, 63.0, "1P2W",
                AREA, None,
            ))  # fmt: skip
            tables.meters.append(MeterRow(
                one.meter_id, "aidon", "mesh" if behind else "cellular",
                "C0001" if behind else "", "" if behind else one.url, "",
            ))  # fmt: skip
            begin = day_bounds(first)[0]
            tables.relations.append(
                Relation(gsrn(k), one.meter_id, begin, None, None, None, None, None)
            )
        with open_store(self.store_url) as store:
            assert store.import_register(tables, 1) == []
        hub = HubStore(self.folder / "hub.db")
        hub.add_points(hub_points(tables.terms))
        hub.close()

    def start(self, name):
        log = str(self.folder / f"{name}.log")
        process = self.context.Process(
            target=killable.part, args=(name, self.told, log), daemon=True
        )
        process.start()
        self.processes[name] = process

    def kill(self, name):
        if name == "postgresql":
            self.postgres.murder()
            self.postgres.start()
        elif name == "nats-server":
            self.nats.kill()
            self.nats.start()
        else:
            self.processes[name].kill()
            self.processes[name].join()
            self.start(name)

    def revived(self):
        """Who ended by himself had no reason to."""
        ended = [name for name, one in self.processes.items() if one.exitcode is not None]
        assert not ended, {
            name: (self.folder / f"{name}.log").read_text()[-2000:] for name in ended
        }

    def push_on(self, upto):
        """The days up to a number are planned, and whatever waits for a time does not."""
        try:
            with open_store(self.store_url) as store:
                now = to_utc_ms(datetime.now(UTC))
                for day in days()[:upto]:
                    plan_new(store, Plan(), day, now)
                store.run("UPDATE turn SET next_ms = ? WHERE next_ms > ? AND next_ms < ?",
                          now, now, 1 << 50)  # fmt: skip
        except GoneError:
            pass

    def close(self):
        for one in self.processes.values():
            one.kill()
        for one in self.processes.values():
            one.join()

    # --- what must be --------------------------------------------------------------------

    def wrong(self, truth):
        """What is not as it must be; empty: all is there, once, and delivered."""
        with open_store(self.store_url) as store:
            for day in days():
                if dict(store.count_days(day_number(day))) != {"complete": COUNT}:
                    return day, dict(store.count_days(day_number(day))), store.all(
                        "SELECT subject, outcome, error FROM attempt ORDER BY at_ms DESC LIMIT 3"
                    )  # fmt: skip
                ids = [one.meter_id for one in self.meters.listed]
                parts = store.intervals(day_number(day), ids)
                for k, meter_id in enumerate(ids):
                    rows = sorted(row for part in parts.get(meter_id, ()) for row in part.rows)
                    if rows != sorted(truth[k, day]):
                        return day, meter_id, "rows", len(rows), len(truth[k, day])
                values = list(store.values(day))
                if len(values) != COUNT or any(
                    set(one.states) != {"measured"} or sum(one.wh) != one.total_wh for one in values
                ):
                    return day, "values", [(one.gsrn, one.total_wh, set(one.states))
                                           for one in values]  # fmt: skip
            hub = HubStore(self.folder / "hub.db")
            try:
                return self._undelivered(store, hub)
            finally:
                hub.close()

    def _undelivered(self, store, hub):
        for day in days():
            for one in store.values(day):
                held = hub.values(one.gsrn, DIRECTIONS[one.series], day)
                if held is None or [value and value.wh for value in held] != list(one.wh):
                    return day, one.gsrn, "not delivered"
        states = dict(store.all("SELECT state, count(*) FROM delivery GROUP BY state"))
        if set(states) - {"accepted", "nothing"}:
            return "deliveries", states
        twice = store.all(
            "SELECT day, gsrn, series, count(*) FROM delivery WHERE intervals IS NULL AND "
            "state = 'accepted' GROUP BY day, gsrn, series HAVING count(*) > 1"
        )
        (sent,) = store.one("SELECT count(*) FROM message")
        figures = hub.figures()
        if twice or (figures["messages"], figures["refused"]) != (sent, 0):
            return "deliveries", twice, sent, figures
        return None


def killed(folder, meters, truth, postgres, nats, number, kills):
    dice = random.Random(f"{SEED} {number}")
    place = f"OPENAMS_SEED={SEED} OPENAMS_ROUND={number}"
    headend = HeadEnd(folder / f"round{number}", meters, postgres, nats, f"round{number}")
    names = [*killable.PARTS, *SERVERS]
    done = []
    try:
        for kill in range(kills):
            headend.push_on(1 + DAYS * kill // kills)
            time.sleep(dice.uniform(0.1, 1.0))
            headend.revived()
            done.append(dice.choice(names))
            headend.kill(done[-1])
        end = time.monotonic() + _SETTLES_S
        while (left := headend.wrong(truth)) is not None:
            assert time.monotonic() < end, (place, done, left)
            headend.revived()
            headend.push_on(DAYS)
            time.sleep(0.3)
        # And it stays so: what comes again changes nothing.
        time.sleep(0.5)
        assert headend.wrong(truth) is None, (place, done)
    finally:
        headend.close()


def test_ten_kills_of_any_process(meters, truth, postgres, nats_server, tmp_path):
    killed(tmp_path, meters, truth, postgres, nats_server, ROUND, KILLS)


@pytest.mark.campaign
def test_a_thousand_kills_of_any_process(meters, truth, postgres, nats_server, tmp_path):
    """OPENAMS_KILLS of them, from round OPENAMS_ROUND on."""
    for number in range(int(os.environ.get("OPENAMS_KILLS", "1000")) // KILLS):
        killed(tmp_path, meters, truth, postgres, nats_server, ROUND + 1 + number, KILLS)

"""`ams headend` as an operator runs it: real meters on TCP, a real concentrator, kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from datetime import datetime, timedelta

import pytest

from openams.concentrator.service import token_of
from openams.headend import registercsv
from openams.headend.collect.orders import working_days_after
from openams.headend.days import day_number, local_day
from openams.headend.store import open_store
from openams.meter_time import NORWAY, to_utc_ms
from tests.concentrator.substation import Asking, Meters, served, until
from tests.headend.registers import AREA, gsrn
from tests.interop.helpers import AMS, ams

COUNT = 4
SEED = int(os.environ.get("OPENAMS_SEED", "7"))


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("fleet"), COUNT, days=3)
    yield made
    made.close()


def yesterday():
    return datetime.now(NORWAY).date() - timedelta(days=1)


def register(folder, meters, how):
    """Imports a register of the fleet's meters; `how`: the columns of each meter's road."""
    begin = (yesterday() - timedelta(days=1)).isoformat()
    rows = list(enumerate(meters.listed))
    texts = {
        "areas": f"area,name\n{AREA},Test\n",
        "terms": "gsrn,from,kind,settlement,resolution_min,fuse_a,system,area\n"
        + "".join(f"{gsrn(k)},{begin},consumption,interval,60,63,1P2W,{AREA}\n" for k, _ in rows),
        "concentrators": "concentrator,net,url\n"
        + "C0001,mesh,http://127.0.0.1:1\n" * ("C0001" in how(meters.listed[0])),
        "meters": "meter_id,make,net,concentrator,url,segment\n"
        + "".join(f"{one.meter_id},aidon,{how(one)}\n" for _, one in rows),
        "relations": "gsrn,meter_id,from\n"
        + "".join(f"{gsrn(k)},{one.meter_id},{begin}\n" for k, one in rows),
    }
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text(text)
    ams("headend", "import", *paths, "--store", folder / "s.db")


def direct(one):
    return f"cellular,,{one.url},cell"


def passphrase(folder, text):
    secret = folder / "secret"
    secret.write_text(text)
    secret.chmod(0o600)
    return secret


def collecting(folder, meters, *more):
    secret = passphrase(folder, "c")
    return (
        "headend", "collect", "--once", "--store", folder / "s.db", "--keystore",
        meters.readers_path, "--passphrase-file", secret, "--json", *more,
    )  # fmt: skip


def rows_of(folder, day):
    """Rows of a day by meter, each with how often it is there."""
    with open_store(folder / "s.db") as store:
        ids = [row.meter_id for row in store.meters()]
        parts = store.intervals(day_number(day), ids)
    return {
        meter: sorted(row for part in of_meter for row in part.rows)
        for meter, of_meter in parts.items()
    }


def test_a_day_from_the_register_to_its_values(meters, tmp_path):
    register(tmp_path, meters, direct)
    store = ("--store", tmp_path / "s.db")
    day = yesterday()
    done = ams(*collecting(tmp_path, meters, "--day", day))
    assert json.loads(done.stdout)["failed"] == 0
    done = ams("headend", "evaluate", "--day", day, *store, "--json")
    assert json.loads(done.stdout)["revisions"] == COUNT
    again = json.loads(ams("headend", "evaluate", "--day", day, *store, "--json").stdout)
    assert again["unchanged"] == COUNT and "revisions" not in again
    (found,) = json.loads(ams("headend", "values", gsrn(0), *store, "--json").stdout)
    hours = {3: 24, 10: 24}.get(day.month, 24)
    assert len(found["wh"]) in (23, hours, 25) and set(found["states"]) == {"measured"}
    assert sum(found["wh"]) == found["total_wh"] and found["rules"].startswith("vee-")
    status = json.loads(ams("headend", "status", *store, "--json").stdout)
    assert status["days"] == {"complete": COUNT} and status["notices"] == []
    assert f"{COUNT} complete" in ams("headend", "status", *store).stdout


def test_a_concentrator_first_and_what_it_gives_is_there_once(meters, tmp_path):
    folder = tmp_path / "c1"
    register(tmp_path, meters, lambda one: "mesh,C0001,,")
    tokens = tmp_path / "tokens.json"
    day = yesterday()
    with served(meters, folder) as service:
        ask = Asking(service, folder)
        until(lambda: ask("/v1/state")[1]["stored"]["days"] >= COUNT)
        tables, _ = registercsv.load([])
        tables.concentrators.append(
            registercsv.register.ConcentratorRow(
                "C0001", "mesh", f"http://127.0.0.1:{service.door.port}"
            )
        )
        with open_store(tmp_path / "s.db") as store:
            assert store.import_register(tables, 1) == []
        tokens.write_text(json.dumps({"C0001": token_of(folder)}))
        tokens.chmod(0o600)
        for _ in range(2):
            done = ams(*collecting(tmp_path, meters, "--day", day, "--tokens", tokens))
            assert json.loads(done.stdout)["failed"] == 0
        taken = ask("/v1/state")[1]["stored"]
        # Each visit acknowledges what the one before it wrote.
        assert 0 < taken["taken_seq"] <= taken["last_seq"]
    found = rows_of(tmp_path, day)
    assert len(found) == COUNT
    for of_meter in found.values():
        assert len({row.end_s for row in of_meter}) == len(of_meter) in (23, 24, 25)
    with open_store(tmp_path / "s.db") as store:
        assert store.count_days(day_number(day)) == {"complete": COUNT}
    # Its token is wrong, or it is not there: one failed session, and the collector ends well.
    done = ams(*collecting(tmp_path, meters, "--day", day, "--tokens", tokens))
    assert json.loads(done.stdout)["failed"] == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--day", "yesterday"), "is no date"),
        (("--sessions", "0"), "--sessions"),
        (("--store", "mysql://x/y"), "no URL of a store"),
    ],
)
def test_wrong_options_are_one_line(meters, tmp_path, more, says):
    done = ams(*collecting(tmp_path, meters, *more), ok=False)
    assert done.returncode != 0 and done.stderr.count("\n") == 1 and says in done.stderr


def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(meters, tmp_path):
    killed(meters, tmp_path, 3)


def killed(meters, tmp_path, count):
    """SIGKILL of the collector at random; the last one is left alone and finds all that is due."""
    rng = random.Random(SEED)
    register(tmp_path, meters, direct)
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    command = [str(AMS), *map(str, collecting(tmp_path, meters))]
    began = time.monotonic()
    ams(*collecting(tmp_path, meters, "--day", yesterday(), "--sessions", 1))
    whole_s = time.monotonic() - began
    for number in range(count):
        with open_store(tmp_path / "s.db") as store, store.transaction():
            # As if nothing had been collected, or half of it.
            if rng.random() < 0.7:
                store.run("DELETE FROM collected")
            store.run("UPDATE job SET state = 'due'")
            store.run("UPDATE turn SET next_ms = 0")
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        time.sleep(rng.uniform(0.3, 1.2) * max(0.5, whole_s))
        process.send_signal(signal.SIGKILL)
        process.wait()
        # It has the name of the one that died: what that one had is its own again.
        done = ams(*collecting(tmp_path, meters))
        place = f"kill {number} of seed {SEED}"
        with open_store(tmp_path / "s.db") as store:
            errors = store.all("SELECT subject, error FROM attempt WHERE outcome <> 'ok'")
            assert json.loads(done.stdout)["failed"] == 0, (place, errors)
            states = store.count_days(day_number(yesterday()))
        assert states == {"complete": COUNT}, place
        for of_meter in rows_of(tmp_path, yesterday()).values():
            assert len({row.end_s for row in of_meter}) == len(of_meter) in (23, 24, 25), place


@pytest.mark.campaign
def test_many_kills(meters, tmp_path):
    """Replayable by OPENAMS_SEED."""
    killed(meters, tmp_path, 200)


# --- orders ----------------------------------------------------------------------------------


def test_a_customers_han_port_within_three_working_days(meters, tmp_path):
    register(tmp_path, meters, direct)
    store = ("--store", tmp_path / "s.db")
    meter = meters.ids[1]
    given = ams("headend", "order", "han-open", meter, "--who", "kari", *store, "--json")
    limit = datetime.fromisoformat(json.loads(given.stdout)["until"])
    today = local_day(to_utc_ms(datetime.now(NORWAY)))
    assert limit.date() == working_days_after(today, 3) + timedelta(days=1)
    twice = ams("headend", "order", "han-open", meter, *store, ok=False)
    assert twice.returncode == 1 and "already" in twice.stderr
    # The collector's keys are not enough for it.
    secret = passphrase(tmp_path, "c")
    doing = ("headend", "orders", "--once", *store, "--json", "--passphrase-file", secret)
    done = ams(*doing, "--keystore", meters.readers_path)
    assert json.loads(done.stdout) == {"due": 1}
    with open_store(tmp_path / "s.db") as opened, opened.transaction():
        opened.run("UPDATE job SET next_ms = 0")
    passphrase(tmp_path, "p")
    done = ams(*doing, "--keystore", meters.keys.path)
    assert json.loads(done.stdout) == {"done": 1}
    assert meters.fleet.meters[1].meter.han.is_open
    assert json.loads(ams("headend", "order", "han-close", meter, *store, "--json").stdout)


def test_a_limit_and_rationing_by_a_plan_need_the_breakers_keys(meters, tmp_path):
    register(tmp_path, meters, direct)
    store = ("--store", tmp_path / "s.db")
    first, second = meters.listed[:2]
    ams("headend", "order", "limit", first.meter_id, "--watt", 4000, "--who", "kari", *store)
    plan = tmp_path / "plan.csv"
    rows = f"{first.meter_id},{first.url},yes\n{second.meter_id},{second.url},no\n"
    plan.write_text("meter_id,url,critical\n" + rows)
    given = ams(
        "headend", "order", "ration", "--plan", plan, "--action", "disconnect", *store, "--json"
    )
    assert json.loads(given.stdout)["meters"] == 1, "not the critical one"
    doing = ("headend", "orders", "--once", *store, "--json", "--passphrase-file")
    # Who collects has no keys for it: nothing is done.
    readers = ams(*doing, passphrase(tmp_path, "c"), "--keystore", meters.readers_path)
    assert json.loads(readers.stdout) == {"due": 2}
    with open_store(tmp_path / "s.db") as opened, opened.transaction():
        errors = [json.loads(text)["error"] for (text,) in opened.all("SELECT result FROM job")]
        assert all("client 5" in error or "breaker key" in error for error in errors), errors
        opened.run("UPDATE job SET next_ms = 0")
    done = ams(*doing, passphrase(tmp_path, "p"), "--keystore", meters.keys.path)
    with open_store(tmp_path / "s.db") as opened:
        found = {
            kind: json.loads(text) for kind, text in opened.all("SELECT kind, result FROM job")
        }
    assert json.loads(done.stdout) == {"done": 2}, found
    assert found["limit"]["limits"]["threshold_normal_mw"] == 4_000_000, found
    # It moved, by an order that was made for it.
    assert found["ration"]["order"] and "disconnected" in found["ration"]["detail"], found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("limit", "0" * 16), "not in the register"),
        (("ration", "0" * 16, "--action", "sing"), "not in the register"),
        (("ration",), "--plan"),
        (("sing", "0" * 16), "no order 'sing'"),
        (("han-open", "0" * 16), "not in the register"),
        (("interval", "0" * 16), "--minutes 15 --day"),
    ],
)
def test_orders_that_cannot_be(tmp_path, arguments, says):
    done = ams("headend", "order", *arguments, "--store", tmp_path / "s.db", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and says in done.stderr


def test_a_fitter_who_found_nobody_in(meters, tmp_path):
    register(tmp_path, meters, direct)
    meter_id, store = meters.listed[0].meter_id, tmp_path / "s.db"
    at = f"{yesterday()}T10:00:00"
    told = ams("headend", "visited", meter_id, "--at", at, "--store", store, "--json")
    assert json.loads(told.stdout)["meter_id"] == meter_id
    with open_store(store) as opened:
        ((subject, source, body),) = opened.all("SELECT meter_id, source, body FROM alarm")
    assert (subject, source, json.loads(body)) == (meter_id, "fitter", {"kind": "nobody-in"})
    for number, when, says in (
        ("7359990000000000", at, "is not in the register"),
        (meter_id, "2098-01-01T00:00:00", "is to come"),
        (meter_id, "yesterday", "is no ISO time"),
    ):
        done = ams("headend", "visited", number, "--at", when, "--store", store, ok=False)
        assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1


def test_working_days_leave_out_weekends_and_holidays():
    from datetime import date

    assert working_days_after(date(2026, 1, 5), 3) == date(2026, 1, 8)
    assert working_days_after(date(2026, 1, 8), 3) == date(2026, 1, 13)
    # Wednesday before Easter: Thursday, Friday and Monday are holidays.
    assert working_days_after(date(2026, 4, 1), 3) == date(2026, 4, 9)

"""`ams headend deliver` against a stand-in on a port."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import warm
from cryptography.hazmat.primitives import serialization
from elhubmessages import COMPANY
from elhubpeers import identity, point
from elhubstore import add_points, put, terms

from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubserver import HubServer
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.openapi import Desk
from openams.headend.store import open_store
from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY


def clock():
    return datetime.now(UTC)


YESTERDAY = clock().astimezone(NORWAY).date() - timedelta(days=1)


@pytest.fixture
def place(tmp_path):
    """A store with a day, keys in files, and a hub that serves; the arguments of a delivery."""
    points = [terms(number, YESTERDAY) for number in (0, 4, 8)]
    with open_store(tmp_path / "store.db") as store:
        add_points(store, points)
        for one in points:
            put(store, one, YESTERDAY, clock())
    hub_store = HubStore(None)
    hub_store.add_points([point(one.gsrn, one.resolution_min, begin=midnight(YESTERDAY))
                          for one in points[:2]])  # fmt: skip
    hub = Hub(hub_store, identity("hub"), {COMPANY: identity("company").certificate}, clock)
    server = HubServer(hub, Desk({}), clock)
    server.start()
    key, certificate = tmp_path / "company.pem", tmp_path / "hub.crt"
    key.write_bytes(identity("company").pem())
    key.chmod(0o600)
    encoding = serialization.Encoding.PEM
    certificate.write_bytes(identity("hub").certificate.public_bytes(encoding))
    arguments = ["headend", "deliver", "--hub", server.url, "--identity", str(key), "--party",
                 COMPANY, "--hub-certificate", str(certificate), "--store",
                 str(tmp_path / "store.db"), "--settle", "0", "--json"]  # fmt: skip
    yield arguments, hub_store
    server.close()


def test_one_step_sends_and_the_next_one_has_the_answers(place):
    arguments, hub_store = place
    first, second = (warm.run(arguments, timeout=60) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    sent, answered = (json.loads(done.stdout) for done in (first, second))
    assert (sent["messages"], sent["series"], sent["rejected"]) == (1, 3, 1)
    assert (answered["accepted"], answered["parked"]) == (2, 1)
    (day,) = answered["days"]
    assert (day["expected"], day["now"], day["parked"]) == (3, 2, 1)
    assert hub_store.figures()["accepted"] == 2


def test_what_is_wrong_is_said_in_one_line(place):
    arguments, _ = place
    for name, value, says in (
        ("--hub", "http://127.0.0.1:9", "does not answer"),
        ("--identity", "/nowhere/key.pem", "nowhere"),
    ):
        done = warm.run([*arguments, name, value], timeout=60)
        assert done.returncode != 0
        assert says in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr

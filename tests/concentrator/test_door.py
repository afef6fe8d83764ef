"""What a concentrator gives to a head-end, on request and by push; and wrong questions."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from substation import Asking, Meters, local_yesterday, served, until

from openams.concentrator.outbox import Outbox, http_delivery
from openams.errors import BenchError
from openams.meter_time import NORWAY

COUNT = 3


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), COUNT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(meters, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with served(meters, folder) as service:
        ask = Asking(service, folder)
        until(lambda: ask("/v1/state")[1]["meters"]["ok"] == COUNT)
        yield ask


def test_state_and_meters(running, meters):
    code, state = running("/v1/state")
    assert code == 200 and state["concentrator"] == "C0001"
    assert state["meters"]["ok"] == COUNT and state["stored"]["last_seq"] >= COUNT
    assert abs((datetime.fromisoformat(state["time"]) - datetime.now(NORWAY)).total_seconds()) < 5
    _, body = running("/v1/meters")
    assert [meter["meter_id"] for meter in body["meters"]] == meters.ids
    for meter in body["meters"]:
        assert meter["state"] == "ok" and meter["last_day"] == local_yesterday()
        assert meter["last_contact"] and meter["failures"] == 0


def test_days_by_number_by_meter_and_by_day(running, meters):
    got, after = [], 0
    while True:
        _, body = running(f"/v1/days?after={after}&limit=1")
        got += body["days"]
        after = body["next"]
        if not body["more"]:
            break
    assert [day["seq"] for day in got] == sorted(day["seq"] for day in got)
    assert {day["meter_id"] for day in got} == set(meters.ids)
    assert all(len(day["rows"]) in (23, 24, 25) and day["complete"] for day in got)
    _, body = running(f"/v1/days?meter={meters.ids[1]}&day={local_yesterday()}")
    assert [day["meter_id"] for day in body["days"]] == [meters.ids[1]]
    assert running("/v1/days?meter=nobody")[1]["days"] == []
    assert running(f"/v1/days?after={after}")[1]["next"] == after


def test_a_receipt_is_for_this_store(running):
    _, body = running("/v1/days")
    assert running("/v1/days/taken", {"store_id": "other", "seq": 1})[0] == 409
    code, said = running("/v1/days/taken", {"store_id": body["store_id"], "seq": 10**9})
    assert code == 200 and said["taken"] == running("/v1/state")[1]["stored"]["last_seq"]
    code, again = running("/v1/days/taken", {"store_id": body["store_id"], "seq": 1})
    assert again == said, "it never goes back"


def test_a_day_on_demand_and_alarms(running, meters):
    day = (datetime.now(NORWAY).date() - timedelta(2)).isoformat()
    assert running("/v1/ask", {"meter_id": meters.ids[0], "day": day})[0] == 202
    found = until(lambda: running(f"/v1/days?meter={meters.ids[0]}&day={day}")[1]["days"])
    assert not found[0]["complete"], "the meter was not there yet"
    _, body = running("/v1/alarms")
    assert [alarm["kind"] for alarm in body["alarms"]][0] == "store-made"
    assert running(f"/v1/alarms?after={body['alarms'][-1]['seq']}")[1]["alarms"] == []
    assert running("/v1/pushes")[1]["pushes"] == []
    assert running("/v1/discover", {})[0] == 202


def test_counters_for_a_session_of_the_head_ends_own(running, meters):
    path = f"/v1/meters/{meters.ids[2]}/counters"
    first, second = (running(path, {"count": 64})[1] for _ in range(2))
    assert first["end"] == first["first"] + 64 and second["first"] >= first["end"]
    assert running("/v1/meters/7359990000000000/counters", {"count": 64})[0] == 400


# --- wrong questions ----------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "x", "ä" * 30, "Bearer"])
def test_without_the_token_nothing_is_said(running, token):
    for path, order in (("/v1/state", None), ("/v1/days/taken", {"seq": 1}), ("/nothing", None)):
        code, body = running(path, order, token=token.encode().decode("latin-1"))
        assert code == 401 and set(body) == {"error"}


@pytest.mark.parametrize(
    ("path", "order", "code"),
    [
        ("/", None, 404),
        ("/v1/days?after=x", None, 400),
        ("/v1/days?after=-1", None, 400),
        ("/v1/days?after=" + "9" * 40, None, 400),
        ("/v1/days?limit=1e9", None, 400),
        ("/v1/other", {}, 404),
        ("/v1/days/taken", {"seq": 1}, 409),
        ("/v1/ask", {}, 400),
        ("/v1/ask", {"meter_id": [1], "day": {}}, 400),
        ("/v1/ask", {"meter_id": "7359990010000003", "day": "2999-01-01"}, 400),
        ("/v1/ask", [1, 2], 400),
        ("/v1/meters/7359990010000003/counters", {"count": True}, 400),
        ("/v1/meters/7359990010000003/counters", {"count": 1 << 70}, 400),
        ("/v1/meters/../counters", {"count": 1}, 404),
    ],
)
def test_a_wrong_question_is_answered_in_one_line(running, path, order, code):
    got, body = running(path, order)
    assert got == code and "\n" not in body["error"] and len(body["error"]) < 200


@given(st.binary(max_size=400))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_octets_come_it_goes_on(running, octets):
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(octets)
        line.shutdown(socket.SHUT_WR)
        while line.recv(4096):
            pass
    assert running("/v1/state")[0] == 200


def test_an_order_that_is_too_long_is_not_read(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    headers = {"Authorization": f"Bearer {running.token}", "Content-Length": str(10**9)}
    connection.request("POST", "/v1/ask", headers=headers)
    assert connection.getresponse().status == 413
    connection.close()


def test_many_who_say_nothing_leave_room_in_the_end(running):
    """More than there are places: the rest is hung up on at once, nothing is heaped up."""
    lines = [socket.create_connection(("127.0.0.1", running.port), timeout=5) for _ in range(40)]
    time.sleep(0.3)
    hung_up = 0
    for line in lines:
        line.settimeout(0.01)
        try:
            hung_up += line.recv(1) == b""
        except TimeoutError:
            pass
        except OSError:
            hung_up += 1
    assert hung_up >= 8
    for line in lines:
        line.close()
    until(lambda: _says(running))


def _says(ask):
    try:
        return ask("/v1/state")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


# --- push ---------------------------------------------------------------------------------------


class HeadEnd:
    """Takes what is brought; can be told to answer wrongly."""

    def __init__(self, port=0):
        self.days, self.answers, self.tokens = {}, [], set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.tokens.add(self.headers.get("Authorization"))
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, said = outer.answers.pop(0) if outer.answers else (200, None)
                if code == 200 and said is None:
                    said = {"taken": body["next"]}
                    for day in body["days"]:
                        assert (day["meter_id"], day["day"], day["revision"]) not in outer.days
                        outer.days[day["meter_id"], day["day"], day["revision"]] = day
                data = json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1/days"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_days_are_brought_as_they_come(meters, tmp_path):
    head_end = HeadEnd()
    with served(meters, tmp_path / "c", deliver=http_delivery(head_end.url, "secret")) as service:
        until(lambda: len(head_end.days) == COUNT)
        until(lambda: service.concentrator.store.figures()["taken_seq"] == COUNT)
    assert head_end.tokens == {"Bearer secret"}
    head_end.close()


@pytest.mark.parametrize(
    "wrong",
    [(500, {}), (200, []), (200, {"taken": "x"}), (200, {"taken": 0}), (200, {"taken": 10**9})],
)
def test_what_is_not_acknowledged_is_brought_again(meters, tmp_path, wrong):
    head_end = HeadEnd()
    head_end.answers = [wrong, wrong]
    with served(meters, tmp_path / "c") as service:
        of = service.concentrator
        until(lambda: of.store.figures()["days"] == COUNT)
        outbox = Outbox(of, http_delivery(head_end.url, ""))
        waits = []
        for _ in range(2):
            assert not outbox.step() and outbox.trouble
            waits.append(outbox.not_before_ms - of.clock.utc_ms())
            assert not outbox.step(), "not before its time"
            outbox.not_before_ms = 0
        assert waits[1] > 1.5 * waits[0]
        assert of.store.figures()["taken_seq"] == 0
        assert outbox.step() and not outbox.step()
    assert len(head_end.days) == COUNT
    head_end.close()


def test_a_head_end_that_is_not_there(meters, tmp_path):
    with served(meters, tmp_path / "c") as service:
        until(lambda: service.concentrator.store.figures()["days"] == COUNT)
        outbox = Outbox(service.concentrator, http_delivery("http://127.0.0.1:1/", "", 1.0))
        assert not outbox.step() and "refused" in outbox.trouble


def test_a_push_url_that_is_none():
    for url in ("ftp://x/", "headend", "http://"):
        with pytest.raises(BenchError, match="write it like"):
            http_delivery(url, "")

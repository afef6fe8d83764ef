"""A hub that is not sane, though it signs what it says, and companies that post what none would:
delivery goes on, the stand-in answers, and what nobody can read is kept or refused in words."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import os
import random
import socket
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from elhubmessages import COMPANY, POINTS, numbered
from elhubpeers import PARTIES, Peers, identity, point
from elhubstore import Chain, add_points, put, terms
from lxml import etree
from test_elhub_codec import day_series

from openams.headend.elhub import build, codec, safexml, shape, soap, wire
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubserver import HubServer
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.link import HttpLine, Link, Unanswered
from openams.headend.elhub.model import (
    ANSWER,
    ELHUB,
    REJECTED,
    REMINDER,
    Acknowledgement,
    Code,
    ElhubError,
    Fault,
    Header,
    Missing,
    Reminder,
)  # fmt: skip
from openams.headend.elhub.openapi import DATASET, ApiError, Customer, Desk, asked
from openams.headend.vee.calendar import midnight

NOW = datetime(2024, 5, 4, 3, tzinfo=UTC)
DAY = (NOW - timedelta(days=1)).date()
SEED = int(os.environ.get("OPENAMS_SEED", "0"))
TEXTS = (
    "", " ", "x", "0", "-1", "1" * 400, "NaN", "INF", "1E999999", "0.0001", "9" * 18, "true",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59+14:00",
    "1000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-02-30T00:00:00Z",
    "2024-05-03T00:00:00+99:99", "2024-05-03T00:00:00", "2024-05-02T22:00:00Z", "\u009b2J",
    "\U0010ffff", "é" * 3000, "00000000-0000-4000-8000-000000000001", "PT1M", "P1D", "EH999",
    "39", "41", "IV", "MI", POINTS[0], COMPANY, ELHUB,
)  # fmt: skip
NAMES = ("x", "{urn:x}y", "n" * 5000, "Header", "Payload", "Observation")
# Of a namespace that canonical XML does not have: nobody can sign it.
UNSIGNED = (*NAMES, "{relative}z")


def elements(root):
    return [one for one in root.iter() if isinstance(one.tag, str)]


def changed(rng, root, names=NAMES):
    """With a few things in it that are otherwise."""
    root = copy.deepcopy(root)
    for _ in range(rng.randrange(1, 4)):
        every = elements(root)
        one = rng.choice(every)
        parent = one.getparent()
        what = rng.randrange(8)
        if what <= 2:
            leaf = rng.choice([leaf for leaf in every if not len(leaf)])
            leaf.text = rng.choice(TEXTS)
        elif what == 3 and parent is not None:
            parent.remove(one)
        elif what == 4 and parent is not None:
            parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(one))
        elif what == 5:
            one.tag = rng.choice((*names, rng.choice(every).tag))
        elif what == 6:
            one.set(rng.choice((*names[:3], *one.attrib, "Algorithm")), rng.choice(TEXTS))
        else:
            one.append(etree.Element(rng.choice(names)))
    return root


def believed(content, who="hub", now=NOW, **more):
    root = soap.sign(soap.envelope(content), identity(who), now, **more)
    return safexml.octets_of(root)


# --- a hub -----------------------------------------------------------------------------------


def header(what, new_id):
    return Header(new_id(), what, NOW, ELHUB, ELHUB, COMPANY)


class Insane:
    """A line to a hub that says of its own what `says(octets)` gives, while that gives anything."""

    def __init__(self, says):
        self.says = says

    def __call__(self, line):
        self.line = line
        return self

    def exchange(self, service, octets):
        said = self.says(service, octets)
        return self.line.exchange(service, octets) if said is None else (200, said)


def messages(new_id):
    """One of each kind that a poll may bring."""
    reasons = (Code("E10", "260"), Code("EH072", "89"))
    day = midnight(DAY), midnight(DAY) + timedelta(days=1)
    return [
        codec.encode(
            Acknowledgement(header(ANSWER, new_id), REJECTED, new_id(), new_id(), reasons)
        ),
        codec.encode(Acknowledgement(header(ANSWER, new_id), "39", new_id(), None, ())),
        codec.encode(Reminder(header(REMINDER, new_id), "IV", (Missing(POINTS[0], *day),))),
        etree.fromstring(b"<y xmlns='urn:x'>what nobody knows</y>"),
    ]


def test_whatever_a_hub_says_delivery_goes_on(store):
    points = [terms(0)]
    add_points(store, points)
    rng, new_id = random.Random(SEED), numbered()
    said = []

    def says(service, octets):
        if not said:
            return None
        if service.action == "AcknowledgePoll":
            return believed(None)
        if service.action != "PollForData":
            return None
        return believed(said.pop())

    insane = Insane(says)
    chain = Chain(store, NOW, points, line=insane)
    put(store, points[0], DAY, NOW)
    errors = 0
    for number in range(int(os.environ.get("OPENAMS_LIES", "200"))):
        inner = wire.poll_response(new_id(), rng.sample(messages(new_id), 2))
        said.append(changed(rng, inner) if number else inner)
        errors += bool(chain.delivery.step().error)
    said.clear()
    assert errors and store.notices()
    found = chain.run(steps=3, hours=2)
    assert not found.error
    assert chain.hub_store.complete_days(DAY)


def test_answers_to_what_was_never_sent_change_nothing_and_are_told(file_store):
    store, points = file_store, [terms(0)]
    add_points(store, points)
    chain, new_id = Chain(store, NOW, points, settle_min=600), numbered()
    put(store, points[0], DAY, NOW)
    chain.delivery.step()
    ((series, sent),) = store.all("SELECT series_id, message_id FROM delivery")
    for status, document, payload in (
        ("39", new_id(), series), ("39", sent, new_id()), (REJECTED, new_id(), series),
        (REJECTED, new_id(), None), (REJECTED, sent, new_id()),
    ):  # fmt: skip
        answer = Acknowledgement(header(ANSWER, new_id), status, document, payload, ())
        chain.hub_store.wait(COMPANY, NOW, etree.tostring(codec.encode(answer)))
    assert not chain.delivery.step().error
    assert store.all("SELECT state FROM delivery") == [("sent",)]
    assert [row[2] for row in store.notices()] == ["elhub-stray"] * 3


def test_a_message_that_no_place_is_for_is_kept_and_the_others_are_read(store):
    """Of a time that no clock has, or of a name that no index takes."""
    chain = Chain(store, NOW, [])
    new_id = numbered()
    days = datetime(9999, 12, 31, 23, 30, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    element = codec.encode(
        Reminder(header(REMINDER, new_id), "IV", (Missing(POINTS[0], NOW, NOW),))
    )
    for one in element.iter(f"{{{shape.COMMON}}}Start", f"{{{shape.COMMON}}}End"):
        one.text = days[one.tag.endswith("End")].isoformat()
    odd = etree.Element("{urn:x}" + "n" * 9000)
    said = [believed(wire.poll_response(new_id(), [element, odd, *messages(new_id)[2:3]]))]
    chain.line = Insane(None)
    taken = []

    def exchange(service, octets):
        if service.action == "PollForData":
            return 200, said.pop() if said else believed(wire.poll_response(None))
        taken.append(service.action)
        return 200, believed(None)

    chain.delivery._link._line.exchange = exchange
    found = chain.delivery.step()
    assert (found.error, found.reminders) == ("", 1)
    assert taken == ["AcknowledgePoll"]
    assert {row[2] for row in store.notices()} == {"elhub-unread", "elhub-reminder"}


@pytest.mark.parametrize("spoil", [
    lambda octets: octets[: len(octets) // 2],
    lambda octets: octets.replace(b"soap:Body", b"soap:Bodyy"),
    lambda octets: octets.replace(b"<soap:Body", b'<soap:Body xmlns:r="relative"'),
    lambda octets: octets.replace(b"<ds:SignedInfo", b'<ds:SignedInfo xmlns:r="relative"'),
    lambda octets: b"<a>" * 100_000,
    lambda octets: b"<a " + b" ".join(b'a%d=""' % k for k in range(20_000)) + b"/>",
    lambda octets: octets + b"\0", lambda octets: b"\0" * 1000, lambda octets: b"",
    lambda octets: b"\xff\xfe" + octets.decode().encode("utf-16-le"),
    lambda octets: b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", lambda octets: b"<a>&b;</a>",
    lambda octets: b"<html><h1>500</h1></html>", lambda octets: b'{"error": 500}',
    lambda octets: octets.replace(b"<wsu:Created>2024", b"<wsu:Created>9999"),
])  # fmt: skip
def test_octets_that_are_no_answer_are_none(spoil):
    class Says:
        def exchange(self, service, octets):
            return 200, spoil(believed(wire.poll_response(None)))

    link = Link(Says(), identity("company"), [identity("hub").certificate], PARTIES, lambda: NOW)
    with pytest.raises(Unanswered):
        link.poll()


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
def test_an_answer_that_is_good_for_ever_is_good(until):
    root = soap.envelope(wire.poll_response(None))
    soap.sign(root, identity("hub"), NOW)
    real = soap._base64

    def signed_anew():
        stamp = root.find(f".//{{{soap.WSU}}}Timestamp")
        stamp.find(f"{{{soap.WSU}}}Expires").text = until
        info = root.find(f".//{{{soap.DS}}}SignedInfo")
        for reference in info.findall(f"{{{soap.DS}}}Reference"):
            if reference.get("URI")[1:] == stamp.get(f"{{{soap.WSU}}}Id"):
                digest = soap.sha1(soap._canonical(stamp)).digest()
                reference.find(f"{{{soap.DS}}}DigestValue").text = real(digest)
        value = identity("hub").key.sign(
            soap._canonical(info), soap.padding.PKCS1v15(), soap.hashes.SHA1()
        )
        info.getparent().find(f"{{{soap.DS}}}SignatureValue").text = real(value)

    signed_anew()
    soap.verify(safexml.parse(safexml.octets_of(root)), [identity("hub").certificate], NOW)


def test_faults_of_any_length_are_some_words():
    for text in ("x" * 100_000, "\u009b2J\u202e", "a\nb"):
        content = soap.fault_of(Fault("Other", "no", "x"), NOW)
        for one in content.iter(f"{{{soap.COMMON}}}FaultText", f"{{{soap.COMMON}}}CodeGroup"):
            one.text = text
        fault = soap.read_fault(content)
        assert len(fault.text) <= 1000 and len(fault.group) <= 100
        assert fault.text.isprintable() and fault.group.isprintable()


# --- posts to the stand-in -------------------------------------------------------------------


def requests(new_id):
    series = day_series(DAY, 60, POINTS[0], "Out", 1000)
    one = build.whole_day(series, new_id(), NOW)
    yield wire.collected_request(build.message([one], PARTIES, NOW, new_id()))
    yield wire.poll_request(PARTIES, NOW, new_id())
    yield wire.taken_request(PARTIES, NOW, new_id(), new_id())


def test_whatever_is_posted_the_stand_in_answers_and_signs():
    rng, new_id = random.Random(SEED), numbered()
    peers = Peers(NOW, points=[point(POINTS[0])])
    groups = set()
    for number in range(int(os.environ.get("OPENAMS_LIES", "250"))):
        request = rng.choice(list(requests(new_id)))
        if number % 3 < 2:
            octets = believed(changed(rng, request), "company")
        else:
            root = etree.fromstring(believed(request, "company"))
            octets = safexml.octets_of(changed(rng, root, UNSIGNED))
        status, answer = peers.hub.answer(octets)
        root = safexml.parse(answer)
        soap.verify(root, [identity("hub").certificate], NOW)
        fault = soap.read_fault(soap.content_of(root))
        assert (status == 500) == (fault is not None)
        assert fault is None or "broke" not in fault.description, (number, fault)
        groups.add(fault and fault.group)
    assert {None, "XSD", "Security"} <= groups


def test_values_that_are_registered_at_the_end_of_time_do_not_shut_their_day():
    peers = Peers(NOW, points=[point(POINTS[0])])
    new_id = numbered()
    for registered in (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), NOW):
        series = day_series(DAY, 60, POINTS[0], "Out", 1000)
        one = build.whole_day(series, new_id(), NOW)
        content = wire.collected_request(build.message([one], PARTIES, NOW, new_id()))
        for element in content.iter(f"{{{shape.COMMON}}}RegistrationDateTime"):
            element.text = registered.isoformat()
        status, _ = peers.ask(content)
        assert status in (200, 500)
    assert peers.store.figures()["accepted"] == 1


# --- the customers' answers ------------------------------------------------------------------


def test_whatever_a_customer_asks_is_an_answer():
    store = HubStore(None)
    store.add_points([point(POINTS[0])])
    peers = Peers(NOW, points=[point(POINTS[0])])
    peers.send(build.whole_day(day_series(DAY, 60, POINTS[0], "Out", 1000), numbered()(), NOW))
    customer = Customer("c", identity("reader").key.public_key(), "987", (POINTS[0],))
    desk = Desk({"c": customer})
    desk._tokens["t"] = (customer, NOW + timedelta(days=1))
    rng = random.Random(SEED)
    dates = (
        "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "",
        "2024-05-03", "2024-W01-1", "1e9", "x" * 9999, "\0", "2024-05-03T00:00:00.1234567+02:00",
        "٢٠٢٤-٠٥-٠٣", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    )  # fmt: skip
    statuses = set()
    for _ in range(int(os.environ.get("OPENAMS_LIES", "400"))):
        query = {name: rng.choice(dates) for name in ("startDate", "endDate", "insertDateTime")
                 if rng.random() < 0.6}  # fmt: skip
        query["dataset"] = rng.choice((DATASET, DATASET, DATASET, "x"))
        path = rng.choice(
            ("metering-points", f"metering-points/{POINTS[0]}", "metering-points/1", "")
        )
        headers = {
            "user-agent": "x",
            "authorization": rng.choice(("Bearer t", "Bearer t", "", "x")),
        }
        try:
            found = asked(peers.store, desk, path, query, headers, NOW)
            json.dumps(found, allow_nan=False)
            statuses.add(200 if found else 204)
        except ApiError as error:
            statuses.add(error.status)
    assert {200, 204, 400, 401, 403, 404} <= statuses


def grants():
    def part(what):
        return base64.urlsafe_b64encode(what).decode().rstrip("=")

    yield from ("", ".", "..", "a.b.c", "é.é.é", "=" * 9, "\0.\0.\0")
    for head in (b"{}", b'{"alg": "RS256"}', b"[]", b"[" * 100_000, b'{"alg": 1e999}', b"\xff"):
        for body in (
            b'{"iss": "c", "exp": 1e999}',
            b'{"iss": ["c"]}',
            b"9" * 9999,
            b"NaN",
            b"null",
        ):
            yield f"{part(head)}.{part(body)}.{part(b'x')}"


def test_grants_that_are_none_are_refused_in_words():
    desk = Desk({"c": Customer("c", identity("reader").key.public_key(), "9", ())})
    for grant in grants():
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": grant}
        with pytest.raises(ElhubError):
            desk.token(form, NOW)


# --- on a port -------------------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch):
    broken = []
    monkeypatch.setattr(
        "socketserver.BaseServer.handle_error", lambda self, *rest: broken.append(rest)
    )
    store = HubStore(None)
    hub = Hub(store, identity("hub"), {COMPANY: identity("company").certificate}, lambda: NOW)
    server = HubServer(hub, Desk({}), lambda: NOW)
    server.start()
    yield server
    server.close()
    assert broken == []


POST = b"POST /WebService/services/x HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("octets", [
    POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 1e3\r\n\r\n", POST + b"\r\n", POST + b"Content-Length: \xb2\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", b"POST http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n",
    b"GET /energy-data/v0/metering-points?" + b"a=b&" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /energy-data/v0/x HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n",
    b"POST /token HTTP/1.1\r\nContent-Length: 9\r\n\r\n%ff%00=%u",
    POST + b"Content-Length: 100\r\n\r\nhalf of it",
])  # fmt: skip
def test_requests_that_are_none_end_nothing(served, octets):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert not answer.startswith(b"HTTP/") or answer[9:10] in b"45", answer[:80]
    good = http.client.HTTPConnection(host, int(port), timeout=5)
    good.request("GET", "/nothing")
    assert good.getresponse().status == 404
    good.close()


def test_who_hangs_up_breaks_nothing(served, capfd):
    host, port = served.url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            # Gone at once, with the answers unread.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    good = http.client.HTTPConnection(host, int(port), timeout=5)
    good.request("GET", "/nothing")
    assert good.getresponse().status == 404
    good.close()
    assert capfd.readouterr().err == ""


def test_who_says_nothing_under_tls_keeps_nobody_waiting(tmp_path):
    (tmp_path / "hub.pem").write_bytes(identity("hub").pem())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "hub.pem")
    hub = Hub(HubStore(None), identity("hub"), {}, lambda: NOW)
    server = HubServer(hub, Desk({}), lambda: NOW, tls=tls)
    server.start()
    try:
        host, port = server.url.removeprefix("https://").split(":")
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, int(port)), timeout=5):
            good = http.client.HTTPSConnection(host, int(port), timeout=5, context=trusting)
            good.request("GET", "/nothing")
            assert good.getresponse().status == 404
            good.close()
    finally:
        server.close()


# --- a gateway before the hub ----------------------------------------------------------------


def gateway(piece, pause_s=0.0):
    """A port at which somebody sends the same again and again."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 ")
                while True:
                    connection.sendall(piece)
                    time.sleep(pause_s)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    return server


@pytest.mark.parametrize(("piece", "pause_s"), [
    (b"100 Continue\r\n\r\nHTTP/1.1 ", 0.02), (b"2", 0.05),
    (b"200 OK\r\nContent-Length: 9999999\r\n\r\n", 0.05),
    (b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 0.05),
    (b"301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0.05),
    (b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-9\r\n", 0.05),
    (b"200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", 0.05),
])  # fmt: skip
def test_an_answer_without_an_end_has_one(piece, pause_s):
    with gateway(piece, pause_s) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        line = HttpLine(url, timeout_s=0.2, whole_s=0.6)
        link = Link(line, identity("company"), [identity("hub").certificate], PARTIES, lambda: NOW)
        began = time.monotonic()
        with pytest.raises(Unanswered):
            link.poll()
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "url", ["http://h:99999", "http://[", "http://[x]:1", "ftp://h", "http://h:x"]
)
def test_addresses_that_are_none(url):
    with pytest.raises(ElhubError):
        HttpLine(url)


@pytest.mark.parametrize(
    "url", ["http://" + "a" * 70, "http://127.0.0.1:1/é", "http://127.0.0.1:1/a b"]
)
def test_addresses_at_which_nobody_can_be(url):
    with pytest.raises(Unanswered):
        HttpLine(url, 0.2).exchange(wire.SERVICES[wire.ASK], b"")

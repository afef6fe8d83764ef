"""The stand-in on a port: Elhub's client of PyPI delivers to it, a customers' client reads it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import warm
import zeep
from cryptography.hazmat.primitives import serialization
from dlt_source_elhub import elhub_source
from dlt_source_elhub.columns import METERING_VALUES_HOUR_COLUMNS
from dlt_source_elhub.maskinporten import MaskinportenCredentials
from elhub_sdk.client import APIClient, ElHubEnvironment, ElHubService
from elhub_sdk.consumption import poll_consumption
from elhubmessages import COMPANY, POINTS, numbered
from elhubpeers import PARTIES, identity, point
from elhubstore import add_points, gsrn, terms
from test_elhub_codec import day_series

from openams.headend.elhub import build, soap, wire
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubserver import HubServer
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.link import HttpLine, Link, Refused, Unanswered
from openams.headend.elhub.model import Quantity
from openams.headend.elhub.openapi import Customer, Desk
from openams.headend.elhub.trouble import TROUBLES, TroubledLine
from openams.headend.store import open_store
from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY


def clock():
    return datetime.now(UTC)


TODAY = clock().astimezone(NORWAY).date()
YESTERDAY, BEFORE = TODAY - timedelta(days=1), TODAY - timedelta(days=2)


@pytest.fixture
def served():
    store = HubStore(None)
    store.add_points([point(POINTS[0], directions=("Out", "In"), begin=midnight(BEFORE))])
    hub = Hub(store, identity("hub"), {COMPANY: identity("company").certificate}, clock)
    reader = Customer("reader", identity("reader").key.public_key(), "987654321", (POINTS[0],))
    server = HubServer(hub, Desk({"reader": reader}), clock)
    server.start()
    server.hub = hub
    yield server
    server.close()


def link_to(url, **more):
    certificates = [identity("hub").certificate]
    return Link(HttpLine(url, **more), identity("company"), certificates, PARTIES, clock)


def day_of(new_id, day, direction="Out", wh=1000):
    series = day_series(day, 60, POINTS[0], direction, wh)
    return build.whole_day(series, new_id(), clock())


def test_values_over_http_a_refusal_polled_and_taken(served):
    link, new_id = link_to(served.url), numbered()
    bad = day_of(new_id, YESTERDAY)
    link.send(build.message([bad, day_of(new_id, BEFORE, "In")], PARTIES, clock(), new_id()))
    polled = link.poll()
    answers = [one for one in polled.messages if not hasattr(one, "missing")]
    assert [one.payload for one in answers] == [bad.series_id]
    link.taken(polled.poll_id)
    assert link.poll() is None
    assert served.hub.store.values(POINTS[0], "In", BEFORE)[0] == Quantity(1000, "measured")


def test_the_client_of_pypi_polls_and_acknowledges(served, tmp_path):
    link, new_id = link_to(served.url), numbered()
    link.send(build.message([day_of(new_id, YESTERDAY)], PARTIES, clock(), new_id()))
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.write_bytes(identity("company").pem())
    certificate.write_bytes(
        identity("company").certificate.public_bytes(serialization.Encoding.PEM)
    )
    client, history = APIClient.get_client(
        ElHubEnvironment.PRODUCTION, ElHubService.POOL_METERING_VALUES, str(key), str(certificate)
    )
    binding = "{urn:no:elhub:emif:wsdl:polling:meteringvalues:v2}MeteringValuesPollingSoapBinding"
    address = f"{served.url}/WebService/services/PollMeteringValues"
    client._default_service = client.create_service(binding, address)
    text = poll_consumption(client, history, COMPANY)
    assert "41</" in text and "BRS-NO-313" in text
    poll_id = text.partition("Identification>")[2].partition("<")[0]
    # The package's own function for this takes the type from a wrong namespace of the WSDL.
    kind = client.get_type("{urn:no:elhub:emif:Acknowledgement:v2}Acknowledgement")
    client.service.AcknowledgePoll(kind(**_taken(poll_id)))
    assert link.poll() is None


def _taken(poll_id):
    party = {"Identification": {"_value_1": COMPANY, "schemeAgencyIdentifier": "9"}}
    hub = {"Identification": {"_value_1": build.Parties(COMPANY, COMPANY).hub,
                              "schemeAgencyIdentifier": "9"}}  # fmt: skip
    return {
        "Header": {
            "Identification": numbered(77)(),
            "DocumentType": {"_value_1": "294", "listAgencyIdentifier": "6"},
            "Creation": clock().isoformat(),
            "PhysicalSenderEnergyParty": party,
            "JuridicalSenderEnergyParty": party,
            "JuridicalRecipientEnergyParty": hub,
        },
        "ProcessEnergyContext": {
            "EnergyBusinessProcess": {"_value_1": "POLL", "listAgencyIdentifier": "89"},
            "EnergyBusinessProcessRole": {"_value_1": "AG", "listAgencyIdentifier": "6"},
            "EnergyIndustryClassification": "23",
        },
        "PayloadResponseEvent": {
            "StatusType": {"_value_1": "39", "listAgencyIdentifier": "6"},
            "OriginalBusinessDocumentReference": poll_id,
        },
    }


def test_the_wsdl_of_elhub_makes_the_same_request_as_ours(served):
    """zeep, with Elhub's WSDL, reads what is sent here and sends it itself."""
    client = zeep.Client(str(_wsdl("MeteringValues")))
    new_id = numbered()
    message = build.message([day_of(new_id, BEFORE)], PARTIES, clock(), new_id())
    element = client.get_element("{urn:no:elhub:emif:wsdl:meteringvalues:v2}CollectedDataRequest")
    parsed = element.parse(wire.collected_request(message), client.wsdl.types)
    body = client.create_message(
        client.service, "CollectedData", CollectedData=parsed.CollectedData
    )
    content = soap.content_of(body)
    assert wire.read_request(content) == (wire.COLLECT, message)


def _wsdl(name):
    from elhubsdk import folder

    return folder() / "wsdl" / f"{name} - WS-Security.wsdl"


def test_the_customers_api_is_read_by_its_own_client(served):
    link, new_id = link_to(served.url), numbered()
    both = [day_of(new_id, BEFORE), day_of(new_id, BEFORE, "In", 5)]
    link.send(build.message(both, PARTIES, clock(), new_id()))
    pem = identity("reader").pem().decode()
    credentials = MaskinportenCredentials()
    credentials.client_id, credentials.kid, credentials.private_key = "reader", "1", pem
    credentials.maskinporten_url = served.url
    source = elhub_source(
        credentials, base_url=f"{served.url}/energy-data/v0/", user_agent="openams tests"
    )
    source.metering_points.bind(start_date=BEFORE.isoformat())
    assert [one["id"] for one in source.metering_points] == [POINTS[0]]
    rows = list(source.metering_values_hour)
    assert len(rows) == 2 * len(day_series(BEFORE, 60).values)
    first = next(one for one in rows if one["direction"] == "Out")
    assert first["startTime"] == midnight(BEFORE).astimezone(NORWAY).isoformat()
    assert (first["quantityKwh"], first["resolution"]) == (1.0, "PT60M")
    assert set(first) == set(METERING_VALUES_HOUR_COLUMNS)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    (
        ("metering-points?dataset=METERING_VALUES_HOUR_RESTRICTED", {}, 403),
        ("metering-points", {"User-Agent": "x"}, 401),
        ("metering-points", {"User-Agent": "x", "Authorization": "Bearer no"}, 401),
    ),
)
def test_the_customers_api_asks_who_is_there(served, path, headers, status):
    host, _, port = served.url[7:].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.putrequest("GET", f"/energy-data/v0/{path}", skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


# --- a hub that is not well --------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_an_error_of_one_line_and_the_next_try_ends_it(served, trouble):
    new_id = numbered()
    message = build.message([day_of(new_id, BEFORE)], PARTIES, clock(), new_id())
    troubled = TroubledLine(HttpLine(served.url), {trouble: 1.0}, seed=3)
    link = Link(troubled, identity("company"), [identity("hub").certificate], PARTIES, clock)
    with pytest.raises((Unanswered, Refused)) as caught:
        link.send(message)
    assert "\n" not in str(caught.value)
    if trouble == "away":
        link_to(served.url).send(message)
    else:
        with pytest.raises(Refused) as again:
            link_to(served.url).send(message)
        assert again.value.fault.group == "UUID"
    assert served.hub.store.figures()["messages"] == 1


def test_nobody_at_the_address_and_a_port_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unanswered, match="timed out"):
            link_to(url, timeout_s=0.2).poll()
    with pytest.raises(Unanswered, match="does not answer"):
        link_to(url).poll()


def test_the_command_serves_until_it_is_told_to_stop(tmp_path):
    table = tmp_path / "points.csv"
    table.write_text(
        "gsrn,kind,resolution_min,party,from,settlement\n"
        f"{POINTS[0]},prosumer,60,{COMPANY},{BEFORE},interval\n"
    )
    arguments = ["--state", tmp_path / "hub", "--points", table, "--party", COMPANY]
    command = [sys.executable, "-m", "openams", "elhub-stand-in", *map(str, arguments)]
    process = subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE)
    url = json.loads(process.stdout.readline())["url"]
    company = soap.Identity.from_pem((tmp_path / "hub" / "parties" / f"{COMPANY}.pem").read_bytes())
    hub = soap.Identity.from_pem((tmp_path / "hub" / "hub.pem").read_bytes())
    link = Link(HttpLine(url), company, [hub.certificate], PARTIES, clock)
    new_id = numbered()
    link.send(build.message([day_of(new_id, BEFORE)], PARTIES, clock(), new_id()))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    figures = json.loads(out)
    assert (process.returncode, figures["messages"], figures["accepted"]) == (0, 1, 1)


def test_the_command_takes_its_points_from_a_store(tmp_path):
    with open_store(tmp_path / "store.db") as store:
        add_points(store, [terms(number, BEFORE) for number in range(3)])
    arguments = ["--state", tmp_path / "hub", "--register", tmp_path / "store.db", "--port", "0"]
    command = [warm.AMS, "elhub-stand-in", *map(str, arguments), "--party", COMPANY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert b"http://" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    hub = HubStore(tmp_path / "hub" / "hub.db")
    expected = {one[1:] for one in hub.expected(midnight(YESTERDAY))}
    assert expected == {(gsrn(0), "Out", 60), (gsrn(1), "Out", 60), (gsrn(1), "In", 60),
                        (gsrn(2), "In", 15)}  # fmt: skip
    assert b"PRIVATE" not in (tmp_path / "hub" / "hub.crt").read_bytes()


def test_the_command_names_every_line_of_a_bad_table(tmp_path):
    table = tmp_path / "points.csv"
    table.write_text(
        "gsrn,kind,resolution_min,party,from,settlement\n"
        f"123,prosumer,60,{COMPANY},2024-01-01,interval\n"
        f"{POINTS[0]},consumption,30,{COMPANY},2024-01-01,interval\n"
        f"{POINTS[0]},consumption,60,{COMPANY},yesterday,interval\n"
    )
    arguments = ["--state", tmp_path / "hub", "--points", table, "--party", COMPANY]
    done = warm.run(["elhub-stand-in", *map(str, arguments)], timeout=60)
    assert done.returncode != 0
    for text in ("line 2: gsrn", "line 3: resolution_min", "line 4: from"):
        assert text in done.stderr.replace("\n", " ")

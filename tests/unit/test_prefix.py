"""The gateway's prefix, numbers of meters with their check digits, and URLs through a gateway."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openams.client import prefix
from openams.client.errors import LinkError
from openams.client.links import open_link, parse_url
from openams.errors import BenchError
from openams.gs1 import check_digit, check_meter_number

METER = "7359990100000012"


def test_a_prefix_is_what_stands_before_the_apdu():
    octets = prefix.to_meter(METER, b"\xc0\x01\xc1")
    assert octets == b"\xe6\x00\x10" + METER.encode() + b"\xc0\x01\xc1"
    found = prefix.parse(octets)
    assert found == prefix.Prefixed(0xE6, 0, METER.encode(), b"\xc0\x01\xc1")
    assert found.octets() == octets
    assert prefix.from_meter(METER, b"\xe7" + octets[1:]) == b"\xc0\x01\xc1"


@given(st.binary(max_size=300))
def test_any_octets_are_a_prefix_or_none_or_torn(octets):
    try:
        found = prefix.parse(octets)
    except prefix.PrefixError:
        assert octets[0] in (0xE6, 0xE7)
        return
    if found is None:
        assert not octets or octets[0] not in (0xE6, 0xE7)
    else:
        assert found.octets() == octets and found.apdu


@pytest.mark.parametrize("size", range(1, 20))
def test_a_torn_prefix_is_no_prefix(size):
    with pytest.raises(prefix.PrefixError):
        prefix.parse(prefix.to_meter(METER, b"\xc0")[:size])


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"\xc4\x01",
        b"\xe6" + bytes(3),
        b"\xe7\x01\x10" + METER.encode() + b"x",
        b"\xe7\x00\x10" + b"7359990100000029" + b"x",
    ],
)
def test_only_the_answer_of_the_meter_is_taken(other):
    with pytest.raises(prefix.PrefixError):
        prefix.from_meter(METER, other)


def test_check_digits():
    assert check_digit("735999010000001") == "2"
    # GS1 General Specifications, 7.9: a GTIN of eight, of twelve, an SSCC.
    assert [check_digit(digits) for digits in ("9638507", "01234567890", "37610425002123456")] == [
        "4", "5", "9",
    ]  # fmt: skip
    assert check_meter_number(METER) == METER


@given(st.from_regex(r"[0-9]{15}", fullmatch=True), st.integers(0, 15), st.integers(1, 9))
def test_one_wrong_digit_is_found(digits, place, more):
    good = digits + check_digit(digits)
    bad = good[:place] + str((int(good[place]) + more) % 10) + good[place + 1 :]
    with pytest.raises(BenchError, match="check digit"):
        check_meter_number(bad)


@pytest.mark.parametrize("text", ["", "735999010000001", "73599901000000121", "735999010000001x",
                                  "７３５９９９０１０００００００１２"[:16]])  # fmt: skip
def test_what_is_no_number_is_refused(text):
    with pytest.raises(BenchError, match="16 digits"):
        check_meter_number(text)


def test_a_url_names_the_meter_behind_a_gateway():
    url = parse_url(f"tcp://10.0.0.1:4060?gateway={METER}")
    assert (url.host, url.port, url.gateway) == ("10.0.0.1", 4060, METER)
    for bad in (
        f"serial:///dev/ttyUSB0?gateway={METER}",
        "tcp://h:1?gateway=123",
        "tcp://h:1?gateway=x",
    ):
        with pytest.raises(BenchError, match="no URL"):
            parse_url(bad)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\xe7\x00\x10" + METER.encode() + b"\xc4", b"\xc4"),
        (b"\xe7\x00\x10" + b"7359990100000029" + b"\xc4", None),
        (b"\xe7\x00\x10" + METER.encode()[:9], None),
        (b"\xc4", None),
    ],
)
def test_a_link_through_a_gateway_takes_its_meters_answers_alone(answer, said):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(100))
                connection.sendall(struct.pack(">HHHH", 1, 1, 2, len(answer)) + answer)
                connection.recv(1)

        asked: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        url = parse_url(f"tcp://127.0.0.1:{server.getsockname()[1]}?gateway={METER}")
        link = open_link(url, 2, 5)
        if said is None:
            with pytest.raises(LinkError, match="does not answer as a gateway"):
                link.send_request(b"\xc0")
        else:
            assert link.send_request(b"\xc0") == said
        link.disconnect()
        thread.join()
    assert asked == [struct.pack(">HHHH", 1, 2, 1, 20) + prefix.to_meter(METER, b"\xc0")]

"""Home automation in virtual time, on CPython and on the MicroPython VM alike: packets, settings,
hours, waits, values, and a broker that fails in every way."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meterbench import MeterBench

from ams.cosem.access import BREAKER, EVERYBODY, OPERATOR, PUBLIC, READER, UPDATE
from ams.cosem.axdr import Reader, Writer
from ams.events import events as ev
from ams.home.mqtt import Client, MqttError, decimal
from ams.results import AccessError
from tests.home.conftest import PYTHONS, run

# Octets of the heap by which figures of other sizes differ from hour to hour.
STEADY = "1024"


def test_packets_are_those_of_the_standard(twin):
    lines = twin("home_rules.py", "packets").splitlines()
    # MQTT 3.1.1, 3.1: clean session, will retained with QoS 1, password, user; 60 s.
    assert lines[0] == (
        r"b'\x10,\x00\x04MQTT\x04\xee\x00<\x00\x01c\x00\x08t/status\x00\x07offline"
        r"\x00\x04user\x00\x04pass'"
    )
    assert lines[1] == "False", "the password stands in no buffer"
    assert lines[3:5] == ["False", "True"], "connected with the last octet of CONNACK"
    assert lines[-1] == r"b'0\x03\x00\x01a'"


def test_a_broker_may_say_nothing_that_was_not_asked_for(twin):
    lines = twin("home_rules.py", "strangers").splitlines()
    assert len(lines) == 15 and not [line for line in lines if line.endswith("taken")]
    assert lines[0].endswith("refused: not authorized")


def test_settings_that_are_wrong_are_told_in_one_line_without_secrets(twin):
    out = twin("home_rules.py", "texts")
    assert "secret" not in out
    assert "123456789012345.678" in out, "no float is that exact"


def test_hours_wait_for_two_days_and_the_oldest_go(twin):
    lines = twin("home_rules.py", "hours").splitlines()
    assert lines[6] == "no-network 48 24"
    assert lines[7].startswith("connected 0 48 ")
    assert lines[8:] == ["48 True", "closed 0"]


def test_waits_double_with_chance_in_them_and_end_at_five_minutes(twin):
    lines = twin("home_rules.py", "back_off").splitlines()
    for line in lines[:4]:
        waits = [int(text) for text in re.search(r"\[(.*?)\]", line)[1].split(",")]
        assert max(waits) <= 300 + 21
        if line.startswith(("refused", "untrusted")):
            assert min(waits) >= 30, "what somebody has to mend is tried seldom"
        else:
            assert waits[0] < 25
    assert [len(eval(line[line.index("['") if "['" in line else line.index('["') :]))
            for line in lines[:4]] == [1] * 4, "each is said once"  # fmt: skip
    assert lines[4] == "True True"


def test_what_is_said_is_what_the_lists_say(twin):
    lines = twin("home_rules.py", "values").splitlines()
    said = dict(line.split(" ", 2)[1:] for line in lines if line.startswith("3P4W openams"))
    said = {topic.split("/")[2]: text for topic, text in said.items()}
    figures = next(line for line in lines if line[0].isdigit() and "/" not in line).split()
    assert said["power_import"] == figures[0] and said["power_export"] == figures[1]
    assert said["energy_import"].replace(".", "").lstrip("0") == figures[2]
    peaks = [int(said[f"peak_{rank}"]) for rank in (1, 2, 3)]
    assert peaks == sorted(peaks, reverse=True) and peaks[2] > 0
    assert abs(int(said["peak_mean"]) * 3 - sum(peaks)) <= 3
    assert said["breaker"] == "connected" and said["status"] == "online"
    topics = {line.split("/")[2].split(" ")[0] for line in lines if line.startswith("1P2W op")}
    assert "voltage_l1" in topics and not topics & {"voltage_l2", "current_l3"}


@pytest.mark.parametrize("python", PYTHONS)
def test_an_evening_of_faults_costs_neither_energy_nor_frames_nor_heap(python):
    """A slice of the week below."""
    assert run(python, "home_rules.py", "endure", "1", "3", STEADY) == "True True\n"


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(1, 4))
def test_a_week_of_faults_costs_neither_energy_nor_frames_nor_heap(seed):
    assert run("micropython", "home_rules.py", "endure", str(seed), "168", STEADY) == "True True\n"


@given(st.binary(max_size=40), st.integers(1, 7))
@settings(max_examples=300, deadline=None)
def test_octets_of_anybody_raise_nothing_else(data, at_once):
    client = Client()
    client.connect(b"c", None, None, b"t", b"w", 60)
    client.feed(b"\x20\x02\x00\x00")
    try:
        for at in range(0, len(data), at_once):
            client.feed(data[at : at + at_once])
    except MqttError as error:
        assert "\n" not in str(error)


@given(st.integers(-(10**20), 10**20), st.integers(0, 6))
@settings(deadline=None)
def test_text_of_a_number_is_exact(value, places):
    text = decimal(value, places)
    assert re.fullmatch(r"-?\d+" + (rf"\.\d{{{places}}}" if places else ""), text)
    assert int(text.replace(".", "")) == value


# --- the operator's object ------------------------------------------------------------------

SETTINGS = {"broker": "10.0.0.5", "user": "meter", "password": "secret"}
ON, OFF = b"\x03\x01", b"\x03\x00"


def name(e):
    return bytes((0, 0, 128, 7, e, 255))


def read(bench, e, who=READER):
    out = Writer(200)
    bench.meter.model.get(1, name(e), 2, who, out)
    return bytes(out.view())


def write(bench, data, who, attribute=2, e=0):
    bench.meter.model.set(1, name(e), attribute, who, Reader(data))


def test_only_the_operator_opens_it_and_nobody_reads_the_password():
    bench = MeterBench(more={"home": SETTINGS})
    home = bench.meter.home
    home.poll(5)
    assert (home.is_open, home.state, read(bench, 0)) == (False, "closed", OFF)
    for who in (PUBLIC, READER, BREAKER, UPDATE):
        with pytest.raises(AccessError):
            write(bench, ON, who)
    with pytest.raises(AccessError):
        read(bench, 0, PUBLIC)
    for data, attribute, e in ((ON, 1, 0), (ON, 3, 0), (ON, 2, 1), (ON, 2, 2), (b"\x11\x01", 2, 0)):
        with pytest.raises(AccessError):
            write(bench, data, OPERATOR, attribute, e)
    assert not home.is_open
    write(bench, ON, OPERATOR)
    assert home.is_open and read(bench, 0) == ON
    assert ev.PARAMETER_CHANGED in bench.codes()
    home.poll(10)
    assert read(bench, 1)[2:] == b"no-network" and read(bench, 2) == b"\x06\0\0\0\0"
    # Of all that can be read in it nothing has the secret.
    for class_id, _, ln, attributes, _, _ in list(bench.meter.model.rows(EVERYBODY)):
        if class_id != 1:
            continue
        out = Writer(2000)
        with contextlib.suppress(AccessError):
            bench.meter.model.get(class_id, ln, attributes, OPERATOR, out)
        assert b"secret" not in bytes(out.view())
    write(bench, OFF, OPERATOR)
    assert home.state == "closed"


def test_a_meter_without_settings_has_no_such_object_and_does_not_load_it():
    bench = MeterBench()
    assert bench.meter.home is None
    names = {bytes(row[2]) for row in bench.meter.model.rows()}
    assert not [ln for ln in names if ln[2] == 128 and ln[3] == 7]


def test_settings_that_are_wrong_leave_the_meter_without_a_broker():
    said: list[str] = []
    bench = MeterBench(more={"home": {"broker": "nowhere"}}, log=said.append)
    assert bench.meter.home.publisher is None
    assert said == ["home: broker is an address like 192.168.1.5, or 192.168.1.5:1883"]
    bench.meter.home.set_open(True)
    assert bench.meter.home.state == "no-broker"

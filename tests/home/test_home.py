"""Home automation in virtual time, on CPython and on the MicroPython VM alike: packets, settings,
hours, waits, values, and a broker that fails in every way."""

from __future__ import annotations

import ast
import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meterbench import MeterBench
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ams.cosem.access import BREAKER, EVERYBODY, OPERATOR, PUBLIC, READER, UPDATE
from ams.cosem.axdr import Reader, Writer
from ams.events import events as ev
from ams.home.mqtt import Client, MqttError, decimal
from ams.home.mqtt5 import Client5
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


def test_packets_of_mqtt_5_are_those_of_the_standard(twin):
    lines = twin("home_rules.py", "packets_5").splitlines()
    # MQTT 5, 3.1: a session of 60 s, packets of 129 octets, no texts; the will after 30 s.
    assert ast.literal_eval(lines[0]) == (
        b"\x10\x3f\x00\x04MQTT\x05\xee\x00\x3c\x0c\x11\0\0\0\x3c\x27\0\0\0\x81\x17\0\x00\x01c"
        b"\x05\x18\0\0\0\x1e\x00\x08t/status\x00\x07offline\x00\x04user\x00\x04pass"
    )
    assert lines[1] == "True 0 False 300 5000", "what the broker says of itself"
    assert lines[2] == r"True b'0\t\x00\x03a/b\x00xxx' 0", "no QoS 1 there, nothing retained"
    assert [line.split()[0] for line in lines[3:7]] == ["True", "True", "True", "False"]
    # Clean start no more; the session is kept: again, as it was, with DUP.
    assert lines[7].endswith(r"MQTT\x05,'") and lines[8] == "True 1"
    assert lines[9] == r"b':\x0b\x00\x03a/b\x00\x01\x00xxx' False"
    assert lines[10:12] == ["0 ''", "False 0"]
    assert lines[12:14] == ["0 'quota exceeded'", r"b'\xe0\x01\x82'"]
    assert lines[14:] == ["retain not supported", "0xe", "QoS not supported", "0x26"]


def test_a_broker_of_mqtt_5_may_say_nothing_that_was_not_asked_for(twin):
    lines = twin("home_rules.py", "strangers_5").splitlines()
    assert len(lines) == 43 and not [line for line in lines if line.endswith("taken")]
    # What is wrong, by 19 of CONNACK; what it may refuse for; what it may end it for.
    told = [line for line in lines if " refused: " in line]
    assert [line.split("refused: ")[1] for line in told] == [
        "protocol version", "not authorized", "protocol version", "not authorized",
        "bad user name or password", "code 163", "code 17", "no reason given", "shutting down",
        "taken over by another of this name", "broker moved",
    ]  # fmt: skip


def test_broken_packets_are_taken_or_told(twin):
    _, errors, refusals, connected = map(int, twin("home_rules.py", "fuzz", "1", "2000").split())
    assert errors > 1000 and refusals > 20 and connected > 500


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_broken_packets_are_taken_or_told(twin, seed):
    assert twin("home_rules.py", "fuzz", str(seed), "200000")


def test_a_broker_without_mqtt_5_is_spoken_to_as_it_can(twin):
    lines = twin("home_rules.py", "versions").splitlines()
    assert lines[1] == "both 5 5 1 connected []"
    fallen = [line for line in lines[2:12] if " 5 4 2 connected: MQTT 3.1.1, for it takes" in line]
    assert len(fallen) == 5, lines
    for line in lines[12:]:
        assert "waiting: refused: protocol version ['home: refused: protocol version']" in line


def test_hours_that_a_broker_of_mqtt_5_does_not_take_wait(twin):
    lines = twin("home_rules.py", "hours_5").splitlines()
    assert lines == [
        "connected: it takes no hour: quota exceeded 1 3 0",
        "connected 0 5 2",
        "connected 0 7 1 True",
        "connected 0 8 0 ['home: the broker takes no more than 200 octets']",
        "connected: it takes no hour: too long 1 8 0 ['home: it takes no hour: too long']",
        "waiting: ended by the broker: shutting down False",
        "waiting: ended by the broker: taken over by another of this name True",
    ]


# Of what a broker says of itself: name in paho, values.
SAID = (
    ("SessionExpiryInterval", st.integers(0, 2**32 - 1)),
    ("ReceiveMaximum", st.integers(1, 65535)),
    ("MaximumQoS", st.integers(0, 1)),
    ("RetainAvailable", st.integers(0, 1)),
    ("MaximumPacketSize", st.integers(1, 2**28 - 1)),
    ("TopicAliasMaximum", st.integers(0, 65535)),
    ("ServerKeepAlive", st.integers(0, 65535)),
    ("ReasonString", st.text("abcæøå", max_size=8)),
    ("AssignedClientIdentifier", st.text("abc", max_size=8)),
    ("UserProperty", st.tuples(st.text("ab", max_size=5), st.text("ab", max_size=5))),
    ("WildcardSubscriptionAvailable", st.integers(0, 1)),
    ("SharedSubscriptionAvailable", st.integers(0, 1)),
)


@given(
    st.fixed_dictionaries({}, optional=dict(SAID)),
    st.none() | st.tuples(st.integers(0, 200), st.integers(0, 255)),
)
@settings(max_examples=300, deadline=None)
def test_properties_are_read_as_paho_writes_them(said, broken):
    properties = Properties(PacketTypes.CONNACK)
    for name, value in said.items():
        setattr(properties, name, value)
    octets = bytearray(b"\0\0" + properties.pack())
    if broken:
        octets[2 + broken[0] % (len(octets) - 2)] = broken[1]
    client = Client5()
    client.connect(b"c", None, None, b"t", b"w", 60)
    try:
        client.feed(bytes((0x20, len(octets))) + octets)
    except MqttError:
        assert broken
        return
    again = Properties(PacketTypes.CONNACK)
    try:
        _, length = again.unpack(bytes(octets[2:]))
    except (UnicodeDecodeError, MQTTException) as error:
        # Texts are read by nobody here; the largest packet may be said to be larger than any.
        assert any(text in str(error) for text in ("UTF-8", "utf-8", "MaximumPacketSize"))
        return
    assert length == len(octets) - 2
    had = {name: getattr(again, name) for name, _ in SAID if hasattr(again, name)}
    assert client.qos == had.get("MaximumQoS", 1)
    assert client.retain == had.get("RetainAvailable", 1)
    assert client.most == min(had.get("MaximumPacketSize", 1024), 1024)
    assert client.ping_ms == min(500 * had.get("ServerKeepAlive", 0) or 25000, 25000)


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


@pytest.mark.parametrize(("python", "version"), [*zip(PYTHONS, ("3.1.1", "5"), strict=True)])
def test_an_evening_of_faults_costs_neither_energy_nor_frames_nor_heap(python, version):
    """A slice of the week below."""
    assert run(python, "home_rules.py", "endure", "1", "3", STEADY, version) == "True True\n"


@pytest.mark.campaign
@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("seed", range(1, 4))
def test_a_week_of_faults_costs_neither_energy_nor_frames_nor_heap(seed, version):
    out = run("micropython", "home_rules.py", "endure", str(seed), "168", STEADY, version)
    assert out == "True True\n"


@given(st.binary(max_size=40), st.integers(1, 7), st.booleans())
@settings(max_examples=300, deadline=None)
def test_octets_of_anybody_raise_nothing_else(data, at_once, is_5):
    client = Client5() if is_5 else Client()
    client.connect(b"c", None, None, b"t", b"w", 60)
    client.feed(b"\x20\x03\x00\x00\x00" if is_5 else b"\x20\x02\x00\x00")
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

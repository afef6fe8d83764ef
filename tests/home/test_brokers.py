"""The meter at real brokers that are killed, slow, full, or not what they should be: what it
publishes, and that metering and the HAN port notice nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time

import pytest

from tests.conftest import ROOT
from tests.home.brokers import Authority, Mosquitto, Subscriber, program
from tests.home.conftest import PYTHONS, command
from tests.smalldisk import fill, small_disk

NODE = "openams/7359990000000017/"
# The time of the home automation goes so many times as fast as that of the wall.
PACE = 10
# Both versions of MQTT on both Pythons; the other two in `make campaign`.
EITHER = (
    ("cpython", "3.1.1"),
    ("micropython", "5"),
    pytest.param("cpython", "5", marks=pytest.mark.campaign),
    pytest.param("micropython", "3.1.1", marks=pytest.mark.campaign),
)


class Live:
    """A meter of live_meter.py that runs beside the test."""

    def __init__(self, python, folder, config, system="3P4W"):
        self._stop = folder / f"{python}.stop"
        # An argument of MicroPython has 255 octets at the most.
        file = folder / f"{python}.json"
        file.write_text(json.dumps(config))
        arguments, environment = command(
            python, "live_meter.py", str(self._stop), str(file), str(PACE), system
        )
        self._process = subprocess.Popen(
            arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.states: list[str] = []
        self._last = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            if line.startswith("state "):
                self.states.append(line[6:].strip())
            else:
                self._last = line

    def until(self, pattern, timeout_s=30.0, since=0):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for number, state in enumerate(self.states[since:], since):
                if re.fullmatch(pattern, state):
                    return number + 1
            assert self._process.poll() is None, self._process.stderr.read()
            time.sleep(0.02)
        raise AssertionError(f"never {pattern}: {self.states}")

    def end(self):
        """Its figures; metering and HAN are held to those of a meter without a broker."""
        self._stop.touch()
        self._process.wait(timeout=60)
        self._reader.join(timeout=5)
        assert self._process.returncode == 0, self._process.stderr.read()
        figures = json.loads(self._last)
        assert figures["with"] == figures["without"], "energy, frames and their times"
        assert figures["steps"] >= 200 and sum(figures["registers"]) > 0
        # Whatever the broker does, nobody waited for it.
        assert figures["longest_ms"] < 5000
        assert "secret" not in json.dumps(figures["said"])
        return figures


def config(broker, **more):
    return {"broker": f"127.0.0.1:{broker.port}", "period_s": 2, **more}


@pytest.fixture
def broker(tmp_path):
    started = Mosquitto(tmp_path)
    yield started
    started.close()


@pytest.mark.parametrize(("python", "version"), EITHER)
def test_a_broker_that_is_killed_and_frozen(python, version, broker, tmp_path):
    sub = Subscriber(broker.port)
    meter = Live(python, tmp_path, config(broker, mqtt=version))
    assert sub.until(lambda topic, _: topic == NODE + "status")[1] == "online"
    sub.until(lambda topic, text: topic == NODE + "energy_import" and text > "0.100")
    topic, text, qos, retained = sub.until(lambda topic, _: topic == NODE + "hour")
    assert (qos, retained) == (1, 0)
    assert re.fullmatch(
        r'\{"end":"\d{4}-\d\d-\d\dT\d\d:00:00Z","import_kwh":\d+\.\d{3},"export_kwh":\d+\.\d{3},'
        r'"reactive_import_kvarh":\d+\.\d{3},"reactive_export_kvarh":\d+\.\d{3}\}', text
    )  # fmt: skip
    at = meter.until("connected")
    broker.kill()
    sub.close()
    at = meter.until("waiting: .+", since=at)
    broker.start()
    at = meter.until("connected", since=at)
    sub = Subscriber(broker.port)
    sub.until(lambda topic, _: topic == NODE + "voltage_l3")
    broker.freeze()
    at = meter.until("waiting: the broker does not answer|waiting: .*takes nothing", since=at)
    broker.thaw()
    at = meter.until("connected", since=at)
    meter.end()
    # Closed by the operator: it says goodbye itself.
    sub.until(lambda topic, text: topic == NODE + "status" and text == "offline")
    sub.close()


@pytest.mark.parametrize(("python", "version"), EITHER)
def test_wrong_password_and_one_that_may_not_publish(python, version, tmp_path):
    passwords = tmp_path / "passwords"
    subprocess.run(
        [program("mosquitto_passwd"), "-c", "-b", str(passwords), "meter", "secret of the meter"],
        check=True,
    )
    passwords.chmod(0o644)
    broker = Mosquitto(tmp_path / "b", "allow_anonymous false", f"password_file {passwords}")
    try:
        meter = Live(
            python,
            tmp_path,
            config(broker, user="meter", password="secret of another", mqtt=version),
        )
        meter.until("waiting: refused: (not authorized|bad user name or password)")
        figures = meter.end()
        assert [line for line in figures["said"] if "refused" in line]
        good = tmp_path / "good"
        good.mkdir()
        meter = Live(
            python, good, config(broker, user="meter", password="secret of the meter", mqtt=version)
        )
        meter.until("connected")
        meter.end()
    finally:
        broker.close()


@pytest.mark.parametrize("python", PYTHONS)
def test_a_certificate_that_is_good_expired_anothers_or_of_nobody(python, tmp_path):
    authority = Authority(tmp_path / "authority")
    stranger = Authority(tmp_path / "stranger")
    brokers = {
        "good": Mosquitto(tmp_path / "b", *authority.lines()),
        "expired": Mosquitto(tmp_path / "b", *authority.lines(first_day=-30, last_day=-1)),
        "another's": Mosquitto(tmp_path / "b", *authority.lines(name="else.test")),
        "of nobody": Mosquitto(tmp_path / "b", *stranger.lines()),
    }
    meters = {}
    try:
        for what, broker in brokers.items():
            folder = tmp_path / what
            folder.mkdir()
            meters[what] = Live(
                python, folder,
                config(broker, tls=True, ca=authority.pem, name="broker.test", user="meter",
                       password="secret of the meter"),
            )  # fmt: skip
        meters["good"].until("connected")
        for what in ("expired", "another's", "of nobody"):
            meters[what].until("waiting: not trusted: .+")
            assert "connected" not in meters[what].states
            assert "as openams" not in brokers[what].log.read_text(), "nothing was said there"
        for meter in meters.values():
            meter.end()
    finally:
        for broker in brokers.values():
            broker.close()


@pytest.mark.parametrize(
    "python", ["micropython", pytest.param("cpython", marks=pytest.mark.campaign)]
)
def test_what_a_broker_of_mqtt_5_says_is_kept_to(python, tmp_path):
    """One that takes no hour; one that retains nothing, has no QoS 1, takes little."""
    acl = tmp_path / "acl"
    acl.write_text("topic deny openams/+/hour\ntopic readwrite #\n")
    acl.chmod(0o644)
    strict = Mosquitto(tmp_path / "a", "allow_anonymous true", f"acl_file {acl}")
    little = Mosquitto(
        tmp_path / "b", "allow_anonymous true", "max_qos 0", "retain_available false",
        "max_packet_size 300", "max_keepalive 20", "log_type all",
    )  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    sub = Subscriber(little.port, "-V", "mqttv5", "-q", "0")
    try:
        one = Live(python, tmp_path, config(strict, mqtt="5"))
        two = Live(python, other, config(little, mqtt="5"))
        topic, text, qos, retained = sub.until(lambda topic, _: topic == NODE + "hour")
        assert (qos, retained) == (0, 0) and json.loads(text)["import_kwh"] > 0
        assert not [topic for topic, *_ in sub.heard if topic.startswith("homeassistant")]
        assert re.search("waiting: refused: .* not supported", "\n".join(two.states))
        figures = two.end()
        assert "home: the broker takes no more than 300 octets" in figures["said"]
        one.until("connected: it takes no hour: not authorized")
        one.end()
        assert "PINGREQ" in little.log.read_text() and "no will" not in little.log.read_text()
    finally:
        sub.close()
        strict.close()
        little.close()


@pytest.mark.parametrize(
    "python", ["micropython", pytest.param("cpython", marks=pytest.mark.campaign)]
)
def test_a_broker_whose_disk_is_full_is_killed_and_comes_back(python, tmp_path):
    """It stores each change; what it cannot store is its own trouble, and so is what it lost."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root alone")
    with small_disk(tmp_path / "disk", 64) as disk:
        broker = Mosquitto(
            tmp_path / "b", "allow_anonymous true", "persistence true", "autosave_interval 1",
            "autosave_on_changes true", f"persistence_location {disk}/",
        )  # fmt: skip
        try:
            ballast = fill(disk)
            # For whom it has to keep what is said while he is gone.
            Subscriber(broker.port, "-i", "away", "-c").close()
            sub = Subscriber(broker.port)
            meter = Live(python, tmp_path, config(broker, mqtt="5"))
            sub.until(lambda topic, _: topic == NODE + "hour")
            at = meter.until("connected")
            assert "No space left" in broker.log.read_text()
            broker.kill()
            sub.close()
            at = meter.until("waiting: .+", since=at)
            ballast.unlink()
            broker.start()
            meter.until("connected", since=at)
            sub = Subscriber(broker.port)
            sub.until(lambda topic, _: topic == NODE + "voltage_l3")
            meter.end()
        finally:
            sub.close()
            broker.close()


def test_a_broker_that_is_full_keeps_nobody_waiting(tmp_path):
    """Its subscriber is frozen, its queue is one message, and of its memory there is little."""
    broker = Mosquitto(
        tmp_path / "b", "allow_anonymous true", "max_queued_messages 1", "memory_limit 200000",
        "max_inflight_messages 1",
    )  # fmt: skip
    try:
        sub = Subscriber(broker.port, "-i", "frozen", "-c")
        meter = Live("micropython", tmp_path, config(broker))
        sub.until(lambda topic, _: topic == NODE + "voltage_l1")
        sub.freeze()
        # Rounds of values and an hour, of which it takes none.
        published = len(sub.heard)
        time.sleep(3)
        meter.end()
        assert "connected" in meter.states and len(sub.heard) - published < 100
    finally:
        sub.close()
        broker.close()


def judged(*lists):
    """What Home Assistant makes of each list of messages."""
    python = subprocess.run(
        ["sh", str(ROOT / "tools" / "homeassistant.sh")], capture_output=True, text=True
    )
    assert python.returncode == 0, python.stderr
    done = subprocess.run(
        [python.stdout.strip(), str(ROOT / "tests/home/home_assistant.py")],
        input=json.dumps(lists),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# What is wrong, and what Home Assistant says of it.
WRONG = (
    ('"energy"', '"energie"', "SensorDeviceClass"),
    ('"kWh"', '"kW"', "has no unit kW"),
    ('"total_increasing"', '"measurement"', "has no measurement"),
    ('"name":"Energy import",', '"nam":"Energy import",', "unknown keys"),
    ('"state_topic":"', '"state_topic":"#/', "wildcard"),
    ('"identifiers":["openams_7359990000000017"],', "", "identifi"),
    ('"sw_version":"0.1.0"}}', '"sw_version":{}}}', "sw_version"),
)


def test_home_assistant_takes_all_that_it_is_told_and_would_refuse_what_is_wrong(tmp_path):
    counts = {"3P4W": 22, "3P3W": 21, "1P2W": 18}
    lists = []
    for system in counts:
        folder = tmp_path / system
        broker = Mosquitto(folder)
        sub = Subscriber(broker.port)
        prefix = f"home/{system}"
        meter = Live("micropython", folder, config(broker, prefix=prefix), system)
        sub.until(lambda topic, _, p=prefix: topic == f"{p}/7359990000000017/hours_dropped")
        meter.end()
        lists.append([message[:2] for message in sub.heard])
        sub.close()
        broker.close()
    topic, payload = next(m for m in lists[0] if "/energy_import/config" in m[0])
    for old, new, _ in WRONG:
        assert old in payload
        lists.append([[topic, payload.replace(old, new)]])
    lists.append([[topic.replace("7359990000000017", "73 59"), payload]])
    lists.append([[topic, payload], [json.loads(payload)["state_topic"], "1,234"]])
    verdicts = judged(*lists)
    for count, verdict in zip(counts.values(), verdicts, strict=False):
        assert (verdict["refused"], verdict["stateless"]) == ([], [])
        assert len(verdict["entities"]) == count
    refusals = [verdict["refused"] for verdict in verdicts[len(counts) :]]
    for why, refused in zip(
        [*(row[2] for row in WRONG), "illegal discovery topic", "no number"], refusals, strict=True
    ):
        assert len(refused) == 1 and why in refused[0]

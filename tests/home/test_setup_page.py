"""The set-up page on a real socket, for a real HTTP client, on CPython and the MicroPython VM."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import subprocess
import threading
import time
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.home import captive_dns
from ams.home.web_form import SIZE, Request, Status, text
from tests.home.brokers import Authority, Mosquitto
from tests.home.conftest import PYTHONS, command
from tests.ports import free_port


class SetUp:
    def __init__(self, python, folder, pace=1):
        self.http, self.dns = free_port(), free_port()
        self._stop = folder / f"{python}.stop"
        arguments, environment = command(
            python, "setup_meter.py", str(self.http), str(self.dns), str(self._stop), str(pace)
        )
        self._process = subprocess.Popen(
            arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.said: list[str] = []
        self._last = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.code = self.until(r"home: set-up for ten minutes: network OpenAMS-0017, code (\S+)")[1]

    def _read(self):
        for line in self._process.stdout:
            if line.startswith("say "):
                self.said.append(line[4:].strip())
            elif line.startswith("shows "):
                self.shown = line.split()[1:]
            else:
                self._last = line

    def until(self, pattern, timeout_s=30.0):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for line in self.said:
                if match := re.fullmatch(pattern, line):
                    return match
            assert self._process.poll() is None, self._last + self._process.stderr.read()
            time.sleep(0.02)
        raise AssertionError(f"never {pattern}: {self.said}")

    def ask(self, method, path, form=None, **headers):
        """(status, headers, body)"""
        client = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        body = urlencode(form) if isinstance(form, dict) else form
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def raw(self, data):
        with socket.create_connection(("127.0.0.1", self.http), 20) as client:
            client.sendall(data)
            return client.recv(4096)

    def end(self):
        self._stop.touch()
        self._process.wait(timeout=30)
        self._reader.join(timeout=5)
        assert self._process.returncode == 0, self._process.stderr.read()
        figures = json.loads(self._last)
        assert figures["longest_ms"] < 5000 and figures["faults"] == 0
        assert "geheim" not in " ".join(self.said), "no secret is said"
        return figures


def question(name, kind=1):
    labels = b"".join(bytes((len(part),)) + part for part in name.encode().split(b"."))
    return b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0" + struct.pack(">HH", kind, 1)


@pytest.mark.parametrize("python", PYTHONS)
def test_wifi_and_broker_are_set_on_the_page(python, tmp_path):
    authority = Authority(tmp_path / "authority")
    broker = Mosquitto(tmp_path, *authority.lines())
    page = SetUp(python, tmp_path)
    try:
        assert re.fullmatch("[2-9A-Z]{10}", page.code)
        # A phone asks for names, then whether there is a page in the way.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(question("connectivitycheck.example.com"), ("127.0.0.1", page.dns))
            answer = client.recv(512)
        assert answer[:2] == b"\x12\x34" and answer[-4:] == bytes((192, 168, 4, 1))
        status, headers, _ = page.ask("GET", "/generate_204")
        assert (status, headers["Location"]) == (302, "http://192.168.4.1/")
        status, headers, body = page.ask("GET", "/")
        assert status == 200 and "<form method=post" in body
        assert (headers["Cache-Control"], headers["X-Frame-Options"]) == ("no-store", "DENY")
        form = {
            "code": "0" * 10, "ssid": "Hjemme på Øya", "wifi_password": "geheim & lang",
            "broker": f"127.0.0.1:{broker.port}", "user": "meter", "password": "geheim",
            "tls": "1", "name": "broker.test", "ca": authority.pem, "prefix": "",
            "mqtt": "5",
        }  # fmt: skip
        status, _, body = page.ask("POST", "/", form)
        assert status == 403 and "not the code" in body
        form["code"] = page.code.lower() + " "
        status, _, body = page.ask("POST", "/", dict(form, broker="nowhere"))
        assert status == 400 and "an address like 192.168.1.5" in body
        status, _, body = page.ask("POST", "/", dict(form, wifi_password="kort"))
        assert status == 400 and "8 to 63" in body and "kort" not in body
        status, _, body = page.ask("POST", "/", form)
        assert status == 200 and "Saved" in body and "geheim" not in body
        page.until("home: set-up is over")
        with pytest.raises(OSError):
            page.ask("GET", "/")
        # By the authority, the name and the user of the form.
        end = time.monotonic() + 20
        while "as openams7359990000000017" not in broker.log.read_text():
            assert time.monotonic() < end, page.said
            time.sleep(0.05)
        time.sleep(0.2)
    finally:
        figures = page.end()
        broker.close()
    assert page.shown == ["KEY", page.code, "OPENAMS-0017"], "on a display too"
    assert figures["state"] == "connected"
    assert figures["events"] == ["open OpenAMS-0017", "close", "join Hjemme på Øya"]
    assert json.loads(figures["wifi"][1:])["password"] == "geheim & lang"
    kept = json.loads(figures["broker"][1:])
    assert re.search(r"as openams7359990000000017 \(p5,", broker.log.read_text())
    assert (
        kept["mqtt"] == "5" and kept["tls"] is True and kept["user"] == "meter" and "ca" not in kept
    )
    assert figures["authority"].strip() == authority.pem.strip()
    assert figures["log"] == [[4, 1], [4, 2]]


@pytest.mark.parametrize("python", PYTHONS)
def test_what_no_browser_sends_ends_in_a_status_and_wrong_codes_end_the_set_up(python, tmp_path):
    page = SetUp(python, tmp_path)
    for data, status in (
        (b"\0\xff\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 3000, 431),
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\ncode=%f", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\ncode=%ff", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 403),
    ):
        assert page.raw(data).startswith(b"HTTP/1.1 %d " % status), data
    # Who says nothing keeps nobody from the page for longer than some seconds.
    silent = socket.create_connection(("127.0.0.1", page.http), 20)
    assert page.ask("GET", "/")[0] == 200
    silent.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for data in (b"", b"\0" * 12, b"\xff" * 100, question("a")[:-3], b"\x40" * 40):
            client.sendto(data, ("127.0.0.1", page.dns))
    for sign in "01I":  # which no code has
        assert page.ask("POST", "/", {"code": sign + page.code[1:]})[0] == 403
    status, _, body = page.ask("POST", "/", {"code": ""})
    assert status == 403 and "Too many" in body
    page.until("home: set-up is over")
    figures = page.end()
    assert (figures["wifi"], figures["broker"]) == ("", "")
    assert figures["log"] == [[4, 1], [4, 3]]


def test_it_ends_by_itself_after_ten_minutes(tmp_path):
    page = SetUp("micropython", tmp_path, pace=200)
    began = time.monotonic()
    page.until("home: set-up is over")
    assert time.monotonic() - began > 2
    assert page.end()["events"] == ["open OpenAMS-0017", "close"]


@given(st.binary(max_size=600), st.integers(1, 50))
@settings(max_examples=300, deadline=None)
def test_octets_of_anybody_are_a_request_or_a_status(data, at_once):
    request = Request()
    try:
        for at in range(0, len(data), at_once):
            piece = data[at : at + at_once]
            request.room()[: len(piece)] = piece
            if request.took(len(piece)):
                request.form()
                break
    except Status as status:
        assert 400 <= status.code < 500
    request.clear()
    assert bytes(request._buffer) == bytes(SIZE), "nothing of it stays"


@given(st.binary(max_size=520))
@settings(deadline=None)
def test_octets_of_anybody_are_a_query_or_nothing(data):
    out = captive_dns.answer(data, "192.168.4.1")
    assert out is None or out[:2] == data[:2]


def test_other_kinds_of_names_have_no_data():
    out = captive_dns.answer(question("a.b", 28), "192.168.4.1")
    assert out[6:8] == b"\0\0" and len(out) == len(question("a.b", 28))


@given(st.text(max_size=50))
@settings(deadline=None)
def test_escaped_text_comes_back(said):
    assert text(urlencode({"a": said}).encode()[2:]) == said

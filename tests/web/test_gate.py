"""Who may speak to the page's server: Host, Origin, token, and where it listens."""

from __future__ import annotations

import http.client
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from openams.web.gate import is_loopback
from openams.web.server import WebServer

DONE = []


def make(host):
    server = WebServer(host, 0)
    server.start(lambda order: DONE.append(order) or "well")
    return server


@pytest.fixture
def done():
    DONE.clear()
    return DONE


@pytest.fixture(scope="module")
def server():
    server = make("127.0.0.1")
    yield server
    server.close()


@pytest.fixture(scope="module")
def open_server():
    """One that other machines reach."""
    server = make("0.0.0.0")
    yield server
    server.close()


@pytest.fixture
def own_server():
    server = make("127.0.0.1")
    yield server
    server.close()


def ask(server, method, path, headers=(), body=None):
    """(status, headers, text), with the headers as they are given and no others but Host."""
    port = server._socket.getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = dict(headers)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    if answer.getheader("Content-Type", "").startswith("text/event-stream"):
        text = answer.read1().decode()
    else:
        text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


ORDER = json.dumps({"do": "button", "pressed": True}).encode()


def token_of(server):
    return {"X-OpenAMS-Token": server._token}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9", "127.0.0.1", "127.0.0.1:8080", "[::1]"]
)
def test_the_page_is_there_under_every_name_of_this_machine(server, host):
    status, headers, text = ask(server, "GET", "/", {"Host": host})
    assert status == 200 and server._token in text
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store" and "server" not in headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "192.168.1.5", "", "[::1", "localhost.evil:1"],
)
@pytest.mark.parametrize("path", ["/", "/main.js", "/api/stream"])
def test_a_name_that_somebody_led_here_is_refused(server, host, path):
    """DNS rebinding."""
    status, _, text = ask(server, "GET", path, {"Host": host})
    assert status == 421 and server._token not in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-OpenAMS-Token": ""},
        {"X-OpenAMS-Token": "guessed"},
        {"X-OpenAMS-Token": "\xff\xfe"},
    ],
)
def test_nothing_is_done_without_the_token(server, done, headers):
    status, _, text = ask(server, "POST", "/api/do", headers, ORDER)
    assert status == 403 and "token" in text and not done


def test_the_token_in_an_address_changes_nothing(server, done):
    status, _, _ = ask(server, "POST", f"/api/do?token={server._token}", {}, ORDER)
    assert status == 403 and not done


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", ""])
def test_a_page_of_somebody_else_is_refused_whatever_it_knows(server, done, origin):
    headers = {"Origin": origin, **token_of(server)}
    assert ask(server, "POST", "/api/do", headers, ORDER)[0] == 403
    assert ask(server, "GET", "/api/stream", headers)[0] == 403
    assert not done


def test_a_request_that_a_browser_sends_for_another_site_is_refused(server):
    assert ask(server, "GET", "/api/stream", {"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_with_the_token_it_is_done(server, done):
    port = server._socket.getsockname()[1]
    headers = {
        "Origin": f"http://127.0.0.1:{port}",
        "Host": f"127.0.0.1:{port}",
        **token_of(server),
    }
    status, _, text = ask(server, "POST", "/api/do", headers, ORDER)
    assert (status, json.loads(text)) == (200, {"ok": "well"})
    assert done == [json.loads(ORDER)]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b'{"do": 3}', b"{}", b"\xff", b"[" * 4000, b"x" * 5000]
)
def test_what_is_no_order_is_refused_in_words(server, done, body):
    status, _, text = ask(server, "POST", "/api/do", token_of(server), body)
    assert status in (400, 413) and json.loads(text)["error"] and not done


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/__init__.py", "/x", "/index.html"]
)
def test_only_the_files_of_the_page_are_served(server, path):
    status, _, text = ask(server, "GET", path)
    assert status == 404 and "import" not in text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "GET"])
def test_other_methods_do_nothing(server, done, method):
    assert ask(server, method, "/api/do", token_of(server), ORDER)[0] == 405
    assert not done


def test_where_others_reach_it_the_token_is_behind_the_address_and_asked_for_to_look(open_server):
    page, _, key = open_server.url.partition("#")
    assert key == open_server._token and page.startswith("http://0.0.0.0:")
    assert key not in ask(open_server, "GET", "/")[2]
    assert ask(open_server, "GET", "/api/stream")[0] == 403
    assert ask(open_server, "GET", "/api/stream?token=x")[0] == 403
    assert ask(open_server, "GET", f"/api/stream?token={key}")[0] == 200
    # A number is nobody's to lead elsewhere; a name that is not this machine's may be.
    assert ask(open_server, "GET", "/", {"Host": "192.168.1.5:80"})[0] == 200
    assert ask(open_server, "GET", "/", {"Host": "evil.example"})[0] == 421


def test_it_listens_to_this_machine_alone():
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "meter.example")))


def test_pages_that_do_not_read_and_too_many_of_them_hold_nobody_up(own_server, done):
    """Each is let go when too much waits for it; those beyond the most are sent away."""
    place = ("127.0.0.1", own_server._socket.getsockname()[1])
    host = f"{place[0]}:{place[1]}".encode()
    deaf = []
    for _ in range(24):
        deaf.append(socket.create_connection(place))
        deaf[-1].sendall(b"GET /api/stream HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert deaf[-1].recv(64)
    assert ask(own_server, "GET", "/api/stream")[0] == 503
    for _ in range(300):
        own_server.hub.publish("frame", {"hex": "00" * 20000})
    assert ask(own_server, "POST", "/api/do", token_of(own_server), ORDER)[0] == 200
    end = time.monotonic() + 10
    while own_server.hub._pages and time.monotonic() < end:
        time.sleep(0.05)
    assert not own_server.hub._pages
    for connection in deaf:
        connection.close()


def test_the_end_of_a_run_is_not_held_up_by_who_looks(own_server):
    parts = urlsplit(own_server.url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.sendall(f"GET /api/stream HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    assert connection.recv(64)
    began = time.monotonic()
    own_server.close()
    assert time.monotonic() - began < 2.5
    said = b""
    while piece := connection.recv(4096):
        said += piece
    assert b"event: end" in said
    connection.close()

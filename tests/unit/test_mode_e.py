"""The start at an optical head, and what a port without one does with bare frames."""

from __future__ import annotations

import pytest

from ams.cosem import mode_e
from ams.cosem.hdlc import HdlcLink
from openams.faultlab import hdlc_peer as peer
from openams.faultlab.hdlc_peer import Heard, Primary
from openams.faultlab.link_lab import Echo, answer_to


class Port:
    """Front, link and a line that notes its settings; octets go one by one as a UART gives them."""

    def __init__(self, mode=mode_e.MODE_E, rest_code=5):
        self.server = Echo()
        self.out = []
        self.lines = []
        self.now_ms = 0
        link = HdlcLink(self.server, self.write)
        names = {"flag_id": "OAM", "identification": "OPENAMS", "address": "0123"}
        self.front = mode_e.OpticalFront(link, self.write, self.line, **names)
        self.front.set_up(mode, rest_code, 5)
        self.front.start()

    def write(self, view):
        self.out.append(bytes(view))

    def line(self, *settings):
        self.lines.append(settings)

    def say(self, data, wait_ms=300):
        for octet in data:
            self.now_ms += 1
            self.front.feed(bytes((octet,)), self.now_ms)
        self.wait(wait_ms)
        out, self.out = self.out, []
        return out

    def wait(self, ms):
        for _ in range(0, ms, 50):
            self.now_ms += 50
            self.front.tick(self.now_ms)

    def talk(self, frames):
        return self.say(b"".join(frames))


SLOW = (300, 7, 0, 1)


def test_mode_e_then_hdlc_then_mode_e():
    port = Port()
    assert port.lines == [SLOW]
    for _ in range(2):
        assert port.say(b"/?!\r\n") == [b"/OAM5\\2OPENAMS\r\n"]
        assert port.say(b"\x06252\r\n", 0) == [b"\x06252\r\n"]
        assert port.lines[-1] == (9600, 8, None, 1)
        primary = Primary(port.talk)
        assert primary.connect()
        port.wait(60_000)
        assert primary.exchange(b"hello") == answer_to(b"hello")
        assert primary.disconnect()
        port.wait(100)
        assert port.lines[-1] == SLOW
    assert len(port.lines) == 5


def test_the_answer_waits_for_the_head_to_turn_round():
    port = Port()
    assert port.say(b"/?!\r\n", 150) == []
    port.wait(100)
    assert len(port.out) == 1


@pytest.mark.parametrize(
    "text, answered",
    [
        (b"/?0123!\r\n", True),
        (b"/?123!\r\n", True),
        (b"/?000!\r\n", True),
        (b"/?124!\r\n", False),
        (b"/?!\r", False),
        (b"/!\r\n", False),
        (b"noise/?!\r\n", True),
        (b"/?1/?!\r\n", True),
        (b"\xaf\x3f\x21\x8d\x0a", True),  # with the parity bit left in
        (b"/?" + b"1" * 60 + b"!\r\n", False),
    ],
)
def test_sign_on(text, answered):
    port = Port()
    assert bool(port.say(text)) == answered


@pytest.mark.parametrize(
    "text, baud",
    [
        (b"\x06202\r\n", 300),
        (b"\x06232\r\n", 2400),
        (b"\x06262\r\n", None),  # faster than offered
        (b"\x06050\r\n", None),  # the readout of mode C
        (b"\x06251\r\n", None),
        (b"\x0625\r\n", None),
        (b"\x062", None),
    ],
)
def test_acknowledgement(text, baud):
    port = Port()
    assert port.say(text) == []
    port.say(b"/?!\r\n")
    assert port.say(text, 0) == ([text] if baud else [])
    assert port.lines[1:] == ([(baud, 8, None, 1)] if baud else [])
    port.wait(6000)
    assert port.lines[-1] == SLOW, "who does not come back is not waited for"
    assert port.say(b"/?!\r\n")


def test_the_offer_ends():
    port = Port()
    port.say(b"/?!\r\n")
    port.wait(2000)
    assert port.say(b"\x06252\r\n") == []


def test_an_inactive_connection_ends_in_mode_e():
    port = Port()
    port.say(b"/?!\r\n")
    port.say(b"\x06252\r\n", 0)
    assert Primary(port.talk).connect()
    port.wait(121_000)
    assert port.lines[-1] == SLOW


@pytest.mark.parametrize("mode", [mode_e.MODE_E, mode_e.HDLC])
def test_bare_frames_go_straight_through(mode):
    port = Port(mode, rest_code=9)
    assert port.lines == [SLOW if mode == mode_e.MODE_E else (115200, 8, None, 1)]
    primary = Primary(port.talk)
    (dm,) = port.say(primary.frame(0x11))
    assert Heard(dm).control == peer.DM
    assert primary.connect()
    port.wait(60_000)
    # A sign-on inside a connection is data.
    assert primary.exchange(b"/?!\r\n") == answer_to(b"/?!\r\n")
    assert port.say(b"/?!\r\n") == []
    assert primary.disconnect()
    assert len(port.lines) == 1
    port.wait(600)
    assert port.say(b"/?!\r\n") == [b"/OAM5\\2OPENAMS\r\n"]


def test_another_rate_at_rest_counts_when_nobody_is_connected():
    port = Port(mode_e.HDLC, rest_code=9)
    primary = Primary(port.talk)
    assert primary.connect()
    port.front.set_up(mode_e.HDLC, 4, 5)
    assert primary.exchange(b"hello") == answer_to(b"hello")
    assert len(port.lines) == 1
    assert primary.disconnect()
    port.wait(100)
    assert port.lines[1:] == [(4800, 8, None, 1)]
    port.front.set_up(mode_e.MODE_E, 4, 3)
    port.wait(100)
    assert port.lines[2:] == [SLOW]
    assert port.say(b"/?!\r\n") == [b"/OAM3\\2OPENAMS\r\n"]


def test_the_same_on_micropython(micropython):
    script = """
from ams.cosem.hdlc import HdlcLink
from ams.cosem.mode_e import OpticalFront
class Upper:
    def connected(self, *_): return True
    def disconnected(self, *_): pass
    def outgoing(self, *_): return None
def write(view): print(bytes(view).hex())
def line(*settings): print(settings)
front = OpticalFront(HdlcLink(Upper(), write), write, line, "OAM", "OPENAMS")
front.start()
front.feed(b"/?!\\r\\n", 0)
front.tick(300)
front.feed(b"\\x06252\\r\\n", 400)
front.feed(bytes.fromhex("7EA0070321930F017E"), 500)
front.feed(bytes.fromhex("7EA00703215303C77E"), 600)
front.tick(700)
"""
    lines = micropython(script).splitlines()
    assert lines[0] == lines[-1] == "(300, 7, 0, 1)"
    assert bytes.fromhex(lines[1]) == b"/OAM5\\2OPENAMS\r\n"
    assert bytes.fromhex(lines[2]) == b"\x06252\r\n"
    assert lines[3] == "(9600, 8, None, 1)"
    assert [Heard(bytes.fromhex(line)).control for line in lines[4:6]] == [peer.UA, peer.UA]

"""The HDLC link against a strict primary station: what it answers, and what it never does."""

from __future__ import annotations

import pytest

from ams.cosem import hdlc
from ams.crypto.octets import crc16
from openams.faultlab import hdlc_peer as peer
from openams.faultlab.hdlc_peer import Heard, Primary, address, agreed, frame, parameters
from openams.faultlab.link_lab import Echo, answer_to


class Bench:
    """A link, its upper layer, and a line that a test can spoil."""

    def __init__(self, **options):
        self.out = []
        self.log = []
        self.server = Echo(options.pop("refuse", ()))
        self.now_ms = 1000
        self.link = hdlc.HdlcLink(
            self.server,
            lambda view: self.out.append(bytes(view)),
            channel=3,
            log=self.log.append,
            **options,
        )

    def send(self, *frames, gap_ms=1):
        for data in frames:
            self.now_ms += gap_ms
            self.link.feed(data, self.now_ms)
        out, self.out = self.out, []
        return out

    def line(self, frames):
        return self.send(*frames)

    def primary(self, client=16, server=b"\x03"):
        return Primary(self.line, client, server)


def test_reference_frames():
    bench = Bench()
    assert crc16(b"123456789", 0, 9) == 0x906E
    dm = bytes.fromhex("7EA00703215303C77E")
    assert [Heard(data).control for data in bench.send(dm)] == [peer.DM]
    (ua,) = bench.send(bytes.fromhex("7EA0070321930F017E"))
    heard = Heard(ua)
    assert heard.control == peer.UA
    assert heard.target == b"\x21" and heard.source == b"\x03"
    assert heard.info == bytes.fromhex("818014050200800602008007040000000108040000 0001".strip())
    assert bench.server.events == [("connected", 3, 16, 1)]
    assert [Heard(data).control for data in bench.send(dm)] == [peer.UA]
    assert bench.server.events[-1] == ("disconnected", 3)


@pytest.mark.parametrize(
    "asked, info_tx, info_rx, window_tx, window_rx",
    [
        ((128, 128), 128, 128, 1, 1),
        ((256, 200), 200, 256, 1, 1),
        ((2030, 2030, 7, 7), 512, 512, 7, 7),
        ((64, 33, 3, 2), 33, 64, 2, 3),
        ((600, 600, 200, 1), 512, 512, 1, 7),
    ],
)
def test_negotiation_takes_the_smaller(asked, info_tx, info_rx, window_tx, window_rx):
    bench = Bench()
    (ua,) = bench.send(bench.primary().frame(peer.SNRM, parameters(*asked)))
    # The server speaks of itself: what it transmits is what the client receives.
    assert agreed(Heard(ua).info) == {5: info_tx, 6: info_rx, 7: window_tx, 8: window_rx}


def test_setup_bounds_what_is_agreed():
    bench = Bench()
    bench.link.parameters.max_info_tx = 100
    bench.link.parameters.max_info_rx = 5000  # more than there is room for
    bench.link.parameters.max_window_tx = 2
    (ua,) = bench.send(bench.primary().frame(peer.SNRM, parameters(2000, 2000, 7, 7)))
    assert agreed(Heard(ua).info) == {5: 100, 6: 512, 7: 2, 8: 7}


@pytest.mark.parametrize(("info", "window"), [(512, 1), (128, 3), (32, 7)])
def test_a_turn_is_never_longer_than_the_line_takes_at_once(info, window):
    bench = Bench()
    bench.link.parameters.turn = 544
    primary = bench.primary()
    (ua,) = bench.send(primary.frame(peer.SNRM, parameters(info, info, 7, 7)))
    assert agreed(Heard(ua).info)[7] == window
    primary = bench.primary()
    assert primary.connect(parameters(info, info, 7, 7))
    apdu = bytes(1 + k % 255 for k in range(900))
    sent = []
    write = bench.link._write
    bench.link._write = lambda data: (sent.append(len(data)), write(data))
    assert primary.exchange(apdu) == answer_to(apdu)
    assert max(sent) * window <= 544


@pytest.mark.parametrize(
    "info", ["8180", "818003050100", "8180020502", "828000", "81800705050000000080"]
)
def test_unreadable_parameters_are_refused(info):
    bench = Bench()
    (out,) = bench.send(bench.primary().frame(peer.SNRM, bytes.fromhex(info)))
    if info == "818003050100":  # zero says nothing: the default holds
        assert Heard(out).control == peer.UA
    else:
        assert Heard(out).control == peer.DM
        assert not bench.server.events


@pytest.mark.parametrize(
    "server", [address(1), address(1, 16), address(1, 16, 4), address(300, 16)]
)
def test_addresses_of_one_two_and_four_octets(server):
    bench = Bench()
    primary = bench.primary(server=server)
    assert primary.connect()
    assert primary.exchange(b"hello") == answer_to(b"hello")
    assert bench.server.events == [
        ("connected", 3, 16, 300 if len(server) == 4 and server[0] else 1)
    ]


@pytest.mark.parametrize(
    "server",
    [
        address(0x7F),
        address(0),
        address(1, 17),  # another physical device
        address(1, 0x7F),
        address(0x7F, 16),
        address(0x3FFF, 0x3FFF),
        address(1, 0x3FFF),
        b"\x02\x02\x03",  # three octets are no address
    ],
)
def test_others_and_all_stations_are_never_answered(server):
    bench = Bench()
    for control in (peer.SNRM, peer.DISC, 0x11, 0x10, peer.UI):
        assert bench.send(frame(server, address(16), control, b"\xe6\xe6\x00\x01")) == []
    assert bench.server.events == []


def test_before_the_connection_all_is_dm():
    bench = Bench()
    primary = bench.primary()
    for control in (0x10, 0x11, 0x15, 0x19, peer.DISC, 0x3F):
        (out,) = bench.send(primary.frame(control, b"\xe6\xe6\x00\x01" if control == 0x10 else b""))
        assert Heard(out).control == peer.DM
    assert bench.server.delivered == []


def test_a_refused_client_gets_dm():
    bench = Bench(refuse=(2,))
    assert not bench.primary(server=address(2)).connect()
    assert bench.primary().connect()


def test_one_client_at_a_time():
    bench = Bench()
    first, second = bench.primary(1), bench.primary(2)
    assert first.connect()
    assert not second.connect()
    (out,) = bench.send(second.frame(0x10, b"\xe6\xe6\x00\x01"))
    assert Heard(out).control == peer.DM and Heard(out).target == address(2)
    assert not bench.primary(1, address(2)).connect(), "another logical device is another link"
    assert first.exchange(b"mine") == answer_to(b"mine")
    assert not second.disconnect()
    assert first.disconnect()
    assert second.connect()
    assert bench.server.delivered == [b"mine"]


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [1, 60, 61, 62, 125, 126, 500, 1024])
def test_segments_both_ways(size, window):
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64, window, window))
    apdu = bytes(1 + k % 255 for k in range(size))
    for _ in range(5):
        assert primary.exchange(apdu) == answer_to(apdu)
    assert bench.server.delivered == [apdu] * 5
    assert primary.repeats == 0


def test_no_answer_is_rr():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    assert primary.exchange(b"\x00quiet") is None
    assert primary.exchange(b"loud") == answer_to(b"loud")


def test_repeated_request_is_answered_again_and_delivered_once():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    request = primary.frame(0x10, b"\xe6\xe6\x00abc")
    first = bench.send(request)
    assert bench.send(request) == first
    assert bench.send(primary.frame(0x11)) == first, "a poll repeats what was not acknowledged"
    assert bench.server.delivered == [b"abc"]
    (rr,) = bench.send(primary.frame(0x31))
    assert Heard(rr).control == 0x31


def test_receive_not_ready_holds_the_answer():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64))
    (one,) = bench.send(primary.frame(0x10, b"\xe6\xe6\x00" + bytes(range(1, 60))))
    assert Heard(one).segmented
    (rr,) = bench.send(primary.frame(0x35))
    assert Heard(rr).control == 0x31
    (two,) = bench.send(primary.frame(0x31))
    assert Heard(two).control == 0x32 and Heard(two).info


def test_frames_without_poll_are_not_answered():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64, 3, 1))
    assert bench.send(primary.frame(0x00, b"\xe6\xe6\x00ab", True)) == []
    assert bench.send(primary.frame(0x02, b"cd", True)) == []
    (out,) = bench.send(primary.frame(0x14, b"ef"))
    assert Heard(out).control == 0x70
    assert bench.server.delivered == [b"abcdef"]


def test_a_frame_behind_a_lost_one_is_not_taken():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64, 3, 1))
    bench.send(primary.frame(0x00, b"\xe6\xe6\x00ab", True))
    (rr,) = bench.send(primary.frame(0x14, b"ef"))
    assert Heard(rr).control == 0x31, "N(R) says which frame is missing"
    bench.send(primary.frame(0x02, b"cd", True))
    (out,) = bench.send(primary.frame(0x14, b"ef"))
    assert Heard(out).control == 0x70
    assert bench.server.delivered == [b"abcdef"]


def test_a_client_that_asks_anew_drops_the_rest_of_an_answer():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64))
    (one,) = bench.send(primary.frame(0x10, b"\xe6\xe6\x00" + bytes(range(1, 60))))
    assert Heard(one).segmented
    (out,) = bench.send(primary.frame(0x32, b"\xe6\xe6\x00new"))
    assert Heard(out).control == 0x52
    assert Heard(out).info == b"\xe6\xe7\x00" + answer_to(b"new")


@pytest.mark.parametrize(
    "control, info, why",
    [
        (0xF1, b"", 0x08),  # N(R) of a frame that was never sent
        (0xF0, b"\xe6\xe6\x00\x01", 0x08),
        (0x19, b"", 0x01),  # REJ and SREJ are not of this profile
        (0x1D, b"", 0x01),
        (0xBF, b"", 0x01),
        (0x11, b"\x01", 0x03),
        (0x10, b"\xe6\xe6\x00" + bytes(126), 0x04),
    ],
)
def test_frame_reject_until_a_new_start(control, info, why):
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    (out,) = bench.send(primary.frame(control, info))
    assert Heard(out).control == peer.FRMR
    assert Heard(out).info == bytes((control, 0, why))
    (again,) = bench.send(primary.frame(0x10, b"\xe6\xe6\x00\x01"))
    assert again == out
    assert bench.server.delivered == [] and bench.log
    assert primary.connect()
    assert primary.exchange(b"on") == answer_to(b"on")


def test_an_apdu_that_is_too_long_is_refused():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(512, 512))
    for number, control in enumerate((0x10, 0x12, 0x14)):
        info = (b"\xe6\xe6\x00" if not number else b"") + bytes([7]) * 400
        (out,) = bench.send(primary.frame(control, info, True))
        if number < 2:
            assert Heard(out).control == (number + 1) << 5 | 0x11
    assert Heard(out).control == peer.FRMR and Heard(out).info[2] == 0x04
    assert bench.server.delivered == []
    assert "1024" in bench.log[-1]


def test_a_frame_longer_than_the_buffer_is_passed_over():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(512, 512))
    # Its inside looks like a frame: it must not be taken for one.
    inner = primary.frame(0x10, b"\xe6\xe6\x00inner")
    long = primary.frame(0x10, b"\xe6\xe6\x00" + inner * 60)
    (out,) = bench.send(long)
    assert Heard(out).control == peer.FRMR and Heard(out).info[2] == 0x04
    spoilt = bytearray(long)
    spoilt[700] ^= 1
    assert bench.send(bytes(spoilt)) == []
    assert bench.server.delivered == []
    assert primary.connect()
    assert primary.exchange(b"after") == answer_to(b"after")


def test_without_the_llc_nothing_is_delivered():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    (out,) = bench.send(primary.frame(0x10, b"\xe6\xe7\x00abc"))
    assert Heard(out).control == 0x31
    assert bench.server.delivered == []


@pytest.mark.parametrize("at", range(1, 20))
def test_a_spoilt_frame_is_silent(at):
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    data = bytearray(primary.frame(0x10, b"\xe6\xe6\x00abcdefgh"))
    data[at] ^= 0x04
    assert bench.send(bytes(data)) == []
    assert primary.exchange(b"abc") == answer_to(b"abc")


def test_shared_flags_noise_and_false_starts():
    bench = Bench()
    primary = bench.primary()
    snrm, disc = primary.frame(peer.SNRM), primary.frame(peer.DISC)
    assert len(bench.send(snrm + disc[1:] + snrm[1:])) == 3
    assert len(bench.send(b"\x7e" * 5 + disc)) == 1
    # What begins like a frame swallows the true one; it is found inside.
    for noise in (
        b"\x7e",
        b"\x7e\xa0",
        b"\x7e\xa7\xff\x03\x21",
        b"\x00\xff\x7e\xa0\x12\x03\x21\x10\x11\x12",
    ):
        assert [Heard(out).control for out in bench.send(noise + snrm + disc[1:])] == [
            peer.UA,
            peer.UA,
        ], noise


def test_inter_octet_time_out_drops_a_beginning():
    bench = Bench()
    primary = bench.primary()
    snrm = primary.frame(peer.SNRM)
    assert bench.send(snrm[:5]) == []
    assert bench.send(snrm[5:], gap_ms=501) == []
    assert bench.send(snrm[:5]) == []
    assert len(bench.send(snrm[5:], gap_ms=500)) == 1
    bench.send(snrm[:5])
    bench.link.tick(bench.now_ms + 501)
    assert not bench.link.busy


def test_inactivity_ends_the_connection():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect()
    for _ in range(3):
        bench.now_ms += 119_000
        bench.link.tick(bench.now_ms)
        assert primary.exchange(b"x") == answer_to(b"x")
    # Another client's frames keep nobody's connection alive.
    bench.now_ms += 60_000
    assert not bench.primary(5).connect()
    bench.now_ms += 60_002
    bench.link.tick(bench.now_ms)
    assert bench.server.events[-1] == ("disconnected", 3)
    (out,) = bench.send(primary.frame(0x11))
    assert Heard(out).control == peer.DM


def test_snrm_again_begins_anew():
    bench = Bench()
    primary = bench.primary()
    assert primary.connect(parameters(64, 64))
    bench.send(primary.frame(0x10, b"\xe6\xe6\x00half", True))
    assert primary.connect(parameters(64, 64))
    assert bench.server.events == [
        ("connected", 3, 16, 1),
        ("disconnected", 3),
        ("connected", 3, 16, 1),
    ]
    assert primary.exchange(b"whole") == answer_to(b"whole")
    assert bench.server.delivered == [b"whole"]

"""What the secondary station does with frames that few clients send (docs/links.md).

Each rule is a function; all run on CPython and on the MicroPython VM. Clauses are those of
IEC 62056-46; GB is the Green Book (DLMS UA 1000-2).
"""

from ams.cosem import hdlc

try:
    import hdlc_peer as peer
    from link_lab import Echo, answer_to
except ImportError:
    from openams.faultlab import hdlc_peer as peer
    from openams.faultlab.link_lab import Echo, answer_to

address, frame, parameters, Heard = peer.address, peer.frame, peer.parameters, peer.Heard
ASK = b"\xe6\xe6\x00ask"
# Every kind of frame that a client can send, with a poll and without.
CONTROLS = (0x93, 0x83, 0x53, 0x43, 0x10, 0x00, 0x11, 0x01, 0x15, 0x13, 0x03, 0x3F)
RR = 0x11
UI = 0x13
UI_NOT_LAST = 0x03


class Upper(Echo):
    """An upper layer that also serves UI frames, and has something to say."""

    def __init__(self):
        super().__init__()
        self.quietly = []
        self.to = None  # the client that is told unasked

    def unconfirmed(self, channel, client_sap, server_sap, apdu, now_ms):
        self.quietly.append((client_sap, server_sap, bytes(apdu)))

    def unasked(self, channel):
        return self.to if self.message is not None else None

    def outgoing(self, channel, named=False):
        return super().outgoing(channel)


class Bench:
    def __init__(self, client=16, server=b"\x03", connect=True, agreement=(128, 128, 1, 1)):
        self.out = []
        self.server = Upper()
        self.now_ms = 1000
        self.link = hdlc.HdlcLink(self.server, self._write, devices=(1,))
        self.primary = peer.Primary(self.line, client, server)
        self.echo = False
        if connect:
            assert self.primary.connect(parameters(*agreement))

    def _write(self, view):
        self.out.append(bytes(view))

    def line(self, frames):
        self.now_ms += 1
        for data in frames:
            self.link.feed(data, self.now_ms)
        out, self.out = self.out, []
        if self.echo:
            for data in out:
                self.link.feed(data, self.now_ms)
            assert not self.out, "an echo was answered"
        return out

    def send(self, control, info=b"", segmented=False, client=None, server=None):
        """What comes back of one frame."""
        client = self.primary.client if client is None else client
        server = self.primary.server if server is None else server
        return [
            Heard(data) for data in self.line([frame(server, client, control, info, segmented)])
        ]

    def controls(self, control, info=b"", **more):
        return [heard.control for heard in self.send(control, info, **more)]

    def tick(self, ms=1):
        self.now_ms += ms
        self.link.tick(self.now_ms)
        out, self.out = self.out, []
        return [Heard(data) for data in out]

    def works(self):
        for word in (b"one", b"two"):
            assert self.primary.exchange(word) == answer_to(word)


def _silent_to(**addresses):
    """Whoever is connected or not: no word, and nothing happens."""
    for connect in (False, True):
        bench = Bench(connect=connect)
        before = list(bench.server.events)
        for control in CONTROLS:
            info = ASK if control & 0xEF in (0x00, 0x03) else b""
            assert bench.send(control, info, **addresses) == [], (control, addresses)
        assert bench.server.events == before and not bench.server.delivered
        assert not bench.server.quietly
        if connect:
            bench.works()


# --- addresses (6.4.2.4, 6.4.2.5) --------------------------------------------------------


def nobody_and_everybody_are_no_clients():
    for client in (0, 0x7F):
        _silent_to(client=address(client))


def a_client_of_several_octets_is_none():
    for client in (b"\x02\x21", b"\x00\x20\x02\x21"):
        _silent_to(client=client)


def what_is_for_another_device_is_not_answered():
    """Another logical device, another physical one, none, and the one that is calling."""
    for server in (
        address(2), address(16), address(0), address(1, 17), address(2, 16), address(1, 0),
        address(1, 0x7E), address(1, 17, 4), address(1, 0x3FFE), address(300, 16), address(0, 16),
        b"\x02\x02\x03",
    ):  # fmt: skip
        _silent_to(server=server)


def frames_to_all_stations_are_not_answered():
    """And of all of them only UI and DISC without a poll are looked at (6.4.4.6)."""
    for server in (address(0x7F), address(1, 0x7F), address(0x7F, 16), address(0x7F, 0x7F),
                   address(0x3FFF, 0x3FFF), address(1, 0x3FFF), address(0x3FFF, 16)):  # fmt: skip
        for connect in (False, True):
            bench = Bench(connect=connect)
            for control in CONTROLS:
                info = ASK if control & 0xEF in (0x00, 0x03) else b""
                if control == 0x43:
                    continue
                assert bench.send(control, info, server=server) == []
            assert not bench.server.delivered
            assert bench.server.quietly == ([(16, 1, b"ask")] if connect else [])
            # Of somebody else they are nothing.
            assert bench.send(0x03, ASK, server=server, client=address(5)) == []
            assert bench.send(0x43, server=server, client=address(5)) == []
            assert len(bench.server.quietly) == connect
            if connect:
                bench.works()
                assert bench.send(0x43, server=server) == []
                assert bench.server.events[-1] == ("disconnected", 0)


def an_optical_head_gives_back_a_response():
    """The echo of a UA, a DM or a FRMR: no client sends those, and none is answered."""
    for connect in (False, True):
        bench = Bench(connect=connect)
        for octets in ("7EA0072103730140 7E", "7EA00703211F6B4F 7E"):
            assert bench.line([_octets(octets)]) == []
        for control in (0x73, 0x63, 0x1F, 0x0F, 0x97, 0x87):
            assert bench.send(control) == []
        if connect:
            bench.works()


def an_optical_head_gives_back_everything():
    """Also where a frame of ours looks like one of the client's: operator 1, device 1."""
    for client in (1, 16):
        for agreement in ((128, 128, 1, 1), (32, 32, 3, 7)):
            bench = Bench(client, connect=False)
            bench.echo = True
            assert bench.primary.connect(parameters(*agreement))
            for size in (1, 40, 500):
                apdu = bytes(1 + k % 255 for k in range(size))
                assert bench.primary.exchange(apdu) == answer_to(apdu)
            for _ in range(3):
                poll = 0x11 | bench.primary.expect << 5
                assert bench.controls(poll) == [0x11 | bench.primary.send << 5]
            assert bench.primary.disconnect()
            assert bench.server.delivered[-1] == apdu and len(bench.server.delivered) == 3


def without_such_a_head_a_frame_like_ours_is_the_clients():
    bench = Bench(1)
    for _ in range(4):
        assert bench.controls(RR) == [RR]
    bench.works()


# --- poll and final ------------------------------------------------------------------------


def without_a_poll_the_ua_waits():
    """SNRM is acted on, and confirmed at the first opportunity (6.4.3.6, 6.4.4.1)."""
    bench = Bench(connect=False)
    assert bench.send(0x83, parameters(64, 64)) == []
    assert bench.tick() == []
    assert bench.server.events == [("connected", 0, 16, 1)]
    ua, rr = bench.send(RR)
    assert (ua.control, rr.control) == (0x63, RR) and peer.agreed(ua.info)[5] == 64
    assert bench.controls(RR) == [RR]
    # Asked for once more it is confirmed once.
    assert bench.send(0x83) == []
    assert bench.controls(0x93) == [0x73]
    bench.works()
    # Nor is somebody else told that he may not.
    assert bench.send(0x83, client=address(5)) == []
    assert bench.controls(0x93, client=address(5)) == [0x1F]


def without_a_poll_a_disconnection_is_silent():
    bench = Bench()
    assert bench.send(0x43) == []
    assert bench.server.events[-1] == ("disconnected", 0)
    assert bench.controls(RR) == [0x1F]
    assert bench.send(0x01) == []


def frames_of_information_without_a_poll_are_taken_in_silence():
    bench = Bench(agreement=(64, 64, 7, 7))
    for k in range(6):
        info = (b"\xe6\xe6\x00" if not k else b"") + b"abc"
        assert bench.send(k << 1, info, True) == []
    (out,) = bench.send(0x1C, b"end")
    assert bench.server.delivered == [b"abc" * 6 + b"end"] and out.control == 0xF0


def polls_while_the_last_turn_is_on_its_way_are_lost():
    bench = Bench()
    sending = [True]
    bench.link.sending = lambda: sending[0]
    for control in (RR, 0x93, 0x53, UI, 0x3F):
        assert bench.send(control) == []
    assert bench.send(0x10, ASK) == [] and not bench.server.delivered
    assert bench.send(0x00, b"\xe6\xe6\x00a", True) == []
    sending[0] = False
    (out,) = bench.send(0x12, b"sk")
    assert bench.server.delivered == [b"ask"] and out.control == 0x50


# --- parameters (6.4.4.4.3.2) ---------------------------------------------------------------


def the_smaller_value_holds_however_small():
    bench = Bench(connect=False)
    assert bench.primary.connect(parameters(1, 1))
    assert bench.primary.agreed == {5: 1, 6: 1, 7: 1, 8: 1}
    assert bench.primary.exchange(b"abc") == answer_to(b"abc")
    # More than it agreed to is refused.
    number = bench.primary.send
    assert bench.controls(bench.primary.expect << 5 | 0x10 | number << 1, b"\xe6\xe6") == [0x97]


def user_data_is_no_reason_to_refuse():
    bench = Bench(connect=False)
    for info, size in (
        ("818000 C003010203", 128),
        ("818003060140 C0", 64),
        ("818003060140 C0FF0000", 64),
        ("818012050180060180070400000001080400000001 C000", 128),
    ):
        (ua,) = bench.send(0x93, _octets(info))
        assert ua.control == 0x73, info
        assert peer.agreed(ua.info)[5] == size, info


def other_parameters_are():
    bench = Bench(connect=False)
    for info in (
        "818003090101", "818003010101", "818000F000", "818000FF", "81C00101", "808003060140",
        "8180030601", "81800406014000", "8180", "81",
    ):  # fmt: skip
        assert bench.controls(0x93, _octets(info)) == [0x1F], info
        assert bench.send(0x83, _octets(info)) == []
    assert not bench.server.events


def _octets(text):
    text = text.replace(" ", "")
    return bytes(int(text[k : k + 2], 16) for k in range(0, len(text), 2))


# --- UI (6.4.3.11; GB 10.2.6.1: it is never answered) -----------------------------------------


def a_request_in_a_ui_frame_is_served_and_never_answered():
    bench = Bench()
    for control in (0x03, 0x13):
        for lsap in (b"\xe6\xe6\x00", b"\xff\xe6\x00"):
            assert bench.send(control, lsap + b"ask") == []
    assert bench.server.quietly == [(16, 1, b"ask")] * 4
    bench.works()


def what_is_no_request_in_a_ui_frame_is_dropped():
    bench = Bench()
    for control in (0x03, 0x13):
        for info in (
            b"",
            b"\xe6",
            b"\xe6\xe6\x00",
            b"\xe6\xe7\x00ask",
            b"\xe7\xe6\x00ask",
            bytes(8),
        ):
            assert bench.send(control, info) == []
        assert bench.send(control, ASK, True) == [], "it is whole in one frame (6.4.4.4.3.4)"
    assert not bench.server.quietly and not bench.server.delivered
    bench.works()


def before_a_connection_nothing_is_served():
    bench = Bench(connect=False)
    for control in (0x03, 0x13):
        assert bench.send(control, ASK) == []
    assert bench.tick() == [] and not bench.server.quietly and not bench.server.events
    bench = Bench()
    for control in (0x03, 0x13):
        assert bench.send(control, ASK, client=address(5)) == []
    assert not bench.server.quietly


def a_ui_frame_moves_no_sequence_number():
    bench = Bench(agreement=(64, 64, 1, 1))
    assert bench.controls(0x10, b"\xe6\xe6\x00ab", segmented=True) == [0x31]
    assert bench.send(0x03, ASK) == []
    (first,) = bench.send(0x12, b"c" * 60)
    assert first.segmented and bench.server.delivered == [b"ab" + b"c" * 60]
    assert bench.send(0x13, ASK) == []
    whole = first.info
    for number in (1, 2):
        (more,) = bench.send(number << 5 | 0x11)
        whole += more.info
    assert whole == b"\xe6\xe7\x00" + answer_to(b"ab" + b"c" * 60)
    assert len(bench.server.quietly) == 2


def to_all_applications_is_to_us():
    """LSAP FF (5.3.2), in an I frame too; E7 is what stations like us say."""
    bench = Bench()
    (out,) = bench.send(0x10, b"\xff\xe6\x00ask")
    assert out.info == b"\xe6\xe7\x00" + answer_to(b"ask")
    assert bench.controls(0x32, b"\xff\xe7\x00ask") == [0x51]


def a_frame_of_information_may_be_empty():
    bench = Bench()
    assert bench.controls(0x10) == [0x31]
    assert bench.controls(0x12, b"\xe6\xe6\x00") == [0x51]
    assert not bench.server.delivered


# --- messages of the meter's own (6.4.4.7; GB 10.2.6.4) ----------------------------------------


def a_message_waits_for_the_clients_own_poll():
    bench = Bench()
    bench.server.message = memoryview(b"\x0fhi")
    for _ in range(5):
        assert bench.tick(500) == []
    ui, rr = bench.send(RR)
    assert (ui.control, ui.info) == (UI_NOT_LAST, b"\xe6\xe7\x00\x0fhi") and rr.control == RR
    assert ui.target == address(16) and ui.source == address(1)
    assert bench.controls(RR) == [RR]
    bench.works()


def or_for_an_empty_ui_frame():
    for connect in (True, False):
        bench = Bench(connect=connect, server=address(1, 16))
        bench.server.message = memoryview(b"\x0f" + bytes(range(200)))
        assert bench.send(0x03) == [] and bench.tick() == []
        frames = bench.send(UI)
        last = frames[-1]
        assert last.control == UI and not last.segmented
        assert all(f.control == UI_NOT_LAST and f.segmented for f in frames[:-1])
        whole = b"".join(f.info for f in frames)
        assert whole == b"\xe6\xe7\x00\x0f" + bytes(range(200))
        assert last.target == address(16) and last.source == address(1, 16)
        # Nothing waits: there is no response to a UI (6.4.3.11).
        assert bench.send(UI) == []


def nothing_is_said_between_a_request_and_its_answer():
    bench = Bench(agreement=(64, 64, 1, 1))

    def held():
        assert bench.tick(1) == [] and bench.server.message is not None

    bench.server.message = memoryview(b"\x0fhi")
    assert bench.controls(0x10, b"\xe6\xe6\x00ab", segmented=True) == [0x31]
    held()
    assert bench.controls(RR) == [RR | 0x20], "a request is on its way"
    held()
    (first,) = bench.send(0x12, b"c" * 60)
    held()
    assert bench.controls(0x11) == [0x50], "again"
    (second,) = bench.send(0x31)
    held()
    assert bench.controls(0x35 | 0x20) == [0x51], "not ready"
    (third,) = bench.send(0x51)
    assert not third.segmented
    held()
    # The next request acknowledges it; the answer comes first.
    assert bench.controls(0x74, b"\xe6\xe6\x00\x00quiet") == [0x71]
    held()
    assert [f.control for f in bench.send(0x71)] == [UI_NOT_LAST, 0x71]


def nor_before_a_ua():
    for connect in (False, True):
        bench = Bench(connect=connect)
        bench.server.message = memoryview(b"\x0fhi")
        assert bench.controls(0x93) == [0x73]
        assert bench.controls(0x53) == [0x73]
        assert bench.controls(0x53) == [0x1F]
        assert bench.send(0x83) == []
        assert bench.controls(0x93) == [0x73]
        assert bench.server.message is not None and bench.tick() == []


def another_client_is_not_given_what_waits_for_the_connected_one():
    bench = Bench()
    bench.server.message = memoryview(b"\x0fhi")
    assert bench.send(UI, client=address(5)) == []
    assert bench.controls(RR, client=address(5)) == [0x1F]
    assert bench.server.message is not None


def what_is_to_be_said_unasked_waits_for_a_quiet_line():
    """On a line of two, where the operator has named the client who is told."""
    bench = Bench(agreement=(64, 64, 1, 1))
    bench.server.to = 2
    bench.server.message = memoryview(b"\x0fhi")
    (ui,) = bench.tick()
    assert ui.control == UI and ui.info == b"\xe6\xe7\x00\x0fhi"
    assert ui.target == address(2) and ui.source == address(1, 16)

    def held():
        assert bench.tick() == []

    bench.server.message = memoryview(b"\x0fho")
    assert bench.controls(0x10, b"\xe6\xe6\x00ab", segmented=True) == [0x31]
    held()
    bench.line([frame(b"\x03", address(16), 0x12, b"c" * 60)[:9]])
    held()
    bench.line([frame(b"\x03", address(16), 0x12, b"c" * 60)[9:]])
    held()
    for number in (1, 2):
        bench.send(number << 5 | 0x11)
    bench.link.sending = lambda: True
    held()
    bench.link.sending = None
    bench.link.mute = True
    held()
    bench.link.mute = False
    assert [f.info for f in bench.tick()] == [b"\xe6\xe7\x00\x0fho"]
    assert bench.controls(0x53) == [0x73]
    bench.link.physical = 300
    bench.server.message = memoryview(b"\x0f" + bytes(300))
    (ui,) = bench.tick()
    assert ui.target == address(2) and ui.source == address(1, 300)


RULES = (
    nobody_and_everybody_are_no_clients,
    a_client_of_several_octets_is_none,
    what_is_for_another_device_is_not_answered,
    frames_to_all_stations_are_not_answered,
    an_optical_head_gives_back_a_response,
    an_optical_head_gives_back_everything,
    without_such_a_head_a_frame_like_ours_is_the_clients,
    without_a_poll_the_ua_waits,
    without_a_poll_a_disconnection_is_silent,
    frames_of_information_without_a_poll_are_taken_in_silence,
    polls_while_the_last_turn_is_on_its_way_are_lost,
    the_smaller_value_holds_however_small,
    user_data_is_no_reason_to_refuse,
    other_parameters_are,
    a_request_in_a_ui_frame_is_served_and_never_answered,
    what_is_no_request_in_a_ui_frame_is_dropped,
    before_a_connection_nothing_is_served,
    a_ui_frame_moves_no_sequence_number,
    to_all_applications_is_to_us,
    a_frame_of_information_may_be_empty,
    a_message_waits_for_the_clients_own_poll,
    or_for_an_empty_ui_frame,
    nothing_is_said_between_a_request_and_its_answer,
    nor_before_a_ua,
    another_client_is_not_given_what_waits_for_the_connected_one,
    what_is_to_be_said_unasked_waits_for_a_quiet_line,
)

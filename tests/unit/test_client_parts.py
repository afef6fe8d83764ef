"""Parts of the host client: Data, names, and HDLC frames; its messages: test_client_codec.py."""

from __future__ import annotations

import os
import threading
import tty
from datetime import UTC, datetime

import pytest
import serial
from gurux_dlms import GXByteBuffer
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from hypothesis import given
from hypothesis import strategies as st

from openams.client import data as axdr
from openams.client import hdlc
from openams.client.errors import ClientError, LinkError
from openams.client.links import parse_url
from openams.client.names import entry_selection, parse_obis, range_selection
from openams.errors import BenchError


def gurux_value(raw):
    def plain(value):
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return bytes(value) if isinstance(value, (bytearray, bytes)) else value

    return plain(_GXCommon.getData(None, GXByteBuffer(raw), _GXDataInfo()))


# --- Data ------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.binary(max_size=300).map(lambda v: (axdr.octets(v), v)),
    st.integers(0, 0xFFFFFFFF).map(lambda v: (axdr.uint32(v), v)),
    st.integers(0, 0xFFFF).map(lambda v: (axdr.uint16(v), v)),
    st.integers(-128, 127).map(lambda v: (axdr.int8(v), v)),
    st.integers(0, 255).map(lambda v: (axdr.enum(v), v)),
    st.booleans().map(lambda v: (axdr.boolean(v), v)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=200).map(
            lambda items: (axdr.array(*[raw for raw, _ in items]), [v for _, v in items])
        ),
        st.lists(inner, max_size=5).map(
            lambda items: (axdr.structure(*[raw for raw, _ in items]), [v for _, v in items])
        ),
    ),
    max_leaves=40,
)


@given(VALUES)
def test_what_is_written_is_read_back_and_gurux_reads_the_same(pair):
    raw, value = pair
    assert axdr.decode(raw) == value
    if value != []:
        assert gurux_value(raw) == value


@given(st.binary(max_size=60))
def test_no_octets_stop_the_reader_otherwise(raw):
    try:
        axdr.decode(raw)
    except ClientError as error:
        assert "the meter's answer" in str(error)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("00", None),
        ("0300", False),
        ("040bffe0", "11111111111"),
        ("0a024142", "AB"),
        ("0c02c3a5", "å"),
        ("10fffe", -2),
        ("14ffffffffffffffff", -1),
        ("15ffffffffffffffff", (1 << 64) - 1),
        ("173f800000", 1.0),
        ("1907e0010105000000000000ff", bytes.fromhex("07e0010105000000000000ff")),
    ],
)
def test_types_that_we_never_write(raw, value):
    assert axdr.decode(bytes.fromhex(raw)) == value


def test_local_time_goes_out_with_its_deviation_and_comes_back():
    winter = datetime(2026, 1, 15, 11, 30, 5, 250000, UTC)
    summer = datetime(2026, 7, 1, 22, 0, 0, 0, UTC)
    assert axdr.date_time(winter).hex() == "07ea010f040c1e0519ffc400"
    assert axdr.date_time(summer).hex() == "07ea07020400000000ff8880"
    for when in (winter, summer):
        assert axdr.parse_date_time(axdr.date_time(when)) == when
    # No deviation given: Norwegian time, the hour that comes twice told apart by the status.
    assert axdr.parse_date_time(bytes.fromhex("07ea0a190702000000800080")) == datetime(
        2026, 10, 25, 0, tzinfo=UTC
    )
    assert axdr.parse_date_time(bytes.fromhex("07ea0a190702000000800000")) == datetime(
        2026, 10, 25, 1, tzinfo=UTC
    )
    assert axdr.parse_date_time(b"\xff" * 12) is None


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))
def test_every_moment_comes_back_to_the_hundredth(when):
    back = axdr.parse_date_time(axdr.date_time(when))
    assert abs((back - when).total_seconds()) < 0.01


# --- names and selections -----------------------------------------------------------------


def test_obis_in_its_spellings():
    for text in ("1.0.1.8.0.255", "1-0:1.8.0", "1-0:1.8.0*255", "1.0.1.8.0"):
        assert parse_obis(text) == (1, 0, 1, 8, 0, 255)
    for text in ("", "1.0", "1.0.1.8.0.256", "a.b.c.d.e.f", "1.8.0"):
        with pytest.raises(ClientError, match="no OBIS code"):
            parse_obis(text)


def test_selections_are_what_gurux_reads_in_them():
    begin = axdr.date_time(datetime(2026, 1, 1, tzinfo=UTC))
    end = axdr.date_time(datetime(2026, 1, 2, tzinfo=UTC))
    by_range = range_selection((8, "0.0.1.0.0.255", 2), begin, end)
    assert by_range[0] == 1
    clock = [8, bytes((0, 0, 1, 0, 0, 255)), 2, 0]
    value = _GXCommon.getData(None, GXByteBuffer(by_range[1:]), _GXDataInfo())
    assert [bytes(v) if isinstance(v, bytearray) else v for v in value[0]] == clock
    assert bytes(value[1]) == begin and bytes(value[2]) == end and list(value[3]) == []
    by_entry = entry_selection(5, 10, 1, 3)
    assert by_entry[0] == 2 and gurux_value(by_entry[1:]) == [5, 10, 1, 3]


@pytest.mark.parametrize(
    "text",
    ["", "meter", "http://x", "tcp://", "tcp://h:99999", "tcp://h/path", "serial://",
     "serial:///dev/x?speed=1", "serial:///dev/x?baud=fast", "serial://dev/x"],
)  # fmt: skip
def test_a_bad_url_is_one_line(text):
    with pytest.raises(BenchError, match="write it like"):
        parse_url(text)


def test_urls():
    assert (parse_url("tcp://h").host, parse_url("tcp://h").port) == ("h", 4059)
    assert parse_url("tcp://[::1]:99").host == "::1"
    line = parse_url("serial:///dev/ttyUSB0?baud=300&physical=17")
    assert (line.device, line.baud, line.physical) == ("/dev/ttyUSB0", 300, 17)


# --- HDLC -----------------------------------------------------------------------------------

CLIENT, SERVER = b"\x21", b"\x03"


def test_the_reference_frames():
    """The SNRM of gurux, and a DISC."""
    snrm = hdlc.encode(SERVER, CLIENT, hdlc.Frame(hdlc.SNRM))
    assert snrm.hex() == "7ea0070321930f017e"
    assert hdlc.encode(SERVER, CLIENT, hdlc.Frame(hdlc.DISC)).hex() == "7ea00703215303c77e"


FRAMES = st.lists(
    st.builds(
        hdlc.Frame,
        st.integers(0, 255),
        st.one_of(st.just(b""), st.binary(min_size=1, max_size=200)),
        st.booleans(),
    ),
    max_size=5,
)


@given(FRAMES, st.binary(max_size=10), st.integers(1, 50), st.booleans())
def test_frames_come_out_of_a_stream_cut_anywhere(frames, noise, size, shared):
    octets = noise.replace(b"\x7e", b"")
    for frame in frames:
        encoded = hdlc.encode(SERVER, CLIENT, frame)
        # One flag may close a frame and open the next.
        octets += encoded[1:] if shared and octets[-1:] == b"\x7e" else encoded
    deframer = hdlc.Deframer()
    found = []
    for at in range(0, len(octets), size):
        found += deframer.feed(octets[at : at + size])
    assert [hdlc.decode(body, SERVER, CLIENT) for body in found] == frames


@given(FRAMES.filter(bool), st.integers(0), st.integers(0, 7))
def test_a_damaged_frame_is_none(frames, place, bit):
    octets = bytearray(hdlc.encode(SERVER, CLIENT, frames[0]))
    octets[1 + place % (len(octets) - 2)] ^= 1 << bit
    for body in hdlc.Deframer().feed(bytes(octets)):
        assert hdlc.decode(body, SERVER, CLIENT) is None


def test_addresses_of_one_two_and_four_octets():
    assert hdlc._server_address(1, None) == b"\x03"
    assert hdlc._server_address(1, 17) == b"\x02\x23"
    assert hdlc._server_address(1, 0x1234) == b"\x00\x02\x48\x69"
    assert hdlc._server_address(0x123, None) == b"\x04\x46\x00\x01"


class Meter:
    """The far end of a line that answers as it is told, and remembers what it heard."""

    def __init__(self, answers):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.line = serial.Serial(os.ttyname(slave), timeout=0.02)
        os.close(slave)
        self.heard = []
        self._answers = answers
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        deframer = hdlc.Deframer()
        while self._answers:
            try:
                bodies = deframer.feed(os.read(self.master, 4096))
            except OSError:
                return
            for body in bodies:
                frame = hdlc.decode(body, SERVER, CLIENT)
                self.heard.append(frame)
                answer = self._answers.pop(0)
                if answer is None:
                    continue
                octets = bytearray(hdlc.encode(CLIENT, SERVER, answer))
                os.write(self.master, octets)

    def transport(self, **more):
        return hdlc.HdlcTransport(self.line, 16, timeout_s=0.2, **more)


UA = hdlc.Frame(hdlc.UA, bytes.fromhex("8180140502008006020080070400000001080400000001"))


def test_long_requests_and_answers_go_in_segments():
    request = bytes(range(256))
    answer = b"\xe6\xe7\x00" + bytes(300)
    meter = Meter(
        [
            UA,
            hdlc.Frame(0x31),  # RR 1
            hdlc.Frame(0x51),  # RR 2
            hdlc.Frame(0x70, answer[:128], True),
            hdlc.Frame(0x72, answer[128:256], True),
            hdlc.Frame(0x74, answer[256:]),
            hdlc.Frame(0x73),
        ]
    )
    transport = meter.transport()
    transport.connect()
    assert transport.send_request(request) == bytes(300)
    sent = b"".join(frame.information for frame in meter.heard[1:4])
    assert sent == b"\xe6\xe6\x00" + request
    assert [frame.segmented for frame in meter.heard[1:4]] == [True, True, False]
    assert [len(frame.information) for frame in meter.heard[1:4]] == [128, 128, 3]
    assert [frame.control for frame in meter.heard[4:6]] == [0x31, 0x51]  # RR
    transport.disconnect()
    assert meter.heard[-1].control == hdlc.DISC


@pytest.mark.parametrize(("told", "sent"), [("0000", 128), ("FFFF", 512)])
def test_a_meter_that_names_no_size_is_sent_frames_all_the_same(told, sent):
    """None would be sent for ever, one too long for the field of its length."""
    odd = hdlc.Frame(hdlc.UA, bytes.fromhex(f"8180080502{told}0602{told}"))
    meter = Meter([odd, hdlc.Frame(0x31), hdlc.Frame(hdlc.DM)])
    transport = meter.transport()
    transport.connect()
    with pytest.raises(LinkError, match="has ended"):
        transport.send_request(bytes(700))
    assert len(meter.heard[1].information) == sent


def test_an_answer_without_end_is_none():
    answers = [UA] + [hdlc.Frame(0x30 | n % 8 << 1, bytes(2000), True) for n in range(40)]
    transport = Meter(answers).transport()
    transport.connect()
    with pytest.raises(LinkError, match="no end"):
        transport.send_request(b"hello")


def test_a_lost_answer_is_asked_for_again():
    meter = Meter([None, UA, None, hdlc.Frame(0x30, b"\xe6\xe7\x00ok")])
    transport = meter.transport()
    transport.connect()
    assert transport.send_request(b"hello") == b"ok"
    assert meter.heard[2] == meter.heard[3]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([hdlc.Frame(hdlc.DM)], "does not take the connection"),
        ([UA, hdlc.Frame(hdlc.DM)], "has ended"),
        ([UA, hdlc.Frame(hdlc.FRMR)], "has ended"),
        ([UA, hdlc.Frame(0x32, b"\xe6\xe7\x00")], "out of order"),
        ([UA, hdlc.Frame(0x30, b"\xe6\xe6\x00")], "LLC"),
        ([UA, None, None, None], "no answer"),
    ],
)
def test_a_meter_that_answers_otherwise_is_one_line(answers, text):
    transport = Meter(list(answers)).transport()
    with pytest.raises(LinkError, match=text):
        transport.connect()
        transport.send_request(b"hello")

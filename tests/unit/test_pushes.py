"""DLMS pushes of Landis+Gyr, Iskraemeco, Sagemcom and Kaifa (Austria): who reads them gets what
the meter has, in clear and encrypted, whatever carries them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import InterfaceType
from hanrequests import request
from hypothesis import given, settings
from hypothesis import strategies as st
from push_request import handle
from smartmeter_austria_energy.decrypt import Decrypt
from smartmeter_austria_energy.supplier import SUPPLIERS
from smartmeter_datacollector.smartmeter.cosem import Cosem, RegisterCosem
from smartmeter_datacollector.smartmeter.hdlc_dlms_parser import HdlcDlmsParser
from smartmeter_datacollector.smartmeter.meter_data import MeterDataPointTypes
from smartmeter_datacollector.smartmeter.obis import OBISCode

from openams.han.assembly import Assembler
from openams.han.axdr import Reader
from openams.han.cipher import Keys
from openams.han.errors import HanError
from openams.han.frames import Deframer, parse_hdlc
from openams.han.reader import FrameReader, decode_frame
from openams.meter_time import to_utc_ms

VARIANTS = [
    *(("landis", variant) for variant in ("ch", "ch-e360", "at", "at-burgenland")),
    *(("iskraemeco", variant) for variant in ("si", "si-celje", "ch", "at", "at-kelag", "hr")),
    *(("sagemcom", variant) for variant in ("at", "cz")),
    *(("kaifa", variant) for variant in ("at", "at-salzburg")),
]
IDS = ["-".join(pair) for pair in VARIANTS]
KEY = "000102030405060708090a0b0c0d0e0f"
AUTHENTICATION = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
KEYS = [Keys(bytes.fromhex(KEY), bytes.fromhex(AUTHENTICATION))]
SEAL = {
    "cipher": {
        "system_title": "4f414d0000000011",
        "counter": 77,
        "keys": [{"encryption": KEY, "authentication": AUTHENTICATION}],
    }
}
# What the request has, by the names of our reader.
VALUES = {
    "active_power_import_w": 4287,
    "active_power_export_w": 0,
    "reactive_power_import_var": 0,
    "reactive_power_export_var": 16,
    **{f"voltage_l{k}_v": value for k, value in ((1, 231), (2, 232), (3, 229))},
    **{f"current_l{k}_a": value for k, value in ((1, 1.2), (2, 2.3), (3, 17.5))},
    **{f"active_power_import_l{k}_w": value for k, value in ((1, 283), (2, 4), (3, 4000))},
    **{f"active_power_export_l{k}_w": 0 for k in (1, 2, 3)},
    **{name: value for name, value in (("a_plus_wh", 123_456), ("a_minus_wh", 1000))},
    **{name: value for name, value in (("r_plus_varh", 22_000), ("r_minus_varh", 333_330))},
    **{f"angle_l{k}_deg": value for k, value in ((1, 356), (2, 14), (3, 0))},
    "power_factor": 0.997,
}


def rated(name):
    """What a register of a rate shows: everything is counted at rate 1."""
    stem, _, tail = name.rpartition("_t")
    return 0 if tail[0] != "1" else VALUES.get(f"{stem}_{tail[2:]}", 0)


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=IDS)
@pytest.mark.parametrize("list_no", [2, 3])
@pytest.mark.parametrize("sealed", [False, True])
def test_our_reader_reads_every_list(name, variant, list_no, sealed):
    more = SEAL if sealed else {}
    reading = decode_frame(handle(request(name, variant, list=list_no, **more)), KEYS)
    for field, value in reading.values.items():
        if field.startswith("r_q"):
            assert value == 0
        elif "_t" in field:
            assert value == rated(field), field
        else:
            assert float(value) == pytest.approx(VALUES[field], abs=0.0006), field
    assert len(reading.values) >= 4
    if variant != "cz":
        when = reading.meter_time
        assert when.iso == "2026-08-14T08:00:10"


# --- an independent reader of HDLC, blocks, A-XDR and the push object list ---------------


def by_gurux(frame):
    """The values of a notification as gurux-dlms gives them."""
    client = GXDLMSClient(True, interfaceType=InterfaceType.HDLC)
    buffer = GXByteBuffer(frame)
    notify = GXReplyData()
    while buffer.available():
        client.getData(buffer, GXReplyData(), notify)
    assert notify.isComplete() and not notify.isMoreData()
    return notify.value, notify.time


@pytest.mark.parametrize(
    ("name", "variant"), [pair for pair in VARIANTS if pair[0] in ("landis", "iskraemeco")]
)
def test_gurux_reads_every_list_over_hdlc(name, variant):
    data = handle(request(name, variant))
    values, when = by_gurux(data)
    numbers = [value for value in values if isinstance(value, int)]
    ours = [float(value) for value in decode_frame(data).values.values()]
    if variant == "at" and name == "iskraemeco":
        numbers = [value[1] for value in values if len(value) == 3]
    whole = name == "landis" and variant != "ch-e360"
    shown = [
        value / (100 if field.startswith("current") else 1000 if field == "power_factor"
                 else 10 if field.startswith("voltage") and not whole else 1)
        for field, value in zip(decode_frame(data).values, numbers, strict=False)
    ]  # fmt: skip
    assert shown == pytest.approx(ours)
    assert when.value.strftime("%Y-%m-%d %H:%M:%S") == "2026-08-14 08:00:10"


def by_scs(frame, tenths):
    """{code: value} as the Swiss smartmeter-datacollector gives them, and the meter's number."""
    volts = [
        RegisterCosem(OBISCode(1, 0, c, 7, 0), kind.value, 0.1 if tenths else 1)
        for c, kind in ((32, MeterDataPointTypes.VOLTAGE_L1), (52, MeterDataPointTypes.VOLTAGE_L2),
                        (72, MeterDataPointTypes.VOLTAGE_L3))
    ]  # fmt: skip
    parser = HdlcDlmsParser(Cosem("none", register_obis_extended=volts))
    complete = False
    for piece in Deframer().feed(frame):
        parser.append_to_hdlc_buffer(b"\x7e" + piece + b"\x7e")
        complete = parser.extract_data_from_hdlc_frames()
    assert complete
    when = parser.extract_message_time()
    bundle = parser.convert_dlms_bundle_to_reader_data(parser.parse_to_dlms_objects(), when)
    return {str(p.obis): p.value for p in bundle.data_points}, bundle.source, bundle.timestamp


@pytest.mark.parametrize(
    ("name", "variant", "number", "clock"),
    [
        # Without a deviation the reader takes the time for its own.
        ("landis", "ch", "00000017", "08:00:10"),
        ("landis", "at", "none", "08:00:10"),
        ("landis", "ch-e360", "LGZ1030000000017", "06:00:10"),
        ("iskraemeco", "ch", "ISK1030000000017", "06:00:10"),
    ],
)
def test_a_swiss_reader_reads_lists_with_codes(name, variant, number, clock):
    data = handle(request(name, variant))
    read, source, when = by_scs(data, tenths=variant != "ch" or name != "landis")
    expected = {"1.7.0": 4287, "2.7.0": 0, "1.8.0": 123_456, "2.8.0": 1000, "31.7.0": 1.2,
                "71.7.0": 17.5, "32.7.0": 231, "72.7.0": 229, "3.7.0": 0, "4.7.0": 16,
                "3.8.0": 22_000, "4.8.0": 333_330}  # fmt: skip
    found = {code.split(":")[1].partition("*")[0]: value for code, value in read.items()}
    for code, value in expected.items():
        if code in found:
            assert found[code] == pytest.approx(value), code
    assert {"1.7.0", "1.8.0", "2.8.0"} <= set(found)
    assert source == number
    if clock == "06:00:10":
        when = when.astimezone(UTC)
    assert when.strftime("%H:%M:%S") == clock


# --- Austria: M-Bus, encrypted -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variant", "supplier"),
    [("sagemcom", "at", "EVN"), ("kaifa", "at", "EVN"), ("kaifa", "at-salzburg", "SALZBURGNETZ")],
)
def test_an_austrian_reader_reads_the_encrypted_list(name, variant, supplier):
    data = handle(request(name, variant, **SEAL))
    who = SUPPLIERS[supplier]
    second = data.index(who.frame2_start_bytes)
    assert data.startswith(who.frame1_start_bytes) and data.endswith(who.frame2_end_bytes)
    reader = Decrypt(who, data[:second], data[second:], KEY)
    # Version 1.5.0 wants two octets behind the number at the end, which no meter of Netz NOE sends;
    # it is so with frames of real ones too. All else has been read by then.
    with contextlib.suppress(ValueError):
        reader.parse_all()
    expected = {"VoltageL1": 231, "VoltageL2": 232, "VoltageL3": 229, "CurrentL1": 1.2,
                "CurrentL2": 2.3, "CurrentL3": 17.5, "RealPowerIn": 4287, "RealPowerOut": 0,
                "RealEnergyIn": 123_456, "RealEnergyOut": 1000, "Factor": 0.997,
                "ReactiveEnergyIn": 22_000, "ReactiveEnergyOut": 333_330}  # fmt: skip
    for field in who.supplied_values:
        value = reader.get_obis_value(field)
        if field == "DeviceNumber" and supplier != "EVN":
            assert value.raw_value == b"1KFM0000000017"
        elif field in expected and not (field == "Factor" and variant == "at-salzburg"):
            assert value.value == pytest.approx(expected[field]), field


@pytest.mark.parametrize(
    ("header", "control", "size"), [("tdszhc", 0x20, 0), ("tdszh", 0x30, 12), ("tdszhc1", 0x21, 0)]
)
def test_how_a_list_is_sealed(header, control, size):
    """The counter is the cipher's, the tag is there where it is authenticated, and the plaintext
    is what goes in clear."""
    plain = handle(request("sagemcom", "at", options={"header": header, "link": "none"}))
    sealed = handle(request("sagemcom", "at", options={"header": header, "link": "none"}, **SEAL))
    head = bytes.fromhex("db08" + SEAL["cipher"]["system_title"])
    assert sealed.startswith(head)
    length = len(plain) + 5 + size
    text = b"\x81" + bytes((length,)) if length < 256 else b"\x82" + length.to_bytes(2, "big")
    assert sealed[len(head) :].startswith(text + bytes((control,)) + (77).to_bytes(4, "big"))
    assert len(sealed) == len(head) + len(text) + length
    reading = decode_frame(sealed, KEYS)
    assert reading.values == decode_frame(plain).values


# --- what carries them ---------------------------------------------------------------------


def blocks_of(data):
    """What the blocks of a general block transfer hold."""
    out = []
    for frame in Deframer().feed(data):
        information = parse_hdlc(frame).information.removeprefix(b"\xe6\xe7\x00")
        assert information[0] == 0xE0 and information[6] == len(information) - 7
        out.append(information[7:])
    return out


def ends_of_values(notification):
    """Where the numbers and descriptors of a plain list begin and end."""
    reader = Reader(notification)
    reader.take(18)
    spans = []

    def walk(depth):
        start = len(notification) - len(reader.rest)
        tag = reader.octet()
        if tag in (1, 2):
            count = reader.length()
            for _ in range(count):
                walk(depth + 1)
            if depth == 2:
                spans.append((start, len(notification) - len(reader.rest)))
        elif tag == 9:
            reader.take(reader.length())
        else:
            reader.take({6: 4, 0x12: 2, 0x0F: 1, 0x15: 8, 0x14: 8}[tag])
            if depth == 1:
                spans.append((start, len(notification) - len(reader.rest)))

    walk(0)
    return spans


@given(st.lists(st.sampled_from(
    ["1.7.0", "31.7.0", "1-1:1.8.0", "1.8.0=15", "1.7.0=14", "0-0:96.1.0", "0-0:42.0.0"]),
    min_size=1, max_size=30))  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_a_block_ends_between_numbers_and_descriptors(listed):
    objects = " ".join(["0-8:25.9.0", *listed])
    data = handle(request("landis", "ch", options={"objects": objects}))
    blocks = blocks_of(data)
    assert len(blocks[0]) <= 119 and all(len(block) <= 122 for block in blocks)
    notification = b"".join(blocks)
    cuts, at = set(), 0
    for block in blocks[:-1]:
        at += len(block)
        cuts.add(at)
    for start, end in ends_of_values(notification):
        assert not any(start < cut < end for cut in cuts)
    assert len(decode_frame(data).traits["objects"].split()) == len(listed) + 1
    assert by_gurux(data)[0] is not None


@pytest.mark.parametrize("size", [60, 154, 512])
def test_segments_hold_what_they_may(size):
    data = handle(request("iskraemeco", "at", options={"link": f"hdlc cf022313 {size}"}))
    frames = [parse_hdlc(frame) for frame in Deframer().feed(data)]
    assert all(len(frame.information) == size for frame in frames[:-1])
    assert [frame.segmented for frame in frames] == [True] * (len(frames) - 1) + [False]
    # Only the last has its final bit.
    assert {frame.address[-1] for frame in frames[:-1]} <= {0x03} and frames[-1].address[-1] == 0x13
    assert by_gurux(data)[0] is not None
    assert decode_frame(data).values["active_power_import_w"] == 4287


@pytest.mark.parametrize("size", [5, 40, 245, 252])
def test_m_bus_pieces_are_counted(size):
    """Up to 16 pieces and more; 252 octets make a length of 257 that its field says as 1."""
    data = handle(request("sagemcom", "at", options={"link": f"mbus {size}"}, **SEAL))
    frames = list(Deframer().feed(data))
    assert b"".join(frames) == data
    assert [frame[6] & 15 for frame in frames] == [k & 15 for k in range(len(frames))]
    assert [frame[6] >> 4 for frame in frames] == [0] * (len(frames) - 1) + [1]
    assert (frames[0][1] == 1) == (size == 252)
    if len(frames) <= 16:
        assert decode_frame(data, KEYS).values["a_plus_wh"] == 123_456


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=IDS)
def test_every_flipped_bit_is_refused(name, variant):
    if variant == "cz":
        return  # an APDU alone has no check
    data = handle(request(name, variant))
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        reader, found = FrameReader(), []
        for piece in (bytes(broken), b"", data, data):
            try:
                found += reader.feed(piece)
            except HanError:
                continue
        # The first of them is lost, the last is read; a flag between two frames may be lost alone.
        assert 1 <= len(found) <= 2 or data[at] == 0x7E, at
        assert found[-1].values == decode_frame(data).values


def test_a_lost_frame_loses_one_list_and_no_more():
    for name, variant in (("landis", "ch"), ("iskraemeco", "at"), ("sagemcom", "at")):
        data = handle(request(name, variant))
        frames = list(Deframer().feed(data))
        raw = [frame if frame[:1] == b"\x68" else b"\x7e" + frame + b"\x7e" for frame in frames]
        for lost in range(len(raw)):
            reader, found, errors = FrameReader(), [], 0
            for piece in raw[:lost] + raw[lost + 1 :] + raw:
                try:
                    found += reader.feed(piece)
                except HanError:
                    errors += 1
            assert len(found) == 1, (name, lost)
            assert not reader.begun


def test_pieces_that_never_end_grow_nothing():
    """Blocks, segments and pieces without a last: each is bounded by the next that begins."""
    assembler = Assembler()
    data = handle(request("landis", "ch"))
    first = next(iter(Deframer().feed(data)))
    for _ in range(1000):
        assert assembler.add(first) is None
    assert assembler.count == 1


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=IDS)
def test_export_and_what_no_field_holds(name, variant):
    data = handle(
        request(
            name,
            variant,
            quantities={
                "total_active_power_mw": -(6 * 10**15),
                "current_ua": [2 * 10**9, 0, 0],
                "voltage_mv": [2 * 10**9, 0, 0],
            },
            registers={"a_minus_mwh": ((1 << 32) + 5) * 1000},
        )
    )
    values = decode_frame(data).values
    assert values.get("active_power_import_w", 0) == 0
    # What is measured stops at the largest that its field holds; a register rolls over.
    assert values.get("active_power_export_w", 0xFFFFFFFF) == 0xFFFFFFFF
    assert values.get("current_l1_a", 655.35) * 100 == pytest.approx(65535)
    if "voltage_l1_v" in values:
        assert float(values["voltage_l1_v"]) in (6553.5, 65535)
    assert values.get("a_minus_wh", 5) == 5


@given(
    st.integers(0, (1 << 32) - 1),
    st.integers(-(10**8), 10**8),
    st.integers(-(10**8), 10**8),
    st.sampled_from(VARIANTS),
    st.integers(0, 4_000_000_000),
)
@settings(deadline=None, max_examples=150)
def test_values_and_times_come_back(wh, active_mw, reactive_mvar, which, second):
    name, variant = which
    data = handle(
        request(
            name,
            variant,
            utc_ms=second * 1000,
            quantities={
                "total_active_power_mw": active_mw,
                "total_reactive_power_mvar": reactive_mvar,
            },
            registers={"a_plus_mwh": wh * 1000 + 999},
        )
    )
    reading = decode_frame(data)
    values = reading.values
    if "a_plus_wh" in values:
        assert values["a_plus_wh"] == wh
    if "active_power_import_w" in values:
        net = values["active_power_import_w"] - values["active_power_export_w"]
        assert abs(net * 1000 - active_mw) <= 500
    if "reactive_power_import_var" in values:
        net = values["reactive_power_import_var"] - values["reactive_power_export_var"]
        assert abs(net * 1000 - reactive_mvar) <= 500


@pytest.mark.parametrize(
    ("utc", "text", "deviation"),
    [
        ("2026-03-29T00:59:59", "2026-03-29T01:59:59", -60),
        ("2026-03-29T01:00:00", "2026-03-29T03:00:00", -120),
        ("2026-10-25T00:59:59", "2026-10-25T02:59:59", -120),
        ("2026-10-25T01:00:00", "2026-10-25T02:00:00", -60),
        ("2027-12-31T22:59:59", "2027-12-31T23:59:59", -60),
        ("2027-12-31T23:00:00", "2028-01-01T00:00:00", -60),
        ("2028-02-28T23:00:00", "2028-02-29T00:00:00", -60),
    ],
)
@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=IDS)
def test_local_time(name, variant, utc, text, deviation):
    if variant == "cz":
        return  # it says no time
    ms = to_utc_ms(datetime.fromisoformat(utc).replace(tzinfo=UTC))
    reading = decode_frame(handle(request(name, variant, utc_ms=ms)))
    assert reading.meter_time.iso == text
    if reading.meter_time.deviation != -0x8000:
        assert reading.meter_time.deviation == deviation
        assert (reading.meter_time.status == 0x80) == (deviation == -120)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_pushes_with_nothing_around_them_are_told_apart(noise, chunk):
    """Octets between them that are none, and any cut of the stream, lose none."""
    data = handle(request("sagemcom", "cz"))
    stream = b"".join(bytes([0x55 ^ (k & 7)] * k) + data for k in noise)
    reader, found = FrameReader(), []
    for at in range(0, len(stream), chunk):
        found += reader.feed(stream[at : at + chunk])
    assert [reading.values for reading in found] == [decode_frame(data).values] * len(noise)
    assert reader.dropped == sum(noise) and not reader.begun


def test_a_push_that_is_cut_loses_no_more_than_what_follows_it():
    data = handle(request("sagemcom", "cz"))
    for cut in range(12, len(data), 7):
        reader, found = FrameReader(), []
        for piece in (data[:cut] + data * 3, b""):
            with contextlib.suppress(HanError):
                found += reader.feed(piece)
        assert 2 <= len(found) <= 3, cut

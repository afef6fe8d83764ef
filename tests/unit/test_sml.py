"""SML files: smllib and pysml read what every maker's variant sends, and refuse what is broken."""

from __future__ import annotations

import contextlib
import random

import pytest
import sml as pysml
from hanrequests import request
from hypothesis import given, settings
from hypothesis import strategies as st
from push_request import handle
from smllib import SmlStreamReader
from smllib.errors import CrcError

from ams.han.sml_lists import VARIANTS
from openams.han.errors import HanError
from openams.han.frames import Deframer, crc_kermit
from openams.han.reader import FrameReader, decode_frame

# What the request has under each code; registers in mWh.
POWERS = {"16.7.0": 4287, "15.7.0": 4287, "1.7.0": 4287, "36.7.0": 283, "56.7.0": 4, "76.7.0": 4000}
ENERGIES = {"1.8.0": 123_456_780, "1.8.1": 123_456_780, "1.8.2": 0, "2.8.0": 1_000_000,
            "2.8.1": 1_000_000, "2.8.2": 0}  # fmt: skip
OTHERS = {"32.7.0": 231, "52.7.0": 232, "72.7.0": 229, "31.7.0": 1.2, "51.7.0": 2.3,
          "71.7.0": 17.5, "14.7.0": 50.0, "81.7.4": 356, "81.7.15": 14, "81.7.26": 0}  # fmt: skip
EXPORT = {
    "active_power_mw": [-2_283_400, 4_000, -4_000_000],
    "total_active_power_mw": -6_279_400,
}


def by_smllib(data, crc="x25"):
    """{C.D.E: value} of a file; None when there is no whole one."""
    reader = SmlStreamReader(crc=crc)
    reader.add(data)
    frame = reader.get_frame()
    if frame is None:
        return None
    _, listed, _ = frame.parse_frame()
    return {entry.obis.obis_short: entry.get_value() for entry in listed.message_body.val_list}


def by_pysml(data):
    """The same, of the other reader."""
    _, frame = pysml.SmlBase.find_frame(data)
    if frame is None:
        return None
    entries = frame[1]["messageBody"]["valList"]
    return {e["objName"].partition(":")[2].partition("*")[0]: e.get("value") for e in entries}


READERS = {"smllib": by_smllib, "pysml": by_pysml}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_outside_readers_read_every_variant(variant, reader):
    read = READERS[reader](handle(request("sml", variant)))
    for code, value in read.items():
        if code in POWERS:
            assert value == pytest.approx(POWERS[code]), code
        elif code in ENERGIES:
            # A register shows what has passed whole.
            assert -1e-6 <= ENERGIES[code] / 1000 - value < 0.1, code
        elif code in OTHERS:
            assert value == pytest.approx(OTHERS[code]), code
        else:
            assert isinstance(value, (str, bytes)) or code == "96.5.0", code
    assert {"1.8.0", "1.8.1"} & set(read) and set(POWERS) & set(read)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_export_has_a_sign_and_a_status(variant, reader):
    data = handle(request("sml", variant, quantities=EXPORT))
    read = READERS[reader](data)
    for code, value in (("16.7.0", -6279.4), ("15.7.0", 6279.4), ("1.7.0", 0), ("36.7.0", -2283.4)):
        if code in read:
            assert read[code] == pytest.approx(value, abs=0.5), code
    status = decode_frame(data).traits["status"]
    assert status != decode_frame(handle(request("sml", variant))).traits["status"]
    # The bit by which readers tell the direction: EDL21 meters, and the FNN's.
    assert status & (0x20 if status in (0x182, 0x1A2) else 0x800)


@pytest.mark.parametrize("system", ["1P2W", "3P3W"])
@pytest.mark.parametrize("variant", ["emh-mme", "easymeter", "holley-zdba", "apator"])
def test_a_meter_leaves_out_the_phases_that_it_has_not(variant, system):
    read = by_smllib(handle(request("sml", variant, system=system)))
    assert ("56.7.0" in read or "52.7.0" in read) == (system == "3P3W")
    assert "36.7.0" in read or "32.7.0" in read


@pytest.mark.parametrize("variant", VARIANTS)
def test_registers_beyond_every_field(variant):
    """What its octets do not hold rolls over, as a register does; all else is as it was."""
    data = handle(request("sml", variant, registers={"a_plus_mwh": 1 << 62}))
    read, listed = by_smllib(data), decode_frame(data).traits["objects"]
    code = "1.8.0" if "1.8.0" in read else "1.8.1"
    (form,) = [text.partition("=")[2] for text in listed.split() if text.startswith(code)]
    step = 10 ** (3 + int(form[2:]))
    value = (1 << 62) // step if step >= 1 else (1 << 62) * 10 ** -(3 + int(form[2:]))
    bits = 8 * int(form[1])
    value &= (1 << bits) - 1
    if form[0] == "i" and value >> bits - 1:
        value -= 1 << bits
    assert read[code] == pytest.approx(value * step / 1000)


@pytest.mark.parametrize("reader", READERS)
def test_escapes_in_what_is_said(reader):
    """1b1b1b1b in a value, at its end and longer runs of it, with every padding."""
    for key in ("1b1b1b1b" * 12, "1b" * 47 + "00", "00" * 43 + "1b" * 5, "1b1b1b1b01010101" * 6,
                "001b1b1b1b1a00" * 6 + "1b" * 6, "1b1b1b1b1b" + "01" * 43):  # fmt: skip
        for more in range(4):
            texts = {"199.130.5": key + "1b" * more}
            data = handle(request("sml", "emh", options={"texts": texts}))
            said = READERS[reader](data)["199.130.5"]
            assert said == texts["199.130.5"], key
            assert decode_frame(data).traits["texts"] == texts
            assert list(Deframer().feed(data)) == [data]


def test_every_padding_and_both_checks():
    paddings = set()
    for size in range(1, 9):
        for variant in ("emh", "dzg"):
            texts = {"199.130.5": "ab" * size}
            objects = "1.8.0/2=i5-1 16.7.0=i4-1 199.130.5"
            options = {"texts": texts, "objects": objects}
            data = handle(request("sml", variant, options=options))
            assert len(data) % 4 == 0 and by_smllib(data)["199.130.5"] == texts["199.130.5"]
            paddings.add((variant, data[-3]))
    assert {padding for variant, padding in paddings if variant == "emh"} == {0, 1, 2, 3}
    # DZG's meters fill up with four what needs none.
    assert {padding for variant, padding in paddings if variant == "dzg"} == {1, 2, 3, 4}
    data = handle(request("sml", "holley", options={"form": "snrwyfk"}))
    assert by_smllib(data, "kermit")["16.7.0"] == 4287
    assert int.from_bytes(data[-2:], "big") == crc_kermit(data[:-2])
    with pytest.raises(CrcError):
        by_smllib(data)
    assert "k" in decode_frame(data).traits["form"]


def test_checks_of_messages_as_short_as_iskra_has_them():
    """A check whose first octet is zero loses it; readers take it all the same."""
    short = 0
    for number in range(600):
        options = {"transaction": number}
        data = handle(request("sml", "iskra-mt631", options=options))
        assert by_smllib(data)["16.7.0"] == by_pysml(data)["16.7.0"] == 4287
        short += "c" in decode_frame(data).traits["form"]
    assert short > 2


@pytest.mark.parametrize("reader", READERS)
def test_every_flipped_bit_is_refused(reader):
    data = handle(request("sml", "iskra-mt631"))
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(CrcError):
            assert READERS[reader](bytes(broken)) is None, bit


def test_our_reader_refuses_every_flipped_bit():
    data = handle(request("sml", "iskra-mt631"))
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HanError):
            decode_frame(bytes(broken))


@given(
    st.integers(0, 1 << 40),
    st.integers(-(10**8), 10**8),
    st.integers(0, 3_599_999),
    st.sampled_from(VARIANTS),
)
@settings(deadline=None, max_examples=200)
def test_values_come_back_as_they_were(mwh, power_mw, rest_uws, variant):
    rates = [[0, rate, mwh, rest_uws] for rate in (0, 1)]
    quantities = {"total_active_power_mw": power_mw, "active_power_mw": [power_mw, 0, 0]}
    registers = {"a_plus_mwh": mwh}
    more = {"rates": rates}
    data = handle(request("sml", variant, quantities=quantities, registers=registers, more=more))
    values = decode_frame(data).values
    exact_uws = mwh * 3_600_000 + rest_uws
    name = "a_plus_wh" if "a_plus_wh" in values else "a_plus_t1_wh"
    step_uws = {"easymeter": 360_000, "ebz": 36_000}.get(variant, 360_000_000)
    assert values[name] * 3_600_000_000 == exact_uws // step_uws * step_uws
    if "active_power_w" in values:
        shown = abs(power_mw) if variant in ("emh", "smarty") else power_mw
        assert abs(values["active_power_w"] * 1000 - shown) <= 500


def stream(count, rng):
    """Files of every variant, and where each ends."""
    out = b""
    files = []
    for _ in range(count):
        variant = rng.choice(VARIANTS)
        power = rng.randrange(-(10**7), 10**7)
        files.append(handle(request("sml", variant, quantities={"total_active_power_mw": power})))
        out += files[-1]
    return out, files


def test_a_large_file_is_looked_through_a_piece_at_a_time():
    """Each step looks through all that waits: that is little, however large the file is."""
    rng = random.Random(3)
    out, files = stream(40, rng)
    data = b"".join(rng.randbytes(5000) + file for file in files)
    deframer, found, most = Deframer(), [], 0
    for frame in deframer.feed(data):
        found.append(frame)
        most = max(most, len(deframer._buffer))
    assert [frame for frame in found if frame in files] == files
    assert most < 8192


def test_files_are_found_in_any_slices_behind_anything():
    rng = random.Random(7)
    out, files = stream(60, rng)
    noise = [b"\x1b\x1b\x1b", b"/~\xa0", b"h\x0d\x0dh", b"\x1b\x1b\x1b\x1b\x01\x01", b"", b"~"]
    dirty = b"".join(rng.choice(noise) + file for file in files)
    for data in (out, dirty):
        deframer, found = Deframer(), []
        at = 0
        while at < len(data):
            size = rng.randrange(1, 90)
            found += deframer.feed(data[at : at + size])
            at += size
        assert found == files


def test_a_file_cut_short_does_not_hide_the_next():
    rng = random.Random(8)
    _, files = stream(40, rng)
    data, whole = b"", []
    for file in files:
        if rng.random() < 0.4:
            data += file[: rng.randrange(8, len(file) - 1)]
        else:
            data += file
            whole.append(file)
    # A cut may take the beginning of the next for its end: never more than one.
    found = list(Deframer().feed(data + files[0] + files[0]))
    assert found[-2:] == [files[0]] * 2
    assert all(file in files for file in found)
    assert len(found) >= len(whole) + 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d[:-8], "no whole SML file"),
        (lambda d: d[:-2] + b"\x00\x00", "check"),
        (lambda d: d[:8] + d[-8:], "check"),
    ],
)
def test_what_is_no_file_is_named(change, text):
    with pytest.raises(HanError, match=text):
        decode_frame(change(handle(request("sml", "emh"))))


def test_readings_in_a_mixed_stream():
    """SML, HDLC and P1 behind one another, as one reader sees them after a change of the port."""
    data = handle(request("sml", "emh")) + handle(request("kaifa")) + handle(request("p1"))
    data += handle(request("sml", "dzg"))
    assert [reading.format for reading in FrameReader().feed(data)] == ["sml", "kaifa", "p1", "sml"]

"""M-Bus records: what real meters sent, against another decoder; and the codec by itself."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams.mbus import frame, records, vif
from ams.mbus.records import Header, Malformed, Records, manufacturer_name

DATA = Path(__file__).resolve().parents[1] / "data" / "mbus" / "telegrams.jsonl"
TELEGRAMS = [json.loads(line) for line in DATA.read_text().splitlines()]
FUNCTIONS = {
    "Instantaneous value": 0,
    "Maximum value": 1,
    "Minimum value": 2,
    "Value during error state": 3,
}
NO_RECORDS = ("Manufacturer specific", "More records follow")
QUANTITIES = {
    "Energy": "energy",
    "Volume": "volume",
    "Power": "power",
    "Volume flow": "volume-flow",
    "Flow temperature": "flow-temperature",
    "Return temperature": "return-temperature",
    "Temperature difference": "temperature-difference",
    "External temperature": "external-temperature",
    "Voltage": "voltage",
    "Current": "current",
    "On time": "on-time",
    "Operating time": "operating-time",
    "Averaging Duration": "averaging",
    "Actuality Duration": "actuality",
    "Fabrication No": "fabrication-number",
    "Time point (date)": "date",
    "Time point (date & time)": "date-time",
    "Error flags": "error-flags",
    "Firmware version": "firmware-version",
    "Software version": "software-version",
    "Model / Version": "model",
    "Medium": "medium",
    "Customer location": "customer-location",
    "Digital Input": "digital-input",
    "Digital Output": "digital-output",
    "Dimensionless": "dimensionless",
    "Parameter set identification": "parameter-set",
    "Reset counter": "reset-counter",
    "H.C.A.": "heat-cost-allocation",
}
UNITS = {
    "Wh": vif.WH,
    "J": vif.JOULE,
    "W": vif.WATT,
    "m^3": vif.M3,
    "m^3/h": vif.M3_PER_H,
    "°C": vif.CELSIUS,
    "K": vif.KELVIN,
    "A": vif.AMPERE,
    "V": vif.VOLT,
}
SECONDS = {vif.SECOND: 1, vif.MINUTE: 60, vif.HOUR: 3600, vif.DAY: 86400}


def decode(octets):
    reader = frame.FrameReader()
    assert reader.feed(octets) and reader.kind == frame.LONG
    data = reader.data()
    found = Records(data, 12)
    return Header(data), list(found), found


def ids(line):
    return line["source"].split("/")[-1][:-4]


@pytest.mark.parametrize("line", TELEGRAMS, ids=ids)
def test_real_telegrams_as_another_decoder_reads_them(line):
    header, ours, found = decode(bytes.fromhex(line["hex"]))
    number, maker, version, _, access, status = line["header"]
    assert f"{header.identification:08X}" == f"{number:>08}"
    assert manufacturer_name(header.manufacturer_id) == maker
    assert (header.version, header.access_number, header.status) == (version, access, status)
    theirs = [record for record in line["records"] if record[0] not in NO_RECORDS]
    assert len(ours) == len(theirs)
    last = line["records"][-1][0]
    assert found.more == (last == "More records follow")
    assert not found.own or last == "Manufacturer specific" or found.more
    for mine, (function, storage, tariff, device, quantity, unit, value) in zip(
        ours, theirs, strict=True
    ):
        if not function:
            continue  # it could not read this one
        assert (mine.function, mine.storage) == (FUNCTIONS[function], storage)
        assert (mine.tariff, mine.subunit) == (tariff, device)
        if quantity in QUANTITIES:
            assert mine.quantity == QUANTITIES[quantity]
        if unit in UNITS:
            assert mine.unit == UNITS[unit]
        check_value(mine, quantity, value)


def check_value(mine, quantity, value):
    if isinstance(mine.value, tuple):
        text = "{:04d}-{:02d}-{:02d}".format(*mine.value[:3])
        if len(mine.value) > 3:
            text += "T{:02d}:{:02d}".format(*mine.value[3:])
        assert value.startswith(text)
    elif isinstance(mine.value, bytes):
        if mine.vib[0] & 0x7F != 0x7F:
            text = mine.value.decode("latin-1").strip()
            assert value.strip() in (
                text,
                mine.value[::-1].hex(" ").upper(),
                mine.value.hex(" ").upper(),
            )
    elif mine.value is not None and quantity in QUANTITIES:
        true = Fraction(mine.value) * Fraction(10) ** mine.power * SECONDS.get(mine.unit, 1)
        assert abs(true - Fraction(value)) <= max(abs(true) / 10**6, Fraction(1, 10**6)), value


def test_there_are_enough_of_them():
    assert len(TELEGRAMS) >= 70 and sum(len(line["records"]) for line in TELEGRAMS) > 900
    media = {line["header"][3] for line in TELEGRAMS}
    assert len(media) > 6


@given(st.integers(-(10**11) + 1, 10**12 - 1))
def test_bcd(value):
    digits = f"{abs(value):012d}"
    raw = bytearray.fromhex(digits)[::-1]
    if value < 0:
        raw[-1] |= 0xF0
    (record,) = Records(b"\x0e\x13" + bytes(raw))
    assert record.value == value and record.power == -3


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_real(value):
    (record,) = Records(b"\x05\x2b" + struct.pack("<f", value))
    ours = Fraction(record.value) * Fraction(10) ** record.power
    assert abs(ours - Fraction(value)) <= abs(Fraction(value)) / 10**7


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000])
def test_no_number(bits):
    (record,) = Records(b"\x05\x2b" + struct.pack("<I", bits))
    assert record.value is None


SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}


@given(
    field=st.sampled_from(sorted(SIZES)),
    storage=st.integers(0, 2**21 - 1),
    tariff=st.integers(0, 2**10 - 1),
    subunit=st.integers(0, 2**5 - 1),
    data=st.data(),
)
def test_data_information_block(field, storage, tariff, subunit, data):
    size = SIZES[field]
    value = data.draw(st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1))
    dib = bytearray([field | (storage & 1) << 6])
    left = storage >> 1
    while left or tariff or subunit:
        dib[-1] |= 0x80
        dib.append(left & 15 | (tariff & 3) << 4 | (subunit & 1) << 6)
        left, tariff, subunit = left >> 4, tariff >> 2, subunit >> 1
    octets = bytes(dib) + b"\x13" + (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    (record,) = Records(octets)
    assert record.value == value and record.storage == storage
    assert record.dib == bytes(dib) and (record.unit, record.power) == (vif.M3, -3)


@given(st.binary(max_size=250))
def test_whatever_comes_is_read_or_called_malformed(octets):
    try:
        for record in Records(octets):
            assert record.dib and record.vib
    except Malformed:
        pass


def test_vife_scale_and_change():
    for octets, power, changed in (
        (b"\x01\x93\x74\x05", -5, False),  # times 10^(4-6)
        (b"\x01\x93\x7d\x05", 0, False),  # times 1000
        (b"\x01\x93\x3c\x05", -3, True),  # the flow reversed
        (b"\x01\xfb\x01\x05", 6, False),
        (b"\x01\xfd\x49\x05", 0, False),
    ):
        (record,) = Records(octets)
        assert (record.power, record.changed) == (power, changed), octets


def test_manufacturer_id():
    assert manufacturer_name(0x2C2D) == "KAM"
    assert records.manufacturer_id("kam") == 0x2C2D


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=252),
    st.data(),
)
def test_frames(control, address, ci, body, data):
    octets = frame.long(control, address, ci, body)
    reader = frame.FrameReader()
    cut = data.draw(st.integers(0, len(octets)))
    reader.feed(octets[:cut])
    assert cut == len(octets) or not reader.kind
    reader.feed(octets[cut:])
    assert (reader.kind, reader.control, reader.address, reader.ci) == (
        frame.LONG,
        control,
        address,
        ci,
    )
    assert reader.data() == body
    reader.feed(b"\xe5")
    assert reader.broken and not reader.kind
    at = data.draw(st.integers(0, len(octets) - 1))
    spoilt = bytearray(octets)
    spoilt[at] ^= data.draw(st.integers(1, 255))
    reader.reset()
    assert not reader.feed(bytes(spoilt)) or reader.kind != frame.LONG


def test_the_same_on_micropython(micropython):
    """Every telegram, decoded by the VM and here, comes out alike."""
    script = """
import json, sys
from ams.mbus import frame
from ams.mbus.records import Header, Records
with open(sys.argv[1]) as lines:
    for line in lines:
        reader = frame.FrameReader()
        reader.feed(bytes.fromhex(json.loads(line)["hex"]))
        data = reader.data()
        print(Header(data).identification, [
            (r.dib, r.vib, r.quantity, r.unit, r.power, r.value) for r in Records(data, 12)
        ])
"""
    lines = []
    for line in TELEGRAMS:
        header, found, _ = decode(bytes.fromhex(line["hex"]))
        kept = [(r.dib, r.vib, r.quantity, r.unit, r.power, r.value) for r in found]
        lines.append(f"{header.identification} {kept}")
    assert micropython(script, str(DATA)).splitlines() == lines

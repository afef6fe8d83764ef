"""The firmware's lists against the bench's reader, which shares no code with them."""

from __future__ import annotations

import contextlib
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from push_request import handle

from openams.han.errors import HanError
from openams.han.reader import FrameReader, decode_frame

LISTS = {"aidon": (1, 2, 3), "kaifa": (1, 2, 3), "kamstrup": (2, 3), "p1": (2,)}
VARIANTS = {
    "aidon": ("no", "se", "landis"),
    "kaifa": ("no", "se", "se-obis"),
    "kamstrup": ("no", "se"),
    "p1": ("se",),
}
SYSTEMS = ("1P2W", "3P3W", "3P4W")
# What a value may be off by half of: the step of the list.
VOLT = {"aidon": "0.1", "kaifa": "0.1", "kamstrup": "1", "p1": "0.1"}
AMPERE = {"aidon": "0.1", "kaifa": "0.001", "kamstrup": "0.01", "p1": "0.1"}

TRIPLE = st.tuples(*[st.integers(0, 300_000)] * 3)
REQUEST = st.fixed_dictionaries(
    {
        "voltage_mv": TRIPLE,
        "current_ua": st.tuples(*[st.integers(0, 300_000_000)] * 3),
        "active_power_mw": st.tuples(*[st.integers(-70_000_000, 70_000_000)] * 3),
        "reactive_power_mvar": st.tuples(*[st.integers(-70_000_000, 70_000_000)] * 3),
    }
)
ENERGY = st.integers(0, 9 * 10**10)
TIME = st.integers(600_000_000, 1_500_000_000)


def request(name, variant, system, list_no, quantities, energies, utc_s):
    quantities = {key: list(value) for key, value in quantities.items()}
    quantities["total_active_power_mw"] = sum(quantities["active_power_mw"])
    quantities["total_reactive_power_mvar"] = sum(quantities["reactive_power_mvar"])
    names = ("a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh")
    return {
        "format": name,
        "variant": variant,
        "options": {},
        "system": system,
        "identity": {"meter_id": "7359990000000017", "meter_type": "6534"},
        "utc_ms": utc_s * 1000,
        "utc_offset_min": None,
        "clock_status": 0,
        "list": list_no,
        "quantities": quantities,
        "registers": dict(zip(names, energies, strict=True)),
    }


def close(read, milli, unit, step):
    """Whether a read value is the nearest step to a milli- or micro-value."""
    return abs(Decimal(read) - Decimal(milli) / unit) <= Decimal(step) / 2


@pytest.mark.parametrize("name", LISTS)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_what_is_encoded_is_read(name, data):
    variant = data.draw(st.sampled_from(VARIANTS[name]))
    system = data.draw(st.sampled_from(SYSTEMS))
    list_no = data.draw(st.sampled_from(LISTS[name]))
    quantities = data.draw(REQUEST)
    energies = data.draw(st.tuples(ENERGY, ENERGY, ENERGY, ENERGY))
    utc_s = data.draw(TIME)
    asked = request(name, variant, system, list_no, quantities, energies, utc_s)
    frame = handle(asked)
    readings = list(FrameReader().feed(frame))
    assert len(readings) == 1
    reading = readings[0]
    assert reading.format == name
    check_powers(reading, asked)
    check_phases(reading, asked, system)
    for field, milli in zip(
        ("a_plus_wh", "a_minus_wh", "r_plus_varh", "r_minus_varh"), energies, strict=True
    ):
        if field in reading.values:
            # Of a Kamstrup in Sweden nothing tells a reader that it counts single Wh.
            if (name, variant) == ("kamstrup", "se"):
                milli *= 10
            step = 10 if name == "kamstrup" or (name == "aidon" and variant != "se") else 1
            assert reading.values[field] == milli // 1000 // step * step


def check_powers(reading, asked):
    quantities = asked["quantities"]
    for kind, unit, total in (
        ("active", "w", quantities["total_active_power_mw"]),
        ("reactive", "var", quantities["total_reactive_power_mvar"]),
    ):
        for way, sign in (("import", 1), ("export", -1)):
            field = f"{kind}_power_{way}_{unit}"
            if field in reading.values:
                assert close(reading.values[field], max(0, sign * total), 1000, 1)
    assert "active_power_import_w" in reading.values


def check_phases(reading, asked, system):
    places = (0,) if system == "1P2W" else (0, 1, 2)
    fine = asked["variant"] == "landis"
    for place in places:
        voltage = reading.values.get(f"voltage_l{place + 1}_v")
        if voltage is not None and not (
            reading.format == "kaifa" and system == "3P3W" and place == 1
        ):
            given_mv = asked["quantities"]["voltage_mv"][place]
            assert close(voltage, given_mv, 1000, VOLT[reading.format])
        current = reading.values.get(f"current_l{place + 1}_a")
        if current is not None:
            given_ua = asked["quantities"]["current_ua"][place]
            if reading.format == "aidon" and asked["quantities"]["active_power_mw"][place] < 0:
                given_ua = -given_ua
            assert close(current, given_ua, 10**6, "0.01" if fine else AMPERE[reading.format])
    assert "voltage_l2_v" not in reading.values or system != "1P2W"


SAMPLE = {
    "voltage_mv": (230_100, 231_200, 229_900),
    "current_ua": (1_234_000, 20_000, 17_560_000),
    "active_power_mw": (283_000, -4_000, 4_000_000),
    "reactive_power_mvar": (-20_000, 1_000, 3_000),
}


def sample(name, list_no, system="3P4W"):
    energies = (123_456_780, 1_000, 22_000, 333_000)
    variant = VARIANTS[name][0]
    return handle(request(name, variant, system, list_no, SAMPLE, energies, 840_000_010))


def test_beyond_the_fields_currents_stop_and_registers_roll_over():
    large = dict(SAMPLE, current_ua=(400_000_000, 327_670_000, 1_000_000))
    frame = handle(request("aidon", "landis", "3P4W", 2, large, (0,) * 4, 840_000_010))
    values = decode_frame(frame).values
    # The second phase exports.
    assert [float(values[f"current_l{k}_a"]) for k in (1, 2, 3)] == [327.67, -327.67, 1.0]
    for name, step_wh in (("kaifa", 1), ("aidon", 10), ("kamstrup", 10)):
        energies = [(2**32 + k) * step_wh * 1000 + 999 for k in range(-1, 3)]
        frame = handle(request(name, "no", "3P4W", 3, SAMPLE, energies, 840_000_010))
        values = decode_frame(frame).values
        names = ("a_plus_wh", "a_minus_wh", "r_plus_varh", "r_minus_varh")
        assert [values[field] // step_wh for field in names] == [2**32 - 1, 0, 1, 2], name


@pytest.mark.parametrize(("name", "list_no"), [(n, k) for n in LISTS for k in LISTS[n]])
def test_every_flipped_bit_is_rejected(name, list_no):
    frame = sample(name, list_no)
    last = len(frame) - (2 if name == "p1" else 1)  # line end or flag: no content
    for bit in range(8, 8 * last):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        if name == "p1" and bit // 8 >= last - 4 and bytes(broken).upper() == frame.upper():
            continue  # the case of a CRC digit
        try:
            readings = list(FrameReader().feed(bytes(broken) + b"\x00" * 2100))
        except HanError:
            continue
        assert not readings, f"bit {bit}"


def test_frames_are_found_in_noise_and_split_anywhere():
    rng = random.Random(5)
    stream, count = b"", 0
    for name, numbers in LISTS.items():
        for list_no in numbers:
            for _ in range(5):
                noise = bytes(rng.choice(b"\x00\x55\xff\x7d\x20") for _ in range(rng.randrange(9)))
                stream += noise + sample(name, list_no)
                count += 1
    reader = FrameReader()
    seen = 0
    at = 0
    while at < len(stream):
        size = rng.randrange(1, 50)
        seen += len(list(reader.feed(stream[at : at + size])))
        at += size
    assert seen == count


def test_a_cut_frame_does_not_hide_the_next():
    frame, following = sample("kaifa", 2), sample("kaifa", 1)
    for cut in range(1, len(frame) - 1, 7):
        readings = list(FrameReader().feed(frame[:cut] + following + following))
        assert len(readings) == 2, cut


@given(st.binary(max_size=400))
@settings(max_examples=400, deadline=None)
def test_random_octets_never_crash_the_reader(data):
    for octets in (data, b"\x7e\xa0" + data + b"\x7e", b"/" + data + b"!0000"):
        try:
            list(FrameReader().feed(octets))
            decode_frame(octets)
        except HanError:
            pass


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=400, deadline=None)
def test_random_content_in_a_good_frame_never_crashes_the_reader(body):
    from openams.han.frames import crc_x25

    information = b"\xe6\xe7\x00\x0f\x40\x00\x00\x00\x00" + body
    length = 2 + 4 + 2 + len(information) + 2
    head = bytes([0xA0 | length >> 8, length & 0xFF]) + b"\x41\x08\x83\x13"
    frame = head + crc_x25(head).to_bytes(2, "little") + information
    frame += crc_x25(frame).to_bytes(2, "little")
    with contextlib.suppress(HanError):
        decode_frame(frame)

"""Runs of a meter with the lists of other makers: each value that a reader gets is the meter's, on
the days when clocks change, over New Year and on 29 February, with import and export."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
import sml as pysml
from days import DAYS, EPOCH_S, Truth, scenario
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient
from smartmeter_austria_energy.decrypt import Decrypt
from smartmeter_austria_energy.supplier import SUPPLIERS
from smllib import SmlStreamReader

from ams.han import make_format
from ams.han.sml_lists import VARIANTS as SML
from openams.bench.options import Options
from openams.bench.session import Session
from openams.han.reader import FrameReader, decode_frame, load_keys
from openams.meter_time import NORWAY, to_utc_ms

FORMATS = [
    *(("landis", variant) for variant in ("ch", "ch-e360", "at", "at-burgenland")),
    *(("iskraemeco", variant) for variant in ("si", "si-celje", "ch", "at", "at-kelag", "hr")),
    *(("sagemcom", variant) for variant in ("at", "cz")),
    *(("kaifa", variant) for variant in ("at", "at-salzburg")),
    *(("sml", variant) for variant in SML),
]
ENCRYPTED = {  # as it is in the field
    ("landis", "at"), ("landis", "at-burgenland"), ("iskraemeco", "at-kelag"),
    ("sagemcom", "at"), ("kaifa", "at"), ("kaifa", "at-salzburg"),
}  # fmt: skip
SML_NAMES = {
    (1, 8): "a_plus_wh", (2, 8): "a_minus_wh", (16, 7): "active_power_w",
    (15, 7): "active_power_absolute_w",
    (36, 7): "active_power_l1_w", (56, 7): "active_power_l2_w", (76, 7): "active_power_l3_w",
    (32, 7): "voltage_l1_v", (52, 7): "voltage_l2_v", (72, 7): "voltage_l3_v",
    (31, 7): "current_l1_a", (51, 7): "current_l2_a", (71, 7): "current_l3_a",
}  # fmt: skip
AUSTRIAN = {
    "VoltageL1": "voltage_l1_v", "VoltageL2": "voltage_l2_v", "VoltageL3": "voltage_l3_v",
    "CurrentL1": "current_l1_a", "CurrentL2": "current_l2_a", "CurrentL3": "current_l3_a",
    "RealPowerIn": "active_power_import_w", "RealPowerOut": "active_power_export_w",
    "RealEnergyIn": "a_plus_wh", "RealEnergyOut": "a_minus_wh",
    "ReactiveEnergyIn": "r_plus_varh", "ReactiveEnergyOut": "r_minus_varh",
}  # fmt: skip


def check(shown_values, truth, where):
    """Registers are cut to what has passed whole, all else is the nearest step."""
    for field, value in shown_values.items():
        shown = Decimal(value)
        step = Decimal(1).scaleb(min(0, int(shown.as_tuple().exponent)))
        name, _, tail = field.rpartition("_t")
        if name and tail[:1].isdigit():  # a register of a rate: all is counted at the first
            field = f"{name}_{tail[2:]}"
            if tail[0] != "1":
                assert shown == 0, (field, where)
                continue
        if field.endswith("h"):
            assert shown == int(truth[field] / Fraction(step)) * step, (field, where)
        elif field in truth:
            assert shown == truth[field].quantize(step, ROUND_HALF_UP), (field, where)
        else:
            assert field.startswith(("angle_", "power_factor", "frequency_", "apparent_")), field


def by_sml(data):
    """Names of our reader and values, as smllib gives them; pysml has the same."""
    stream = SmlStreamReader(crc="x25")
    stream.add(data)
    entries = stream.get_frame().parse_frame()[1].message_body.val_list
    read = {e.obis.obis_short: e.get_value() for e in entries if isinstance(e.value, int)}
    _, found = pysml.SmlBase.find_frame(data)
    for entry in found[1]["messageBody"]["valList"]:
        code = entry["objName"].partition(":")[2].partition("*")[0]
        assert code not in read or entry["value"] == pytest.approx(read[code])
    out = {}
    for code, value in read.items():
        c, d, e = map(int, code.split("."))
        if (c, d) in SML_NAMES:
            name = SML_NAMES[c, d]
            out[name if not e else name.replace("_wh", f"_t{e}_wh")] = value
    return out


def by_gurux(data, values, key, before):
    """As gurux-dlms gives them, which knows no names: in the order of ours, scaled as ours."""
    client = GXDLMSSecureClient(True, interfaceType=InterfaceType.HDLC)
    if key:
        client.ciphering.security = Security.ENCRYPTION
        client.ciphering.blockCipherKey = key
    buffer, notify = GXByteBuffer(data), GXReplyData()
    while buffer.available():
        client.getData(buffer, GXReplyData(), notify)
    assert not notify.isMoreData()
    numbers = [value[1] if isinstance(value, list) and len(value) == 3 else value
               for value in notify.value]  # fmt: skip
    numbers = [number for number in numbers if isinstance(number, int)]
    # Whether it is connected, or which limit holds, stands before the rest or behind it.
    del numbers[:before]
    assert len(numbers) >= len(values)
    return {
        name: Decimal(number).scaleb(Decimal(value).as_tuple().exponent)
        for (name, value), number in zip(values.items(), numbers, strict=False)
    }


def by_austrian(data, supplier, key):
    """As smartmeter-austria-energy gives them from an encrypted list."""
    who = SUPPLIERS[supplier]
    second = data.index(who.frame2_start_bytes)
    reader = Decrypt(who, data[:second], data[second:], key)
    with contextlib.suppress(ValueError):  # see tests/unit/test_pushes.py
        reader.parse_all()
    return {
        name: reader.get_obis_value(field).value
        for field, name in AUSTRIAN.items()
        if field in who.supplied_values
    }


def time_of(reading):
    """UTC in ms of a list that says its offset, else local time."""
    when = reading.meter_time
    moment = datetime(when.year, when.month, when.day, when.hour, when.minute, when.second)
    if when.deviation != -0x8000:
        return to_utc_ms(moment.replace(tzinfo=UTC) + timedelta(minutes=when.deviation))
    return moment


def judge(name, variant, data, reading, key):
    """{name: value} of who else reads such lists."""
    if name == "sml":
        return by_sml(data)
    if name in ("landis", "iskraemeco"):
        return by_gurux(data, reading.values, key, int((variant, reading.list_no) == ("si", 3)))
    if variant == "cz":
        return {}  # what stands for an object there is no A-XDR: gurux-dlms stops at it
    supplier = "SALZBURGNETZ" if variant == "at-salzburg" else "EVN"
    return by_austrian(data, supplier, key.hex())


def run(tmp_path, name, variant, start, duration_s, seed, runtime):
    """Plays it: every list is due, each of its values the meter's, by our reader and a judge."""
    house = scenario(start, duration_s, seed)
    keys = tmp_path / "keys.json" if (name, variant) in ENCRYPTED else None
    frames = []
    options = Options(
        runtime=runtime, han_format=name, han_variant=variant, han_open=True, han_keys=keys,
        speed=None, duration_s=duration_s,
    )  # fmt: skip
    session = Session(house, options, on_frame=frames.append)
    try:
        session.play(lambda: None)
        result = session.finish()
    finally:
        session.close()
    assert result["han"]["missed"] == 0 and result["han"]["late_max_ms"] <= 100
    first = to_utc_ms(start)
    due = {
        when
        for period, _ in make_format(name, variant).schedule
        for when in range(-(-first // period) * period, first + round(duration_s * 1000), period)
    }
    assert [frame.utc_ms for frame in frames] == sorted(due)
    opened = load_keys(keys) if keys else []
    key = opened[0].encryption if opened else None
    truth, reader, checked = Truth(house), FrameReader(opened), 0
    for frame in frames:
        if variant == "cz":  # no frame around it
            reading = decode_frame(frame.data)
        else:
            (reading,) = reader.feed(frame.data)
        where = (name, variant, frame.utc_ms)
        values = truth.values(frame.utc_ms - first)
        check(reading.values, values, where)
        outside = judge(name, variant, frame.data, reading, key)
        for field, value in outside.items():
            assert float(value) == pytest.approx(float(reading.values[field])), (field, where)
        checked += len(outside)
        if reading.meter_time is not None:
            local = datetime.fromtimestamp(frame.utc_ms / 1000 + EPOCH_S, NORWAY)
            shown = time_of(reading)
            assert shown in (frame.utc_ms, local.replace(tzinfo=None)), where
    assert checked >= 2 * len(frames) or variant == "cz"
    return result


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=["-".join(p) for p in FORMATS])
def test_minutes_that_are_apart(tmp_path, number):
    """Minutes around a change of the clock or the date: each variant another, on either VM."""
    start, _, middle_h = list(DAYS.values())[number % len(DAYS)]
    begin = datetime.fromisoformat(start).astimezone(UTC) + timedelta(hours=middle_h, minutes=-1)
    runtime = ("micropython", "cpython")[number // len(DAYS) % 2]
    run(tmp_path, *FORMATS[number], begin, 180.0, number, runtime)


# Each variant one day of its own; the first of each format all.
WHOLE = {(number, day) for number in range(len(FORMATS)) for day in [number % len(DAYS)]}
WHOLE |= {
    (FORMATS.index((name, next(v for n, v in FORMATS if n == name))), day)
    for name in {name for name, _ in FORMATS}
    for day in range(len(DAYS))
}


@pytest.mark.campaign
@pytest.mark.parametrize(("number", "day"), sorted(WHOLE))
def test_whole_days(tmp_path, number, day):
    start, hours, _ = list(DAYS.values())[day]
    begin = datetime.fromisoformat(start).astimezone(UTC)
    result = run(tmp_path, *FORMATS[number], begin, hours * 3600.0, 1, "micropython")
    assert result["registers"]["a_minus_mwh"] > 0 and result["registers"]["a_plus_mwh"] > 0

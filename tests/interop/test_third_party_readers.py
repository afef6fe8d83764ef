"""amshan and dsmr-parser read what our port sends, and refuse what is broken."""

from __future__ import annotations

import pytest
from helpers import amshan_frames, dsmr
from push_request import handle

PAIRS = [
    (n, s, k)
    for n, numbers in (("aidon", (1, 2, 3)), ("kaifa", (1, 2, 3)), ("kamstrup", (2, 3)))
    for s in ("1P2W", "3P3W", "3P4W")
    for k in numbers
]


def request(name, system, list_no, variant=None, **more):
    quantities = {
        "voltage_mv": [231_000, 232_000, 229_000],
        "current_ua": [1_200_000, 2_300_000, 17_500_000],
        "active_power_mw": [283_000, 4_000, 4_000_000],
        "reactive_power_mvar": [-20_000, 1_000, 3_000],
        "total_active_power_mw": 4_287_000,
        "total_reactive_power_mvar": -16_000,
    }
    return {
        "format": name,
        "variant": variant,
        "options": {},
        "system": system,
        "identity": {"meter_id": "7359990000000017", "meter_type": "6534"},
        "utc_ms": 840_002_410_000,
        "utc_offset_min": None,
        "clock_status": 0,
        "list": list_no,
        "quantities": quantities,
        "registers": {
            "a_plus_mwh": 123_456_780,
            "a_minus_mwh": 1_000_000,
            "r_plus_mvarh": 22_000_000,
            "r_minus_mvarh": 333_330_000,
        },
        **more,
    }


@pytest.mark.parametrize(("name", "system", "list_no"), PAIRS)
def test_amshan_reads_every_list(name, system, list_no):
    (decoded,) = amshan_frames(handle(request(name, system, list_no)))
    assert decoded["active_power_import"] == 4287
    if list_no == 1:
        return
    assert decoded["meter_id"] == "7359990000000017"
    assert decoded["active_power_export"] == 0
    assert decoded["reactive_power_import"] == 0
    assert decoded["reactive_power_export"] == 16
    assert decoded["current_l1"] == pytest.approx(1.2)
    assert decoded["voltage_l1"] == pytest.approx(231)
    if system != "1P2W":
        assert decoded["current_l3"] == pytest.approx(17.5)
        assert decoded["voltage_l3"] == pytest.approx(229)
    if list_no == 3:
        assert decoded["active_power_import_total"] == pytest.approx(123_450, abs=10)
        assert decoded["active_power_export_total"] == 1000
        assert decoded["reactive_power_import_total"] == 22_000
        assert decoded["reactive_power_export_total"] == 333_330


@pytest.mark.parametrize("name", ["aidon", "kaifa"])
def test_amshan_reads_the_swedish_lists(name):
    variant = "se" if name == "aidon" else "se-obis"
    (decoded,) = amshan_frames(handle(request(name, "3P4W", 3, variant)))
    assert decoded["active_power_import"] == 4287
    assert decoded["active_power_import_total"] == 123_456
    if name == "aidon":
        assert decoded["active_power_import_l3"] == 4000
        assert decoded["reactive_power_export_l1"] == 20


@pytest.mark.parametrize(("name", "system", "list_no"), PAIRS)
def test_amshan_refuses_every_flipped_bit(name, system, list_no):
    frame = handle(request(name, system, list_no))
    for bit in range(8, 8 * (len(frame) - 1)):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        assert amshan_frames(bytes(broken)) == [], bit


@pytest.mark.parametrize("system", ["1P2W", "3P4W"])
def test_dsmr_parser_reads_the_telegram(system):
    read = dsmr(handle(request("p1", system, 2)))
    assert float(read["CURRENT_ELECTRICITY_USAGE"]) == 4.287
    assert float(read["CURRENT_ELECTRICITY_DELIVERY"]) == 0
    assert float(read["ELECTRICITY_IMPORTED_TOTAL"]) == 123.456
    assert float(read["ELECTRICITY_REACTIVE_EXPORTED_TOTAL"]) == 333.330
    assert float(read["INSTANTANEOUS_VOLTAGE_L1"]) == 231.0
    assert float(read["INSTANTANEOUS_CURRENT_L1"]) == 1.2
    assert float(read["INSTANTANEOUS_ACTIVE_POWER_L1_POSITIVE"]) == 0.283
    assert float(read["INSTANTANEOUS_REACTIVE_POWER_L1_NEGATIVE"]) == 0.020
    assert ("INSTANTANEOUS_VOLTAGE_L3" in read) == (system == "3P4W")


def test_dsmr_parser_refuses_every_flipped_bit():
    telegram = handle(request("p1", "3P4W", 2))
    for bit in range(8 * (len(telegram) - 2)):
        broken = bytearray(telegram)
        broken[bit // 8] ^= 1 << bit % 8
        if bytes(broken).lower() == telegram.lower() and bit // 8 >= len(telegram) - 6:
            continue  # the case of a CRC digit
        assert dsmr(bytes(broken)) is None, bit

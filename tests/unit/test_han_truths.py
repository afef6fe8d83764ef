"""What ports of the field do and ours does: clocks, schedules, signs, ends of fields, full lines.

The same octets come on the MicroPython VM: see the last test.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import han_vm
import pytest
from han_vm import HOUR, load, make, run

from openams.han.axdr import DateTime
from openams.han.reader import decode_frame
from openams.meter_time import NORWAY, to_utc_ms

PATHS = [str(Path(__file__).resolve().parent)]
WINTER = to_utc_ms(datetime(2026, 1, 15, 12, tzinfo=NORWAY))
SUMMER = to_utc_ms(datetime(2026, 7, 15, 12, tzinfo=NORWAY))


def pushed(name, variant, list_no, utc_ms, **more):
    port, uart = make(name, variant, **more)
    load(port.view.quantities, utc_ms)
    port.view.registers.close_hour(utc_ms - utc_ms % HOUR)
    port.open(utc_ms)
    port.push(list_no, utc_ms)
    return decode_frame(uart.frames[0][1])


# Format, variant, a list with a time, whether its meters change to summer time.
CLOCKS = [
    ("aidon", "no", 3, False),
    ("aidon", "se", 3, False),
    ("aidon", "landis", 3, False),
    ("kaifa", "no", 2, True),
    ("kaifa", "no", 3, True),
    ("kaifa", "se", 3, False),
    ("kaifa", "se-obis", 3, False),
    ("kamstrup", "no", 2, False),
    ("kamstrup", "no", 3, False),
    ("kamstrup", "se", 3, False),
    ("p1", "se", 2, False),
]


@pytest.mark.parametrize(("name", "variant", "list_no", "summer"), CLOCKS)
def test_each_maker_keeps_summer_time_as_its_meters_do(name, variant, list_no, summer):
    for asked, expected in ((None, summer), (True, True), (False, False)):
        for start, hour in ((WINTER, 12), (SUMMER, 12 if expected else 11)):
            reading = pushed(name, variant, list_no, start, summer_time=asked)
            assert isinstance(reading.meter_time, DateTime)
            assert reading.meter_time.hour == hour, (asked, start)


def test_the_coded_list_of_kaifa_says_its_deviation():
    """FFC4, also in summer, as the port that hass-AMS captured in October."""
    assert pushed("kaifa", "se-obis", 3, SUMMER).meter_time.deviation == -60
    assert pushed("kaifa", "se-obis", 3, WINTER).meter_time.deviation == -60
    assert pushed("kaifa", "se-obis", 3, SUMMER, summer_time=True).meter_time.deviation == -120


def test_p1_marks_summer_time_where_it_has_it():
    def mark(**more):
        port, uart = make("p1", "se", **more)
        port.open(SUMMER)
        port.push(2, SUMMER)
        return uart.frames[0][1].split(b"0-0:1.0.0(")[1][:13]

    assert mark() == b"260715110000W"
    assert mark(summer_time=True) == b"260715120000S"


@pytest.mark.parametrize("second", [5, 25, 55])
def test_kamstrup_sends_the_hourly_list_beside_the_other(second):
    """Both at their times: 05:00:00, 05:00:05 and 05:00:10, as its document says."""
    options = {"hourly_s": second, "header_tag": True}
    port, uart = make("kamstrup", options=options, meter_type="6841121BN243101040")
    start = WINTER - 30_000
    port.open(start)
    run(port, uart, start, 120_000)
    seen = [((now - WINTER) // 1000, decode_frame(frame).list_no) for now, frame in uart.frames]
    expected = [(at, 2) for at in range(-30, 90, 10)] + [(second, 3)]
    assert seen == sorted(expected)
    sizes = {decode_frame(frame).list_no: len(frame) for _, frame in uart.frames}
    assert sizes == {2: 229, 3: 303}
    assert port.missed == 0 and port.late_max_ms < 50


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
@pytest.mark.parametrize("variant", ["no", "se", "landis"])
def test_aidon_shows_the_direction_of_each_current(variant, system):
    """By the active power of the phase, or of the element on three wires; so the captures."""
    port, uart = make("aidon", variant, system)
    q = port.view.quantities
    q.voltage_mv[:] = [230_000] * 3
    q.current_ua[:] = [1_040_000, 2_300_000, 7_400_000]
    q.active_power_mw[:] = [-39_000, 500_000, -1_700_000]
    q.reactive_power_mvar[:] = [-242_000, 0, 0]
    q.total_active_power_mw = 760_000  # the sum has nothing to say
    port.open(WINTER)
    port.push(3, WINTER)
    values = decode_frame(uart.frames[0][1]).values
    found = [float(values[f"current_l{k}_a"]) for k in (1, 2, 3) if f"current_l{k}_a" in values]
    fine = -1.04 if variant == "landis" else -1.0
    assert found == {"1P2W": [fine], "3P3W": [fine, -7.4], "3P4W": [fine, 2.3, -7.4]}[system]


@pytest.mark.parametrize(("name", "variant", "list_no"), [
    ("kaifa", "no", 2), ("kaifa", "se-obis", 3), ("kamstrup", "no", 2), ("p1", "se", 2),
])  # fmt: skip
def test_the_other_makers_show_no_direction(name, variant, list_no):
    exporting = WINTER + 120_000
    port, _ = make(name, variant)
    load(port.view.quantities, exporting)
    assert max(port.view.quantities.active_power_mw) < 0
    values = pushed(name, variant, list_no, exporting).values
    assert all(values[f"current_l{k}_a"] > 0 for k in (1, 2, 3))


def test_p1_fields_stop_at_their_largest():
    port, uart = make("p1")
    q = port.view.quantities
    q.voltage_mv[:] = [999_940, 999_960, 5_000_000]
    q.current_ua[:] = [999_900_000, 1_000_000_000, 12_345_000_000]
    q.active_power_mw[:] = [9_999_999_000, 10_000_000_000, 0]
    q.total_active_power_mw = 20_000_000_000
    port.view.registers.mwh[0] = 10**14 + 5_000  # 100 GWh and 5 Wh: a register rolls over
    port.open(WINTER)
    port.push(2, WINTER)
    text = uart.frames[0][1].decode()
    for line in ("32.7.0(999.9*V", "52.7.0(999.9*V", "72.7.0(999.9*V", "31.7.0(999.9*A",
                 "51.7.0(999.9*A", "71.7.0(999.9*A", "1.7.0(9999.999*kW", "21.7.0(9999.999*kW",
                 "41.7.0(9999.999*kW", "1.8.0(00000000.005*kWh"):  # fmt: skip
        assert f"1-0:{line})" in text, line


@pytest.mark.parametrize(("name", "list_no", "most"), [
    ("aidon", 2, {"active_power_import_w": 2**32 - 1, "current_l1_a": 3276.7,
                  "voltage_l1_v": 6553.5}),
    ("kaifa", 2, {"active_power_import_w": 2**32 - 1, "current_l1_a": 4294967.295}),
    ("kamstrup", 2, {"active_power_import_w": 2**32 - 1, "current_l1_a": 42949672.95,
                     "voltage_l1_v": 65535}),
])  # fmt: skip
def test_hdlc_fields_stop_at_their_largest(name, list_no, most):
    port, uart = make(name)
    q = port.view.quantities
    q.voltage_mv[:] = q.current_ua[:] = q.active_power_mw[:] = [10**15] * 3
    q.total_active_power_mw = 10**15
    port.open(WINTER)
    port.push(list_no, WINTER)
    values = decode_frame(uart.frames[0][1]).values
    for field, largest in most.items():
        assert float(values[field]) == largest, field


@pytest.mark.parametrize("name", ["aidon", "kaifa", "kamstrup", "p1"])
@pytest.mark.parametrize("power_w", [2_147_483, 2_147_484, 3_000_000, 9_999_999])
def test_a_load_beyond_31_bits_is_shown_as_it_is(name, power_w):
    port, uart = make(name)
    q = port.view.quantities
    q.active_power_mw[:] = [power_w * 1000, 0, 0]
    q.total_active_power_mw = power_w * 1000
    port.open(WINTER)
    port.push(2, WINTER)
    assert decode_frame(uart.frames[0][1]).values["active_power_import_w"] == power_w


def test_a_list_that_the_line_has_no_room_for_is_missed_whole():
    port, uart = make("kaifa")
    port.open(WINTER)
    uart.room = 100
    run(port, uart, WINTER, 10_000)  # 123 octets that do not fit, then two of 41
    assert [len(frame) for _, frame in uart.frames] == [41, 41]
    assert port.missed == 3 and port.sent == [2, 0, 0]
    uart.room = None
    run(port, uart, WINTER + 10_000, 10_000)
    assert port.missed == 3 and sum(port.sent) == 7


def test_the_same_octets_on_the_vm(micropython):
    """Every format, variant, system and quirk: the night that has the change to summer time."""
    start = to_utc_ms(datetime(2026, 3, 29, 1, 59, tzinfo=NORWAY))
    here = han_vm.all_digests(start, 900_000)
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport han_vm\n"
    script += f"print(han_vm.all_digests({start}, 900000))"
    assert micropython(script, heap_kib=1024).strip() == repr(here)
    assert all(count for count, _, _ in here)

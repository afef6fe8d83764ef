"""P1 telegrams of each country and maker, as dsmr-parser's specification for it reads them.

Every value that the judge knows is held against the meter's own; days are those on which clocks
change, years begin and February is long, with import and export and registers that roll over.
"""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from dsmr_parser import telegram_specifications as specifications
from dsmr_parser.exceptions import InvalidChecksumError, ParseError
from dsmr_parser.parsers import TelegramParser
from helpers import ams
from push_request import handle

from openams.bench.options import Options
from openams.bench.orders import parse_order
from openams.bench.session import Session
from openams.grid.registry import load as load_scenario
from openams.han.formats import FORMATS
from openams.han.replay import replay
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms
from openams.runtimes.launch import RUNTIMES

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
from han_vm import HOUR, Recorder, load, make, run

AUSTRIA = {**specifications.SAGEMCOM_T210_D_R, "general_global_cipher": False}
JUDGES = {
    "se": specifications.SWEDEN,
    "se-kamstrup": specifications.SWEDEN,
    "se-landis": specifications.SWEDEN,
    "se-aidon": specifications.SWEDEN,
    "fi": specifications.SWEDEN,
    "dk": specifications.SWEDEN,
    "dk-landis": specifications.SWEDEN,
    "dk-nes": specifications.SWEDEN,
    "nl40": specifications.V4,
    "nl4": specifications.V4,
    "nl5": specifications.V5,
    "be": specifications.BELGIUM_FLUVIUS,
    "be-171": specifications.BELGIUM_FLUVIUS,
    "lu": specifications.LUXEMBOURG_SMARTY,
    "hu": specifications.EON_HUNGARY,
    "at": AUSTRIA,
}
# Wh of the energies and W of the powers that a line holds; A and V it stops at.
ENERGY = {"se": 10**11, "se-kamstrup": 10**11, "se-landis": 10**11,
          "se-aidon": 10**11, "fi": 10**11, "dk": 10**11, "dk-landis": 10**11,
          "dk-nes": 10**8}  # fmt: skip
RATED = ("nl40", "nl4", "nl5", "be", "be-171")  # the rates stand there alone
CURRENT_STEP = {"be": "0.01", "be-171": "0.01"}
WHOLE = ("nl40", "nl4", "nl5", "lu", "hu")  # amperes
NAMES = {
    "ELECTRICITY_IMPORTED_TOTAL": ("energy", 0),
    "ELECTRICITY_EXPORTED_TOTAL": ("energy", 1),
    "ELECTRICITY_REACTIVE_IMPORTED_TOTAL": ("energy", 2),
    "ELECTRICITY_REACTIVE_EXPORTED_TOTAL": ("energy", 3),
    "ELECTRICITY_REACTIVE_TOTAL_Q1": ("energy", 4),
    "ELECTRICITY_REACTIVE_TOTAL_Q2": ("energy", 5),
    "ELECTRICITY_REACTIVE_TOTAL_Q3": ("energy", 6),
    "ELECTRICITY_REACTIVE_TOTAL_Q4": ("energy", 7),
    "ELECTRICITY_USED_TARIFF_1": ("energy", 0),
    "ELECTRICITY_DELIVERED_TARIFF_1": ("energy", 1),
    "CURRENT_ELECTRICITY_USAGE": ("power", 0),
    "CURRENT_ELECTRICITY_DELIVERY": ("power", 1),
    **{f"INSTANTANEOUS_VOLTAGE_L{k + 1}": ("voltage", k) for k in range(3)},
    **{f"INSTANTANEOUS_CURRENT_L{k + 1}": ("current", k) for k in range(3)},
    **{
        f"INSTANTANEOUS_{kind}_POWER_L{k + 1}_{way}": ("phase", k, direction)
        for k in range(3)
        for kind, way, direction in (("ACTIVE", "POSITIVE", 0), ("ACTIVE", "NEGATIVE", 1),
                                     ("REACTIVE", "POSITIVE", 2), ("REACTIVE", "NEGATIVE", 3))
    },
}  # fmt: skip
MOST_POWER_W = {"at": 10**9 - 1, "hu": 99_999, "lu": 99_999, "nl40": 99_999, "nl4": 99_999,
                "nl5": 99_999, "be": 99_999, "be-171": 99_999}  # fmt: skip


def judged(variant, telegram):
    """What the country's specification makes of a telegram, by name; None when it refuses it."""
    try:
        # It passes over NES's time, which is written in no way of the specifications.
        strict = variant != "dk-nes"
        parsed = TelegramParser(JUDGES[variant]).parse(telegram.decode("ascii"), throw_ex=strict)
    except (InvalidChecksumError, ParseError, ValueError):
        return None
    return {name: getattr(parsed, name) for name in dir(parsed) if name.isupper()}


def expected(variant, quantities, mwh, what):
    """The value that a line shows, in the unit of the specification (kWh, kW, V, A)."""
    unit = 1 if variant == "at" else 1000
    if what[0] == "energy":
        return Decimal(mwh[what[1]] // 1000 % ENERGY.get(variant, 10**9)) / unit
    if what[0] == "voltage":
        return rounded(quantities["voltage_mv"][what[1]], 1000, "0.1", "999.9")
    if what[0] == "current":
        step = CURRENT_STEP.get(variant, "1" if variant in WHOLE else "0.1")
        most = {"0.01": "999.99", "1": "999", "0.1": "999.9"}[step]
        return rounded(quantities["current_ua"][what[1]], 10**6, step, most)
    direction = what[-1]
    kind = "reactive_power_mvar" if direction > 1 else "active_power_mw"
    value = quantities["total_" + kind] if what[0] == "power" else quantities[kind][what[1]]
    watts = rounded(max(0, -value if direction & 1 else value), 1000, "1",
                    MOST_POWER_W.get(variant, 9_999_999))  # fmt: skip
    return watts / unit


def rounded(value, factor, step, most):
    steps = Decimal(value) / factor / Decimal(step) + Decimal("0.5")
    steps = steps.to_integral_value("ROUND_FLOOR")
    return min(steps * Decimal(step), Decimal(most))


def compare(variant, telegram, quantities, mwh, when_ms=None):
    """Holds all that the judge reads against the meter's values; gives how many they were."""
    read = judged(variant, telegram)
    assert read is not None, telegram
    count = 0
    for name, what in NAMES.items():
        if name in read:
            assert read[name].value == expected(variant, quantities, mwh, what), name
            count += 1
    if when_ms is not None and variant != "dk-nes":
        stamp = read["P1_MESSAGE_TIMESTAMP"].value
        standard = not JUDGE_SUMMER[variant]
        true = from_utc_ms(when_ms)
        if standard:
            # The judge takes W in summer for summer time, as readers do.
            local = (true + timedelta(hours=1)).replace(tzinfo=None)
            assert stamp.astimezone(NORWAY).replace(tzinfo=None) == local or gap(local)
        else:
            assert stamp == true
        count += 1
    return count


def gap(local):
    """An hour that Norway skips: no reader can show it."""
    there = local.replace(tzinfo=NORWAY).astimezone(UTC).astimezone(NORWAY)
    return there.replace(tzinfo=None) != local


# Whose meters change to summer time.
JUDGE_SUMMER = {
    variant: not variant.startswith(("se", "fi", "dk")) or variant in ("se-kamstrup", "dk")
    for variant in JUDGES
}


class Witness(Recorder):
    """Keeps beside each telegram what the meter knew when it was sent."""

    port = None

    def __init__(self):
        super().__init__()
        self.known = []

    def write(self, data):
        super().write(data)
        view = self.port.view
        q = view.quantities
        self.known.append((
            {name: list(getattr(q, name)) for name in
             ("voltage_mv", "current_ua", "active_power_mw", "reactive_power_mvar")}
            | {"total_active_power_mw": q.total_active_power_mw,
               "total_reactive_power_mvar": q.total_reactive_power_mvar},
            list(view.registers.mwh),
        ))  # fmt: skip


DAYS = ("2026-03-29", "2026-10-25", "2026-12-31", "2028-02-28")


# Each variant one day of its own in every run, the others in the campaign.
PAIRS = [(variant, DAYS[k % len(DAYS)]) for k, variant in enumerate(JUDGES)]
OTHERS = [(v, day) for v in JUDGES for day in DAYS if (v, day) not in PAIRS]


@pytest.mark.parametrize(("variant", "day"), PAIRS)
def test_a_day_is_read_as_the_meter_has_it(variant, day):
    """Minutes around each full hour of a day and a night, midnights and changes of the clock."""
    _a_day(variant, day)


@pytest.mark.campaign
@pytest.mark.parametrize(("variant", "day"), OTHERS)
def test_the_other_days_are_too(variant, day):
    _a_day(variant, day)


def _a_day(variant, day):
    start = to_utc_ms(datetime.fromisoformat(day).replace(hour=0, tzinfo=NORWAY)) - 120_000
    port, _ = make("p1", variant)
    uart = port._uart = Witness()
    uart.port = port
    # The register that is near its end rolls over within the day.
    registers = port.view.registers
    registers.mwh[0] = ENERGY.get(variant, 10**9) * 1000 - 3_000_000
    q = port.view.quantities
    port.open(start)
    for now in range(start, start + 26 * HOUR, 60_000):
        load(q, now)
        if (now - start) // 60_000 % 60 < 4:
            uart.now = now
            port.push(2, now)
        registers.add(q.total_active_power_mw * 60_000, q.total_reactive_power_mvar * 60_000)
    assert len(uart.frames) == 26 * 4
    values = sum(
        compare(variant, frame, *known, when)
        for (when, frame), known in zip(uart.frames, uart.known, strict=True)
    )
    assert values > 8 * len(uart.frames) or variant == "at" and values > 6 * len(uart.frames)
    signs = {known[0]["total_active_power_mw"] > 0 for known in uart.known}
    assert signs == {True, False}
    first, last = (judged(variant, uart.frames[k][1]) for k in (0, -1))
    name = next(n for n in ("ELECTRICITY_IMPORTED_TOTAL", "ELECTRICITY_USED_TARIFF_1") if n in last)
    assert last[name].value < first[name].value, "it has rolled over"


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
@pytest.mark.parametrize("variant", JUDGES)
def test_what_a_system_does_not_have_is_left_out(variant, system):
    port, uart = make("p1", variant, system)
    port.open(0)
    run(port, uart, 840_000_000_000, 12_000, 1000)
    read = judged(variant, uart.frames[-1][1])
    voltages = {f"INSTANTANEOUS_VOLTAGE_L{k}" for k in (1, 2, 3)} & set(read)
    if variant not in ("nl40", "nl4", "at"):
        assert len(voltages) == (1 if system == "1P2W" else 3)
    phases = {name for name in read if name.startswith("INSTANTANEOUS_ACTIVE_POWER_L")}
    assert len(phases) == (
        0 if variant in ("at", "hu") else {"1P2W": 2, "3P3W": 0, "3P4W": 6}[system]
    )


def asked(variant, **more):
    """A request as `ams han replay` makes it."""
    return {
        "format": "p1", "variant": variant, "options": {}, "system": "3P4W",
        "identity": {"meter_id": "7359990000000017", "meter_type": "OAMS3"},
        "utc_ms": 840_002_410_000, "utc_offset_min": None, "clock_status": 0, "list": 2,
        "quantities": {
            "voltage_mv": [231_000, 232_000, 229_000],
            "current_ua": [1_200_000, 2_300_000, 17_500_000],
            "active_power_mw": [283_000, 4_000, 4_000_000],
            "reactive_power_mvar": [-20_000, 1_000, 3_000],
            "total_active_power_mw": 4_287_000, "total_reactive_power_mvar": -16_000,
            "total_apparent_power_mva": 4_300_000, "frequency_mhz": 49_987,
        },
        "registers": {"a_plus_mwh": 123_456_780, "a_minus_mwh": 1_000_000,
                      "r_plus_mvarh": 22_000_000, "r_minus_mvarh": 333_330_000},
        "more": more,
    }  # fmt: skip


FAILURES = [[840_000_000_000, 301], [830_000_000_000, 240]]


@pytest.mark.parametrize("variant", ["nl40", "nl4", "nl5", "lu"])
def test_failures_sags_and_swells(variant):
    counts = [15, 7, 1, 2, 3, 4, 5, 6]
    read = judged(variant, handle(asked(variant, counts=counts, failures=FAILURES)))
    assert read["SHORT_POWER_FAILURE_COUNT"].value == 15
    for k in range(3):
        assert read[f"VOLTAGE_SAG_L{k + 1}_COUNT"].value == counts[2 + k]
        assert read[f"VOLTAGE_SWELL_L{k + 1}_COUNT"].value == counts[5 + k]
    if variant != "lu":
        assert read["LONG_POWER_FAILURE_COUNT"].value == 7
        log = read["POWER_EVENT_FAILURE_LOG"]
        assert log.buffer_length == 2
        assert [entry.value for entry in log.buffer] == [301, 240]
        assert [entry.datetime for entry in log.buffer] == [from_utc_ms(ms) for ms, _ in FAILURES]


def by_rate(rates):
    """[register, rate, mWh, uWs] of each, as a request has them."""
    return [[which, k + 1, mwh, 0] for which, row in enumerate(rates) for k, mwh in enumerate(row)]


@pytest.mark.parametrize("variant", ["nl4", "nl5", "be", "hu", "at"])
def test_energy_by_rate(variant):
    rates = [[1000 * (10 * which + rate) for rate in (1, 2, 3, 4)] for which in range(4)]
    read = judged(variant, handle(asked(variant, rate=2, rates=by_rate(rates))))
    unit = 1 if variant == "at" else 1000
    assert read["ELECTRICITY_USED_TARIFF_2"].value == Decimal(2) / unit
    assert read["ELECTRICITY_DELIVERED_TARIFF_1"].value == Decimal(11) / unit
    if variant == "hu":
        assert read["ELECTRICITY_USED_TARIFF_4"].value == Decimal("0.004")
    if variant != "at":
        assert read["ELECTRICITY_ACTIVE_TARIFF"].value == "0002"


SUBS = [
    [1, 3, "4F414D3334353637383930", 840_002_000_000, 432109, -2, 13],
    [2, 7, "4F414D3132333435363738", 840_002_000_000, 123456, -3, 13],
    [3, 4, "4F414D3233343536373839", 840_002_000_000, 34567, 3, 30],
    [4, 3, "", None, None, 0, 0],
]


@pytest.mark.parametrize("variant", ["nl5", "be", "lu"])
def test_sub_meters(variant):
    """Gas in m3, water in m3, heat in GJ; a channel that was not read yet has no value."""
    read = judged(variant, handle(asked(variant, subs=SUBS)))
    devices = read["MBUS_DEVICES"]
    assert [device.channel_id for device in devices] == [1, 2, 3, 4]
    readings = [device.MBUS_METER_READING for device in devices[:3]]
    assert [(reading.value, reading.unit) for reading in readings] == [
        (Decimal("4321.090"), "m3"), (Decimal("123.456"), "m3"), (Decimal("124.441"), "GJ"),
    ]  # fmt: skip
    assert {reading.datetime for reading in readings} == {from_utc_ms(840_002_000_000)}
    assert not hasattr(devices[3], "MBUS_METER_READING")
    kinds = [device.MBUS_DEVICE_TYPE.value for device in devices]
    assert [int(kind) for kind in kinds] == [3, 7, 4, 3]


def test_gas_in_the_netherlands_of_dsmr_4():
    read = judged("nl4", handle(asked("nl4", subs=SUBS[:1])))
    assert read["HOURLY_GAS_METER_READING"].value == Decimal("4321.090")
    assert read["EQUIPMENT_IDENTIFIER_GAS"].value == SUBS[0][2]


def test_demand_in_belgium():
    read = judged("be", handle(asked(
        "be", demand_mw=52_400, maximum=[[840_000_300_000, 3_064_000]],
        months=[[839_000_000_000, 838_000_000_000, 4_927_000], [836_000_000_000, None, 0]],
        limit_mw=999_900_000,
    )))  # fmt: skip
    assert read["BELGIUM_CURRENT_AVERAGE_DEMAND"].value == Decimal("0.052")
    assert read["BELGIUM_MAXIMUM_DEMAND_MONTH"].value == Decimal("3.064")
    assert read["BELGIUM_MAXIMUM_DEMAND_MONTH"].datetime == from_utc_ms(840_000_300_000)
    months = read["BELGIUM_MAXIMUM_DEMAND_13_MONTHS"]
    assert [month.value for month in months] == [Decimal("4.927"), 0]
    assert read["ACTUAL_SWITCH_POSITION"].value in (1, "1")


def test_hungary_has_quadrants_factors_and_frequency():
    request = asked("hu", power_factors=[991, 100, 999, 997])
    request["registers"]["r_q4_mvarh"] = 143_346_000
    read = judged("hu", handle(request))
    assert read["INSTANTANEOUS_REACTIVE_POWER_Q4"].value == Decimal("0.016")
    assert [read[f"INSTANTANEOUS_REACTIVE_POWER_Q{k}"].value for k in (1, 2, 3)] == [0, 0, 0]
    assert read["FREQUENCY"].value == Decimal("49.99")
    assert read["INSTANTANEOUS_POWER_FACTOR_TOTAL"].value == Decimal("0.997")
    assert read["ELECTRICITY_COMBINED"].value == Decimal("124.456")
    assert read["ELECTRICITY_REACTIVE_TOTAL_Q4"].value == Decimal("143.346")


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 2), (-1, -1, 3), (1, -1, 4)])
def test_the_quadrant_of_reactive_power(signs):
    p, q, quadrant = signs
    request = asked("hu")
    request["quantities"]["total_active_power_mw"] = p * 500_000
    request["quantities"]["total_reactive_power_mvar"] = q * 20_000
    read = judged("hu", handle(request))
    found = [read[f"INSTANTANEOUS_REACTIVE_POWER_Q{k}"].value for k in (1, 2, 3, 4)]
    assert found == [Decimal("0.020") if k == quadrant else 0 for k in (1, 2, 3, 4)]


@pytest.mark.parametrize("variant", JUDGES)
def test_a_flipped_bit_is_refused(variant):
    telegram = handle(asked(variant, counts=[1] * 8, failures=FAILURES))
    for bit in range(0, 8 * (len(telegram) - 8), 13):
        broken = bytearray(telegram)
        broken[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(UnicodeDecodeError):
            assert judged(variant, bytes(broken)) is None, bit


def play(variant, **options):
    frames = []
    options.setdefault("speed", None)
    options.setdefault("runtime", "cpython")
    session = Session(
        load_scenario("house"),
        Options(han_format="p1", han_variant=variant, han_open=True, **options),
        on_frame=frames.append,
    )
    try:
        session.play(lambda: None)
        return session.finish(), frames
    finally:
        session.close()


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
@pytest.mark.parametrize("variant", ["nl5", "be", "hu"])
def test_a_running_meter_keeps_the_schedule(variant, runtime):
    """A telegram each second (each ten in Hungary): none missed, none late, all read."""
    result, frames = play(variant, duration_s=200.0, runtime=runtime)
    period = 10 if variant == "hu" else 1
    assert len(frames) == 200 // period == sum(result["han"]["sent"])
    assert result["han"]["missed"] == 0 and result["han"]["late_max_ms"] <= 100
    reads = [judged(variant, frame.data) for frame in frames[:: max(1, len(frames) // 30)]]
    assert all(reads)
    last = judged(variant, frames[-1].data)
    total = last["ELECTRICITY_USED_TARIFF_1"].value + last["ELECTRICITY_USED_TARIFF_2"].value
    # The register went on for a second after the last telegram.
    assert 0 <= result["registers"]["a_plus_mwh"] / 10**6 - float(total) < 0.03


def test_failures_of_a_running_meter_outlive_the_supply(tmp_path):
    """Each stop is one; more than three minutes make a long one."""
    state = tmp_path / "state"
    for start, count in (("12:00", 0), ("12:02", 1), ("12:30", 2)):
        _, frames = play("nl5", state=state, duration_s=60.0,
                         start=datetime.fromisoformat(f"2026-06-01T{start}:00+02:00"))  # fmt: skip
        read = judged("nl5", frames[-1].data)
        assert read["SHORT_POWER_FAILURE_COUNT"].value == count
    assert read["LONG_POWER_FAILURE_COUNT"].value == 1
    (entry,) = read["POWER_EVENT_FAILURE_LOG"].buffer
    assert 1580 <= entry.value <= 1680
    assert entry.datetime == datetime(2026, 6, 1, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("variant", ["nl5", "be"])
def test_sub_meters_of_a_running_meter(variant):
    """Gas, water and heat on the M-Bus, installed as an operator does."""
    orders = [parse_order(f"{k}=mbus-install:{k}") for k in (1, 2, 3)]
    _, frames = play(variant, speed=1.0, duration_s=12.0, mbus="model", at=orders,
                     start=datetime.fromisoformat("2026-06-01T12:00:00+02:00"))  # fmt: skip
    text = frames[-1].data.decode()
    gas = "24.2.3" if variant == "be" else "24.2.1"
    assert "(00123.456*m3)" in text and "0-1:24.2.1(260601" in text
    assert "0-2:24.2.1(260601" in text and "(00124.441*GJ)" in text
    assert "(04321.090*m3)" in text and f"0-3:{gas}(260601" in text
    assert judged(variant, frames[-1].data) is not None


def test_names_of_the_command_line():
    assert tuple(JUDGES) == FORMATS["p1"].variants
    done = ams("run", "--han-format", "p1-ie", "--duration", "1", ok=False)
    assert done.returncode == 1
    assert all(f"p1-{variant}" in done.stderr for variant in JUDGES)
    result = json.loads(ams("run", "--han-format", "p1-dk-nes", "--speed", "max", "--duration",
                            "60", "--han-open", "--json").stdout)  # fmt: skip
    assert result["han"]["sent"] == [0, 6, 0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_telegrams_are_remade_from_what_they_say(tmp_path, runtime):
    """Every country and system: read, put into a meter, sent again, the same octets."""
    rates = [[1000 * (10**5 * which + 777 * rate) for rate in (1, 2, 3, 4)] for which in range(4)]
    lines = []
    for variant in JUDGES:
        for system in ("1P2W", "3P3W", "3P4W"):
            for utc_ms in (822_000_000_000, 840_002_410_000):  # winter, summer
                request = asked(
                    variant, rate=2, rates=by_rate(rates), counts=list(range(8)), failures=FAILURES,
                    subs=SUBS, demand_mw=52_000, maximum=[[840_000_300_000, 3_064_000]],
                    months=[[839_000_000_000, 838_000_000_000, 4_927_000]], connected=False,
                    limit_mw=17_000_000, limit_ma=63_000, power_factors=[991, 100, 999, 997],
                    equipment=["53414731", "4F414D"],
                )  # fmt: skip
                request["system"], request["utc_ms"] = system, utc_ms
                if variant in RATED:
                    # The register is the sum of its rates.
                    for which, name in enumerate(("a_plus_mwh", "a_minus_mwh")):
                        request["registers"][name] = sum(rates[which])
                # Readers end one behind the check, or behind its line.
                telegram = handle(request)[: -2 if system == "3P3W" else None]
                lines.append(json.dumps({"frame": telegram.hex(), "source": variant}))
    path = tmp_path / "telegrams.jsonl"
    path.write_text("\n".join(lines) + "\n")
    result = json.loads(ams("han", "replay", path, "--runtime", runtime, "--json").stdout)
    assert result["frames"] == len(lines) == len(JUDGES) * 3 * 2
    assert [(e["source"], e["reason"]) for e in result["different"]] == []


def test_what_crosses_over_is_no_telegram():
    """Values, times and counters: no line of the telegram, nor a piece of one."""
    telegram = handle(asked("nl5", counts=[3] * 8, failures=FAILURES, subs=SUBS))
    requests = []
    replay([(1, telegram, "")], lambda request: requests.append(request) or b"")
    text = json.dumps(requests)
    for line in telegram.decode().split("\r\n")[1:]:
        assert len(line) < 8 or line not in text
        for group in line.split("(")[1:]:
            assert len(group) < 12 or group.rstrip(")").startswith("4F414D") or group not in text

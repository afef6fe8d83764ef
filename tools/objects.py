"""Writes docs/objects.md from the firmware's own list; with --check only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / part) for part in ("firmware", "host", "host/openams/emulator/shims", "boards/unix")
]

from ams.cosem import access  # noqa: E402
from ams.objects import catalogue  # noqa: E402

TARGET = ROOT / "docs" / "objects.md"
CLIENTS = (
    (access.PUBLIC, "public"),
    (access.READER, "reader"),
    (access.OPERATOR, "operator"),
    (access.BREAKER, "breaker"),
    (access.UPDATE, "update"),
)
CLASS_NAMES = {
    1: "Data", 3: "Register", 4: "Extended register", 5: "Demand register", 7: "Profile generic",
    8: "Clock", 9: "Script table", 11: "Special days table", 15: "Association LN",
    17: "SAP assignment", 18: "Image transfer", 19: "IEC local port setup",
    20: "Activity calendar",
    22: "Single action schedule", 23: "IEC HDLC setup", 40: "Push setup", 41: "TCP-UDP setup",
    64: "Security setup", 70: "Disconnect control", 71: "Limiter", 72: "M-Bus client",
}  # fmt: skip
TEXTS = {
    "device_name": "logical device name",
    "serial": "the meter's number",
    "meter_type": "its type",
    "firmware": "firmware version",
    "signature": "signature of the running firmware",
    "tariff": "rate in force, by the calendar (1 to 4)",
    "load": "load profile 1",
    "daily": "registers at each midnight",
    "monthly": "billing periods: what the registers held at the end of each",
    "BILLING": "1 ends the billing period",
    "voltage": "voltage and current of ten minutes: least, mean, most",
    "events": "event log E: standard, fraud, control, security, quality, communication",
    "code": "code of the last event of log E",
    "number": "number of the last event of log E",
    "home": "home automation open",
    "modbus": "Modbus open",
    "PUSH": "1 sends intervals, 2 alarms",
    "IMAGE": "1 activates the image",
}
VIEWS = {
    "home_setup.HomeState": "how its connection to the broker stands",
    "home_setup.HomePublished": "messages published since power-up",
    "register.Energy": "cumulative energy: A+, A-, R+, R-, R in quadrants I to IV; E 1 to 4: "
    "A+, A- of a rate",
    "register.Averaging": "averaging period of demands D 4, 6 (0), 14, 16 (1); capture period (4)",
    "data.Ratio": "ratio of current (2), voltage (3), both (4): primary; secondary 5 to 7",
    "data.Period": "billing periods that ended (0); when the last did (2)",
    "register.Interval": "energy of the last interval of load profile 1: A+, A-, R+, R-, quadrants",
    "register.MaximumDemand": "highest mean power of a clock hour (6), quarter (16), P+ and P-, in "
    "this billing period, and when it ended; 128 to 130: of three different days",
    "register.Demand": "mean power of the running clock hour (4), quarter (14), and of the last "
    "whole one",
    "register.Instant": "P+, P-, Q+, Q-, S, I, U, power factor, f by C (L1 20, L2 40, L3 60 more); "
    "91: I of the neutral, where it is sampled; E 124: distortion",
    "register.VoltageValue": "ten minutes, I and U of L1 to L3: least (23), mean (25), most (26)",
    "clock.Clock": "clock, Norwegian time",
    "data.AlarmRegister": "alarms since they were cleared",
    "data.LastEvent": "detail (2) and extra (3) of the last event of log E",
    "disconnect_control.DisconnectControl": "breaker",
    "disconnect_control.BreakerScripts": "1 disconnects, 2 reconnects",
    "limiter_object.Limiter": "limiter",
    "data.ProfileStatus": "marks of the open interval of the load (1), voltage (2) profile",
    "data.ErrorRegister": "what is wrong now: bits as of the alarms",
    "data.AlarmFilter": "which alarms count, and are sent",
    "disconnect_control.BreakerOrder": "a sealed order to arm; read: the last number used",
    "disconnect_control.BreakerPolicy": "policy set at provisioning, see breaker.md",
    "disconnect_control.BreakerAlarms": "alarms of the breaker that stand",
    "limiter_object.LimiterWindow": "window in s, reconnections an hour",
    "calendar.TariffScripts": "1 to 4 stand for the rates",
    "mbus.Channel": "sub-meter of channel B",
    "mbus.Value": "value E of the sub-meter of channel B",
    "image_transfer.ImageTransfer": "image transfer, see update.md",
    "image_transfer.FirmwareState": "slot that runs (0 the base), on trial, its starts left, "
    "security floor",
    "limiter_object.QuotaSetup": "quota: Wh, period in s, warning in permille; read also used Wh, "
    "flags",
    "calendar.ActivityCalendar": "activity calendar",
    "calendar.SpecialDays": "special days",
    "schedule.Schedule": "single action schedule (0: end of the billing period)",
    "push_setup.PushSetup": "push: B 0 intervals, 4 alarms",
    "link_setup.LocalPort": "service port: mode at rest, rate that mode E offers",
    "link_setup.HdlcSetup": "service port",
    "link_setup.TcpSetup": "TCP",
    "secrets.Secret": "breaker key (0), second (1), update key (2), HAN keys (3): check value; "
    "written: wrapped, see keys.md",
    "han_port.HanOpen": "HAN port open",
    "han_port.HanEncryption": "HAN port encrypted",
    "han_port.HanKeys": "HAN keys, wrapped",
    "han_port.HanFormat": "format of the HAN lists",
    "han_port.HanSent": "HAN lists sent since power-up",
    "han_port.HanSummerTime": "summer time in the HAN lists; false: standard time all the year",
    "modbus_setup.ModbusMaps": "Modbus units and their maps",
    "modbus_setup.ModbusAnswers": "Modbus requests answered since power-up",
    "readout_setup.ReadoutLevel": "text at the optical port: 0 none, 1 registers, 2 profiles too",
    "readout_setup.ReadoutList": "whose manner that text has",
}
OF_SERVER = {
    (15, 0): "the association that asks",
    (15, 1): "association of the client with SAP E",
    (17, 0): "SAP assignment",
    (64, 0): "keys and policy of the client with SAP E",
    (1, 1): "invocation counter to go on with, of SAP E",
}
HEAD = """# COSEM objects

Made by `python tools/objects.py` from the firmware's catalogue; do not edit.

Clients and their SAP: public 16, reader 2, operator 1, breaker 5, update 6; the server is 1. What a
column does not name is denied (read-write-denied). A client that may do nothing with an object does
not see it in the object list of its association, 0-0:40.0.0.255. Objects that a meter has no phase
or no room for are not in its list.

Every number is whole: energies in mWh and mvarh (scaler -3), powers in mW, voltages in mV, currents
in mA, frequencies in mHz; distortion and the voltages of the profile in tenths (scaler -1).
"""
TAIL = """
## Profiles

Sorted first in, first out; selective access by range and by entry, with columns. A range is
inclusive at both ends and counts to the second; a time without deviation is local time, and of the
two hours that share it in October the clock status tells which. Fields that are not specified
stand for the begin (from) or end (to) of what is. A bound before 2000 or behind what the meter can
know is cut to that, so that a client that asks from 1970 on gets all there is. A range by a column
that is no time takes values of any integer type; one request looks through 300 rows for it at the
most, so it serves for the logs: a longer profile answers scope-of-access-violated (13), a list that
asks for more, or for more than four ranges by time, temporary-failure (2). A row that can no longer
be read has no time (FF), values of zero and the status bit "data not valid" (0x04).

| profile | columns | octets of a row |
| --- | --- | --- |
{profiles}
The load profile holds the energy of each interval (D = 29), not the register: its sum is the
difference of the registers, exactly. Its capture period is 900 or 3600 s; a change ends the
interval that is open, and is logged.

The clock's time is set by its attribute 2 or its methods; the time zone and summer time are the
law's and are not. A time without deviation is local time. What is at most ten seconds off is
slewed: the answer is success, the clock gets there by 1000 ppm ([clock.md](clock.md)), and what
is read until then is on its way. More is a step: two events, and a mark on each interval, day
and month it touches; no row is rewritten. Steps are few: beyond four at
once and then one in a quarter of an hour the answer is temporary-failure (2); see
[storage.md](storage.md#clock).

## Points behind transformers

Who has ratios ([provisioned](architecture.md#points-behind-transformers)) shows the primary side,
has 1-0:0.4.2 to 0.4.7, and its load profile has R in quadrants I to IV too (59 octets a row; C = 5
to 8 of D = 29), by the quarter from the start. Where the point is above 2 MVA energies are in Wh
and powers in W (scaler 0), so that an interval fits; a client goes by the scaler. The voltage
profile has voltages of 32 bits. There is no breaker: whatever would move it is refused.

## Rates

The activity calendar says which rate is in force (0-0:96.14.0). Energy is split by it:
1-0:1.8.1 to 1.8.4 and 2.8.1 to 2.8.4, whose sum is 1.8.0 and 2.8.0 to the mWh at any moment, over
switches, power cuts and lost registers (kept is what the other rates have; the rate in force has
the rest). A switch is at the minute that the calendar says, by the clock that is shown; where a
calendar names no rate the one before goes on. What was counted before there was a calendar is of
rate 1. Activation puts the passive calendar in force with one stored octet; what was in force is
passive from then on.

## Billing periods

A period ends with the month, at the first local midnight, whether there is supply then or not;
at the times of 0-0:15.0.0 when the operator sets others (a day and a time, to the minute; one that
falls into a time without supply is made up for once; no times: never); and by script 1 of
0-0:10.0.1, which is logged: six at once, then one a week, beyond that temporary-failure (2).
The period's values are a row of 0-0:98.1.0, and demands begin anew (1-0:1.6.x, 1.16.x, 2.6.x,
2.16.x). Energies never do. 1-0:0.1.0 counts the periods, 1-0:0.1.2 says when the last one ended.

Demands are of whole clock hours (averaging period 1) and quarters (2). Of each local day only its
highest counts among the three, E = 128, 129, 130 (the range of manufacturers: ranks have no code
of their own), as Norwegian and Swedish grid tariffs count them; E = 0 is the highest. An hour in
which the supply was gone counts with what was used of it when the open interval began with it.
Ties go to the earlier. A row of 0-0:98.1.0 has E = 0, 129 and 130.

## Schedules

Times of single action schedules are to the minute, with wildcards, in local time. A time that
names an hour runs once in October, in the first of the two hours, and in March an hour later
when there is no such hour. Day FE is the last of the month and FD the last but one; with a day of
the week the last such day and the one before it. Dates and times that there are not are refused
(250). What falls into a time without supply is not made up for, but for the end of a billing
period. A schedule goes by its own time: setting the clock lets it run neither sooner nor once more
([breaker.md](breaker.md#own-time)).
0-0:15.0.1 disconnects and 0-0:15.0.5 reconnects (as local events: the control mode
says whether they may; their times are set under the terms of a movement, see breaker.md),
0-0:15.0.2 activates an image, 0-0:15.0.4 sends intervals, 0-0:15.0.0 ends a billing period.

## What is sent unasked

0-0:25.9.0 sends the last intervals, on its schedule or by its method; 0-4:25.9.0 sends alarms as
they are raised. A message is a DataNotification in general-glo-ciphering for the client that is
connected, or for the reader (SAP 2) when none is; nothing is ever sent in clear, and nothing that
the reader may not read. Transport 5 (HDLC) is the service port; 0 (TCP) with the destination
`host:port` connects there where the board can (an ESP32: no names); without a destination it takes
a connection that stands. The index of a profile's buffer in the list of objects is how many of the
newest rows go. When the supply falls, the alarm "power down" goes at once, after the registers are
stored.

## HAN port

0-0:128.1.0 opens and closes it (boolean), 0-0:128.1.1 switches encryption (boolean), 0-0:128.1.2
takes new keys: an octet-string of encryption and authentication key, each wrapped by the meter's
master key (RFC 3394), 48 octets. All outlive a power cut and are logged. Lists are then
general-glo-ciphering under the meter's system title; the invocation counter is kept ahead of use.

## Readout at the optical port

0-0:128.6.0 (enumeration) says what of the meter everybody at the optical port gets as text, without
keys: 0 nothing, 1 the registers that a display shows, 2 the load profile and the log too. It
outlives a power cut and is logged as a changed parameter. See links.md.

## Modbus

0-0:128.8.0 (boolean) opens and closes the Modbus port; like the HAN port it is closed until the
operator opens it, which outlives a power cut and is logged. It can be read and nothing else. Meters
without one in their settings do not have these objects. See modbus.md.

## Alarms

Bits of the alarm register 0-0:97.98.0 and its filter 0-0:97.98.10: {alarms}.
Writing the register clears the bits that are written as 0.
"""


def who(mask: int) -> str:
    mask &= access.EVERYBODY
    if mask == access.EVERYBODY:
        return "all"
    if mask == access.KEYED:
        return "all with keys"
    return ", ".join(name for bit, name in CLIENTS if mask & bit) or "nobody"


def numbers(values: list[int]) -> str:
    """1 to 8, or a list."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs)


def grouped(table: dict[int, int], word: str) -> str:
    """Who may what: attributes or methods with the same mask together."""
    masks: dict[int, list[int]] = {}
    for number, mask in sorted(table.items()):
        masks.setdefault(mask, []).append(number)
    return "; ".join(f"{word} {numbers(found)}: {who(mask)}" for mask, found in masks.items())


def readable(rights: Any) -> str:
    out = who(rights.read)
    if rights.reads:
        out += "; " + grouped(rights.reads, "attribute")
    return out


def text_of(row: tuple[Any, ...]) -> str:
    if isinstance(row[6], str) and row[6] in TEXTS:
        return TEXTS[row[6]]
    return VIEWS[row[5]]


def name_of(row: tuple[Any, ...]) -> str:
    def part(values: bytes) -> str:
        found = [str(value) for value in values]
        return found[0] if len(found) == 1 else "{" + ",".join(found) + "}"

    return f"{row[1][0]}-{row[1][1]}:{part(row[2])}.{part(row[3])}.{part(row[4])}.255"


def line(ln: str, class_id: int, text: str, rights: Any) -> str:
    version, attributes, methods = catalogue.class_of(class_id)
    return (
        f"| {ln} | {CLASS_NAMES[class_id]} ({class_id}), v{version} | {attributes}, {methods} "
        f"| {text.rstrip('.')} | {readable(rights)} "
        f"| {grouped(rights.writes, 'attribute')} | {grouped(rights.calls, 'method')} |"
    )


class Everybody:
    """Takes the server's rows, of a meter with keys for every client."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def extend(self, rows: list[Any]) -> None:
        self.rows += rows


def server_rows() -> list[Any]:
    from ams.cosem.keyring import Keyring
    from ams.cosem.server import Server
    from ams.storage.cells import PlainCells

    clients = []
    for sap in (1, 2, 5, 6):
        clients.append({"sap": sap, "encryption": f"{sap:032x}", "authentication": "11" * 16})
    model = Everybody()
    config = {"system_title": "4f414d0000000000", "clients": clients}
    Server(model, Keyring(PlainCells(), config), bytes, None, None)
    return model.rows


def server_lines() -> list[str]:
    """Objects of the server: one line for those that differ by the client alone."""
    seen: dict[tuple[int, int, int], list[Any]] = {}
    for class_id, ln, _, rights in server_rows():
        kind = (class_id, ln[3], 1 if class_id == 15 and ln[4] else 0)
        seen.setdefault(kind, []).append((ln, rights))
    out = []
    for (class_id, d, of_client), found in sorted(seen.items()):
        ln, rights = found[0]
        text = OF_SERVER[(class_id, of_client or d)]
        if len(found) == 1:
            out.append(line(f"0-0:{ln[2]}.{d}.{ln[4]}.255", class_id, text, rights))
            continue
        name = f"0-0:{ln[2]}.{d}.{{{','.join(str(row[0][4]) for row in found)}}}.255"
        row = line(name, class_id, text, rights)
        if len({each.read for _, each in found}) > 1:
            # Each of its own client, and of the operator.
            version, attributes, methods = catalogue.class_of(class_id)
            calls = "method 1, 2: that client" if rights.calls else ""
            row = (
                f"| {name} | {CLASS_NAMES[class_id]} ({class_id}), v{version} "
                f"| {attributes}, {methods} | {text} | that client, operator |  | {calls} |"
            )
        out.append(row)
    return out


def profile_lines() -> list[str]:
    from ams.metrology.transformers import Transformers
    from ams.objects.columns import RowWriter, columns_of

    names = {
        "load": "time, status, A+, A-, R+, R- of the interval",
        "daily": "time, status, A+, A-, R+, R-, the four quadrants",
        "monthly": "as daily, A+ and A- of four rates, three hours and three quarters of P+, an "
        "hour and a quarter of P-, each with its end",
        "voltage": "time, status, least, mean and most of U, then of I, of L1 to L3",
        "events": "time, code, number of the event, detail, extra",
    }
    out = []
    for name, text in names.items():
        columns = columns_of(name, 0, Transformers())
        size = RowWriter(name, columns, range(len(columns)), None).size
        out.append(f"| {name} | {text} | {size} |")
    return out


def make() -> str:
    from ams.objects.alarms import NAMES

    head = "| logical name | class | attributes, methods | what | read | write | call |"
    out = [HEAD, head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in catalogue.ROWS:
        out.append(line(name_of(row), row[0], text_of(row), catalogue.rights(row[7])))
    out += server_lines()
    alarms = ", ".join(f"{bit:#010x} {name}" for bit, name in NAMES)
    tail = TAIL.format(profiles="\n".join(profile_lines()) + "\n", alarms=alarms)
    return "\n".join(out) + "\n" + tail


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    arguments = parser.parse_args()
    text = make()
    if arguments.check:
        if TARGET.read_text() != text:
            print("docs/objects.md is out of date: run python tools/objects.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

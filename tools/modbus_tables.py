"""Writes the register tables of docs/modbus.md from the tables that the firmware uses; with --check
it only compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("firmware", "host/openams/emulator/shims")]

from ams.modbus import points as pt  # noqa: E402
from ams.modbus import register_maps as rm  # noqa: E402

TARGET = ROOT / "docs" / "modbus.md"
# Where the points of a meter model begin: mark, common model, its own ID and length.
BODY = rm.SUNSPEC_BASE + 72

# Point of the firmware: its SunSpec name (of 203; {} the phases), and what it is.
NAMES = {
    pt.VOLTAGE: ("PhV", "voltage to neutral"),
    pt.PAIR: ("PPV", "voltage between phases"),
    pt.CURRENT: ("A", "current"),
    pt.ACTIVE: ("W", "active power, import positive"),
    pt.REACTIVE: ("VAR", "reactive power, lagging import positive"),
    pt.APPARENT: ("VA", "apparent power"),
    pt.FACTOR: ("PF", "power factor, with the sign of the active power"),
    pt.FACTOR_PERCENT: ("PF", "power factor, with the sign of the active power"),
    pt.ANGLE: ("", "angle of the power"),
    pt.FREQUENCY: ("Hz", "frequency"),
    pt.THD_VOLTAGE: ("", "distortion of the voltage"),
    pt.THD_CURRENT: ("", "distortion of the current"),
    pt.DEMAND: ("", "mean power of the last whole clock hour, import less export"),
    pt.HIGHEST: ("", "highest hour of the billing period, import"),
    pt.EVENTS: ("Evt", "what is wrong now"),
    pt.MEAN: ("", "mean of the currents"),
}
UNITS = {
    pt.VOLTAGE: "V", pt.PAIR: "V", pt.CURRENT: "A", pt.MEAN: "A", pt.ACTIVE: "W",
    pt.REACTIVE: "var", pt.APPARENT: "VA", pt.FACTOR: "", pt.FACTOR_PERCENT: "%",
    pt.ANGLE: "degrees", pt.FREQUENCY: "Hz", pt.THD_VOLTAGE: "%", pt.THD_CURRENT: "%",
    pt.DEMAND: "W", pt.HIGHEST: "W", pt.EVENTS: "",
}  # fmt: skip
REGISTERS = ("A+", "A-", "R+", "R-", "R of quadrant I", "R of quadrant II",
             "R of quadrant III", "R of quadrant IV")  # fmt: skip
SCALES = ("A_SF", "V_SF", "Hz_SF", "W_SF, VA_SF, VAR_SF", "PF_SF", "TotWh_SF, TotVArh_SF",
          "TotVAh_SF")  # fmt: skip
FORMS = {
    rm.INT16: ("int16", 1), rm.ACC32: ("acc32", 2), rm.SUNSSF: ("sunssf", 1),
    rm.BITFIELD32: ("bitfield32", 2), rm.FLOAT32: ("float32", 2),
}  # fmt: skip
HOLDING = (
    (rm.SDM630_SYSTEM, "system: 1 is 1P2W, 2 is 3P3W, 3 is 3P4W"),
    (rm.SDM630_PARITY, "parity and stop bits: 0 none and 1, 1 even, 2 odd, 3 none and 2"),
    (rm.SDM630_NODE, "unit"),
    (rm.SDM630_BAUD, "rate: 0 is 2400, 1 4800, 2 9600, 3 19200, 4 38400"),
)


def _energy(what: int, k: int) -> tuple[str, str]:
    """(what it is, unit) of a counted energy."""
    kilo = "" if what == pt.ENERGY else "k"
    unit = kilo + ("Wh" if k < 2 else "varh")
    name = f"{REGISTERS[k][0]}+ and {REGISTERS[k][0]}- together" if what in (
        pt.TURNED_KILO, pt.ONLY_TURNED
    ) else REGISTERS[k]  # fmt: skip
    alone = " of L1, where there is no other phase" if what in (
        pt.ONLY_PHASE, pt.ONLY_TURNED
    ) else ""  # fmt: skip
    return f"energy {name}{alone}", unit


def _place(what: int, k: int) -> str:
    if what in (pt.FREQUENCY, pt.EVENTS, pt.DEMAND, pt.HIGHEST, pt.MEAN):
        return ""
    if k == pt.ALL:
        mean = what in (pt.VOLTAGE, pt.PAIR, pt.THD_VOLTAGE, pt.THD_CURRENT)
        return ", mean" if mean else ", all"
    return ", " + (("L1-L2", "L2-L3", "L3-L1") if what == pt.PAIR else ("L1", "L2", "L3"))[k]


def describe(what: int, k: int) -> tuple[str, str]:
    """(what it is, unit) of a point."""
    if pt.ENERGY <= what <= pt.ONLY_TURNED:
        return _energy(what, k)
    return NAMES[what][1] + _place(what, k), UNITS[what]


def sunspec_rows(rows: bytes) -> list[tuple[int, int, str, str, str]]:
    """(first, last address, form, what, unit); what is not there in one row where it can."""
    out: list[tuple[int, int, str, str, str]] = []
    address = BODY
    for at in range(0, len(rows), 3):
        what, k, form = rows[at : at + 3]
        name, size = FORMS[form & 0xF0]
        if what == pt.SCALE:
            row = (name, "scale factor " + SCALES[k], "")
        elif what == pt.NONE:
            row = (name, "not there: 0" if name == "acc32" else "not there: not a number", "")
        else:
            row = (name, *describe(what, k))
        if out and out[-1][2:] == row:
            out[-1] = (out[-1][0], address + size - 1, *row)
        else:
            out.append((address, address + size - 1, *row))
        address += size
    return out


def sunspec_table(rows: bytes) -> str:
    lines = ["| address | form | what | unit |", "| --- | --- | --- | --- |"]
    for first, last, form, what, unit in sunspec_rows(rows):
        where = str(first) if first == last else f"{first} to {last}"
        lines.append(f"| {where} | {form} | {what} | {unit} |")
    return "\n".join(lines)


def sdm630_table() -> str:
    rows = rm.sdm630_input()
    lines = ["| address | register | what | unit |", "| --- | --- | --- | --- |"]
    for at in range(0, len(rows), 3):
        half, what, k = rows[at : at + 3]
        text, unit = describe(what, k)
        lines.append(f"| {2 * half} ({2 * half:04X}) | {30001 + 2 * half} | {text} | {unit} |")
    return "\n".join(lines)


def holding_table() -> str:
    lines = ["| address | register | what |", "| --- | --- | --- |"]
    for half, text in HOLDING:
        lines.append(f"| {2 * half} ({2 * half:04X}) | {40001 + 2 * half} | {text} |")
    return "\n".join(lines)


def page(text: str) -> str:
    for name, table in (
        ("int", sunspec_table(rm.meter_int())),
        ("float", sunspec_table(rm.meter_float())),
        ("sdm630", sdm630_table()),
        ("holding", holding_table()),
    ):
        begin, end = f"<!-- registers: {name} -->\n", "<!-- end of registers -->"
        assert begin in text, name
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        made = f"{begin}{table}\n{end}"
        text = re.sub(pattern, lambda _, made=made: made, text, count=1, flags=re.S)
    return text


def main() -> int:
    text = TARGET.read_text()
    made = page(text)
    if "--check" in sys.argv:
        if made != text:
            print(f"docs/modbus.md is out of date: run python {sys.argv[0]}", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

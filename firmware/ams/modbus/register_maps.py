"""Which register holds what, as tables: docs/modbus.md is made from them by tools/modbus_tables.py.

A row is three octets. SunSpec models: point, place, form; rows follow one another without a hole.
SDM630: half the address, point, place; what stands between is 0, as it is in an SDM630.
"""

from micropython import const

from ams.modbus.points import (
    ACTIVE,
    ALL,
    ANGLE,
    APPARENT,
    CURRENT,
    DEMAND,
    ENERGY,
    ENERGY_KILO,
    EVENTS,
    FACTOR,
    FACTOR_PERCENT,
    FREQUENCY,
    HIGHEST,
    MEAN,
    NONE,
    ONLY_PHASE,
    ONLY_TURNED,
    PAIR,
    REACTIVE,
    SCALE,
    THD_CURRENT,
    THD_VOLTAGE,
    TURNED_KILO,
    VOLTAGE,
)
from ams.registers.energy import A_MINUS, A_PLUS, R_MINUS, R_PLUS, R_Q1, R_Q2, R_Q3, R_Q4

# Forms of a SunSpec point. The lower half of an octet of the first three is the scale factor.
INT16 = const(0x00)
ACC32 = const(0x10)
SUNSSF = const(0x20)
BITFIELD32 = const(0x30)
FLOAT32 = const(0x40)

# Scale factors, by the place of a SCALE.
SF_A = const(0)
SF_V = const(1)
SF_HZ = const(2)
SF_W = const(3)
SF_PF = const(4)
SF_WH = const(5)
SF_NONE = const(6)  # of what is not there

SUNSPEC_BASE = const(40000)
COMMON = const(1)
COMMON_LENGTH = const(66)
# Models by system, behind 200 and 210; their length is that of the rows.
MODELS = {"1P2W": 1, "3P4W": 3, "3P3W": 4}


def _of_phases(what, form):
    """The whole and L1 to L3."""
    return (what, ALL, form, what, 0, form, what, 1, form, what, 2, form)


def _voltages(form):
    return _of_phases(VOLTAGE, form) + _of_phases(PAIR, form)


def _energies(registers, form, none):
    """Of each register the whole; of phases there is none."""
    out = ()
    for register in registers:
        what = NONE if register is None else ENERGY
        out += (what, register or 0, form) + (NONE, 0, none) * 3
    return out


def _scale(which):
    return (SCALE, which, SUNSSF | which)


def meter_int():
    """Models 201, 203 and 204."""
    quadrants = (R_Q1, R_Q2, R_Q3, R_Q4)
    return bytes(
        _of_phases(CURRENT, SF_A) + _scale(SF_A)
        + _voltages(SF_V) + _scale(SF_V)
        + (FREQUENCY, ALL, SF_HZ) + _scale(SF_HZ)
        + _of_phases(ACTIVE, SF_W) + _scale(SF_W)
        + _of_phases(APPARENT, SF_W) + _scale(SF_W)
        + _of_phases(REACTIVE, SF_W) + _scale(SF_W)
        + _of_phases(FACTOR_PERCENT, SF_PF) + _scale(SF_PF)
        + _energies((A_MINUS, A_PLUS), ACC32 | SF_WH, ACC32 | SF_WH) + _scale(SF_WH)
        + _energies((None, None), ACC32 | SF_NONE, ACC32 | SF_NONE) + _scale(SF_NONE)
        + _energies(quadrants, ACC32 | SF_WH, ACC32 | SF_WH) + _scale(SF_WH)
        + (EVENTS, ALL, BITFIELD32)
    )  # fmt: skip


def meter_float():
    """Models 211, 213 and 214."""
    return bytes(
        _of_phases(CURRENT, FLOAT32)
        + _voltages(FLOAT32)
        + (FREQUENCY, ALL, FLOAT32)
        + _of_phases(ACTIVE, FLOAT32)
        + _of_phases(APPARENT, FLOAT32)
        + _of_phases(REACTIVE, FLOAT32)
        + _of_phases(FACTOR, FLOAT32)
        + _energies((A_MINUS, A_PLUS, None, None, R_Q1, R_Q2, R_Q3, R_Q4), FLOAT32, FLOAT32)
        + (EVENTS, ALL, BITFIELD32)
    )  # fmt: skip


def _three(half, what):
    return (half, what, 0, half + 1, what, 1, half + 2, what, 2)


SDM630_INPUT_END = const(0x17E)


def sdm630_input():
    """Input registers of an SDM630, each a float32."""
    return bytes(
        _three(0x00, VOLTAGE) + _three(0x03, CURRENT)
        + _three(0x06, ACTIVE) + _three(0x09, APPARENT) + _three(0x0C, REACTIVE)
        + _three(0x0F, FACTOR) + _three(0x12, ANGLE)
        + (0x15, VOLTAGE, ALL, 0x17, MEAN, ALL, 0x18, CURRENT, ALL)
        + (0x1A, ACTIVE, ALL, 0x1C, APPARENT, ALL, 0x1E, REACTIVE, ALL)
        + (0x1F, FACTOR, ALL, 0x21, ANGLE, ALL, 0x23, FREQUENCY, ALL)
        + (0x24, ENERGY_KILO, A_PLUS, 0x25, ENERGY_KILO, A_MINUS)
        + (0x26, ENERGY_KILO, R_PLUS, 0x27, ENERGY_KILO, R_MINUS)
        + (0x2A, DEMAND, ALL, 0x2B, HIGHEST, ALL)
        + _three(0x64, PAIR) + (0x67, PAIR, ALL)
        + _three(0x75, THD_VOLTAGE) + _three(0x78, THD_CURRENT)
        + (0x7C, THD_VOLTAGE, ALL, 0x7D, THD_CURRENT, ALL)
        + (0xAB, TURNED_KILO, A_PLUS, 0xAC, TURNED_KILO, R_PLUS)
        + (0xAD, ONLY_PHASE, A_PLUS, 0xB0, ONLY_PHASE, A_MINUS, 0xB3, ONLY_TURNED, A_PLUS)
        + (0xB6, ONLY_PHASE, R_PLUS, 0xB9, ONLY_PHASE, R_MINUS, 0xBC, ONLY_TURNED, R_PLUS)
    )  # fmt: skip


# Holding registers of an SDM630 that say how it is set up, by half the address.
SDM630_SYSTEM = const(0x05)  # 1 1P2W, 2 3P3W, 3 3P4W
SDM630_PARITY = const(0x09)  # and stop bits: 0 none and 1, 1 even, 2 odd, 3 none and 2
SDM630_NODE = const(0x0A)
SDM630_BAUD = const(0x0E)  # 0 2400, 1 4800, 2 9600, 3 19200, 4 38400
SDM630_HOLDING_END = const(0x1E)

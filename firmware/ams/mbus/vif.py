"""What a value is: VIF and VIFE (EN 13757-3, clause 6.4) to quantity, unit and power of ten.

Units are those of COSEM (IEC 62056-6-2, table 4), so that a value becomes a register as it is.
"""

from micropython import const

DAY, HOUR, MINUTE, SECOND = const(4), const(5), const(6), const(7)
CELSIUS, M3, M3_BASE, M3_PER_H = const(9), const(13), const(14), const(15)
M3_PER_H_BASE, M3_PER_D, M3_PER_D_BASE, KG = const(16), const(17), const(18), const(20)
BAR, JOULE, JOULE_PER_H, WATT, WH = const(24), const(25), const(26), const(27), const(30)
AMPERE, VOLT, KELVIN, NONE = const(33), const(35), const(52), const(255)

_DURATIONS = (SECOND, MINUTE, HOUR, DAY)

# First VIF, last VIF, quantity, unit, power of ten at the first; each next one is a ten more.
_PRIMARY = (
    (0x00, 0x07, "energy", WH, -3),
    (0x08, 0x0F, "energy", JOULE, 0),
    (0x10, 0x17, "volume", M3, -6),
    (0x18, 0x1F, "mass", KG, -3),
    (0x28, 0x2F, "power", WATT, -3),
    (0x30, 0x37, "power", JOULE_PER_H, 0),
    (0x38, 0x3F, "volume-flow", M3_PER_H, -6),
    # Per minute and per second: no COSEM unit has these, the quantity says it.
    (0x40, 0x47, "volume-flow-per-min", NONE, -7),
    (0x48, 0x4F, "volume-flow-per-s", NONE, -9),
    (0x50, 0x57, "mass-flow-per-h", NONE, -3),
    (0x58, 0x5B, "flow-temperature", CELSIUS, -3),
    (0x5C, 0x5F, "return-temperature", CELSIUS, -3),
    (0x60, 0x63, "temperature-difference", KELVIN, -3),
    (0x64, 0x67, "external-temperature", CELSIUS, -3),
    (0x68, 0x6B, "pressure", BAR, -3),
    (0x6E, 0x6E, "heat-cost-allocation", NONE, 0),
    (0x78, 0x78, "fabrication-number", NONE, 0),
    (0x79, 0x79, "identification", NONE, 0),
    (0x7A, 0x7A, "bus-address", NONE, 0),
)
_TIMES = ((0x20, "on-time"), (0x24, "operating-time"), (0x70, "averaging"), (0x74, "actuality"))
_EXTENSION_FB = (
    (0x00, 0x01, "energy", WH, 5),
    (0x08, 0x09, "energy", JOULE, 8),
    (0x10, 0x11, "volume", M3, 2),
    (0x18, 0x19, "mass", KG, 5),
    (0x28, 0x29, "power", WATT, 5),
    (0x30, 0x31, "power", JOULE_PER_H, 8),
    (0x74, 0x77, "temperature-limit", CELSIUS, -3),
    (0x78, 0x7F, "power-maximum", WATT, -3),
)
_EXTENSION_FD = (
    (0x08, 0x08, "access-number", NONE, 0),
    (0x09, 0x09, "medium", NONE, 0),
    (0x0A, 0x0A, "manufacturer", NONE, 0),
    (0x0B, 0x0B, "parameter-set", NONE, 0),
    (0x0C, 0x0C, "model", NONE, 0),
    (0x0D, 0x0D, "hardware-version", NONE, 0),
    (0x0E, 0x0E, "firmware-version", NONE, 0),
    (0x0F, 0x0F, "software-version", NONE, 0),
    (0x10, 0x10, "customer-location", NONE, 0),
    (0x11, 0x11, "customer", NONE, 0),
    (0x17, 0x17, "error-flags", NONE, 0),
    (0x18, 0x18, "error-mask", NONE, 0),
    (0x1A, 0x1A, "digital-output", NONE, 0),
    (0x1B, 0x1B, "digital-input", NONE, 0),
    (0x3A, 0x3A, "dimensionless", NONE, 0),
    (0x40, 0x4F, "voltage", VOLT, -9),
    (0x50, 0x5F, "current", AMPERE, -12),
    (0x60, 0x60, "reset-counter", NONE, 0),
    (0x61, 0x61, "cumulation-counter", NONE, 0),
    (0x67, 0x67, "supplier-information", NONE, 0),
)
_UNKNOWN = ("other", NONE, 0)


def _find(table, vif):
    for first, last, quantity, unit, power in table:
        if first <= vif <= last:
            return quantity, unit, power + vif - first
    return _UNKNOWN


# What a VIFE may say of a record that could not be given: codes below 20 but these.
_NO_ERRORS = b"\x00\x12\x13\x14\x1d\x1e\x1f"
# VIFE that leave the unit as it is, beside those below 20: uncorrected, by direction, limits,
# values while they are exceeded, offsets, future values.
_SAME_UNIT = b"\x3a\x3b\x3c\x40\x48\x68\x69\x6c\x6d\x78\x79\x7a\x7b\x7e"
# Units that are another one per hour or day, or at base conditions.
_PER_HOUR = ((WH, WATT), (M3, M3_PER_H), (M3_BASE, M3_PER_H_BASE), (JOULE, JOULE_PER_H))
_PER_DAY = ((M3, M3_PER_D), (M3_BASE, M3_PER_D_BASE))
_AT_BASE = ((M3, M3_BASE), (M3_PER_H, M3_PER_H_BASE))


def _true_vif(vib):
    """(where the VIFEs of combination begin, first VIF without its extension bit)"""
    return (2 if vib[0] in (0xFB, 0xFD, 0xEF) and len(vib) > 1 else 1), vib[0] & 0x7F


def error(vib):
    """The code of a record error that a VIFE tells (EN 13757-3, table of record errors), or 0."""
    at, vif = _true_vif(vib)
    if vif == 0x7F:
        return 0
    for k in range(at, len(vib)):
        vife = vib[k] & 0x7F
        if vife == 0x7F or vife == 0x7C:
            break
        if vife < 0x20 and vife not in _NO_ERRORS:
            return vife
    return 0


def changed_unit(vib, unit):
    """The unit of a value that VIFEs make another quantity; NONE where COSEM has none for it."""
    at, _ = _true_vif(vib)
    while at < len(vib):
        vife = vib[at] & 0x7F
        at += 1
        if vife == 0x7F:
            return NONE
        if vife < 0x20 or 0x70 <= vife <= 0x77 or vife == 0x7D or vife in _SAME_UNIT:
            continue
        if 0x50 <= vife <= 0x67:
            # For how long a limit was exceeded, or something lasted.
            return _DURATIONS[vife & 3]
        other = {0x22: _PER_HOUR, 0x23: _PER_DAY, 0x3E: _AT_BASE}.get(vife, ())
        unit = dict(other).get(unit, NONE)
        if unit == NONE:
            break
    return unit


def meaning(vib):
    """(quantity, unit, power of ten, whether a VIFE changes what it is) of VIF and VIFEs.

    Quantity and unit are those of the VIF: what a value is that is changed, `changed_unit`
    says. A plain-text unit stands behind its VIF and is skipped by who reads it.
    """
    vif = vib[0] & 0x7F
    at = 1
    if vib[0] in (0xFB, 0xFD) and len(vib) > 1:
        found = _find(_EXTENSION_FB if vib[0] == 0xFB else _EXTENSION_FD, vib[1] & 0x7F)
        at = 2
    elif vib[0] == 0xEF and len(vib) > 1:
        found = _UNKNOWN
        at = 2
    elif vif == 0x6C:
        found = ("date", NONE, 0)
    elif vif == 0x6D:
        found = ("date-time", NONE, 0)
    elif vif == 0x7C:
        found = ("text-unit", NONE, 0)
    elif vif == 0x7F:
        found = ("manufacturer-specific", NONE, 0)
    else:
        found = _find(_PRIMARY, vif)
        for first, quantity in _TIMES:
            if first <= vif < first + 4:
                found = (quantity, _DURATIONS[vif - first], 0)
    quantity, unit, power = found
    changed = False
    if vif == 0x7F:
        return quantity, unit, power, False
    while at < len(vib):
        vife = vib[at] & 0x7F
        at += 1
        if vife == 0:
            continue  # no error
        if 0x70 <= vife <= 0x77:
            power += vife - 0x76
        elif vife == 0x7D:
            power += 3
        elif vife == 0x7F:
            changed = True
            break  # what follows is the manufacturer's own
        else:
            changed = True
    return quantity, unit, power, changed

"""Names of what OBIS codes of electricity say (IEC 62056-6-1)."""

from __future__ import annotations

_FIELDS = {
    (1, 7): "active_power_import_w",
    (2, 7): "active_power_export_w",
    (3, 7): "reactive_power_import_var",
    (4, 7): "reactive_power_export_var",
    (1, 8): "a_plus_wh",
    (2, 8): "a_minus_wh",
    (3, 8): "r_plus_varh",
    (4, 8): "r_minus_varh",
    (14, 7): "frequency_hz",
    (16, 7): "active_power_w",
    (15, 7): "active_power_absolute_w",
}
_ANGLES = {4: "angle_l1_deg", 15: "angle_l2_deg", 26: "angle_l3_deg", 40: "angle_l1_deg",
           51: "angle_l2_deg", 62: "angle_l3_deg",
           1: "angle_u_l2_deg", 2: "angle_u_l3_deg"}  # fmt: skip


def field_of(c: int, d: int, e: int) -> str | None:
    """The name of a value by its code 1-0:C.D.E, or None."""
    if (c, d) == (81, 7):
        return _ANGLES.get(e)
    if d == 8 and 1 <= c <= 8:
        name = _FIELDS[c, 8] if c <= 4 else f"r_q{c - 4}_varh"
        stem, _, unit = name.rpartition("_")
        return name if e == 0 else f"{stem}_t{e}_{unit}"
    if (c, d, e) == (1, 7, 1):
        return "active_power_w"  # of Hager's meters, with its sign
    if d != 7 or e != 0:
        return None
    if (c, d) in _FIELDS:
        return _FIELDS[c, d]
    if c == 13:
        return "power_factor"
    phase, what = c // 20, c % 20
    if not 1 <= phase <= 3:
        return None
    if what in (1, 2, 3, 4, 16):
        stem, _, unit = _FIELDS[what, 7].rpartition("_")
        return f"{stem}_l{phase}_{unit}"
    return {11: f"current_l{phase}_a", 12: f"voltage_l{phase}_v", 13: f"power_factor_l{phase}"}.get(
        what
    )

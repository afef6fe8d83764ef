"""The energy registers as one record of the journal, and back.

    version u8 | clean u8 | utc_ms i64 | 8 registers u64 | 8 remainders u32
    | 8 registers at the last full hour u64 | its utc_ms i64
    | largest demand, import and export u64 | their utc_ms i64

Little-endian; a time that is not there is -1. Whole and exact: what is
restored counts on as if nothing had happened.
"""

import struct

from micropython import const

from ams.registers.energy import REGISTER_COUNT

KIND = const(1)
_VERSION = const(1)
_FORMAT = "<BBq8Q8I8Qq2Q2q"


def _time(value):
    return -1 if value is None else value


def pack(energy, utc_ms, clean):
    """`clean`: written at a normal stop, so nothing is missing after it."""
    return struct.pack(
        _FORMAT,
        _VERSION,
        1 if clean else 0,
        utc_ms,
        *energy.mwh,
        *energy.remainder_uws,
        *energy.hour_mwh,
        _time(energy.hour_utc_ms),
        *energy.max_demand_mw,
        _time(energy.max_demand_utc_ms[0]),
        _time(energy.max_demand_utc_ms[1]),
    )


def restore(energy, data):
    """Fills `energy` from a record; gives (utc_ms, clean). Raises ValueError."""
    if len(data) != struct.calcsize(_FORMAT) or data[0] != _VERSION:
        raise ValueError("register record of an unknown version")
    fields = struct.unpack(_FORMAT, data)
    at = 3
    energy.mwh[:] = fields[at : at + REGISTER_COUNT]
    at += REGISTER_COUNT
    energy.remainder_uws[:] = fields[at : at + REGISTER_COUNT]
    at += REGISTER_COUNT
    energy.hour_mwh[:] = fields[at : at + REGISTER_COUNT]
    at += REGISTER_COUNT
    hour, demand_in, demand_out, time_in, time_out = fields[at : at + 5]
    energy.hour_utc_ms = None if hour < 0 else hour
    energy.max_demand_mw[:] = (demand_in, demand_out)
    energy.max_demand_utc_ms[:] = (
        None if time_in < 0 else time_in,
        None if time_out < 0 else time_out,
    )
    return fields[2], bool(fields[1])

"""The energy registers and the open interval as one record of the journal.

    version u8 | clean u8 | utc_ms i64 | 8 registers u64 | 8 remainders u32
    | 8 registers at the last full hour u64 | its utc_ms i64
    | largest demand, import and export u64 | their utc_ms i64
    | owner u32 | due u8 | clock status u8 | capture period in s u16 | drift in ppb i32
    | open interval: status u16, start i64, 4 registers at its start u64
    | daily and monthly entries u32 each | last closed entry of the load profile

Little-endian; a time that is not there is -1. Whole and exact: what is
restored counts on as if nothing had happened. One record holds everything
that has to change together, so a power cut can take no part of it.
"""

import binascii
import struct

from micropython import const

from ams.registers import profile
from ams.registers.energy import REGISTER_COUNT

KIND = const(1)
_VERSION = const(2)
_ENERGY = "<BBq8Q8I8Qq2Q2q"
_REST = "<IBBHiHq4QII28s"
_ENERGY_SIZE = struct.calcsize(_ENERGY)
SIZE = _ENERGY_SIZE + struct.calcsize(_REST)

# Bits of `due`: entries that go to their rings after this record.
DUE_INTERVAL = const(1)
DUE_DAY = const(2)
DUE_MONTH = const(4)


def owner_of(meter_id):
    """What marks a record as this meter's."""
    return binascii.crc32(meter_id.encode()) & 0xFFFFFFFF


def _time(value):
    return -1 if value is None else value


class State:
    """What a record holds beside the registers."""

    def __init__(self):
        self.utc_ms = 0
        self.clean = False
        self.owner = 0
        self.due = 0
        self.clock_status = 0
        self.period_s = 3600
        self.drift_ppb = 0
        self.days = 0
        self.months = 0


def pack(energy, load_profile, state):
    out = bytearray(SIZE)
    struct.pack_into(
        _ENERGY,
        out,
        0,
        _VERSION,
        1 if state.clean else 0,
        state.utc_ms,
        *energy.mwh,
        *energy.remainder_uws,
        *energy.hour_mwh,
        _time(energy.hour_utc_ms),
        *energy.max_demand_mw,
        _time(energy.max_demand_utc_ms[0]),
        _time(energy.max_demand_utc_ms[1]),
    )
    struct.pack_into(
        _REST,
        out,
        _ENERGY_SIZE,
        state.owner,
        state.due,
        state.clock_status,
        load_profile.period_s,
        state.drift_ppb,
        load_profile.status,
        load_profile.start_ms,
        *load_profile.start_mwh,
        state.days,
        state.months,
        load_profile.last_entry,
    )
    return out


def restore(energy, load_profile, data):
    """Fills `energy` and `load_profile` from a record; gives its State. Raises ValueError."""
    if len(data) != SIZE or data[0] != _VERSION:
        raise ValueError("register record of an unknown version")
    _restore_energy(energy, struct.unpack(_ENERGY, data[:_ENERGY_SIZE]))
    fields = struct.unpack(_REST, data[_ENERGY_SIZE:])
    state = State()
    state.utc_ms = struct.unpack_from("<q", data, 2)[0]
    state.clean = bool(data[1])
    state.owner, state.due, state.clock_status, state.period_s, state.drift_ppb = fields[:5]
    load_profile.period_s = state.period_s
    load_profile.status = fields[5]
    load_profile.start_ms = fields[6]
    load_profile.start_mwh[:] = fields[7:11]
    state.days, state.months = fields[11:13]
    load_profile.last_entry = bytes(fields[13])
    load_profile.number = profile.unpack(load_profile.last_entry)[0]
    return state


def _restore_energy(energy, fields):
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


def owner_in(data):
    """Whose record it is, 0 for one of another version."""
    if len(data) != SIZE or data[0] != _VERSION:
        return 0
    return struct.unpack_from("<I", data, _ENERGY_SIZE)[0]

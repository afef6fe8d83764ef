"""The energy registers and the open interval as one record of the journal.

    version u8 | clean u8 | utc_ms i64 | 8 registers u64 | 8 remainders u32
    | 8 registers at the last full hour u64 | its utc_ms i64
    | largest demand, import and export u64 | their utc_ms i64
    | owner u32 | due u8 | clock status u8 | capture period in s u16 | drift in ppb i32
    | open interval: status u16, start i64, 4 (four quadrants: 8) registers at its start u64
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
_QUADRANTS = const(3)  # the same, with the load profile of four quadrants
_ENERGY = "<BBq8Q8I8Qq2Q2q"
_REST = "<IBBHiHq%dQII%ds"
_ENERGY_SIZE = struct.calcsize(_ENERGY)
SIZE = _ENERGY_SIZE + struct.calcsize(_REST % (4, profile.ENTRY_SIZE))
_LARGE = _ENERGY_SIZE + struct.calcsize(_REST % (8, profile.LARGE_SIZE))

# Bits of `due`: entries that go to their rings after this record.
DUE_INTERVAL = const(1)
DUE_DAY = const(2)
DUE_MONTH = const(4)


def owner_of(meter_id):
    """What marks a record as this meter's."""
    return binascii.crc32(meter_id.encode()) & 0xFFFFFFFF


def _values_of(data):
    """How many values of an interval a record has, 0: it is one of another version."""
    if len(data) == SIZE and data[0] == _VERSION:
        return 4
    return 8 if len(data) == _LARGE and data[0] == _QUADRANTS else 0


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


def _form(count):
    """Of what is behind the energies, for so many values of an interval."""
    return _REST % (count, profile.ENTRY_SIZE if count == 4 else profile.LARGE_SIZE)


def pack(energy, load_profile, state):
    count = load_profile.count
    out = bytearray(SIZE if count == 4 else _LARGE)
    struct.pack_into(
        _ENERGY,
        out,
        0,
        _VERSION if count == 4 else _QUADRANTS,
        1 if state.clean else 0,
        state.utc_ms,
        *energy.mwh,
        *[rest // energy.fine for rest in energy.remainder_uws],
        *energy.hour_mwh,
        _time(energy.hour_utc_ms),
        *energy.max_demand_mw,
        _time(energy.max_demand_utc_ms[0]),
        _time(energy.max_demand_utc_ms[1]),
    )
    struct.pack_into(
        _form(count),
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
    count = _values_of(data)
    if not count:
        raise ValueError("register record of an unknown version")
    _restore_energy(energy, struct.unpack(_ENERGY, data[:_ENERGY_SIZE]))
    fields = list(struct.unpack(_form(count), data[_ENERGY_SIZE:]))
    state = State()
    state.utc_ms = struct.unpack_from("<q", data, 2)[0]
    state.clean = bool(data[1])
    state.owner, state.due, state.clock_status, state.period_s, state.drift_ppb = fields[:5]
    load_profile.period_s = state.period_s
    load_profile.status = fields[5]
    load_profile.start_ms = fields[6]
    start_mwh = fields[7 : 7 + count] + energy.mwh[count:]
    load_profile.start_mwh[:] = start_mwh[: load_profile.count]
    state.days, state.months = fields[7 + count : 9 + count]
    load_profile.last_entry = bytes(fields[9 + count])
    load_profile.number = profile.unpack(load_profile.last_entry)[0]
    return state


def _restore_energy(energy, fields):
    at = 3
    energy.mwh[:] = fields[at : at + REGISTER_COUNT]
    at += REGISTER_COUNT
    energy.remainder_uws[:] = [rest * energy.fine for rest in fields[at : at + REGISTER_COUNT]]
    at += REGISTER_COUNT
    energy.hour_mwh[:] = fields[at : at + REGISTER_COUNT]
    at += REGISTER_COUNT
    hour, demand_in, demand_out, time_in, time_out = fields[at : at + 5]
    energy.hour_utc_ms = None if hour < 0 else hour
    # Since there are more of them they stand in a cell; this is what a former version kept.
    for way, (mw, end_ms) in enumerate(((demand_in, time_in), (demand_out, time_out))):
        energy.highest.lists[way] = [(mw, end_ms // 1000)] if end_ms >= 0 else []


def owner_in(data):
    """Whose record it is, 0 for one of another version."""
    if not _values_of(data):
        return 0
    return struct.unpack_from("<I", data, _ENERGY_SIZE)[0]

"""The registers when no record of them can be read: from what the profiles hold."""

from ams.registers import billing, periods, profile
from ams.storage import layout

_LAST = 0xFFFFFFFF
# No more intervals than this in the first day of a meter, however often it was set.
_FIRST_DAY = 200


def rebuild(nv_memory, energy, load_profile):
    """The registers without a record: those of the last midnight, and the intervals since.

    Gives None when nothing is there.
    """
    state = nv_memory.state
    last = nv_memory.last(layout.LOAD_PROFILE)
    midnight = nv_memory.last(layout.DAILY)
    if last is None and midnight is None:
        return None
    first = 0
    since = "anew"
    if midnight is not None:
        day = billing.unpack(midnight)
        state.utc_ms = day[1] * 1000
        energy.mwh[:] = day[3:]
        first = _first_after(nv_memory, day[1])
        since = "from the last midnight"
    elif nv_memory.oldest_number(layout.LOAD_PROFILE) == 1:
        if nv_memory.newest_number(layout.LOAD_PROFILE) < _FIRST_DAY:
            first = 1
            since = "with what the intervals sum up to"
    for data in nv_memory.entries_between(layout.LOAD_PROFILE, first, _LAST) if first else ():
        for k, value in enumerate(profile.unpack_quadrants(data)[4:]):
            energy.mwh[k] += value
    if last is not None:
        number, end_s, _, length_s = profile.unpack(last)[:4]
        state.utc_ms = max(state.utc_ms, end_s * 1000)
        load_profile.number = number
        load_profile.last_entry = last
        if length_s in profile.PERIODS_S:
            load_profile.period_s = length_s
    load_profile.open(state.utc_ms)
    state.days = nv_memory.newest_number(layout.DAILY)
    state.months = nv_memory.newest_number(layout.MONTHLY)
    periods.load(nv_memory, energy)
    periods.begin(nv_memory, energy)
    nv_memory.damage(layout.REGISTERS, "the registers are lost: they go on " + since)
    return state


def _first_after(nv_memory, midnight_s):
    """Number of the first interval that the registers of the last midnight do not hold, 0 when
    there is none: however often the clock was set, it follows the last that ends by then."""
    first = 0
    for _, number in nv_memory.numbers_between(layout.LOAD_PROFILE, 0, midnight_s):
        first = number + 1
    if not first:
        for number, _ in nv_memory.numbers_between(layout.LOAD_PROFILE, midnight_s + 1, _LAST):
            first = number
    return first

"""Rows of the meter's profiles and logs for the bench: of the primary side, energies in mWh.

A point behind large transformers counts in Wh (see ams.metrology.transformers), and voltages
and currents are kept as they are measured: who reads rows is to know of neither.
"""

from ams.events import events
from ams.events.names import name_of
from ams.registers import billing, profile, voltage
from ams.storage import layout

_MOST = 0xFFFFFFFF
REGIONS = {
    "load": layout.LOAD_PROFILE,
    "daily": layout.DAILY,
    "monthly": layout.MONTHLY,
    "voltage": layout.VOLTAGE,
}


def rows(nv_memory, request, transformers):
    """Yields the entries of `name` ("load", "daily", "monthly", "voltage", "events")
    whose time in ms lies from `from_ms` to `to_ms`, or after entry `after` (of events: one
    number for each log). Of a point with `transformers` the load profile has four quadrants."""
    name = request["name"]
    low = request.get("from_ms")
    high = request.get("to_ms")
    after = request.get("after", 0)
    if name == "events":
        after = after or [0] * layout.EVENT_LOGS
        for log in range(layout.EVENT_LOGS):
            for data in _entries(nv_memory, layout.EVENTS + log, low, high, after[log]):
                number, utc_ms, code, detail, extra = events.unpack(data)
                if (low is None or utc_ms >= low) and (high is None or utc_ms <= high):
                    yield number, utc_ms, log, code, name_of(code), detail, extra
        return
    unpack, head = {"load": (profile.unpack, 4), "voltage": (voltage.unpack, 3)}.get(
        name, (billing.unpack, 3)
    )
    if name == "load" and transformers.fitted:
        unpack = profile.unpack_quadrants
    for data in _entries(nv_memory, REGIONS[name], low, high, after):
        row = unpack(data)
        if name == "voltage":
            yield (
                row[:head]
                + tuple(transformers.voltage(value) for value in row[head : head + 9])
                + tuple(transformers.current(value) for value in row[head + 9 :])
            )
        else:
            yield row[:head] + tuple(value * transformers.unit for value in row[head:])


def _entries(nv_memory, region, low, high, after=0):
    """Entries timed in ms from `low` to `high` (to the second), with numbers above `after`."""
    if low is None and high is None:
        yield from nv_memory.entries_between(region, after + 1, _MOST)
        return
    # An entry has its time in whole seconds.
    from_s = (
        0 if low is None else max(0, low // 1000 if region >= layout.EVENTS else -(-low // 1000))
    )
    to_s = _MOST if high is None else max(-1, high // 1000)
    for first, last in nv_memory.numbers_between(region, from_s, to_s):
        yield from nv_memory.entries_between(region, max(first, after + 1), last)

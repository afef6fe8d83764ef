"""Rows of the meter's profiles and logs for the bench."""

from ams.registers import billing, events, profile, voltage
from ams.storage import layout

REGIONS = {
    "load": layout.LOAD_PROFILE,
    "daily": layout.DAILY,
    "monthly": layout.MONTHLY,
    "voltage": layout.VOLTAGE,
}


def rows(memory, request):
    """Yields the entries of `name` ("load", "daily", "monthly", "voltage", "events")
    whose time in ms lies from `from_ms` to `to_ms`, or after entry `after`."""
    name = request["name"]
    low = request.get("from_ms")
    high = request.get("to_ms")
    after = request.get("after", 0)
    if name == "events":
        for log in range(layout.EVENT_LOGS):
            for data in memory.entries(layout.EVENTS + log):
                number, utc_ms, code, detail, extra = events.unpack(data)
                if _within(utc_ms, low, high):
                    yield number, utc_ms, log, code, events.name_of(code), detail, extra
        return
    unpack = {"load": profile.unpack, "voltage": voltage.unpack}.get(name, billing.unpack)
    at = 0 if name == "voltage" else 1
    for data in memory.entries(REGIONS[name]):
        row = unpack(data)
        if _within(row[at] * 1000, low, high) and (name == "voltage" or row[0] > after):
            yield row


def _within(utc_ms, low, high):
    return (low is None or utc_ms >= low) and (high is None or utc_ms <= high)

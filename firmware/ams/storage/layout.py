"""Which sectors of the flash hold what: the rings of the journals, by flash size.

Six event logs keep apart, so that a storm in one pushes nothing out of another.
The load profile gets what the others leave. See docs/storage.md.
"""

from micropython import const

REGISTERS = const(1)
LOAD_PROFILE = const(2)
DAILY = const(3)
MONTHLY = const(4)
VOLTAGE = const(5)
# Rings of cells.
SECURITY = const(6)  # keys and invocation counters
CONTROL = const(7)  # the breaker and the commands that were used up
PARAMETERS = const(8)  # what the operator sets
UPDATE = const(9)  # how far an image transfer is
CELLS = (SECURITY, CONTROL, PARAMETERS, UPDATE)
EVENTS = const(16)  # the first of six
EVENT_LOGS = const(6)
# Where what outlives the round of a log is kept: log, ring of cells, cells.
KEPT = (
    (0, UPDATE, b"\x64\x65"),
    (1, UPDATE, b"\x66"),
    (2, CONTROL, b"\x64\x65"),
    (3, SECURITY, b"\x64"),
    (4, CONTROL, b"\x66"),
)
# What is no ring: the settings' two slots, and the image as a whole.
SETTINGS = const(0)
WHOLE = const(255)

_SETTINGS_SECTORS = const(2)
# Sectors of: registers, daily, monthly, voltage, each event log, cells, kept free.
_LARGE = (16, 10, 2, 19, 2, 4, 3, 3, 3, 4)
_SMALL = (8, 2, 2, 2, 2, 3, 3, 3, 3, 0)
_LARGE_FROM = const(144)
_LEAST = const(48)


class LayoutError(Exception):
    """The flash is too small for a meter."""


def layout(sectors):
    """Tuple of (region, first sector, sectors) for a flash of so many sectors."""
    if sectors < _LEAST:
        raise LayoutError("flash of %d sectors: a meter needs %d at least" % (sectors, _LEAST))
    return make_layout(sectors, _LARGE if sectors >= _LARGE_FROM else _SMALL)


def make_layout(sectors, shares):
    """The same with other shares; the load profile gets what they leave."""
    registers, daily, monthly, voltage, events, security, control, parameters, update, _ = shares
    others = sum(shares) + (EVENT_LOGS - 1) * events
    profile = sectors - _SETTINGS_SECTORS - others
    out = []
    first = 0
    for region, count in (
        (REGISTERS, registers),
        (LOAD_PROFILE, profile),
        (SECURITY, security),
        (CONTROL, control),
        (PARAMETERS, parameters),
        (UPDATE, update),
        (DAILY, daily),
        (MONTHLY, monthly),
        (VOLTAGE, voltage),
    ):
        out.append((region, first, count))
        first += count
    for log in range(EVENT_LOGS):
        out.append((EVENTS + log, first, events))
        first += events
    return tuple(out)

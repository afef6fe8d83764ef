"""The event log: what happened, when, with COSEM-style codes per log."""

from micropython import const

# Standard log.
POWER_DOWN = const(1)
POWER_UP = const(2)
STATE_RESTORED = const(3)
ENERGY_MISSING = const(4)  # timed at the last record before an unclean stop
# Measurement.
SAMPLES_SATURATED = const(20)
SAMPLES_MISSING = const(21)
SAMPLES_LATE = const(22)
VOLTAGE_LOST = const(23)
VOLTAGE_BACK = const(24)
PHASE_LOST = const(25)
PHASE_BACK = const(26)
CURRENT_REVERSED = const(27)
# Communication.
HAN_OPENED = const(40)
HAN_CLOSED = const(41)

NAMES = {
    POWER_DOWN: "power-down",
    POWER_UP: "power-up",
    STATE_RESTORED: "state-restored",
    ENERGY_MISSING: "energy-missing",
    SAMPLES_SATURATED: "samples-saturated",
    SAMPLES_MISSING: "samples-missing",
    SAMPLES_LATE: "samples-late",
    VOLTAGE_LOST: "voltage-lost",
    VOLTAGE_BACK: "voltage-back",
    PHASE_LOST: "phase-lost",
    PHASE_BACK: "phase-back",
    CURRENT_REVERSED: "current-reversed",
    HAN_OPENED: "han-opened",
    HAN_CLOSED: "han-closed",
}


class EventLog:
    """A ring of the newest `capacity` events, oldest first when listed."""

    def __init__(self, capacity=64):
        self._ring = [None] * capacity
        self._next = 0
        self.count = 0  # events ever logged

    def log(self, utc_ms, code, detail=0):
        self._ring[self._next] = (utc_ms, code, detail)
        self._next = (self._next + 1) % len(self._ring)
        self.count += 1

    def entries(self):
        """List of (utc_ms, code, detail), oldest first."""
        ring = self._ring[self._next :] + self._ring[: self._next]
        return [entry for entry in ring if entry is not None]

"""Alarms: what somebody should know soon. A register that stays until it is cleared.

Bits as in the alarm register 0.0.97.98.0; the errors 0.0.97.97.0 are those that last.
"""

from micropython import const

from ams.clock.local import STATUS_INVALID
from ams.events import events as ev
from ams.storage import settings as st

CLOCK_INVALID = const(0x00000001)
POWER_DOWN = const(0x00000002)
POWER_UP = const(0x00000004)
MEMORY_ERROR = const(0x00000100)
MEASUREMENT_ERROR = const(0x00000200)
WATCHDOG = const(0x00000400)
ENERGY_MISSING = const(0x00000800)
COVER = const(0x00010000)
MAGNETIC_FIELD = const(0x00020000)
FRAUD = const(0x00040000)  # current reversed
INTRUSION = const(0x00080000)  # wrong keys, replay
BREAKER = const(0x01000000)
LIMITER = const(0x02000000)
BREAKER_FAULT = const(0x04000000)
VOLTAGE = const(0x08000000)
NAMES = (
    (CLOCK_INVALID, "clock-invalid"),
    (POWER_DOWN, "power-down"),
    (POWER_UP, "power-up"),
    (MEMORY_ERROR, "memory-error"),
    (MEASUREMENT_ERROR, "measurement-error"),
    (WATCHDOG, "watchdog"),
    (ENERGY_MISSING, "energy-missing"),
    (COVER, "cover"),
    (MAGNETIC_FIELD, "magnetic-field"),
    (FRAUD, "fraud"),
    (INTRUSION, "intrusion"),
    (BREAKER, "breaker"),
    (LIMITER, "limiter"),
    (BREAKER_FAULT, "breaker-fault"),
    (VOLTAGE, "voltage"),
)

# First and last code of those that raise a bit, and the bit: flat, since rows of codes of another
# module would each take a tuple of the heap.
_OF_EVENTS = (
    ev.POWER_DOWN, ev.POWER_DOWN, POWER_DOWN,
    ev.POWER_UP, ev.POWER_UP, POWER_UP,
    ev.CLOCK_INVALID, ev.CLOCK_INVALID, CLOCK_INVALID,
    ev.NV_MEMORY_ERROR, ev.NV_MEMORY_ERROR, MEMORY_ERROR,
    ev.WATCHDOG_ERROR, ev.WATCHDOG_ERROR, WATCHDOG,
    ev.MEASUREMENT_ERROR, ev.MEASUREMENT_ERROR, MEASUREMENT_ERROR,
    ev.TERMINAL_COVER_REMOVED, ev.TERMINAL_COVER_CLOSED, COVER,
    ev.MAGNETIC_FIELD, ev.MAGNETIC_FIELD_GONE, MAGNETIC_FIELD,
    ev.METER_COVER_REMOVED, ev.METER_COVER_CLOSED, COVER,
    ev.AUTHENTICATION_FAILED, ev.AUTHENTICATION_FAILED, INTRUSION,
    ev.DECRYPTION_FAILED, ev.REPLAY_ATTACK, INTRUSION,
    ev.READY_FOR_RECONNECTION, ev.LOCAL_DISCONNECTION, BREAKER,
    ev.LIMITER_EXCEEDED, ev.LIMITER_OK, LIMITER,
    ev.DISCONNECT_FAILURE, ev.DISCONNECT_FAILURE, BREAKER_FAULT,
    ev.LOCAL_RECONNECTION, ev.LOCAL_RECONNECTION, BREAKER,
    ev.UNDERVOLTAGE, ev.NORMAL_VOLTAGE - 1, VOLTAGE,
    ev.MISSING_NEUTRAL, ev.MISSING_NEUTRAL, VOLTAGE,
    ev.CURRENT_REVERSED, ev.CURRENT_REVERSED, FRAUD,
    ev.ENERGY_MISSING, ev.ENERGY_MISSING, ENERGY_MISSING,
    ev.PHASE_LOST, ev.PHASE_LOST, VOLTAGE,
    ev.BREAKER_WELDED, ev.BREAKER_MISMATCH, BREAKER_FAULT,
    ev.QUOTA_WARNING, ev.RECONNECTIONS_USED_UP, LIMITER,
)  # fmt: skip


def bit_of(code):
    """The alarm that an event raises, or 0."""
    for k in range(0, len(_OF_EVENTS), 3):
        if _OF_EVENTS[k] <= code <= _OF_EVENTS[k + 1]:
            return _OF_EVENTS[k + 2]
    return 0


class Alarms:
    """`register` holds what happened; `raised` what was not told yet (see `ams.objects.push`).

    The register is kept: an alarm of the time before a power cut is one still.
    """

    def __init__(self, settings, meter):
        self._settings = settings
        self._meter = meter
        self.filter = int.from_bytes(settings.get(st.ALARM_FILTER, b"\xff\xff\xff\xff"), "big")
        self.register = int.from_bytes(settings.get(st.ALARMS, bytes(4)), "big")
        self.raised = 0
        self._kept = self.register

    def event(self, code, kept=True):
        """Something happened; gives whether it is an alarm. What no log kept is one once."""
        bit = bit_of(code) & self.filter
        if not kept:
            bit &= ~self.register
        if bit:
            self.register |= bit
            self.raised |= bit
        return bit != 0

    def keep(self):
        """Stores what is new in the register: a bit once, so that a storm wears nothing out."""
        if self.register != self._kept:
            self._kept = self.register
            self._settings.set(st.ALARMS, self.register.to_bytes(4, "big"))

    def clear(self, bits):
        self.register &= ~bits
        self.keep()

    def set_filter(self, bits):
        self._settings.set(st.ALARM_FILTER, bits.to_bytes(4, "big"))
        self.filter = bits

    def errors(self):
        """What is wrong now."""
        meter = self._meter
        bits = CLOCK_INVALID if meter.clock.status & STATUS_INVALID else 0
        nv_memory = meter.nv_memory
        if nv_memory.failed or nv_memory.unknown or nv_memory.damaged:
            bits |= MEMORY_ERROR
        if meter.recorder.unmeasured:
            bits |= MEASUREMENT_ERROR
        return bits

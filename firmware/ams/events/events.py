"""Event logs: what happened, when, by the codes of the field.

Codes up to 99 are those of the DLMS event objects as IDIS and its kin use
them; those from 170 on are this meter's own. Each code belongs to one of six
logs (profile generic 0.0.99.98.e), so that a storm of one kind pushes nothing
of another out.
"""

import struct

from micropython import const

from ams.events import groups

LOG_STANDARD = const(0)
LOG_FRAUD = const(1)
LOG_CONTROL = const(2)
LOG_SECURITY = const(3)
LOG_QUALITY = const(4)
LOG_COMMUNICATION = const(5)
LOG_NAMES = ("standard", "fraud", "control", "security", "quality", "communication")

POWER_DOWN = const(1)
POWER_UP = const(2)
DST_CHANGED = const(3)
CLOCK_ADJUSTED_OLD = const(4)  # timed by the old clock
CLOCK_ADJUSTED_NEW = const(5)  # timed by the new one; detail: the step in s
CLOCK_INVALID = const(6)
NV_MEMORY_ERROR = const(14)  # detail: region of the flash, extra: records lost
WATCHDOG_ERROR = const(15)
MEASUREMENT_ERROR = const(16)  # detail: what the front end says of itself, see hal
FIRMWARE_READY = const(17)  # verified; detail: its security version
FIRMWARE_ACTIVATED = const(18)
PARAMETER_CHANGED = const(47)  # detail: which, extra: its new value
EVENT_LOG_CLEARED = const(255)

TERMINAL_COVER_REMOVED = const(40)
TERMINAL_COVER_CLOSED = const(41)
MAGNETIC_FIELD = const(42)
MAGNETIC_FIELD_GONE = const(43)
METER_COVER_REMOVED = const(44)
METER_COVER_CLOSED = const(45)
CURRENT_REVERSED = const(91)  # detail: bit of the status

AUTHENTICATION_FAILED = const(46)
KEYS_CHANGED = const(48)
DECRYPTION_FAILED = const(49)
REPLAY_ATTACK = const(50)
FIRMWARE_REFUSED = const(51)  # detail: why, see update.reasons

# Of the breaker and limiter. Detail: who << 16 | state before << 8 | state after;
# extra: the number of the order, 0 for none.
READY_FOR_RECONNECTION = const(59)
MANUAL_DISCONNECTION = const(60)
MANUAL_CONNECTION = const(61)
REMOTE_DISCONNECTION = const(62)
REMOTE_CONNECTION = const(63)
LOCAL_DISCONNECTION = const(64)
LIMITER_EXCEEDED = const(65)  # detail: what is monitored; extra: its value in mW or mA
LIMITER_OK = const(66)
LIMITER_CHANGED = const(67)  # detail: who << 16 | attribute
DISCONNECT_FAILURE = const(68)  # extra: control mode
LOCAL_RECONNECTION = const(69)

# Per phase: add the place. Detail in mV; at the end extra is the duration in ms.
UNDERVOLTAGE = const(76)
OVERVOLTAGE = const(79)
MISSING_VOLTAGE = const(82)
NORMAL_VOLTAGE = const(85)
MISSING_NEUTRAL = const(89)

STATE_RESTORED = const(170)
ENERGY_MISSING = const(171)  # timed at the last record before an unclean stop
STORAGE_FORMATTED = const(172)
STORAGE_UNKNOWN = const(173)  # detail: region of the flash
SAMPLES_SATURATED = const(174)
SAMPLES_MISSING = const(175)
SAMPLES_LATE = const(176)
CLOCK_VALID = const(177)
EVENTS_SUPPRESSED = const(178)  # detail: log, extra: how many
SOFTWARE_FAULT = const(179)  # detail: the part, see ams.faults, extra: how many so far
PHASE_LOST = const(180)  # detail: bit of the status
PHASE_BACK = const(181)
VOLTAGE_LOST = const(182)
VOLTAGE_BACK = const(183)
NEUTRAL_BACK = const(184)
CLOCK_CHIP_ERROR = const(185)  # detail: what is wrong, see hal
CLOCK_CHIP_BACK = const(186)  # well for a day; detail: what was wrong
SERVICE_LINE_HELD = const(187)  # a break: it stands at space and says nothing
SERVICE_LINE_BACK = const(188)  # detail: for how many seconds it was
MEASUREMENT_BACK = const(189)  # the front end is well again; detail: what was wrong
HAN_OPENED = const(190)
HAN_CLOSED = const(191)

CONTROL_REFUSED = const(220)  # detail as of movements; extra: why, see control.command
ORDER_ARMED = const(221)
BREAKER_WELDED = const(222)
BREAKER_NO_VOLTAGE = const(223)
BREAKER_MISMATCH = const(224)
EMERGENCY_BEGIN = const(225)  # detail: id of the profile
EMERGENCY_END = const(226)
QUOTA_WARNING = const(227)  # extra: used in Wh
QUOTA_EXCEEDED = const(228)
RECONNECTIONS_USED_UP = const(229)

FIRMWARE_ROLLED_BACK = const(230)
FIRMWARE_DAMAGED = const(231)  # what should run has rotted: what was there before it runs
ORDERS_ANEW = const(232)  # detail: who << 16; extra: the number that orders go on from

# What PARAMETER_CHANGED is about.
PARAMETER_CAPTURE_PERIOD = const(1)
PARAMETER_HAN_ENCRYPTION = const(2)
PARAMETER_HAN_SUMMER_TIME = const(3)
PARAMETER_HOME_SETUP = const(4)  # extra: the set-up page 1 opened, 2 saved, 3 locked
PARAMETER_CONTROL_MODE = const(20)

# First code, how many follow one another with it, their log.
_CODES = (
    (POWER_DOWN, 4, LOG_STANDARD),
    (CLOCK_ADJUSTED_NEW, 2, LOG_STANDARD),
    (NV_MEMORY_ERROR, 3, LOG_STANDARD),
    (FIRMWARE_READY, 2, LOG_STANDARD),
    (FIRMWARE_ROLLED_BACK, 2, LOG_STANDARD),
    (TERMINAL_COVER_REMOVED, 2, LOG_FRAUD),
    (MAGNETIC_FIELD, 2, LOG_FRAUD),
    (METER_COVER_REMOVED, 2, LOG_FRAUD),
    (AUTHENTICATION_FAILED, 1, LOG_SECURITY),
    (PARAMETER_CHANGED, 1, LOG_STANDARD),
    (KEYS_CHANGED, 4, LOG_SECURITY),
    (READY_FOR_RECONNECTION, 11, LOG_CONTROL),
    (CONTROL_REFUSED, 10, LOG_CONTROL),
    (ORDERS_ANEW, 1, LOG_CONTROL),
    (UNDERVOLTAGE, 3, LOG_QUALITY),
    (OVERVOLTAGE, 3, LOG_QUALITY),
    (MISSING_VOLTAGE, 3, LOG_QUALITY),
    (NORMAL_VOLTAGE, 3, LOG_QUALITY),
    (MISSING_NEUTRAL, 1, LOG_QUALITY),
    (CURRENT_REVERSED, 1, LOG_FRAUD),
    (STATE_RESTORED, 10, LOG_STANDARD),
    (PHASE_LOST, 5, LOG_QUALITY),
    (CLOCK_CHIP_ERROR, 3, LOG_STANDARD),
    (SERVICE_LINE_BACK, 2, LOG_STANDARD),
    (HAN_OPENED, 2, LOG_COMMUNICATION),
    (EVENT_LOG_CLEARED, 1, LOG_STANDARD),
)

# number u32 | time in s u32 | ms u16 | code u8 | left to its group u8 | detail i32 | extra u32
_RECORD = "<IIHBBiI"
RECORD_SIZE = const(20)
_IN_SECTOR = const(145)  # entries of a sector of a log
_HOUR_MS = const(3600000)


def log_of(code):
    for first, count, log in _CODES:
        if first <= code < first + count:
            return log
    return LOG_STANDARD


def group_of(data):
    """(group, how many of it are kept) of a stored event."""
    group = groups.of(data[10], struct.unpack_from("<i", data, 12)[0])
    return group, groups.kept(group)


def unpack(data):
    """(number, utc_ms, code, detail, extra) of a stored event."""
    number, seconds, ms, code, _, detail, extra = struct.unpack(_RECORD, data)
    return number, seconds * 1000 + ms, code, detail, extra


class EventLog:
    """A ring in RAM of the newest `capacity` events; `store(log, payload)` keeps each.

    `numbers[log]` is the number of the log's newest event: it goes on for ever. `store` says
    whether it went into a new sector, `newest(log)` yields the payloads of the newest
    sector of a log as it was left.
    """

    def __init__(self, capacity=64):
        self._ring = [None] * capacity
        self._next = 0
        self.count = 0  # events ever logged
        self.store = None
        self.newest = None
        self.on_event = None  # called with the code of each, and whether it was kept
        self.tally = None  # called with the time and code of each
        self.raw_ms = 0  # the board's time: a clock that is set gives no log a new share
        self.numbers = [0] * len(LOG_NAMES)
        self._shares = groups.Shares()
        self._recalled = 0  # bits of the logs whose newest sector was looked at
        self._in_sector = bytearray(len(LOG_NAMES))
        self._suppressed = [0] * len(LOG_NAMES)
        self._hour = None

    def log(self, utc_ms, code, detail=0, extra=0):
        if self.tally is not None:
            self.tally(utc_ms, code)
        log = log_of(code)
        self.tick(utc_ms)
        group = groups.of(code, detail)
        if not self._recalled >> log & 1:
            self._recall(log, utc_ms)
        if self._shares.take(group, self.raw_ms):
            self._keep(utc_ms, log, group, code, detail, extra)
            return
        self._suppressed[log] += 1
        if self.on_event is not None:
            self.on_event(code, False)

    def tick(self, utc_ms):
        """A new hour says what the last one lost."""
        hour = self.raw_ms // _HOUR_MS
        if hour == self._hour:
            return
        self._hour = hour
        self.tell(utc_ms)

    def tell(self, utc_ms):
        """Enters how many were not entered, of each log that had some."""
        for log in range(len(LOG_NAMES)):
            missed = self._suppressed[log]
            if not missed:
                continue
            if not self._recalled & 1:
                self._recall(LOG_STANDARD, utc_ms)
            group = groups.of(EVENTS_SUPPRESSED)
            if not self._shares.take(group, self.raw_ms):
                return
            self._suppressed[log] = 0
            self._keep(utc_ms, LOG_STANDARD, group, EVENTS_SUPPRESSED, log, missed)

    def _recall(self, log, utc_ms):
        """After a start: what the groups had left, and had of the newest sector."""
        self._recalled |= 1 << log
        if self.newest is None:
            return
        for data in self.newest(log):
            _, seconds, _, code, left, detail, _ = struct.unpack(_RECORD, data)
            age_ms = max(utc_ms - seconds * 1000, 0)
            self._shares.recall(groups.of(code, detail), left, self.raw_ms - age_ms)
            self._in_sector[log] = min(self._in_sector[log] + 1, 255)

    def _keep(self, utc_ms, log, group, code, detail, extra):
        self._ring[self._next] = (utc_ms, code, detail, extra)
        self._next = (self._next + 1) % len(self._ring)
        self.count += 1
        self.numbers[log] += 1
        if self.on_event is not None:
            self.on_event(code, True)
        turned = False
        if self.store is not None:
            detail = max(-0x80000000, min(0x7FFFFFFF, detail))
            extra = max(0, min(0xFFFFFFFF, extra))
            # Before 2000: what began before a clock that had lost its time.
            when = (max(utc_ms, 0) // 1000, utc_ms % 1000)
            left = self._shares.left(group)
            data = struct.pack(_RECORD, self.numbers[log], *when, code, left, detail, extra)
            turned = self.store(log, data)
        # Without a flash it is as if there were one.
        self._in_sector[log] += 1
        if turned or self._in_sector[log] > _IN_SECTOR:
            self._in_sector[log] = 1
            self._shares.turn(log, group)

    def entries(self):
        """List of (utc_ms, code, detail, extra) since power-up, oldest first."""
        ring = self._ring[self._next :] + self._ring[: self._next]
        return [entry for entry in ring if entry is not None]

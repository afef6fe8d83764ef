"""The breaker: state and mode of class 70, the relay behind it, and what can go wrong.

The state is stored before the relay moves, and a record says that a movement
is under way. After a power cut the movement is finished; a contact that
disagrees with the record is an alarm, and is put right only by opening.
"""

import struct

from micropython import const

from ams.control import command as cm
from ams.control.relay import RelaySequence
from ams.control.transitions import (
    CONNECTED,
    DISCONNECTED,
    EVENT_COUNT,
    LOCAL_DISCONNECT,
    LOCAL_RECONNECT,
    MANUAL_DISCONNECT,
    MANUAL_RECONNECT,
    MODE_COUNT,
    READY,
    REMOTE_DISCONNECT,
    REMOTE_RECONNECT,
    next_state,
)
from ams.events import events as ev

_RECORD = "<BBBBBBH"  # version, state, mode, moving, last event, 0, movements
_SIZE = const(8)
# A contact that is wrong counts after so long; opening is tried again after so long.
WRONG_MS = const(2000)
AGAIN_MS = const(60000)

# Who moved it, beside the SAPs of clients: bits 16 to 23 of an event's detail.
WHO_LIMITER = const(0xF0)
WHO_BUTTON = const(0xF1)
WHO_SCHEDULE = const(0xF2)
WHO_START = const(0xF3)

ALARM_FAILED = const(1)  # the contact did not follow
ALARM_WELDED = const(2)  # open, but current flows
ALARM_NO_VOLTAGE = const(4)  # closed, but no voltage behind it
ALARM_MISMATCH = const(8)  # the contact is not where it was left
ALARM_NOT_STORED = const(16)

_DONE = {
    REMOTE_DISCONNECT: ev.REMOTE_DISCONNECTION,
    MANUAL_DISCONNECT: ev.MANUAL_DISCONNECTION,
    LOCAL_DISCONNECT: ev.LOCAL_DISCONNECTION,
    REMOTE_RECONNECT: ev.REMOTE_CONNECTION,
    MANUAL_RECONNECT: ev.MANUAL_CONNECTION,
    LOCAL_RECONNECT: ev.LOCAL_RECONNECTION,
}
DEFAULT_MODE = const(4)


class Breaker:
    """`relay`: hal.Relay; `cells` keeps the record under `key`; `log(code, detail, extra)`.

    `never_disconnect`: the hard inhibit of the metering point.
    """

    def __init__(self, relay, cells, key, log, never_disconnect=False, mode=DEFAULT_MODE):
        self._relay = relay
        self._cells = cells
        self._key = key
        self._log = log
        self._never = never_disconnect
        self._moves = RelaySequence(relay)
        self.state = CONNECTED
        self.mode = mode
        self.moving = False
        self.last_event = 0
        self.movements = 0
        self.alarms = 0
        self.on_alarm = None  # called with the new alarm bits
        self._wrong_since = None
        self._again_ms = None
        self._last_closed = None

    # --- what it is --------------------------------------------------------------

    @property
    def output_state(self):
        """Whether the supply is physically connected: the contact, else the last pulse."""
        closed = self._relay.closed()
        if closed is None:
            closed = self.state == CONNECTED if self._last_closed is None else self._last_closed
        return closed

    def _wanted(self):
        return self.state == CONNECTED

    # --- life ----------------------------------------------------------------------

    def start(self, now_ms):
        """Power-up: the record, the contact, and what is to be done when they differ.

        Gives whether a movement begins that was not under way before.
        """
        data = self._cells.get(self._key)
        closed = self._relay.closed()
        if data is None or len(data) != _SIZE or data[0] != 1:
            # A new meter, or a record that cannot be read: stay as the contact is.
            self.state = DISCONNECTED if closed is False else CONNECTED
            try:
                self._store()
            except OSError:
                # The flash is somebody else's: what moves it is refused as not stored.
                pass
            return False
        _, self.state, self.mode, moving, self.last_event, _, self.movements = struct.unpack(
            _RECORD, data
        )
        self.moving = bool(moving)
        wanted = self._wanted()
        if closed is not None and closed != wanted:
            if self.moving or not wanted:
                self._moves.start(wanted, now_ms)
            if not self.moving:
                self._alarm(ALARM_MISMATCH, ev.BREAKER_MISMATCH, WHO_START)
                return not wanted
        elif self.moving:
            if closed is None:
                self._moves.start(wanted, now_ms)
            else:
                # The pulse had done its work.
                self._finish()
        return False

    def _store(self):
        self._cells.set(
            self._key,
            struct.pack(
                _RECORD, 1, self.state, self.mode, 1 if self.moving else 0,
                self.last_event, 0, self.movements & 0xFFFF,
            ),
        )  # fmt: skip

    def set_mode(self, mode):
        """Control mode 0 to 6; gives a reason of `command`."""
        if not 0 <= mode < MODE_COUNT:
            return cm.NO_TRANSITION
        before = self.mode
        self.mode = mode
        if not self._try_store():
            self.mode = before
            return cm.NOT_STORED
        self._log(ev.PARAMETER_CHANGED, ev.PARAMETER_CONTROL_MODE, mode)
        return cm.OK

    def _try_store(self):
        try:
            self._store()
        except OSError:
            self._alarm(ALARM_NOT_STORED, ev.DISCONNECT_FAILURE, WHO_START)
            return False
        return True

    # --- movements -------------------------------------------------------------------

    def may(self, event):
        """Whether `event` leads anywhere now; gives a reason."""
        assert 0 <= event < EVENT_COUNT
        after = next_state(self.mode, self.state, event)
        if after is None:
            return cm.NO_TRANSITION
        if self._never and after != CONNECTED and self.state == CONNECTED:
            return cm.INHIBITED
        if after == CONNECTED and self._relay.load_voltage() and self._relay.closed() is False:
            # Somebody feeds the open side.
            return cm.VOLTAGE_AT_LOAD
        return cm.OK

    def moves(self, event):
        """Whether `event`, which may be, moves the relay."""
        after = next_state(self.mode, self.state, event)
        return (self.state == CONNECTED) != (after == CONNECTED)

    def event(self, event, who, now_ms, number=0):
        """REMOTE_DISCONNECT to LOCAL_RECONNECT; gives a reason, OK when it is under way."""
        reason = self.may(event)
        if reason != cm.OK:
            return reason
        before = self.state
        kept = (self.moving, self.last_event, self.movements)
        moves = self.moves(event)
        after = next_state(self.mode, before, event)
        self.state = after
        self.last_event = event
        self.moving = moves
        self.movements += moves
        if not self._try_store():
            self.state = before
            self.moving, self.last_event, self.movements = kept
            return cm.NOT_STORED
        detail = who << 16 | before << 8 | after
        self._log(ev.READY_FOR_RECONNECTION if event == REMOTE_RECONNECT and after == READY
                  else _DONE[event], detail, number)  # fmt: skip
        if moves:
            self._wrong_since = None
            self._again_ms = None
            self.alarms &= ~(ALARM_FAILED | ALARM_MISMATCH)
            self._moves.start(after == CONNECTED, now_ms)
        return cm.OK

    def _finish(self):
        self.moving = False
        self._last_closed = self._wanted()
        self._try_store()

    def due_ms(self):
        """When `poll` is needed, None: only with every measurement."""
        return self._moves.due_ms()

    def poll(self, now_ms, current_flows=False):
        """Time passes. `current_flows`: a current is measured behind the breaker."""
        outcome = self._moves.poll(now_ms)
        if outcome is True:
            self._finish()
        elif outcome is False:
            self.moving = False
            self._try_store()
            self._alarm(ALARM_FAILED, ev.DISCONNECT_FAILURE, 0)
            self._again_ms = None if self._wanted() else now_ms + AGAIN_MS
        if self._moves.busy:
            return
        if self._again_ms is not None and now_ms >= self._again_ms:
            # It must be open: never give that up.
            self._again_ms = None
            self._moves.start(False, now_ms)
            return
        self._supervise(now_ms, current_flows)

    def _supervise(self, now_ms, current_flows):
        wanted = self._wanted()
        closed = self._relay.closed()
        wrong = 0
        if not wanted and current_flows:
            wrong = ALARM_WELDED
        elif closed is not None and closed != wanted:
            # That it did not follow is said already.
            wrong = ALARM_FAILED if self.alarms & ALARM_FAILED else ALARM_MISMATCH
        elif wanted and self._relay.load_voltage() is False:
            wrong = ALARM_NO_VOLTAGE
        if not wrong:
            self._wrong_since = None
            self.alarms &= ~(ALARM_WELDED | ALARM_NO_VOLTAGE | ALARM_MISMATCH)
            return
        if self._wrong_since is None:
            self._wrong_since = now_ms
        elif now_ms - self._wrong_since >= WRONG_MS and not self.alarms & wrong:
            code = {
                ALARM_WELDED: ev.BREAKER_WELDED,
                ALARM_MISMATCH: ev.BREAKER_MISMATCH,
                ALARM_NO_VOLTAGE: ev.BREAKER_NO_VOLTAGE,
            }[wrong]
            self._alarm(wrong, code, 0)
            if not wanted:
                self._again_ms = now_ms + AGAIN_MS

    def _alarm(self, bit, code, who):
        if self.alarms & bit:
            return
        self.alarms |= bit
        self._log(code, who << 16 | self.state << 8 | (1 if self.output_state else 0), self.mode)
        if self.on_alarm is not None:
            self.on_alarm(bit)

"""Breaker, limiter and quota together: what moves the supply, and who made it."""

from micropython import const

from ams.clock import own_time
from ams.clock.local import STATUS_INVALID
from ams.control import command as cm
from ams.control import limiter as lim
from ams.control import quota as qt
from ams.control.breaker import (
    DEFAULT_MODE,
    WHO_BUTTON,
    WHO_LIMITER,
    WHO_SCHEDULE,
    Breaker,
)
from ams.control.button import LONG, SHORT, Button
from ams.control.guard import Guard, Policy
from ams.control.transitions import (
    CONNECTED,
    LOCAL_DISCONNECT,
    LOCAL_RECONNECT,
    MANUAL_DISCONNECT,
    MANUAL_RECONNECT,
    READY,
    REMOTE_DISCONNECT,
    REMOTE_RECONNECT,
)
from ams.events import events as ev
from ams.events.token_bucket import TokenBucket
from ams.metrology.quantities import (
    STATUS_ACQUIRING,
    STATUS_NO_LOAD,
    STATUS_SAMPLES_MISSING,
)

# Cells of the ring of control.
CELL_BREAKER = const(1)
CELL_USED = const(2)
CELL_LIMITER = const(3)
CELL_QUOTA = const(4)
CELL_QUOTA_RUN = const(5)
CELL_OWN_TIME = const(6)
CELL_ARMED = const(7)
CELL_MOVES = const(8)
# 9: of the entries' marks, see registers.nv_memory.

# The starting current of class A (EN 50470-3, 0.004 of 5 A): less says nothing of a contact.
FLOWS_UA = const(20000)
# Between the button and the movement: time to step back, shown by the LED.
SAFETY_MS = const(5000)
# Attempts of a client that may not are entered so many at once and then one in so long: anybody
# can make them, and the log has an end.
_ATTEMPTS = const(5)
_ATTEMPT_EVERY_MS = const(3600000)
# The attribute of class 71 that names a time.
_EMERGENCY_PROFILE = const(8)


def _flows_ua(calibration):
    """From which current on a contact is not open: twice that of the starting power."""
    starting_ua = calibration.starting_power_mva * 1000000 // calibration.nominal_voltage_mv
    return max(2 * starting_ua, FLOWS_UA)


class NoRelay:
    """A metering point that cannot be broken."""

    def set_coil(self, coil):
        pass

    def closed(self):
        return True

    def load_voltage(self):
        return None


class Control:
    """`relay`: hal.Relay or None; `policy`: see guard.Policy; `secrets`: see guard.Guard."""

    def __init__(self, relay, cells, meter, policy, secrets):
        self._quantities = meter.quantities
        self._energy = meter.energy
        self._events = meter.events
        self._clock = meter.clock
        self._own = meter.own_time
        self._cells = cells
        self.policy = Policy(policy)
        self.has_relay = relay is not None and not self.policy.inhibit
        self.breaker = Breaker(
            relay if self.has_relay else NoRelay(),
            cells,
            CELL_BREAKER,
            self._log,
            self.policy.never_disconnect,
            (policy or {}).get("mode", DEFAULT_MODE) if self.has_relay else 0,
        )
        keys = (CELL_ARMED, CELL_MOVES)
        self.guard = Guard(cells, CELL_USED, self.policy, secrets, keys)
        self._own.orders_follow = self.policy.interactive
        self.limiter = lim.Limiter(self._quantities, lim.Settings.unpack(cells.get(CELL_LIMITER)))
        self.quota = qt.Quota(cells, CELL_QUOTA, CELL_QUOTA_RUN, meter.local_clock.local_ms)
        self.button = Button()
        self._flows_ua = _flows_ua(meter.calibration)
        self._reconnect_ms = None  # when the safety delay ends
        self._attempts = {}  # a Share by client
        self._utc_ms = 0
        self._now_ms = 0

    def _log(self, code, detail=0, extra=0):
        self._events.log(self._utc_ms, code, detail, extra)

    # --- time ----------------------------------------------------------------------

    def start(self, now_ms, utc_ms):
        """Power-up; the meter's own time runs already."""
        self._now_ms = now_ms
        self._utc_ms = utc_ms
        self.limiter.look_at_clock(self._own_s(own_time.EMERGENCY))
        if self.breaker.start(now_ms):
            self.guard.moved(self._lived_ms())

    def _own_s(self, place):
        return self._own.of(place, self._now_ms) // 1000

    def _lived_ms(self):
        return self._own.lived(self._now_ms)

    @property
    def connected(self):
        """Whether the supply goes through, as the contact says."""
        return self.breaker.output_state

    def due_ms(self, power_mw):
        """The longest step from now (ms) in which nothing here has to be looked at, or None."""
        due = self.limiter.step_most_ms(power_mw)
        for moment in (self.breaker.due_ms(), self._reconnect_ms, self.button.due_ms()):
            if moment is not None:
                wait = max(moment - self._now_ms, 1)
                due = wait if due is None else min(due, wait)
        change_s = self.limiter.next_change_s(self._own_s(own_time.EMERGENCY))
        if change_s is not None:
            wait = max(change_s * 1000 - self._own.of(own_time.EMERGENCY, self._now_ms), 1)
            due = wait if due is None else min(due, wait)
        if self.quota.period_s and power_mw > 0:
            due = self._quota_due(power_mw, due)
        return due

    def _quota_due(self, power_mw, due):
        left = self.quota.left_mwh(self._energy.mwh[0])
        if left is None:
            return due
        wait = max(left * 3600000 // power_mw, 200)
        return wait if due is None else min(due, wait)

    def take(self, duration_ms, power_mw, now_ms, utc_ms):
        """What was measured held for `duration_ms` up to now."""
        self._now_ms = now_ms
        self._utc_ms = utc_ms
        status = self._quantities.status
        if status & (STATUS_ACQUIRING | STATUS_SAMPLES_MISSING):
            # Nothing trips on what is not known.
            return
        action, crossed = self.limiter.take(duration_ms, power_mw)
        if crossed is not None:
            kind = self.limiter.settings.monitored
            value = self.limiter.value()
            value = value if kind == lim.AVERAGE_IMPORT else value // 1000
            self._log(ev.LIMITER_EXCEEDED if crossed else ev.LIMITER_OK, kind, max(value, 0))
        if action == lim.ACTION_DISCONNECT:
            self._local(LOCAL_DISCONNECT)
        elif action == lim.ACTION_RECONNECT and not self.quota.holds:
            self._reconnect()
        self._take_quota()

    def _reconnect(self):
        """The limiter's under action: a load that trips again and again stays off."""
        most = self.limiter.settings.reconnections_per_hour
        if self.breaker.may(LOCAL_RECONNECT) != cm.NO_TRANSITION:
            if self.guard.limiter_reconnections(self._lived_ms()) >= most:
                self._log(ev.RECONNECTIONS_USED_UP)
            else:
                self._local(LOCAL_RECONNECT, True)

    def _take_quota(self):
        if not self.quota.period_s:
            return
        held = self.quota.holds
        a_plus = self._energy.mwh[0]
        what = self.quota.take(a_plus, self._own.of(own_time.QUOTA, self._now_ms))
        if what == qt.NOTHING:
            if held and not self.quota.holds:
                # A new period: the mode decides whether it comes back by itself.
                self._local(LOCAL_RECONNECT)
            return
        used_wh = self.quota.used_mwh(a_plus) // 1000
        self._log(ev.QUOTA_EXCEEDED if what == qt.TRIP else ev.QUOTA_WARNING, 0, used_wh)
        if what == qt.TRIP:
            self._local(LOCAL_DISCONNECT)

    def _local(self, event, of_limiter=False):
        """The limiter's own: where the mode allows no such step there is nothing to refuse."""
        reason = self._move(event, WHO_LIMITER, 0, of_limiter)
        if reason not in (cm.OK, cm.NO_TRANSITION):
            self._refused(WHO_LIMITER, reason)

    def _move(self, event, who, number=0, of_limiter=False):
        """Every movement comes by here, whoever makes it: it counts among those of the hour.

        What does not move uses up nothing: neither a movement nor an order. Gives a reason.
        """
        reason = self.breaker.may(event)
        moves = reason == cm.OK and self.breaker.moves(event)
        connect = event in (REMOTE_RECONNECT, MANUAL_RECONNECT, LOCAL_RECONNECT)
        # The limiter's disconnection protects: it counts, and is not refused.
        if moves and (connect or who != WHO_LIMITER):
            if not self.guard.may_move(connect, self._lived_ms()):
                reason = cm.TOO_MANY
        if reason == cm.OK and not moves and not self.guard.may_write(self._lived_ms()):
            # From disconnected to ready and back: that is a setting.
            reason = cm.TOO_MANY
        if reason == cm.OK and number:
            reason = self.guard.spend(self._own_s(own_time.ORDERS))
        if reason == cm.OK:
            if moves:
                self.guard.moved(self._lived_ms(), of_limiter)
            reason = self.breaker.event(event, who, self._now_ms, number)
        return reason

    def poll(self, now_ms, utc_ms, pressed=False):
        """Time passes; `pressed`: the button now."""
        self._now_ms = now_ms
        self._utc_ms = utc_ms
        # First of all: a coil that is left on burns.
        self.breaker.poll(now_ms, self._current_flows())
        if self.limiter.look_at_clock(self._own_s(own_time.EMERGENCY)):
            s = self.limiter.settings
            active = self.limiter.emergency_active
            self._log(ev.EMERGENCY_BEGIN if active else ev.EMERGENCY_END, s.emergency_id)
        self._look_at_button(now_ms, pressed)

    def _current_flows(self):
        """Whether the meter counts a load. A current alone may be the noise of the front end,
        which is in no step with the voltage: then every element is below its starting power."""
        q = self._quantities
        if q.status & (STATUS_NO_LOAD | STATUS_SAMPLES_MISSING):
            return False
        return max(q.current_ua) > self._flows_ua

    def _look_at_button(self, now_ms, pressed):
        press = self.button.look(now_ms, pressed)
        if press and self._reconnect_ms is not None:
            # A second press calls it off.
            self._reconnect_ms = None
        elif press == SHORT and self.breaker.state == READY:
            self._reconnect_ms = now_ms + SAFETY_MS
        elif press == LONG and self.breaker.state == CONNECTED:
            self._by_hand(MANUAL_DISCONNECT)
        if self._reconnect_ms is not None and now_ms >= self._reconnect_ms:
            self._reconnect_ms = None
            self._by_hand(MANUAL_RECONNECT)

    def _by_hand(self, event):
        if event == MANUAL_RECONNECT and self.quota.holds:
            self._refused(WHO_BUTTON, cm.INHIBITED)
            return
        reason = self._move(event, WHO_BUTTON)
        if reason != cm.OK:
            self._refused(WHO_BUTTON, reason)

    @property
    def reconnecting(self):
        """Whether the safety delay runs: the LED blinks."""
        return self._reconnect_ms is not None

    # --- the operator ----------------------------------------------------------------

    def _refused(self, who, reason, number=0):
        state = self.breaker.state
        self._log(ev.CONTROL_REFUSED, who << 16 | state << 8 | state, number << 8 | reason)

    def not_allowed(self, who):
        """A client that may not has asked; entered with how often it did meanwhile."""
        now = self._now_ms
        share = self._attempts.get(who)
        if share is None:
            share = self._attempts[who] = TokenBucket(_ATTEMPTS, _ATTEMPT_EVERY_MS, now)
        meanwhile = share.take(now)
        if meanwhile is not None:
            self._refused(who, cm.NOT_ALLOWED, meanwhile)

    def clock_moved(self, step_ms):
        """The clock was set: nothing here moves with it."""
        self._utc_ms += step_ms

    def arm(self, data, who, channel=None):
        """A sealed order; gives a reason of `command`."""
        valid = not self._clock.status & STATUS_INVALID
        own_s = self._own_s(own_time.ORDERS)
        shown_s = self._utc_ms // 1000
        reason = self.guard.arm(data, own_s, self._lived_ms(), valid, channel, shown_s)
        if reason == cm.BEGUN_ANEW:
            self._own.bind(own_time.ORDERS, self._now_ms, self._utc_ms)
            self._log(ev.ORDERS_ANEW, who << 16, self.guard.last_number)
            return cm.OK
        if reason == cm.OK:
            self._log(ev.ORDER_ARMED, who << 16, self.guard.armed_number)
        else:
            self._refused(who, reason)
        return reason

    def remote(self, connect, who, age_ms, channel=None):
        """remote_disconnect or remote_reconnect of class 70; gives a reason.

        `age_ms`: of the association that asks.
        """
        action = cm.RECONNECT if connect else cm.DISCONNECT
        reason = self.guard.permit(action, self._lived_ms(), age_ms, cm.NO_DIGEST, channel)
        number = self.guard.taken_number
        if reason == cm.OK:
            event = REMOTE_RECONNECT if connect else REMOTE_DISCONNECT
            reason = self._move(event, who, number)
        if reason != cm.OK:
            self._refused(who, reason, number)
        elif connect:
            self.quota.release()
        return reason

    def _may_set(self, action, attribute, value, who, age_ms, channel):
        """Whether an attribute may get `value` (octets): then its order is spent. Gives a reason.

        Settings have an hour's number of their own: they use up no movement.
        """
        lived_ms = self._lived_ms()
        reason = self.guard.permit(action, lived_ms, age_ms, cm.digest(attribute, value), channel)
        if reason == cm.OK and not self.guard.may_write(lived_ms):
            reason = cm.TOO_MANY
        if reason == cm.OK:
            reason = self.guard.spend(self._own_s(own_time.ORDERS))
        return reason

    def _told(self, who, reason):
        """Logs a refusal; gives the reason."""
        if reason != cm.OK:
            self._refused(who, reason, self.guard.taken_number)
        return reason

    def may_schedule(self, number, times, who, age_ms, channel=None):
        """Whether a schedule of the breaker may get these `times` (octets); gives a reason."""
        reason = self._may_set(cm.SET_BREAKER, number, times, who, age_ms, channel)
        return self._told(who, reason)

    def scheduled(self, event):
        """A local event of a schedule that the breaker's client has set."""
        reason = self._move(event, WHO_SCHEDULE)
        if reason != cm.OK:
            self._refused(WHO_SCHEDULE, reason)
        return reason

    def set_mode(self, mode, who, age_ms, channel=None):
        value = bytes((22, mode & 0xFF))
        reason = self._may_set(cm.SET_BREAKER, 4, value, who, age_ms, channel)
        if reason == cm.OK:
            reason = self.breaker.set_mode(mode) if self.has_relay else cm.INHIBITED
        return self._told(who, reason)

    def set_limiter(self, settings, attribute, value, who, age_ms, channel=None):
        """`settings`: those of class 71 with one attribute changed; `value`: its octets."""
        reason = self._may_set(cm.SET_LIMITER, attribute, value, who, age_ms, channel)
        if reason == cm.OK:
            try:
                self._cells.set(CELL_LIMITER, settings.pack())
            except OSError:
                reason = cm.NOT_STORED
        if reason == cm.OK:
            self.limiter.change(settings)
            if attribute == _EMERGENCY_PROFILE:
                self._own.bind(own_time.EMERGENCY, self._now_ms, self._utc_ms)
            self._log(ev.LIMITER_CHANGED, who << 16 | attribute, self.guard.taken_number)
        return self._told(who, reason)

    def set_quota(self, limit_mwh, period_s, warning_permille, value, who, age_ms, channel=None):
        reason = self._may_set(cm.SET_LIMITER, 2, value, who, age_ms, channel)
        if reason == cm.OK:
            try:
                self.quota.change(
                    limit_mwh, period_s, warning_permille, self._utc_ms, self._energy.mwh[0]
                )
            except OSError:
                reason = cm.NOT_STORED
        if reason == cm.OK:
            self._own.bind(own_time.QUOTA, self._now_ms, self._utc_ms)
            self._log(ev.LIMITER_CHANGED, who << 16, self.guard.taken_number)
        return self._told(who, reason)

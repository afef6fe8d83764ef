"""Breaker, limiter and quota together: what moves the supply, and who made it."""

from micropython import const

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
from ams.registers import events as ev
from ams.registers.clock import STATUS_INVALID
from ams.registers.quantities import (
    STATUS_ACQUIRING,
    STATUS_NO_LOAD,
    STATUS_SAMPLES_MISSING,
)
from ams.registers.share import Share

# Cells of the ring of control.
CELL_BREAKER = const(1)
CELL_USED = const(2)
CELL_LIMITER = const(3)
CELL_QUOTA = const(4)
CELL_QUOTA_RUN = const(5)

# The starting current of class A (EN 50470-3, 0.004 of 5 A): less says nothing of a contact.
FLOWS_UA = const(20000)
# Between the button and the movement: time to step back, shown by the LED.
SAFETY_MS = const(5000)
# Attempts of a client that may not are entered so many at once and then one in so long: anybody
# can make them, and the log has an end.
_ATTEMPTS = const(5)
_ATTEMPT_EVERY_MS = const(3600000)


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
        self.guard = Guard(cells, CELL_USED, self.policy, secrets)
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

    def start(self, now_ms, utc_ms, kept_ms=None):
        """`kept_ms`: the meter's time when its state was kept last, None: never."""
        self._now_ms = now_ms
        self._utc_ms = utc_ms
        if kept_ms is not None:
            # The clock chip may have been set while there was no supply.
            self.clock_set(kept_ms, utc_ms)
        self.limiter.look_at_clock(utc_ms // 1000)
        self.breaker.start(now_ms)

    @property
    def connected(self):
        """Whether the supply goes through, as the contact says."""
        return self.breaker.output_state

    def due_ms(self, power_mw):
        """The longest step from now (ms) in which nothing here has to be looked at, or None."""
        due = self.limiter.step_most_ms(power_mw)
        for moment in (self.breaker.due_ms(), self._reconnect_ms):
            if moment is not None:
                wait = max(moment - self._now_ms, 1)
                due = wait if due is None else min(due, wait)
        change_s = self.limiter.next_change_s(self._utc_ms // 1000)
        if change_s is not None:
            wait = max(change_s * 1000 - self._utc_ms, 1)
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
        action, crossed = self.limiter.take(duration_ms, power_mw, now_ms)
        if crossed is not None:
            kind = self.limiter.settings.monitored
            value = self.limiter.value()
            value = value if kind == lim.AVERAGE_IMPORT else value // 1000
            self._log(ev.LIMITER_EXCEEDED if crossed else ev.LIMITER_OK, kind, max(value, 0))
        if action == lim.ACTION_DISCONNECT:
            self._local(LOCAL_DISCONNECT)
        elif action == lim.ACTION_RECONNECT and not self.quota.holds:
            self._local(LOCAL_RECONNECT)
        elif self.limiter.reconnections_used_up():
            self._log(ev.RECONNECTIONS_USED_UP)
        self._take_quota(utc_ms)

    def _take_quota(self, utc_ms):
        if not self.quota.period_s:
            return
        held = self.quota.holds
        a_plus = self._energy.mwh[0]
        what = self.quota.take(a_plus, utc_ms)
        if what == qt.NOTHING:
            if held and not self.quota.holds:
                # A new period: the mode decides whether it comes back by itself.
                self._local(LOCAL_RECONNECT)
            return
        used_wh = self.quota.used_mwh(a_plus) // 1000
        self._log(ev.QUOTA_EXCEEDED if what == qt.TRIP else ev.QUOTA_WARNING, 0, used_wh)
        if what == qt.TRIP:
            self._local(LOCAL_DISCONNECT)

    def _local(self, event):
        """The limiter's own: where the mode allows no such step there is nothing to refuse."""
        reason = self.breaker.event(event, WHO_LIMITER, self._now_ms)
        if reason not in (cm.OK, cm.NO_TRANSITION):
            self._refused(WHO_LIMITER, reason)

    def poll(self, now_ms, utc_ms, pressed=False):
        """Time passes; `pressed`: the button now."""
        self._now_ms = now_ms
        self._utc_ms = utc_ms
        # First of all: a coil that is left on burns.
        self.breaker.poll(now_ms, self._current_flows())
        if self.limiter.look_at_clock(utc_ms // 1000):
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
        reason = self.breaker.event(event, WHO_BUTTON, self._now_ms)
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
            share = self._attempts[who] = Share(_ATTEMPTS, _ATTEMPT_EVERY_MS, now)
        meanwhile = share.take(now)
        if meanwhile is not None:
            self._refused(who, cm.NOT_ALLOWED, meanwhile)

    def clock_set(self, before_ms, after_ms):
        self.guard.clock_set(before_ms // 1000, after_ms // 1000)

    def arm(self, data, who, channel=None):
        """A sealed order; gives a reason of `command`."""
        valid = not self._clock.status & STATUS_INVALID
        reason = self.guard.arm(data, self._utc_ms // 1000, self._now_ms, valid, channel)
        if reason == cm.OK:
            self._log(ev.ORDER_ARMED, who << 16, self.guard.last_number)
        else:
            self._refused(who, reason)
        return reason

    def remote(self, connect, who, age_ms, channel=None):
        """remote_disconnect or remote_reconnect of class 70; gives a reason.

        `age_ms`: of the association that asks.
        """
        action = cm.RECONNECT if connect else cm.DISCONNECT
        reason = self.guard.permit(action, self._now_ms, age_ms, cm.NO_DIGEST, channel)
        number = self.guard.spent_number
        if reason == cm.OK:
            event = REMOTE_RECONNECT if connect else REMOTE_DISCONNECT
            reason = self.breaker.event(event, who, self._now_ms, number)
        if reason != cm.OK:
            self._refused(who, reason, number)
        elif connect:
            self.quota.release()
        return reason

    def may_schedule(self, number, times, who, age_ms, channel=None):
        """Whether a schedule of the breaker may get these `times` (octets); gives a reason."""
        bound = cm.digest(number, times)
        reason = self.guard.permit(cm.SET_BREAKER, self._now_ms, age_ms, bound, channel)
        if reason != cm.OK:
            self._refused(who, reason, self.guard.spent_number)
        return reason

    def scheduled(self, event):
        """A local event of a schedule that the breaker's client has set."""
        reason = cm.TOO_MANY
        if self.guard.has_moves(self._now_ms):
            reason = self.breaker.event(event, WHO_SCHEDULE, self._now_ms)
        if reason == cm.OK:
            self.guard.moved(self._now_ms)
        else:
            self._refused(WHO_SCHEDULE, reason)
        return reason

    def set_mode(self, mode, who, age_ms, channel=None):
        bound = cm.digest(4, bytes((22, mode & 0xFF)))
        reason = self.guard.permit(cm.SET_BREAKER, self._now_ms, age_ms, bound, channel)
        if reason == cm.OK:
            reason = self.breaker.set_mode(mode) if self.has_relay else cm.INHIBITED
        if reason != cm.OK:
            self._refused(who, reason, self.guard.spent_number)
        return reason

    def set_limiter(self, settings, attribute, value, who, age_ms, channel=None):
        """`settings`: those of class 71 with one attribute changed; `value`: its octets."""
        bound = cm.digest(attribute, value)
        reason = self.guard.permit(cm.SET_LIMITER, self._now_ms, age_ms, bound, channel)
        if reason == cm.OK:
            try:
                self._cells.set(CELL_LIMITER, settings.pack())
            except OSError:
                reason = cm.NOT_STORED
        if reason != cm.OK:
            self._refused(who, reason, self.guard.spent_number)
            return reason
        self.limiter.change(settings)
        self._log(ev.LIMITER_CHANGED, who << 16 | attribute, self.guard.spent_number)
        return reason

    def set_quota(self, limit_mwh, period_s, warning_permille, value, who, age_ms, channel=None):
        bound = cm.digest(2, value)
        reason = self.guard.permit(cm.SET_LIMITER, self._now_ms, age_ms, bound, channel)
        if reason == cm.OK:
            try:
                self.quota.change(
                    limit_mwh, period_s, warning_permille, self._utc_ms, self._energy.mwh[0]
                )
            except OSError:
                reason = cm.NOT_STORED
        if reason != cm.OK:
            self._refused(who, reason, self.guard.spent_number)
            return reason
        self._log(ev.LIMITER_CHANGED, who << 16, self.guard.spent_number)
        return reason

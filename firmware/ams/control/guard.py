"""Who may move the breaker or the limiter, how often, and what of it was used.

Two ways: a sealed order (see `command`), which is armed first and then spent
by the method or write that it names; or, where the policy says `interactive`,
a request on the breaker's own association alone: ciphered and authenticated
with that meter's keys, bound to its system title by the cipher, used once by
its invocation counter, and good only for FRESH_MS after a fresh challenge was
answered. Two persons always means sealed orders.
"""

import struct

from micropython import const

from ams.control import command as cm

# An armed order waits so long for the request that spends it, and an association
# stays fresh for so long.
ARMED_MS = const(60000)
FRESH_MS = const(600000)
_HOUR_MS = const(3600000)
_USED = "<BIIq"  # version, last number, latest time known in s, spare


class Policy:
    """Set when the meter is provisioned; nothing that comes over a link changes it."""

    def __init__(self, config=None):
        config = config or {}
        # A transformer-metered or critical point: nothing ever disconnects it.
        self.inhibit = bool(config.get("inhibit"))
        self.critical = bool(config.get("critical"))
        self.two_person = bool(config.get("two_person"))
        self.interactive = bool(config.get("interactive", True)) and not self.two_person
        self.per_hour = config.get("per_hour", 12)

    @property
    def never_disconnect(self):
        return self.inhibit or self.critical


class Guard:
    """`cells` keeps what was used under `key`.

    `secrets()` gives the meter's system title and its two breaker keys.
    """

    def __init__(self, cells, key, policy, secrets):
        self._cells = cells
        self._key = key
        self.policy = policy
        self._secrets = secrets
        self.last_number = 0
        self.latest_s = 0  # no order that ended before this is valid, wherever the clock stands
        self._armed = None
        self._armed_ms = 0
        self._armed_by = None
        self.spent_number = 0  # of the order that the last `permit` spent, 0: none
        self._moves = []  # times of the newest movements
        self._load()

    def _load(self):
        data = self._cells.get(self._key)
        if data is not None and len(data) == struct.calcsize(_USED) and data[0] == 1:
            _, self.last_number, self.latest_s, _ = struct.unpack(_USED, data)

    def _store(self):
        self._cells.set(self._key, struct.pack(_USED, 1, self.last_number, self.latest_s, 0))

    def rekeyed(self, utc_s):
        """A new breaker key: what was armed is void.

        Numbers go on, for a key that comes may be a former one. A time that the clock has not
        passed by now counts no more: it was set wrong.
        """
        self._armed = None
        if self.latest_s > utc_s:
            self.latest_s = utc_s
            self._store()

    def disarm(self):
        """An order that was armed is void: its number stays used."""
        self._armed = None

    def clock_set(self, before_s, after_s):
        """The clock is about to be set: a time once passed stays passed."""
        if after_s < before_s and before_s > self.latest_s:
            self.latest_s = before_s
            try:
                self._store()
            except OSError:
                # Known until the next start at least.
                pass

    # --- orders ----------------------------------------------------------------

    def arm(self, data, utc_s, now_ms, clock_valid, channel=None):
        """Takes a sealed order; gives a reason, OK when it is armed. Its number is used then.

        `channel`: by which it came; no other spends it, or calls it off.
        """
        title, keys = self._secrets()
        reason, order = cm.check(data, keys)
        if reason == cm.OK:
            reason = self._judge(order, title, utc_s, clock_valid)
        if reason != cm.OK:
            return reason
        before = self.last_number
        self.last_number = order.number
        try:
            self._store()
        except OSError:
            # What could not be noted as used must not be used.
            self.last_number = before
            return cm.NOT_STORED
        self._armed = order
        self._armed_ms = now_ms
        self._armed_by = channel
        return cm.OK

    def _judge(self, order, title, utc_s, clock_valid):
        if order.title != title:
            return cm.WRONG_METER
        if not cm.DISCONNECT <= order.action <= cm.SET_LIMITER:
            return cm.UNKNOWN_ACTION
        if order.number <= self.last_number:
            return cm.USED
        if not clock_valid:
            return cm.CLOCK_INVALID
        if order.not_before_s > utc_s:
            return cm.TOO_EARLY
        if order.expiry_s < max(utc_s, self.latest_s):
            return cm.EXPIRED
        if self.policy.two_person and order.action != cm.RECONNECT and order.seals < 2:
            return cm.SECOND_SEAL_MISSING
        return cm.OK

    def permit(self, action, now_ms, age_ms, bound=cm.NO_DIGEST, channel=None):
        """May `action` be done now? Spends the armed order; gives a reason.

        `age_ms`: of the association that asks, None for none; `channel`: its own.
        """
        armed = None
        if channel == self._armed_by:
            armed = self._armed
            self._armed = None
        self.spent_number = armed.number if armed is not None else 0
        if action == cm.DISCONNECT and self.policy.never_disconnect:
            return cm.INHIBITED
        if armed is not None and now_ms - self._armed_ms <= ARMED_MS:
            if armed.action != action or armed.digest != bound:
                return cm.NOT_ORDERED
        elif not self.policy.interactive or age_ms is None or age_ms > FRESH_MS:
            return cm.NOT_ORDERED
        if not self.has_moves(now_ms):
            return cm.TOO_MANY
        self.moved(now_ms)
        return cm.OK

    def has_moves(self, now_ms):
        """Whether one more movement is within what an hour may have."""
        while self._moves and now_ms - self._moves[0] > _HOUR_MS:
            self._moves.pop(0)
        return len(self._moves) < self.policy.per_hour

    def moved(self, now_ms):
        self._moves.append(now_ms)

"""Who may move the breaker or set the limiter, and what of it was used.

Two ways: a sealed order (see `command`), which is armed first and then spent
by the method or write that it names; or, where the policy says `interactive`,
a request on the breaker's own association alone: ciphered and authenticated
with that meter's keys, bound to its system title by the cipher, used once by
its invocation counter, and good only for FRESH_MS after a fresh challenge was
answered. Two persons always means sealed orders.

Times are lived ones (ms) and the own time of orders (s): no setting of the
clock moves them (see clock.own_time).
"""

import struct

from micropython import const

from ams.control import command as cm
from ams.control.moves import Moves
from ams.control.seen import Seen
from ams.events.pace import Pace

# An armed order waits so long for the request that spends it, and an association
# stays fresh for so long.
ARMED_MS = const(60000)
FRESH_MS = const(600000)
# How far an order's number may lie ahead of all that have served.
AHEAD = const(65536)
# For how long the order that begins anew may be good.
_ANEW_S = const(3600)
# What is armed and set, beside movements: so many at once, from then on one in so long.
_WRITES = const(120)
_WRITE_MS = const(30000)
# Version; last number; no order that ended before this is good; last number of what one of two
# persons may order alone; no order for a time before this is good. Own time of orders in s.
_USED = "<BIIII"
# Whose numbers: what all must seal who must, and what one of two persons may order alone.
_ALL = const(0)
_ALONE = const(1)


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
    """`cells` keeps what was used under `key`, what was armed and what moved under
    `next_keys`.

    `secrets()` gives the meter's system title and its two breaker keys.
    """

    def __init__(self, cells, key, policy, secrets, next_keys=(7, 8)):
        self._cells = cells
        self._key = key
        self._armed_key = next_keys[0]
        self.policy = policy
        self._secrets = secrets
        self._last = [0, 0]
        self._ended_s = 0
        self._since_s = 0
        self._seen = (Seen(), Seen())
        self._armed = None
        self._armed_ms = 0
        self._armed_by = None
        self._taken = None  # the order that the last `permit` was for
        self._writes = Pace(_WRITE_MS, _WRITES)
        self._moves = Moves(cells, next_keys[1], policy.per_hour)
        data = cells.get(key)
        if data is not None and len(data) == struct.calcsize(_USED) and data[0] == 1:
            _, self._last[_ALL], self._ended_s, self._last[_ALONE], self._since_s = struct.unpack(
                _USED, data
            )
        data = cells.get(self._armed_key)
        if data:
            self._seen[_ALONE].unpack(self._seen[_ALL].unpack(data))

    def _store(self, last, ended_s, since_s):
        """Raises OSError: then nothing has changed."""
        self._cells.set(
            self._key, struct.pack(_USED, 1, last[_ALL], ended_s, last[_ALONE], since_s)
        )
        self._last[:] = last
        self._ended_s = ended_s
        self._since_s = since_s

    def _store_seen(self):
        self._cells.set(self._armed_key, self._seen[_ALL].pack() + self._seen[_ALONE].pack())

    @property
    def last_number(self):
        """Orders with numbers above this one have not served."""
        return max(self._last)

    @property
    def armed_number(self):
        return self._armed.number if self._armed is not None else 0

    @property
    def taken_number(self):
        """Number of the order that the last `permit` was for, 0: none."""
        return self._taken.number if self._taken is not None else 0

    def disarm(self):
        """A breaker key has changed: an order that was armed under the old is void.

        Numbers and times go on, for a key that comes may be a former one.
        """
        self._armed = None

    # --- orders ----------------------------------------------------------------

    def arm(self, data, own_s, lived_ms, clock_valid, channel=None, shown_s=None):
        """Takes a sealed order; gives a reason, OK when it is armed. It will never be armed again.

        `channel`: by which it came; no other spends it, or calls it off. `shown_s`: what the
        clock shows, for the one order that goes by it; BEGUN_ANEW when that was done.
        """
        title, keys = self._secrets()
        reason, order = cm.check(data, keys)
        if reason == cm.OK:
            reason = self._judge(order, title, own_s, clock_valid)
        if reason == cm.OK and not self._writes.take(lived_ms):
            reason = cm.TOO_MANY
        if reason != cm.OK:
            return reason
        self._armed = None
        if order.action == cm.ANEW:
            return self._begin_anew(order, own_s if shown_s is None else shown_s)
        try:
            self._note(order, own_s)
        except OSError:
            # What could not be noted as armed must not be.
            return cm.NOT_STORED
        self._armed = order
        self._armed_ms = lived_ms
        self._armed_by = channel
        return cm.OK

    def _note(self, order, own_s):
        """Raises OSError."""
        if self._whose(order) == _ALONE:
            # Spent ones too, for the same order with both its seals has numbers of its own.
            self._seen[_ALONE].add(order, own_s, 0)
        else:
            last = self._seen[_ALL].add(order, own_s, self._last[_ALL])
            if last != self._last[_ALL]:
                self._store((last, self._last[_ALONE]), self._ended_s, self._since_s)
        self._store_seen()

    def _whose(self, order):
        return _ALONE if self.policy.two_person and order.seals < 2 else _ALL

    def _judge(self, order, title, own_s, clock_valid):
        if order.title != title:
            return cm.WRONG_METER
        if not cm.DISCONNECT <= order.action <= cm.ANEW:
            return cm.UNKNOWN_ACTION
        if not clock_valid:
            return cm.CLOCK_INVALID
        if self.policy.two_person and order.action != cm.RECONNECT and order.seals < 2:
            return cm.SECOND_SEAL_MISSING
        if order.action == cm.ANEW:
            # Whoever sets the clock may lie by no more than this.
            if order.expiry_s - order.not_before_s > _ANEW_S:
                return cm.BAD_FORM
            return cm.USED if order.not_before_s <= self._since_s else cm.OK
        # An order of which the second seal was taken away has served where the whole has.
        last = self._last[_ALL] if self._whose(order) == _ALL else self.last_number
        if order.number <= last or order.not_before_s < self._since_s:
            return cm.USED
        if self._seen[_ALL].has(order) or self._seen[_ALONE].has(order):
            return cm.USED
        if order.number > self.last_number + AHEAD:
            return cm.NUMBER_TOO_HIGH
        if order.not_before_s > own_s:
            return cm.TOO_EARLY
        if order.expiry_s < max(own_s, self._ended_s):
            return cm.EXPIRED
        full = self._whose(order) == _ALONE and self._seen[_ALONE].is_full(own_s)
        return cm.TOO_MANY if full else cm.OK

    def _begin_anew(self, order, shown_s):
        """The way back: numbers go on from the order's, own time from what the clock shows.

        It serves once, and whatever was used was for a time before it: that stays void.
        """
        if shown_s < order.not_before_s:
            return cm.TOO_EARLY
        if shown_s > order.expiry_s:
            return cm.EXPIRED
        try:
            self._store((order.number, order.number), shown_s, shown_s)
            for seen in self._seen:
                seen.clear()
            self._store_seen()
        except OSError:
            return cm.NOT_STORED
        return cm.BEGUN_ANEW

    def permit(self, action, lived_ms, age_ms, bound=cm.NO_DIGEST, channel=None):
        """May `action` be done now? Takes the armed order; gives a reason.

        `age_ms`: of the association that asks, None for none; `channel`: its own.
        An order counts as used from `spend` on, which must come before what is done.
        """
        armed = self._taken = None
        if channel == self._armed_by:
            armed = self._armed
            self._armed = None
        if action == cm.DISCONNECT and self.policy.never_disconnect:
            return cm.INHIBITED
        if armed is not None and lived_ms - self._armed_ms <= ARMED_MS:
            self._taken = armed
            if armed.action != action or armed.digest != bound:
                return cm.NOT_ORDERED
        elif not self.policy.interactive or age_ms is None or age_ms > FRESH_MS:
            return cm.NOT_ORDERED
        return cm.OK

    def spend(self, own_s):
        """Before what the last `permit` was for is done: its order has served. Gives a reason."""
        order = self._taken
        if order is None:
            return cm.OK
        last = list(self._last)
        last[self._whose(order)] = max(order.number, last[self._whose(order)])
        try:
            self._store(last, max(self._ended_s, own_s), self._since_s)
        except OSError:
            return cm.NOT_STORED
        return cm.OK

    # --- how often -------------------------------------------------------------

    def may_move(self, connect, lived_ms):
        return self._moves.may(connect, lived_ms)

    def moved(self, lived_ms, of_limiter=False):
        """A movement is about to be made."""
        self._moves.add(lived_ms, of_limiter)

    def limiter_reconnections(self, lived_ms):
        """Of the last hour."""
        return self._moves.limiter_reconnections(lived_ms)

    def may_write(self, lived_ms):
        """Settings are stored: so many an hour, of their own."""
        return self._writes.take(lived_ms)

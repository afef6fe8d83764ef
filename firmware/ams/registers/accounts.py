"""What is counted, and the record that keeps it: whole at any moment that an interrupt may come."""

from ams.registers.record import DUE_DAY, DUE_INTERVAL, DUE_MONTH

# The registers are stored so often, and at a stop: what a power cut can cost.
STORE_EVERY_MS = 60000


class Accounts:
    """The part of the recorder (registers.recorder) that has to be done when the supply falls."""

    utc_ms = 0
    _store_due = 0
    # What ended and is not stored yet: an interval; (when, whether a day, a billing period).
    _entry = None
    _day = None
    _changing = 0  # what a record holds is not whole just now: how often
    _falls = False  # the supply fell meanwhile
    _went_on = False  # energy was counted behind what was to be the last record

    def save(self):
        """The supply falls, and this is an interrupt: stores what is registered, now or as soon
        as it is whole again. It may not be the last record: the open window follows, if there is
        time for it.
        """
        if self._changing:
            self._falls = True
        else:
            self._store(False)

    def _changed(self):
        self._changing -= 1
        if self._falls and not self._changing:
            self._falls = False
            self._store(False)

    def count(self, active_uws, reactive_uvars, exporting=None):
        """Counts energy, as EnergyRegisters.add does."""
        self._changing += 1
        self._energy.add(active_uws, reactive_uvars, exporting)
        self._changed()
        if active_uws or reactive_uvars:
            self._went_on = self._nv_memory.state.clean

    def close_hour(self, utc_ms):
        self._changing += 1
        self._energy.close_hour(utc_ms)
        self._changed()

    def close_quarter(self, utc_ms):
        self._changing += 1
        self._energy.close_quarter(utc_ms)
        self._changed()

    def stop(self):
        """A normal stop, or the supply falls: keeps what is counted, at once."""
        self._store(True)

    def _store(self, clean):
        """One record, and with it what has ended: that is due until it is stored."""
        self._changing += 1
        try:
            self._store_all(clean)
            # It is what an interrupt since then would store.
            self._falls = self._went_on = False
        finally:
            self._changed()

    def _store_all(self, clean):
        state = self._nv_memory.state
        state.utc_ms = self.utc_ms
        state.clean = clean
        state.due = DUE_INTERVAL if self._entry is not None else 0
        state.clock_status = self.clock.status
        state.drift_ppb = self.clock.drift_ppb
        state.period_s = self.load_profile.period_s
        before = state.days, state.months
        month = False
        if self._day is not None:
            state.utc_ms, day, month = self._day
            if day:
                state.due |= DUE_DAY
                state.days += 1
            if month:
                state.due |= DUE_MONTH
                state.months += 1
        try:
            self._nv_memory.store(self._energy, self.load_profile, state, self._entry)
        except Exception:
            # The same again with the next pass.
            state.days, state.months = before
            raise
        self._entry = self._day = None
        if month:
            self._energy.highest.end(state.months)
        self._store_due = self.utc_ms + STORE_EVERY_MS
        self._next()

"""Builds the meter from a board: the one place where all rooms meet."""

from ams.han import make_format
from ams.han.port import HanPort
from ams.metrology import meter as metrology
from ams.metrology.aggregate import Aggregate
from ams.metrology.calibration import Calibration
from ams.registers import events as ev
from ams.registers import quantities as qu
from ams.registers import record
from ams.registers.clock import MS_PER_HOUR, LocalClock
from ams.registers.energy import EnergyRegisters
from ams.registers.events import EventLog
from ams.registers.identity import Identity
from ams.registers.quantities import Quantities
from ams.storage.journal import Journal
from ams.storage.snapshot import Snapshot, SnapshotError

# The registers are stored so often, and at a stop: what a power cut can cost.
_STORE_EVERY_MS = 60000
_REGISTER_SECTORS = 16
_REGISTER_REGION = 1
# Without a sample for this long the front end counts as stopped.
_SAMPLES_DUE_MS = 200

_FLAG_TO_STATUS = (
    (metrology.FLAG_ACQUIRING, qu.STATUS_ACQUIRING),
    (metrology.FLAG_NO_VOLTAGE, qu.STATUS_NO_VOLTAGE),
    (metrology.FLAG_SATURATED, qu.STATUS_SATURATED),
    (metrology.FLAG_NO_LOAD, qu.STATUS_NO_LOAD),
)
# Status bit, event when it comes, event when it goes.
_STATUS_EVENTS = (
    (qu.STATUS_NO_VOLTAGE, ev.VOLTAGE_LOST, ev.VOLTAGE_BACK),
    (qu.STATUS_SATURATED, ev.SAMPLES_SATURATED, None),
    (qu.STATUS_PHASE_LOSS_L1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 2, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_REVERSED_L1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 2, ev.CURRENT_REVERSED, None),
)


class Meter:
    """One meter. `board` gives the hardware (see hal), `config` is a dict:

    `system`, `calibration` (see Calibration; without one the stored one is
    used), `identity` (`meter_id`, `meter_type`), `han` (`format`, `variant`,
    `options`, `quirk`), and `utc_offset_min` (None: Norway).
    """

    def __init__(self, board, config):
        self._board = board
        self.quantities = Quantities(config["system"])
        self.energy = EnergyRegisters()
        self.events = EventLog()
        identity = config.get("identity") or {}
        self.identity = Identity(identity.get("meter_id", ""), identity.get("meter_type", ""))
        self.local_clock = LocalClock(config.get("utc_offset_min"))
        self._snapshot = None
        self._journal = None
        self._stored = None  # (utc_ms, clean) of the registers that were restored
        settings = self._load_settings(config.get("calibration"))
        if board.flash is not None:
            self._load_registers()
        self._calibration_record = settings["calibration"]
        self.calibration = Calibration(config["system"], self._calibration_record)
        self.metrology = metrology.Metrology(self.calibration, self.quantities, self._on_window)
        self.aggregate = Aggregate()
        han = config["han"]
        self.han = HanPort(
            board.han_uart,
            make_format(han["format"], han.get("variant"), han.get("options")),
            self.quantities,
            self.energy,
            self.identity,
            self.local_clock,
            self.events,
            han.get("quirk"),
            _cipher(han),
        )
        self.utc_ms = 0
        self.samples_missing = 0  # sample sets that never came
        self.samples_late = 0  # sample sets that came out of time
        self._hour_ends = 0
        self._next_index = None
        self._last_samples_ms = 0
        self._missing = False
        self._late = False
        self._store_due = 0

    # --- life ----------------------------------------------------------------

    def start(self, utc_ms):
        """Power-up at `utc_ms`."""
        self.utc_ms = utc_ms
        self._last_samples_ms = utc_ms
        self._hour_ends = utc_ms - utc_ms % MS_PER_HOUR + MS_PER_HOUR
        self.energy.begin(utc_ms)
        self.events.log(utc_ms, ev.POWER_UP)
        self._store_due = utc_ms + _STORE_EVERY_MS
        if self._stored is not None:
            stored_ms, clean = self._stored
            self.events.log(utc_ms, ev.STATE_RESTORED)
            if not clean:
                # What was used between the last record and the cut is not known.
                self.events.log(stored_ms, ev.ENERGY_MISSING)

    def stop(self):
        """A normal stop: counts what is open and keeps the state."""
        self.metrology.flush()
        self.events.log(self.utc_ms, ev.POWER_DOWN)
        self._store(True)

    def _load_settings(self, calibration):
        """What the meter is set to: kept in two slots at the end of the flash.

        A calibration that is given is stored; without one the stored one counts.
        Raises SnapshotError for an image that is not this meter's.
        """
        stored = None
        if self._board.flash is not None:
            self._snapshot = Snapshot(self._board.flash)
            stored = self._snapshot.load()
        if stored is not None and stored["meter_id"] != self.identity.meter_id:
            raise SnapshotError(
                "state image is that of meter %s, not %s"
                % (stored["meter_id"], self.identity.meter_id)
            )
        if calibration is None:
            if stored is None:
                raise ValueError("no calibration: neither given nor stored")
            return stored
        settings = {"meter_id": self.identity.meter_id, "calibration": calibration}
        if self._snapshot is not None and stored != settings:
            Calibration(self.quantities.system, calibration)  # refuses a bad one unstored
            self._snapshot.save(settings)
        return settings

    def _load_registers(self):
        self._journal = Journal(self._board.flash, 0, _REGISTER_SECTORS, _REGISTER_REGION)
        data = self._journal.last(record.KIND)
        if data is not None:
            self._stored = record.restore(self.energy, data)

    def _store(self, clean):
        if self._journal is not None:
            self._journal.append(record.KIND, record.pack(self.energy, self.utc_ms, clean))
        self._store_due = self.utc_ms + _STORE_EVERY_MS

    # --- samples ---------------------------------------------------------------

    def samples(self, utc_ms, index, buffer, count):
        """Takes `count` sample sets whose first is number `index` since power-up.

        `utc_ms` is the time just after the last of them. A hole in the
        numbers is marked and bridged without inventing energy; sets that
        were counted before are dropped.
        """
        expected = self._next_index
        if expected is not None and index < expected:
            self.samples_late += count
            if not self._late:
                self.events.log(utc_ms, ev.SAMPLES_LATE, count)
            self._late = True
            self.quantities.status |= qu.STATUS_SAMPLES_LATE
        else:
            if expected is not None and index > expected:
                self.metrology.flush()
                self._miss(utc_ms, index - expected)
            self._next_index = index + count
            self._last_samples_ms = utc_ms
            self.metrology.feed(buffer, count)
        self._advance(utc_ms)

    def _miss(self, utc_ms, count):
        self.samples_missing += count
        self.events.log(utc_ms, ev.SAMPLES_MISSING, count)
        self._missing = True
        self.quantities.status |= qu.STATUS_SAMPLES_MISSING

    def _on_window(self, active_uws, reactive_uvars, duration_us):
        self.energy.add(active_uws, reactive_uvars)
        flags = self.metrology.flags
        status = self.metrology.phase_loss * qu.STATUS_PHASE_LOSS_L1
        status |= self.metrology.reversed * qu.STATUS_REVERSED_L1
        for flag, bit in _FLAG_TO_STATUS:
            if flags & flag:
                status |= bit
        if self._missing:
            status |= qu.STATUS_SAMPLES_MISSING
        if self._late:
            status |= qu.STATUS_SAMPLES_LATE
        self._missing = self._late = False
        self._set_status(status)
        if not flags & metrology.FLAG_ACQUIRING:
            self.aggregate.add(self.quantities, duration_us)

    def _set_status(self, status):
        before = self.quantities.status
        for bit, came, went in _STATUS_EVENTS:
            if status & bit and not before & bit:
                self.events.log(self.utc_ms, came, bit)
            elif went and before & bit and not status & bit:
                self.events.log(self.utc_ms, went, bit)
        self.quantities.status = status

    # --- quantities ------------------------------------------------------------

    def hold(self, utc_ms, duration_ms, clock):
        """Lets `quantities`, set by the board at `utc_ms`, hold for `duration_ms`.

        For time that runs faster than samples can: energy is power times
        time, and every list goes out at its own moment. What is due at the
        very end waits for the values that begin there. `clock.set(utc_ms)` is
        called as the time runs.
        """
        clock.set(utc_ms)
        self._advance(utc_ms)
        active, reactive = self._counted_power()
        end = utc_ms + duration_ms
        while utc_ms < end:
            until = min(end, self.han.next_due_ms(), self._hour_ends, self._store_due)
            if until <= utc_ms:
                until = utc_ms + 1
            self.energy.add(active * (until - utc_ms), reactive * (until - utc_ms))
            utc_ms = until
            clock.set(utc_ms)
            if utc_ms < end:
                self._advance(utc_ms)
        self.utc_ms = utc_ms
        self._close_hour(utc_ms)
        self.aggregate.add(self.quantities, duration_ms * 1000)

    def _counted_power(self):
        """Net power, or none when it is less than the starting power.

        Given quantities know their sum best; how it was split over the
        elements may be a guess of whoever made them.
        """
        q = self.quantities
        active = q.total_active_power_mw
        reactive = q.total_reactive_power_mvar
        starting = self.calibration.starting_power_mva
        q.status = 0
        if active * active + reactive * reactive < starting * starting:
            q.status = qu.STATUS_NO_LOAD
            return 0, 0
        return active, reactive

    # --- time --------------------------------------------------------------------

    def tick(self, utc_ms):
        """Time passes without a measurement."""
        if self._next_index is not None and utc_ms - self._last_samples_ms > _SAMPLES_DUE_MS:
            if not self._missing:
                self.metrology.flush()
                self._missing = True
                self.events.log(utc_ms, ev.SAMPLES_MISSING)
            self.quantities.status |= qu.STATUS_SAMPLES_MISSING
        self._advance(utc_ms)

    def _advance(self, utc_ms):
        self.utc_ms = utc_ms
        self._close_hour(utc_ms)
        if utc_ms >= self._store_due or utc_ms < self._store_due - _STORE_EVERY_MS:
            self._store(False)
        self.han.poll(utc_ms)

    def _close_hour(self, utc_ms):
        if utc_ms >= self._hour_ends:
            hour = utc_ms - utc_ms % MS_PER_HOUR
            self.energy.close_hour(hour)
            self._hour_ends = hour + MS_PER_HOUR


def _cipher(han):
    """The cipher of the lists, when the configuration gives keys."""
    keys = han.get("keys")
    if not keys:
        return None
    import binascii

    from ams.han.cipher import Cipher

    pairs = [
        (binascii.unhexlify(pair["encryption"]), binascii.unhexlify(pair["authentication"]))
        for pair in keys
    ]
    return Cipher(binascii.unhexlify(han["system_title"]), pairs, han["counter"])

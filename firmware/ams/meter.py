"""Builds the meter from a board: the one place where all rooms meet."""

from micropython import const

from ams import faults as ft
from ams.clock.local import MS_PER_HOUR, STATUS_INVALID, LocalClock
from ams.clock.own_time import OwnTime
from ams.clock.timing import Timing
from ams.control.case import Case
from ams.control.control import CELL_OWN_TIME, Control
from ams.events import events as ev
from ams.events.events import EventLog
from ams.han.port_settings import PortSettings, make_port
from ams.metrology import metrology, status
from ams.metrology import quantities as qu
from ams.metrology.calibration import Calibration
from ams.metrology.quality import QualityWatch
from ams.metrology.quantities import Quantities
from ams.metrology.transformers import Transformers
from ams.registers import billing
from ams.registers.demand import MS_PER_QUARTER
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from ams.registers.nv_memory import NvMemory
from ams.registers.recorder import Recorder
from ams.registers.sample_watch import SAMPLES_DUE_MS, SampleWatch
from ams.storage import layout
from ams.storage import settings as st
from ams.storage.settings import Settings

# Of the activity calendar: which of its two banks is active, and these.
_CALENDAR_CELLS = const(10)


class Meter:
    """One meter. `board` gives the hardware (see hal), `config` is a dict:

    `system`, `calibration` (see Calibration; without one the stored one is used), `identity`
    (`meter_id`, `meter_type`), `han` (`format`, `variant`, `options`, `quirk`, `seed`,
    `summer_time`), `security` (see cosem.keyring; without it there is no two-way link), `readout`
    (`list`, `level`, see cosem.readout), `modbus` (see modbus.modbus_port), `home` (see
    home.broker), `transformers` (see Transformers), and `utc_offset_min` (None: Norway).
    """

    def __init__(self, board, config):
        self._board = board
        self.faults = ft.Faults(self)
        self.events = EventLog()
        identity = config.get("identity") or {}
        self.identity = Identity(identity.get("meter_id", ""), identity.get("meter_type", ""))
        self.local_clock = LocalClock(config.get("utc_offset_min"))
        self.readout = config.get("readout") or {}
        self.nv_memory = NvMemory(board.flash, self.identity.meter_id, config.get("rings"))
        self._formatted = bool(config.get("format")) and board.flash is not None
        if self._formatted:
            self.nv_memory.format()
        stored, settings = self._load_settings(config)
        transformers = Transformers(settings.get("transformers"))
        self.quantities = Quantities(config["system"], transformers)
        self.energy = EnergyRegisters(self.local_clock, transformers)
        self.recorder = Recorder(
            self.nv_memory, self.energy, self.events, self.local_clock, self.quantities
        )
        self.clock = self.recorder.clock
        self._restored = self.nv_memory.mount(self.energy, self.recorder.load_profile)
        cells = self.nv_memory.cells(layout.CONTROL)
        self.own_time = OwnTime(cells, CELL_OWN_TIME, hasattr(board.clock, "keep"))
        self.recorder.own_time = self.own_time
        self.timing = Timing(self, board.clock)
        self.calibration = Calibration(config["system"], settings["calibration"])
        if settings != stored:
            self.nv_memory.save_settings(settings)
        self.metrology = metrology.Metrology(self.calibration, self.quantities, self._on_window)
        self.on_measured = None  # of a bench: called with the quantities and for how long
        self.quality = QualityWatch(
            self.quantities, self.calibration.nominal_voltage_mv, self.events
        )
        self._changes = status.StatusEvents(self.events)
        self.settings = Settings(self.nv_memory.cells(layout.PARAMETERS))
        self.recorder.monthly = self.settings.ends_with_month()
        self.han = make_port(self, board.han_uart, config["han"])
        self.han_settings = PortSettings(self, self.settings)
        self._make_ports(config)
        self.link = None
        self.updater = None  # of the firmware, where the board has slots for it
        self._model = None
        relay = getattr(board, "relay", None)
        self.control = Control(relay, cells, self, settings.get("breaker"), self._breaker_secrets)
        self.case = Case(getattr(board, "inputs", None), self)
        self.utc_ms = 0
        self.raw_ms = 0  # of the board's clock, when it was last asked
        self._quarter_ends = 0
        self.sample_watch = SampleWatch(self)
        self.measured_ms = 0  # for how long something was measured since power-up
        self._rest_us = 0  # of the windows: less than a millisecond
        self._due = 0  # by the meter's time: when `_advance` has something to do
        if "security" in config:
            # The rooms of the link are loaded here: who has none does not pay for them.
            from ams.link import make_link

            self.link = make_link(self, board, config["security"], self._log_link)
            self.model.set_up_link()
        elif self.settings.any(st.CALENDAR, _CALENDAR_CELLS):
            # Who has a calendar has rates, with or without a link.
            self.model.wake()

    @property
    def model(self):
        """The meter as COSEM objects, made when somebody asks for it."""
        if self._model is None:
            from ams.objects.model import Model

            self._model = Model(self, self.settings)
            self.events.on_event = self._model.event
        return self._model

    def say(self, text):
        """A line for the person at the console."""
        self._board.log(text)

    def entropy(self, count):
        """Random octets of the board."""
        return self._board.entropy(count)

    def _make_ports(self, config):
        """What not every image has: without settings none is loaded. A board joins the display."""
        self.modbus = self.home = self.display = None
        try:
            if config.get("modbus"):
                from ams.modbus.modbus_port import ModbusPort

                self.modbus = ModbusPort(self, config["modbus"], self.settings)
            if config.get("home") is not None:
                from ams.home.home import Home

                self.home = Home(self, config["home"], self.settings)
        except ImportError as error:
            self.say("not in the image of this board: %s" % error)

    def _log_link(self, code, detail=0, extra=0):
        self.events.log(self.utc_ms, code, detail, extra)

    # --- life ----------------------------------------------------------------

    def start(self, raw_ms):
        """Power-up at `raw_ms` of the board's clock."""
        backup_s = getattr(self._board.clock, "backup_s", None)
        self.raw_ms = self.events.raw_ms = raw_ms
        utc_ms = self.utc_ms = self.recorder.start(raw_ms, self._restored, backup_s)
        self.local_clock.status = self.clock.status
        self.timing.start(raw_ms)
        self.sample_watch.start(utc_ms, getattr(self._board, "frontend", None) is not None)
        profile = self.recorder.load_profile
        self._begin_hour(utc_ms, profile.start_ms, profile.start_mwh)
        self.control.start(raw_ms, utc_ms)
        self.han_settings.start(utc_ms)
        if self._formatted:
            self.events.log(utc_ms, ev.STORAGE_FORMATTED)
        self._report(utc_ms)

    def _report(self, utc_ms):
        """What the flash held that was not as it should be: lines for the console, and events."""
        nv_memory = self.nv_memory
        for line in nv_memory.found:
            self.say("storage: " + line)
        for region in nv_memory.damaged:
            self.events.log(utc_ms, ev.NV_MEMORY_ERROR, region)
        for region in nv_memory.unknown:
            self.events.log(utc_ms, ev.STORAGE_UNKNOWN, region)
        if nv_memory.unknown:
            what = "there" if nv_memory.writable else "at all"
            self.say("storage: nothing is stored %s until the image is formatted" % what)

    def stop(self):
        """A normal stop: counts what is open and keeps the state."""
        self.power_fail()

    def power_fail(self):
        """The supply falls. Where an interrupt tells of it the registers are stored by now."""
        self.close_window()
        self.recorder.stop()
        self.events.log(self.utc_ms, ev.POWER_DOWN)
        self.han_settings.keep()
        if self._model is not None:
            try:
                self._model.last_gasp()
            except Exception as error:
                self.faults.take(ft.OBJECTS, error)

    def close_window(self):
        """Counts what the open window holds; what cannot be counted is marked."""
        try:
            self.metrology.flush()
        except Exception as error:
            self.faults.take(ft.MEASURED, error)
            self.metrology.drop()
            self.sample_watch.miss(self.utc_ms, 0)

    def supply_back(self):
        """It fell and is back before the meter stood still: what comes now is not stored yet."""
        self.recorder.store()
        self.han.supply_back(self.utc_ms)
        self.events.log(self.utc_ms, ev.POWER_UP)

    def _load_settings(self, config):
        """What is stored, and what the meter is set to: what is given counts before that."""
        stored = self.nv_memory.load_settings()
        settings = dict(stored) if stored else {"meter_id": self.identity.meter_id}
        for name in ("calibration", "breaker", "transformers"):
            if config.get(name) is not None:
                settings[name] = config[name]
        if settings.get("transformers") is not None:
            # No breaker of a house switches such a point.
            settings["breaker"] = dict(settings.get("breaker") or {}, inhibit=True)
        if "calibration" not in settings:
            raise ValueError("no calibration: neither given nor stored")
        return stored, settings

    def _breaker_secrets(self):
        """The system title and the two breaker keys, as far as there are any."""
        if self.link is None:
            return b"", ()
        keyring = self.link.keyring
        return keyring.title, (keyring.secret("breaker"), keyring.secret("breaker_second"))

    def secret_changed(self, name):
        """What was sealed under the key before counts no more."""
        if name == "update":
            if self.updater is not None:
                self.updater.terms.update_key = self.link.keyring.secret(name)
        else:
            self.control.guard.disarm()

    # --- what the operator does ------------------------------------------------

    def set_clock(self, raw_ms, utc_ms, synced=False):
        """Sets the clock: what was measured so far is counted under the old time."""
        self.close_window()
        step_ms = self.recorder.set_clock(raw_ms, utc_ms, synced)
        self.local_clock.status = self.clock.status
        if step_ms:
            self.utc_ms += step_ms
            self.sample_watch.moved(step_ms)
            self._begin_hour(self.utc_ms)
            self.han.clock_set()
            self.quality.clock_set(step_ms)
            self.control.clock_moved(step_ms)
            if self._model is not None:
                self._model.due_ms = 0
        self._due = 0
        self.timing.moved(raw_ms)

    def adjust_clock(self, utc_ms):
        """A client says that it is `utc_ms` now. False: it was set too often this hour."""
        return self.timing.take(self.raw_ms, utc_ms)

    def sync_clock(self, raw_ms, true_ms):
        """The same, of the time `raw_ms` of the board's clock."""
        return self.timing.take(raw_ms, true_ms)

    def set_capture_period(self, period_s):
        self.recorder.set_period(period_s)
        self._due = 0

    def end_billing_period(self):
        """What was measured so far belongs to the period that ends. False: ended too often."""
        self.close_window()
        return self.recorder.end_period()

    def ended_periods(self, most):
        """Of the last billing periods, oldest first: (end, end of the highest quarter, its mW)."""
        newest = self.nv_memory.newest_number(layout.MONTHLY)
        out = []
        for data in self.nv_memory.entries_between(layout.MONTHLY, newest - most + 1, newest):
            row = billing.unpack_month(data)
            if row[26]:
                mw = row[25] * self.energy.transformers.unit
                out.append((1000 * row[1], 1000 * row[26], mw))
        return out

    def tamper(self, code):
        """An input of the case: one of the cover and field codes of events.events."""
        self.events.log(self.utc_ms, code)

    # --- samples ---------------------------------------------------------------

    def samples(self, raw_ms, index, buffer, count):
        """Takes `count` sample sets whose first is number `index` since power-up.

        `raw_ms` is the board's time just after the last of them. A hole in the
        numbers is marked and bridged without inventing energy; sets that
        were counted before are dropped.
        """
        utc_ms = self.clock.utc_ms(raw_ms)
        if self.sample_watch.takes(utc_ms, index, count):
            self.raw_ms = max(raw_ms, self.raw_ms)
            try:
                self.metrology.feed(buffer, count)
            except Exception:
                # Of the open window nothing is known any more.
                self.metrology.drop()
                self.sample_watch.miss(utc_ms, 0)
                raise
        self._advance(utc_ms, raw_ms)

    def _on_window(self, active_uws, reactive_uvars, duration_us):
        # Ten cycles are seldom whole milliseconds: what is less counts with the next window.
        rest_us = self._rest_us + duration_us
        duration_ms = rest_us // 1000
        self._rest_us = rest_us - 1000 * duration_ms
        self.measured_ms += duration_ms
        self.recorder.count(active_uws, reactive_uvars)
        flags = self.metrology.flags
        self.sample_watch.judged(self.utc_ms, not flags & metrology.FLAG_BROKEN)
        self._set_status(status.of_window(self.metrology) | self.sample_watch.status(), duration_ms)
        # A voltage that is gone needs no frequency to be measured.
        if not flags & metrology.FLAG_ACQUIRING or flags & metrology.FLAG_NO_VOLTAGE:
            self._counted(duration_ms, duration_us, active_uws, self.raw_ms, self.utc_ms)

    def _counted(self, duration_ms, duration_us, active_uws, raw_ms, utc_ms):
        """The energy is in the registers: what else a measurement is for."""
        power_mw = active_uws * 1000 // duration_us if duration_us else 0
        try:
            self.recorder.voltage.add(duration_ms)
            self.quality.look(utc_ms - duration_ms)
            if not self.quantities.status & qu.STATUS_ACQUIRING:
                if self.on_measured is not None:
                    self.on_measured(self.quantities, duration_us)
                self.control.take(duration_ms, power_mw, raw_ms, utc_ms)
        except Exception as error:
            self.faults.take(ft.MEASURED, error)

    def _set_status(self, now, duration_ms):
        self._changes.look(self.utc_ms, duration_ms, now)
        self.quantities.status = now

    def measured(self, raw_ms, duration_ms, active_uws, reactive_uvars, known, exporting=None):
        """Takes what a metering IC measured in the `duration_ms` before `raw_ms`.

        Its driver has filled `quantities`; the energies are what the IC counted
        since the last time, `known` the STATUS_ bits it knows of, `exporting` which way
        active power flows (None: as its energy says).
        """
        utc_ms = self.clock.utc_ms(raw_ms)
        self.sample_watch.came(utc_ms, max(SAMPLES_DUE_MS, 3 * duration_ms))
        self.measured_ms += duration_ms
        if known & qu.STATUS_SAMPLES_MISSING:
            # The IC was without supply: what it had counted is gone.
            self.sample_watch.miss(utc_ms, 0)
        self.recorder.count(active_uws, reactive_uvars, exporting)
        self._set_status(known | self.sample_watch.status(), duration_ms)
        self._counted(duration_ms, duration_ms * 1000, active_uws, raw_ms, utc_ms)
        self._advance(utc_ms, raw_ms)

    # --- time --------------------------------------------------------------------

    def tick(self, raw_ms):
        """Time passes without a measurement."""
        utc_ms = self.clock.utc_ms(raw_ms)
        self.sample_watch.look(utc_ms)
        self._advance(utc_ms, raw_ms)

    def _advance(self, utc_ms, raw_ms):
        # The time of the samples and that of the board differ by some ms: nobody sees
        # time go back, or what was due in between would be due twice.
        utc_ms = self.utc_ms = max(utc_ms, self.utc_ms)
        raw_ms = self.raw_ms = self.recorder.raw_ms = self.events.raw_ms = max(raw_ms, self.raw_ms)
        self.nv_memory.raw_ms = raw_ms
        if raw_ms >= self.own_time.due_ms:
            self.own_time.look(raw_ms, utc_ms, not self.clock.status & STATUS_INVALID)
        if raw_ms >= self.timing.due_ms:
            self.timing.look(raw_ms)
        # Each by itself: whatever fails in one, the others have their time.
        self._look(raw_ms)
        try:
            self._close_hour(utc_ms)
            self.recorder.advance(utc_ms)
        except Exception as error:
            self.faults.take(ft.ACCOUNTS, error)
        self.han_settings.send(utc_ms)
        self._due = min(self.han.next_due_ms(), self._quarter_ends, self.recorder.due_ms)
        if self._model is not None:
            if utc_ms >= self._model.due_ms:
                self._model.tick(utc_ms)
            self._due = min(self._due, self._model.due_ms)

    def _look(self, raw_ms):
        """The case, and the breaker: a coil is switched off whatever else fails."""
        try:
            self.case.poll(raw_ms)
        except Exception as error:
            self.faults.take(ft.CASE, error)
        try:
            self.control.poll(raw_ms, self.utc_ms, self.case.pressed)
        except Exception as error:
            self.faults.take(ft.CONTROL, error)

    def due_in(self, raw_ms):
        """In how many ms something is due; 0 or less: with the next step."""
        return self._due - self.clock.utc_ms(raw_ms)

    def wake(self):
        """What is due when may have changed: look again at the next step."""
        self._due = 0

    def _begin_hour(self, utc_ms, start_ms=None, start_mwh=None):
        self._quarter_ends = utc_ms - utc_ms % MS_PER_QUARTER + MS_PER_QUARTER
        self.energy.begin(utc_ms, start_ms, start_mwh)

    def _close_hour(self, utc_ms):
        if utc_ms >= self._quarter_ends:
            hour = utc_ms - utc_ms % MS_PER_HOUR
            if hour >= self._quarter_ends:
                self.recorder.close_hour(hour)
                self.han_settings.keep()
                if self.home is not None:
                    self.home.hour(hour)
            quarter = utc_ms - utc_ms % MS_PER_QUARTER
            self.recorder.close_quarter(quarter)
            self._quarter_ends = quarter + MS_PER_QUARTER

"""What the meter keeps: registers, profiles and events in the rings of its flash.

Every record of the registers also holds the last closed interval and what is
due with it, and goes first: after a power cut between the two the interval is
entered from it (a write-ahead record), so an interval counts exactly once.

What the flash holds of somebody else is reported and stays as it is.
"""

from micropython import const

from ams.events import events
from ams.registers import billing, periods, profile, record, upkeep
from ams.registers.entry_marks import EntryMarks
from ams.registers.record import (
    DUE_DAY,
    DUE_INTERVAL,
    DUE_MONTH,
    State,
    owner_of,
)
from ams.storage import layout
from ams.storage.cells import Cells, ClosedCells, PlainCells
from ams.storage.eraser import Eraser
from ams.storage.journal import LARGEST, Journal, footprint
from ams.storage.logs import Log
from ams.storage.missing import missing
from ams.storage.series import Series
from ams.storage.snapshot import Snapshot, SnapshotError

_ENTRY = 1  # kind of the records of every ring but that of the registers
_LAST = 0xFFFFFFFF
# A ring that takes nothing is tried again after half an hour.
_AGAIN_MS = const(1800000)
_CELL_MARKS = 9  # in the ring of control
# No entry of a profile or log is larger, nor a record of the registers: with room for what a
# later version may have written.
_LARGEST_ENTRY = 128
_LARGEST_MONTH = 256
_LARGEST_RECORD = 512


class NvMemory:
    """`flash` may be None: then nothing is kept, and all else works alike.

    `found`: lines on what was not as it should be; `writable`: False when the
    flash is somebody else's.
    """

    def __init__(self, flash, meter_id, rings=None):
        self.flash = flash
        self._owner = owner_of(meter_id)
        self._meter_id = meter_id
        self._snapshot = None
        self._has_settings = False
        self.found = []
        self.unknown = []  # regions that hold unknown data
        self.damaged = []  # regions of which something cannot be read
        self.journals = {}
        self._series = {}  # of the rings whose records have a number and a time
        self._cells = {}
        self.writable = flash is not None
        self.failed = False  # something could not be stored
        self.on_failure = None  # called with the region
        self.raw_ms = 0
        self.state = State()
        self._marks = None
        self._failed_regions = {}  # and when each is tried again, by the board's clock
        # Where the flash erases by and by.
        self.eraser = Eraser() if hasattr(flash, "begin_erase") else None
        if flash is not None:
            note = getattr(flash, "note", None)
            if note:
                self.damage(layout.WHOLE, note)
            self._rings = rings or layout.layout(flash.size // flash.sector_size)

    # --- settings --------------------------------------------------------------

    def load_settings(self):
        """The stored settings of this meter, or None."""
        if self.flash is None:
            return None
        self._snapshot = Snapshot(self.flash)
        try:
            stored = self._snapshot.load()
        except (OSError, SnapshotError) as error:
            self._settings_say = str(error)
            self._refuse(layout.SETTINGS, self._settings_say)
            return None
        if self._snapshot.other is not None:
            self._refuse(
                layout.SETTINGS, "settings of version %d beside these" % self._snapshot.other
            )
        elif self._snapshot.damaged:
            self.damage(layout.SETTINGS, "one of the two slots of the settings is unreadable")
        if stored is not None and stored.get("meter_id") != self._meter_id:
            self._refuse(
                layout.SETTINGS, "state image is that of meter %s" % stored.get("meter_id")
            )
            self.writable = False
            return None
        self._has_settings = stored is not None
        return stored

    def save_settings(self, settings):
        if self._snapshot is None or not self.writable:
            return
        self._guard(layout.SETTINGS, lambda: self._snapshot.save(settings))

    def format(self):
        """Erases the flash: only when told to."""
        self.found = []
        self.damaged = []
        for address in range(0, self.flash.size, self.flash.sector_size):
            self.flash.erase(address)

    # --- mount -----------------------------------------------------------------

    def mount(self, energy, load_profile):
        """Reads back what was kept; gives the State of the registers, or None."""
        state = None
        if self.flash is not None:
            self.mount_rings()
            state = self._restore(energy, load_profile)
            if self.shut:
                regions = ", ".join(str(region) for region in self.shut)
                self.found.append("unknown data in the flash, in region " + regions)
        if state is None:
            periods.load(self, energy)
        return state

    def mount_rings(self):
        """Finds the rings; reads only."""
        unknown = []
        # Nobody holds a record of cells: they are copied before anything else is done.
        shared = bytearray(footprint(LARGEST))
        for region, first, count in self._rings:
            if region in layout.CELLS:
                buffer = shared
            elif region == layout.REGISTERS:
                buffer = bytearray(footprint(_LARGEST_RECORD))
            else:
                largest = _LARGEST_MONTH if region == layout.MONTHLY else _LARGEST_ENTRY
                buffer = bytearray(footprint(largest))
            journal = Journal(self.flash, first, count, region, buffer)
            self.journals[region] = journal
            if region not in layout.CELLS and region != layout.REGISTERS:
                series = Log if region >= layout.EVENTS else Series
                self._series[region] = series(journal, _ENTRY)
            if not journal.writable:
                unknown.append(region)
                continue
            count = missing(journal)
            if count:
                self.damage(region, "region %d of the flash: sectors lost: %d" % (region, count))
            elif journal.noisy:
                what = "region %d of the flash: flipped bits where nothing was stored" % region
                self.damage(region, what)
        self._keep_logs()
        self.unknown += unknown
        self.shut = unknown

    def _keep_logs(self):
        for log, region, keys in layout.KEPT:
            log = self._series[layout.EVENTS + log]
            log.keep_in(self.cells(region), keys, events.RECORD_SIZE, events.group_of)

    def _refuse(self, region, what):
        self.unknown.append(region)
        self.found.append(what)

    def damage(self, region, what):
        if region not in self.damaged:
            self.damaged.append(region)
        self.found.append(what)

    def _restore(self, energy, load_profile):
        registers = self.journals[layout.REGISTERS]
        data = registers.last(record.KIND)
        owner = record.owner_in(data) if data is not None else None
        if data is not None and owner != self._owner:
            self.writable = False
            what = "registers of another meter" if owner else "registers of another version"
            self._refuse(layout.REGISTERS, "state image holds " + what)
        elif data is None and not self._has_settings:
            if self._used():
                self.writable = False
                if layout.SETTINGS not in self.unknown:
                    self._refuse(layout.WHOLE, "nothing says of which meter the state image is")
            elif layout.SETTINGS in self.unknown and self._snapshot.unfinished:
                # The power went at the very first save: a new meter.
                self.unknown.remove(layout.SETTINGS)
                self.found.remove(self._settings_say)
            elif layout.SETTINGS in self.unknown:
                self.writable = False
        if not self.writable:
            # What is somebody else's is not given as this meter's either.
            self.journals = {}
            self._series = {}
            self._cells = {}
            return None
        upkeep.heal(self)
        upkeep.erase_ahead(self)
        if data is None:
            from ams.registers.rebuild import rebuild

            return rebuild(self, energy, load_profile)
        self.state = record.restore(energy, load_profile, data)
        if (registers.torn_end or layout.REGISTERS in self.damaged) and self.state.clean:
            # Something newer than the record was begun, or can no longer be read.
            self.state.clean = False
            self.found.append("the newest record of the registers is unreadable")
        periods.load(self, energy)
        self._recover(energy, load_profile)
        return self.state

    def erase_on(self):
        """A millisecond for what is to be erased ahead. Gives whether there is more to do."""
        return self.eraser is not None and self.eraser.work()

    def _used(self):
        return any(self.unknown) or any(journal.used() for journal in self.journals.values())

    def _recover(self, energy, load_profile):
        """Enters what the last record announced, or takes up what outlived the record."""
        last = self.last(layout.LOAD_PROFILE)
        number = profile.unpack(last)[0] if last is not None else 0
        if number > load_profile.number:
            self._roll_forward(energy, load_profile)
        elif self.state.due & DUE_INTERVAL and number < load_profile.number:
            self._append(layout.LOAD_PROFILE, load_profile.last_entry)
        state = self.state
        for region, due, wanted in (
            (layout.DAILY, DUE_DAY, state.days),
            (layout.MONTHLY, DUE_MONTH, state.months),
        ):
            last = self.last(region)
            number = billing.unpack(last)[0] if last is not None else 0
            if state.due & due and number < wanted:
                month = region == layout.MONTHLY
                marks = load_profile.status | self.marks.of(month, wanted)
                self._append(region, billing.pack(wanted, state.utc_ms, marks, energy, month))
            elif number > wanted:
                # It outlived the record too: its registers are no higher than those that were.
                for k, value in enumerate(billing.unpack(last)[3:]):
                    energy.mwh[k] = max(energy.mwh[k], value)
        state.days = max(state.days, self.newest_number(layout.DAILY))
        state.months = max(state.months, self.newest_number(layout.MONTHLY))
        periods.begin(self, energy)

    def _roll_forward(self, energy, load_profile):
        """Counts intervals that were entered after the newest readable record."""
        for data in self.entries_between(layout.LOAD_PROFILE, load_profile.number + 1, _LAST):
            entry = profile.unpack_quadrants(data)
            for k in range(load_profile.count):
                value = load_profile.start_mwh[k] + entry[4 + k]
                load_profile.start_mwh[k] = value
                if energy.mwh[k] < value:
                    energy.mwh[k] = value
                    energy.remainder_uws[k] = 0
            load_profile.number = entry[0]
            load_profile.start_ms = entry[1] * 1000
            load_profile.last_entry = bytes(data)
            self.state.utc_ms = max(self.state.utc_ms, load_profile.start_ms)
        self.state.due = 0
        self.state.clean = False

    def last(self, region):
        journal = self.journals.get(region)
        return None if journal is None else journal.last(_ENTRY)

    def entries(self, region):
        """Yields the entries of a ring, oldest first, as memoryviews good until the next."""
        series = self._series.get(region)
        return iter(()) if series is None else series.entries()

    # --- ranges of entries -------------------------------------------------------

    def entries_between(self, region, first, last):
        """Yields the entries with numbers from `first` to `last`, as `entries` does.

        More may be stored meanwhile. Costs about what is given, wherever it stands.
        """
        series = self._series.get(region)
        return iter(()) if series is None else series.between(first, last)

    def numbers_between(self, region, from_s, to_s):
        """Yields (first, last) number of the runs of entries timed from `from_s` to `to_s`.

        One run, unless the clock was set. Nothing but what is in the range is in a run.
        """
        series = self._series.get(region)
        return iter(()) if series is None else series.numbers_between(from_s, to_s)

    def takes(self, region):
        """Whether what belongs to a region is kept: without a flash as long as there is power."""
        return self.flash is None or self.writable and region not in self.unknown

    def newest_number(self, region):
        """Number of the newest entry of a ring, 0 when there is none."""
        series = self._series.get(region)
        return 0 if series is None else series.newest()

    def oldest_number(self, region):
        """Number of the oldest entry that is still there, 0 when there is none."""
        series = self._series.get(region)
        return 0 if series is None else series.oldest()

    def count(self, region):
        """How many entries a ring holds; those that became unreadable count too."""
        series = self._series.get(region)
        return 0 if series is None else series.count()

    # --- cells -----------------------------------------------------------------

    def cells(self, region):
        """The cells of a ring (layout.SECURITY, CONTROL, PARAMETERS or UPDATE), after the mount.

        Without a flash they live in RAM; when the flash is somebody else's, `get` gives
        None and `set` raises JournalError (an OSError).
        """
        cells = self._cells.get(region)
        if cells is None:
            cells = self._cells[region] = self._make_cells(region)
        return cells

    def _make_cells(self, region):
        if self.flash is None:
            return PlainCells()
        if not self.takes(region):
            return ClosedCells()
        return Cells(self.journals[region], lambda: self._failed(region))

    @property
    def marks(self):
        """Of the daily and monthly entries that come next."""
        if self._marks is None:
            self._marks = EntryMarks(self.cells(layout.CONTROL), _CELL_MARKS)
        return self._marks

    # --- storing ---------------------------------------------------------------

    def store(self, energy, load_profile, state, entry=None):
        """The registers, then what is due with them."""
        if not self.writable:
            return
        state.owner = self._owner
        journal = self.journals[layout.REGISTERS]
        data = record.pack(energy, load_profile, state)
        if state.clean and layout.REGISTERS in self._failed_regions:
            # The last word is tried in any case.
            self._failed_regions[layout.REGISTERS] = 0
        self._guard(layout.REGISTERS, lambda: journal.append(record.KIND, data))
        if state.due & DUE_INTERVAL and entry is not None:
            self._append_once(layout.LOAD_PROFILE, load_profile.number, entry)
        for region, due, number in (
            (layout.DAILY, DUE_DAY, state.days),
            (layout.MONTHLY, DUE_MONTH, state.months),
        ):
            if state.due & due:
                month = region == layout.MONTHLY
                marks = load_profile.status | self.marks.of(month, number)
                entry = billing.pack(number, state.utc_ms, marks, energy, month)
                self._append_once(region, number, entry)
        # So that there is no erase between a falling supply and the registers.
        self._guard(layout.REGISTERS, lambda: journal.make_room(len(data)))

    def append_voltage(self, entry):
        self._append(layout.VOLTAGE, entry)

    def append_event(self, log, payload):
        """Gives whether its log began with a new sector."""
        return self._append(layout.EVENTS + log, payload)

    def newest_events(self, log):
        """Yields those of the newest sector of a log."""
        log = self._series.get(layout.EVENTS + log)
        return iter(()) if log is None else log.newest_sector()

    def runs(self, region, first, last):
        """Runs of numbers of the entries of a ring from place `first` to `last`."""
        series = self._series.get(region)
        return () if series is None else series.runs(first, last)

    def event_numbers(self):
        """Number of the newest event of each log."""
        if not self.writable:
            return [0] * layout.EVENT_LOGS
        return [self.newest_number(layout.EVENTS + log) for log in range(layout.EVENT_LOGS)]

    def _append(self, region, payload):
        if self.writable:
            return self._guard(region, lambda: self._series[region].append(payload))

    def _append_once(self, region, number, payload):
        """What an error has interrupted is stored again from its begin: not what is there."""
        if self.newest_number(region) != number:
            self._append(region, payload)

    def _guard(self, region, action):
        """A flash that takes nothing more must not stop the metering.

        Nor take its time: a try may erase every sector of the ring, each for 45 ms and more.
        """
        if region in self.unknown:
            return
        if self.raw_ms < self._failed_regions.get(region, 0):
            return
        try:
            return action()
        except (OSError, SnapshotError):
            self._failed(region)

    def _failed(self, region):
        known = region in self._failed_regions
        self._failed_regions[region] = self.raw_ms + _AGAIN_MS
        self.failed = True
        if not known and self.on_failure is not None:
            self.on_failure(region)

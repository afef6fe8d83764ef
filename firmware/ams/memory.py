"""What the meter keeps: registers, profiles and events in the rings of its flash.

Every record of the registers also holds the last closed interval and what is
due with it, and goes first: after a power cut between the two the interval is
entered from it (a write-ahead record), so an interval counts exactly once.

What the flash holds of somebody else is reported and stays as it is.
"""

from ams.registers import billing, profile, record
from ams.registers.record import (
    DUE_DAY,
    DUE_INTERVAL,
    DUE_MONTH,
    State,
    owner_of,
)
from ams.storage import layout
from ams.storage.cells import Cells, ClosedCells, PlainCells
from ams.storage.journal import Journal
from ams.storage.series import Series
from ams.storage.snapshot import Snapshot, SnapshotError

_ENTRY = 1  # kind of the records of every ring but that of the registers
_UNTIMED = (
    layout.REGISTERS,
    layout.SECURITY,
    layout.CONTROL,
    layout.PARAMETERS,
    layout.UPDATE,
)


class Memory:
    """`flash` may be None: then nothing is kept, and all else works alike.

    `found`: lines on what was not as it should be; `writable`: False when the
    flash is somebody else's.
    """

    def __init__(self, flash, meter_id, rings=None):
        self._flash = flash
        self._owner = owner_of(meter_id)
        self._meter_id = meter_id
        self._snapshot = None
        self._settings_known = True
        self._stored = None
        self.found = []
        self.unknown = []  # regions that hold unknown data
        self.journals = {}
        self._series = {}  # of the rings whose records have a number and a time
        self._cells = {}
        self.writable = flash is not None
        self.failed = False  # something could not be stored
        self.on_failure = None  # called with the region
        self.state = State()
        self._failed_regions = set()
        if flash is not None:
            self._rings = rings or layout.layout(flash.size // flash.sector_size)

    # --- settings --------------------------------------------------------------

    def load_settings(self):
        """The stored settings of this meter, or None."""
        if self._flash is None:
            return None
        self._snapshot = Snapshot(self._flash)
        try:
            stored = self._snapshot.load()
        except SnapshotError as error:
            self.found.append(str(error))
            self._settings_known = False
            return None
        if stored is not None and stored.get("meter_id") != self._meter_id:
            self.found.append("state image is that of meter %s" % stored.get("meter_id"))
            self._settings_known = False
            self.writable = False
            return None
        self._stored = stored
        return stored

    def save_settings(self, settings):
        if self._snapshot is None or not self.writable or not self._settings_known:
            return
        if settings == self._stored:
            return
        self._guard(0, lambda: self._snapshot.save(settings))

    def format(self):
        """Erases the flash: only when told to."""
        for address in range(0, self._flash.size, self._flash.sector_size):
            self._flash.erase(address)

    # --- mount -----------------------------------------------------------------

    def mount(self, energy, load_profile):
        """Reads back what was kept; gives the State of the registers, or None."""
        if self._flash is None:
            return None
        self.mount_rings()
        return self._restore(energy, load_profile)

    def mount_rings(self):
        """Finds the rings; reads only."""
        for region, first, count in self._rings:
            journal = Journal(self._flash, first, count, region)
            self.journals[region] = journal
            if region not in _UNTIMED:
                self._series[region] = Series(journal, _ENTRY)
            if not journal.writable:
                self.unknown.append(region)
                self.found.append("unknown data in region %d of the flash" % region)

    def _restore(self, energy, load_profile):
        registers = self.journals[layout.REGISTERS]
        data = registers.last(record.KIND)
        owner = record.owner_in(data) if data is not None else None
        if data is not None and owner != self._owner:
            self.writable = False
            what = "registers of another meter" if owner else "registers of another version"
            self.found.append("state image holds " + what)
        elif not self._settings_known and data is None:
            if self._snapshot.unfinished and not self._used():
                # The power went at the very first save: a new meter.
                self._settings_known = True
                self.found = []
            else:
                # Nothing says that any of it is this meter's.
                self.writable = False
        if not self.writable or data is None:
            return None
        self.state = record.restore(energy, load_profile, data)
        if registers.torn_end and self.state.clean:
            # Something newer than the record was begun, or can no longer be read.
            self.state.clean = False
            self.found.append("the newest record of the registers is unreadable")
        self._recover(energy, load_profile)
        return self.state

    def _used(self):
        return self.unknown or any(journal.used() for journal in self.journals.values())

    def _recover(self, energy, load_profile):
        """Enters what the last record announced, or takes up what outlived the record."""
        last = self.last(layout.LOAD_PROFILE)
        number = profile.unpack(last)[0] if last is not None else 0
        if number > load_profile.number:
            self._roll_forward(energy, load_profile)
        elif self.state.due & DUE_INTERVAL and number < load_profile.number:
            self._append(layout.LOAD_PROFILE, load_profile.last_entry)
        for region, due, wanted in (
            (layout.DAILY, DUE_DAY, self.state.days),
            (layout.MONTHLY, DUE_MONTH, self.state.months),
        ):
            last = self.last(region)
            number = billing.unpack(last)[0] if last is not None else 0
            if self.state.due & due and number < wanted:
                marks = load_profile.status
                self._append(region, billing.pack(wanted, self.state.utc_ms, marks, energy.mwh))

    def _roll_forward(self, energy, load_profile):
        """Counts intervals that were entered after the newest readable record."""
        for _, data in self.journals[layout.LOAD_PROFILE].records():
            entry = profile.unpack(data)
            if entry[0] <= load_profile.number:
                continue
            for k in range(4):
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
        """Yields the records of a ring, oldest first, as memoryviews good until the next."""
        journal = self.journals.get(region)
        if journal is not None:
            for kind, data in journal.records():
                if kind == _ENTRY:
                    yield data

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
        if self._flash is None:
            return PlainCells()
        if not self.writable or region in self.unknown:
            return ClosedCells()
        return Cells(self.journals[region], lambda: self._failed(region))

    # --- storing ---------------------------------------------------------------

    def store(self, energy, load_profile, state, entry=None):
        """The registers, then what is due with them."""
        if not self.writable:
            return
        state.owner = self._owner
        journal = self.journals[layout.REGISTERS]
        data = record.pack(energy, load_profile, state)
        self._guard(layout.REGISTERS, lambda: journal.append(record.KIND, data))
        if state.due & DUE_INTERVAL and entry is not None:
            self._append(layout.LOAD_PROFILE, entry)
        for region, due, number in (
            (layout.DAILY, DUE_DAY, state.days),
            (layout.MONTHLY, DUE_MONTH, state.months),
        ):
            if state.due & due:
                marks = load_profile.status
                self._append(region, billing.pack(number, state.utc_ms, marks, energy.mwh))
        # So that there is no erase between a falling supply and the registers.
        self._guard(layout.REGISTERS, lambda: journal.make_room(record.SIZE))

    def append_voltage(self, entry):
        self._append(layout.VOLTAGE, entry)

    def append_event(self, log, payload):
        self._append(layout.EVENTS + log, payload)

    def event_numbers(self):
        """Number of the newest event of each log."""
        if not self.writable:
            return [0] * layout.EVENT_LOGS
        return [self.newest_number(layout.EVENTS + log) for log in range(layout.EVENT_LOGS)]

    def _append(self, region, payload):
        if self.writable:
            self._guard(region, lambda: self._series[region].append(payload))

    def _guard(self, region, action):
        """A flash that takes nothing more must not stop the metering."""
        if region in self.unknown:
            return
        try:
            action()
        except (OSError, SnapshotError):
            self._failed(region)

    def _failed(self, region):
        known = region in self._failed_regions
        self._failed_regions.add(region)
        self.failed = True
        if not known and self.on_failure is not None:
            self.on_failure(region)

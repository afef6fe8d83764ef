"""What is done to the rings of the flash of this meter before anything is stored there."""

from micropython import const

from ams.registers import record
from ams.storage import layout
from ams.storage.cells import LARGEST_VALUE
from ams.storage.journal import footprint
from ams.storage.missing import Leftovers, is_foreign

# Where less room is left the next sector is erased: that of the registers at once, for a supply
# that comes and falls again and again, each time before an erase is done; what a setting of the
# clock brings to a profile, to a log and to the cells.
_SPARE_RECORDS = const(12)
_SPARE_ENTRIES = const(264)
_SPARE_EVENTS = const(224)
_SPARE_CELLS = const(1536)
# What a life of the meter stores that is too short for an erase, and at its end: a start that has
# no room for it, as a cut left it, erases before anything is measured.
_LIFE_RECORDS = const(6)
_LIFE_ENTRY = const(180)
_LIFE_EVENT = const(28)


def heal(nv_memory):
    """The flash is this meter's: profiles and logs in which nothing can be read begin anew, but
    for what another version may have left. Keys, orders and settings stay shut.
    """
    for region in list(nv_memory.shut):
        journal = nv_memory.journals[region]
        if journal.unreadable:
            nv_memory.damage(region, "region %d of the flash cannot be read" % region)
            continue
        if region in layout.CELLS or is_foreign(journal):
            continue
        journal.writable = True
        nv_memory.shut.remove(region)
        nv_memory.unknown.remove(region)
        nv_memory.damage(region, "region %d of the flash is unreadable and begins anew" % region)


def erase_ahead(nv_memory):
    """From here on no ring waits for an erase, as long as `nv_memory.eraser` has its time."""
    for region, journal in nv_memory.journals.items():
        journal.ahead = nv_memory.eraser
        if region in layout.CELLS:
            journal.spare = _SPARE_CELLS
            least = LARGEST_VALUE
            nv_memory.cells(region).get(0)  # loaded, they tell whether the newest sector counts
        elif region == layout.REGISTERS:
            stride = footprint(record.SIZE)
            journal.spare = _SPARE_RECORDS * stride
            journal.urgent = True
            least = _LIFE_RECORDS * stride
        elif region >= layout.EVENTS:
            journal.spare = _SPARE_EVENTS
            least = _LIFE_EVENT
        else:
            journal.spare = _SPARE_ENTRIES
            least = _LIFE_ENTRY
        journal.look_ahead()
        if nv_memory.eraser is not None and not journal.fits(least):
            while nv_memory.eraser.is_busy_for(journal):
                nv_memory.eraser.work()
        if region in nv_memory.damaged and journal.writable:
            Leftovers(journal).erase(nv_memory.flash, nv_memory.eraser)

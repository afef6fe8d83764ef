"""Parts of a flash that give errors when they are read, at the mount. On either VM."""

from ams.storage.journal import Journal, JournalError
from ams.storage.snapshot import Snapshot

SECTOR = 4096


class Flash:
    sector_size = SECTOR
    page_size = 256

    def __init__(self, sectors):
        self.size = sectors * SECTOR
        self.data = bytearray(b"\xff" * self.size)
        self.broken = ()

    def read(self, address, buffer):
        if address // SECTOR in self.broken:
            raise OSError(5)
        buffer[:] = self.data[address : address + len(buffer)]

    def program(self, address, data):
        for k, octet in enumerate(data):
            self.data[address + k] &= octet

    def erase(self, address):
        self.data[address : address + SECTOR] = b"\xff" * SECTOR


def rings():
    """Each sector of a ring in its turn: nothing is lost, nothing written, all is back after it."""
    flash = Flash(8)
    journal = Journal(flash, 0, 4, 7)
    for number in range(300):
        journal.append(3, b"record %d" % number)
    kept = bytes(flash.data)
    for broken in ((0,), (1,), (2, 3), (0, 1, 2, 3)):
        flash.broken = broken
        found = Journal(flash, 0, 4, 7)
        assert found.unreadable and not found.writable, broken
        assert not found.used() and found.last(3) is None and not list(found.backwards())
        try:
            found.append(3, b"more")
            raise AssertionError("it was stored")
        except JournalError:
            pass
        assert bytes(flash.data) == kept
    flash.broken = (5,)
    assert not Journal(flash, 0, 4, 7).unreadable
    flash.broken = ()
    found = Journal(flash, 0, 4, 7)
    assert found.writable and bytes(found.last(3)) == b"record 299"


def settings():
    """Of two slots one is enough; with none the error is the flash's."""
    flash = Flash(8)
    for number in (1, 2):
        snapshot = Snapshot(flash)
        snapshot.load()
        snapshot.save({"number": number})
    for broken, wanted in (((6,), (1, 2)), ((7,), (1, 2)), ((), (2,))):
        flash.broken = broken
        snapshot = Snapshot(flash)
        assert snapshot.load()["number"] in wanted
        assert snapshot.damaged == bool(broken)
    flash.broken = (6, 7)
    try:
        Snapshot(flash).load()
        raise AssertionError("there was something to load")
    except OSError:
        pass


def run():
    rings()
    settings()
    return "mounted"

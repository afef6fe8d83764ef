"""The state in two slots: newest whole one wins, foreign images are refused."""

import pytest

from ams.hal import Flash
from ams.storage.snapshot import Snapshot, SnapshotError


class RamFlash(Flash):
    """NOR flash: programming clears bits, erasing sets them."""

    def __init__(self, sectors=8):
        self.size = sectors * self.sector_size
        self.data = bytearray(b"\xff" * self.size)
        self.budget = None  # operations left before the power goes

    def _spend(self):
        if self.budget is not None:
            if self.budget == 0:
                raise InterruptedError("power cut")
            self.budget -= 1

    def read(self, address, buffer):
        buffer[:] = self.data[address : address + len(buffer)]

    def program(self, address, data):
        assert len(data) <= self.page_size
        self._spend()
        for k, octet in enumerate(data):
            self.data[address + k] &= octet

    def erase(self, address):
        self._spend()
        self.data[address : address + self.sector_size] = b"\xff" * self.sector_size


def test_saves_and_loads_the_newest():
    flash = RamFlash()
    snapshot = Snapshot(flash)
    assert snapshot.load() is None
    for number in range(5):
        snapshot.save({"n": number, "big": 1 << 60})
        assert Snapshot(flash).load() == {"n": number, "big": 1 << 60}
    # The rest of the image is left to the journal.
    assert flash.data[: -2 * flash.sector_size] == b"\xff" * (flash.size - 2 * flash.sector_size)


@pytest.mark.parametrize("cut", range(12))
def test_a_cut_save_leaves_the_state_before(cut):
    flash = RamFlash()
    Snapshot(flash).save({"n": 1})
    again = Snapshot(flash)
    again.load()
    flash.budget = cut
    state = {"n": 2, "text": "x" * 1500}
    try:
        again.save(state)
    except InterruptedError:
        state = {"n": 1}
    flash.budget = None
    assert Snapshot(flash).load() == state


@pytest.mark.parametrize("bit", range(0, 60 * 8, 7))
def test_a_flipped_bit_is_never_believed(bit):
    flash = RamFlash()
    snapshot = Snapshot(flash)
    snapshot.save({"n": 1, "registers": [1, 2, 3, 4, 5, 6, 7, 8]})
    snapshot.save({"n": 2, "registers": [1, 2, 3, 4, 5, 6, 7, 9]})
    newest = snapshot._slots[snapshot._newest]
    flash.data[newest + bit // 8] ^= 1 << bit % 8
    try:
        assert Snapshot(flash).load() == {"n": 1, "registers": [1, 2, 3, 4, 5, 6, 7, 8]}
    except SnapshotError as error:
        assert "version" in str(error)


def test_another_version_beside_is_said():
    flash = RamFlash()
    snapshot = Snapshot(flash)
    snapshot.save({"n": 1})
    snapshot.save({"n": 2})
    at = snapshot._slots[snapshot._newest]
    header, body = flash.data[at : at + 16], flash.data[at + 16 : at + 16 + 8]
    header[4] = 7
    again = Snapshot(flash)
    flash.data[at + 4] = 7
    # A bit that flipped: what is there is not whole.
    assert again.load() == {"n": 1} and again.other is None
    flash.data[at + 12 : at + 16] = again._crc(header, body).to_bytes(4, "little")
    assert again.load() == {"n": 1} and again.other == 7


def test_foreign_images_are_refused():
    flash = RamFlash()
    flash.data[-5000:] = bytes(5000)
    with pytest.raises(SnapshotError, match="not blank"):
        Snapshot(flash).load()
    with pytest.raises(SnapshotError, match="too small"):
        Snapshot(RamFlash(2))


def test_a_state_too_large_is_refused_and_keeps_the_old():
    flash = RamFlash()
    snapshot = Snapshot(flash)
    snapshot.save({"n": 1})
    with pytest.raises(SnapshotError, match="larger than a sector"):
        snapshot.save({"text": "x" * 5000})
    assert Snapshot(flash).load() == {"n": 1}

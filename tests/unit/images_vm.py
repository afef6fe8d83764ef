"""State images that are not as they should be, on either VM.

`run(path)` makes an image of a meter that has lived, spoils it in every way of `cases`, and
lets the meter start and work on each in the file `path`. Gives the number of cases and what
was wrong, as a list of lines.
"""

import binascii
import sys

try:
    import flash_lab
    import powercut
    from fileflash import FileFlash
    from server_lab import security
except ImportError:
    import importlib.util
    from pathlib import Path

    from openams.faultlab import flash_lab, powercut
    from openams.faultlab.server_lab import security

    _path = Path(__file__).parents[2] / "boards" / "unix" / "fileflash.py"
    _spec = importlib.util.spec_from_file_location("unix_fileflash", _path)
    _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    FileFlash = _module.FileFlash

from ams.events import events as ev
from ams.registers import profile, record
from ams.storage import layout
from ams.storage.journal import Journal
from ams.storage.layout import SETTINGS, WHOLE
from amsbench.hold import hold

SECTORS = 37
SECTOR = 4096
SIZE = SECTORS * SECTOR
RINGS = layout.make_layout(SECTORS, (2, 2, 2, 2, 2, 3, 3, 3, 3, 0))
METER_ID = "7359990000000017"
_LIVED_MINUTES = 420
CELLS = (layout.SECURITY, layout.CONTROL, layout.PARAMETERS, layout.UPDATE)
# Rings whose records have a number first.
NUMBERED = [
    one
    for one in RINGS
    if one[0] in (layout.LOAD_PROFILE, layout.DAILY, layout.VOLTAGE) or one[0] >= layout.EVENTS
]


def config(meter_id=METER_ID):
    channels = []
    for _ in range(3):
        channels.append({"kind": "voltage", "lsb_pv": 100000000})
        channels.append({"kind": "current", "lsb_pa": 40000000})
    return {
        "system": "3P4W",
        "calibration": {
            "sample_rate_hz": 4000,
            "full_scale": 8388607,
            "starting_power_mva": 700,
            "channels": channels,
        },
        "identity": {"meter_id": meter_id},
        "han": {"format": "kaifa"},
        "rings": RINGS,
    }


class Board(flash_lab.LabBoard):
    def __init__(self, flash):
        super().__init__(flash)
        self.lines = []

    def log(self, text):
        self.lines.append(text)

    def entropy(self, count):
        return bytes(count)

    def link_write(self, channel, data):
        pass

    def link_close(self, channel):
        pass


class Image:
    """What an image holds, region by region: number of each entry and its octets."""

    def __init__(self, octets):
        base = {}
        for n in range(SECTORS):
            data = bytes(octets[n * SECTOR : (n + 1) * SECTOR])
            base[n] = data + flash_lab.ERASED[len(data) :]
        flash = flash_lab.LabFlash(SECTORS, base)
        self.entries = {}
        for region, first, count in NUMBERED:
            found = {}
            for _, data in Journal(flash, first, count, region).records():
                found[int.from_bytes(bytes(data[:4]), "little")] = bytes(data)
            self.entries[region] = found


def lived():
    """The image of a meter that has lived for some hours, its registers and when it stopped."""
    flash = flash_lab.LabFlash(SECTORS)
    work = powercut.Work(flash, config(), 5)
    while work.minutes < _LIVED_MINUTES:
        work.minute()
    work.meter.stop()
    octets = b"".join([bytes(flash.sector(n) or flash_lab.ERASED) for n in range(SECTORS)])
    return octets, list(work.meter.energy.mwh), max(work.raw_ms, work.meter.utc_ms)


def noise(random, count):
    return bytes([random.below(256) for _ in range(count)])


def with_version(octets, at, version):
    out = bytearray(octets)
    out[at] = version
    return bytes(out)


def other_records(octets):
    """Registers as another version of the firmware would keep them."""
    flash = flash_lab.LabFlash(SECTORS)
    for n in range(SECTORS):
        flash.writable(n)[:] = octets[n * SECTOR : (n + 1) * SECTOR]
    journal = Journal(flash, RINGS[0][1], RINGS[0][2], layout.REGISTERS)
    data = bytearray(journal.last(record.KIND))
    data[0] = 77
    journal.append(record.KIND, data)
    return b"".join([bytes(flash.sector(n)) for n in range(SECTORS)])


def newer_settings(octets):
    """Another firmware has saved its settings, and was replaced by this one."""
    out = bytearray(octets)
    slot, own = SIZE - 2 * SECTOR, SIZE - SECTOR
    if out[slot : slot + 4] == b"OAMS":
        slot, own = own, slot
    out[slot : slot + SECTOR] = octets[own : own + SECTOR]
    length = int.from_bytes(out[slot + 6 : slot + 8], "little")
    out[slot + 4] = 2
    crc = binascii.crc32(
        out[slot + 16 : slot + 16 + length], binascii.crc32(out[slot + 4 : slot + 12])
    )
    out[slot + 12 : slot + 16] = (crc & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(out)


def other_journals(octets):
    """Every sector of every ring with the head of another version."""
    out = bytearray(octets)
    for at in range(0, SIZE - 2 * SECTOR, SECTOR):
        for head in (at, at + SECTOR - 16):
            if out[head : head + 4] == b"OAJ1":
                out[head + 5] = 2
    return bytes(out)


def cases(octets):
    """(name, the image, whose meter starts on it, regions that may be named)."""
    random = flash_lab.Random(7)
    everything = [one[0] for one in RINGS] + [SETTINGS, WHOLE]
    yield "as it was", octets, METER_ID, []
    yield "all FF", b"\xff" * SIZE, METER_ID, []
    yield "all 00", bytes(SIZE), METER_ID, everything
    yield "random", noise(random, SECTOR) * SECTORS, METER_ID, everything
    yield "another meter", octets, "7359990000000024", [SETTINGS, layout.REGISTERS]
    slots = octets
    for slot in (SIZE - 2 * SECTOR, SIZE - SECTOR):
        if octets[slot : slot + 4] == b"OAMS":
            slots = with_version(slots, slot + 4, 9)
    yield "settings of another version", slots, METER_ID, [SETTINGS]
    yield "settings of another version beside", newer_settings(octets), METER_ID, [SETTINGS]
    yield "registers of another version", other_records(octets), METER_ID, [layout.REGISTERS]
    yield "journals of another version", other_journals(octets), METER_ID, everything
    yield "longer", octets + b"tail" * 100, METER_ID, [WHOLE]
    for region, first, count in RINGS + ((SETTINGS, SECTORS - 2, 2),):
        # Bits that flipped where nothing was ever stored, of a new meter and of one that lived.
        for name, image in (("new", b"\xff" * SIZE), ("lived", octets)):
            ring = image[first * SECTOR : (first + count) * SECTOR]
            if ring != b"\xff" * len(ring):
                continue
            for bits in (1, 32):
                out = bytearray(image)
                at = 8 * ((first + count - 1) * SECTOR + 16 + random.below(4000))
                for bit in range(at, at + bits):
                    out[bit // 8] ^= 1 << bit % 8
                if region != SETTINGS:
                    yield f"{bits} bits {name}, ring {region}", bytes(out), METER_ID, [region]
                else:
                    yield f"{bits} bits {name}, settings", bytes(out), METER_ID, []
    for length in (0, 100, 4096, 9000, 5 * SECTOR + 7, 20 * SECTOR, SIZE - SECTOR, SIZE - 1):
        named = [WHOLE] + [one[0] for one in RINGS if one[1] * SECTOR < length]
        yield f"{length} octets long", octets[:length], METER_ID, named
    for region, first, count in RINGS + ((SETTINGS, SECTORS - 2, 2),):
        low, high = first * SECTOR, (first + count) * SECTOR
        for what in ("noise", "zeros"):
            spoilt = noise(random, high - low) if what == "noise" else bytes(high - low)
            yield (
                f"{what} in region {region}",
                octets[:low] + spoilt + octets[high:],
                METER_ID,
                [region],
            )
        for sector in range(first, first + count):
            low = sector * SECTOR
            spoilt = octets[:low] + noise(random, SECTOR) + octets[low + SECTOR :]
            yield f"noise in sector {sector}", spoilt, METER_ID, [region]


class Case:
    def __init__(self, path, name, octets, meter_id, named, truth):
        self.path = path
        self.name = name
        self.octets = octets
        self.meter_id = meter_id
        self.named = named
        self.truth, self.raw_ms = truth
        self.wrong = []

    def demand(self, condition, what):
        if not condition:
            self.wrong.append(f"{self.name}: {what}")

    def start(self, format=False):
        settings = config(self.meter_id)
        settings["format"] = format
        if "region" in self.name:
            settings["security"] = security()
        board = Board(FileFlash(self.path, SIZE))
        meter = flash_lab.Meter(board, settings)
        meter.start(self.raw_ms)
        return meter, board.lines

    def live(self, meter):
        """Two hours, and a normal stop."""
        flash_lab.set_power(meter, 1200)
        hold(meter, self.raw_ms, 7_200_000, meter._board.clock)
        self.raw_ms += 7_200_000
        meter.stop()

    def stored(self):
        with open(self.path, "rb") as file:
            return file.read()

    def play(self):
        with open(self.path, "wb") as file:
            file.write(self.octets)
        before = Image(self.octets)
        meter, lines = self.start()
        nv_memory = meter.nv_memory
        named = nv_memory.unknown + nv_memory.damaged
        self.demand(bool(named) == bool(nv_memory.found) == bool(lines), f"said {lines}")
        self.demand(bool(named) == bool(self.named), f"named {named}")
        for region in named:
            self.demand(region in self.named, f"names region {region}")
        if named and len(self.named) == 1:
            self.demand(named[0] == self.named[0], f"names region {named[0]}")
        if "bits" in self.name:
            self.demand(nv_memory.writable and not nv_memory.unknown, f"shut {nv_memory.unknown}")
        elif "noise in region" in self.name and self.named != [SETTINGS]:
            shut = self.named if self.named[0] in CELLS else []
            self.demand(nv_memory.unknown == shut, f"shut {nv_memory.unknown}")
        self.check_events(meter)
        self.check_registers(meter)
        at_start = list(meter.energy.mwh)
        self.live(meter)
        gained = meter.energy.mwh[0] - at_start[0]
        self.demand(abs(gained - 2_400_000) <= 1, f"measured {gained} mWh")
        self.check_kept(before, nv_memory)
        again, _ = self.start()
        if meter.nv_memory.takes(layout.REGISTERS):
            self.demand(again.energy.mwh == meter.energy.mwh, "registers not kept")
        if "ring" in self.name or "noise in region" in self.name:
            # What was taken anew is whole from here on, where it was needed since.
            journal = again.nv_memory.journals.get(self.named[0])
            if journal is not None and journal.used():
                self.demand(not again.nv_memory.damaged, f"names {again.nv_memory.found} again")
        self.check_format(bool(named))

    def check_events(self, meter):
        seen = [(code, detail) for _, code, detail, _ in meter.events.entries()]
        for code, regions in (
            (ev.NV_MEMORY_ERROR, meter.nv_memory.damaged),
            (ev.STORAGE_UNKNOWN, meter.nv_memory.unknown),
        ):
            said = [detail for found, detail in seen if found == code]
            self.demand(said == regions, f"events name {said}, not {regions}")

    def check_registers(self, meter):
        """None is higher than it was; where one is lower, that is an event and marked."""
        if not meter.nv_memory.writable or not meter._restored:
            self.demand(meter.energy.mwh == [0] * 8, "registers from nowhere")
            return
        lower = False
        for k in range(8):
            lower = lower or meter.energy.mwh[k] < self.truth[k]
            self.demand(meter.energy.mwh[k] <= self.truth[k], f"register {k} is too high")
        if lower:
            self.demand(layout.REGISTERS in self.named or WHOLE in self.named, "registers lower")
            codes = [event[1] for event in meter.events.entries()]
            self.demand(ev.ENERGY_MISSING in codes, "missing energy is no event")
            marks = meter.recorder.load_profile.status
            self.demand(marks & profile.STATUS_ENERGY_MISSING, "missing energy is not marked")

    def check_kept(self, before, nv_memory):
        """What was readable still is, and what is new goes on behind it."""
        after = self.stored()
        if not nv_memory.writable:
            self.demand(after == self.octets, "it wrote on what it does not understand")
            for region in before.entries:
                self.demand(not list(nv_memory.entries(region)), f"gives region {region}")
            return
        for region, first, count in RINGS + ((SETTINGS, SECTORS - 2, 2),):
            low, high = first * SECTOR, (first + count) * SECTOR
            if region in nv_memory.unknown:
                self.demand(after[low:high] == self.octets[low:high], f"wrote region {region}")
        self.demand(after[SIZE:] == self.octets[SIZE:], "wrote behind its flash")
        found = Image(after).entries
        for region, kept in before.entries.items():
            if region in nv_memory.unknown:
                continue
            oldest = min(found[region]) if found[region] else 0
            self.demand(len(found[region]) or not kept, f"region {region} is empty")
            for number, data in kept.items():
                if number >= oldest:
                    same = found[region].get(number) == data
                    self.demand(same, f"entry {number} of region {region}")
        numbers = list(found[layout.LOAD_PROFILE])
        if layout.LOAD_PROFILE not in nv_memory.unknown:
            last = max(before.entries[layout.LOAD_PROFILE], default=0)
            self.demand(max(numbers) > last, "no new interval")

    def check_format(self, named):
        """Told to format, it takes what there is, and the next start finds nothing odd."""
        if not named:
            return
        meter, _ = self.start(True)
        codes = [event[1] for event in meter.events.entries()]
        self.demand(meter.nv_memory.writable and ev.STORAGE_FORMATTED in codes, "not formatted")
        self.live(meter)
        again, lines = self.start()
        longer = WHOLE in again.nv_memory.damaged and len(self.octets) > SIZE
        self.demand(not lines or longer, f"after the format: {lines}")
        self.demand(again.energy.mwh == meter.energy.mwh, "not kept after the format")


def run(path):
    octets, mwh, raw_ms = lived()
    wrong = []
    count = 0
    for name, image, meter_id, named in cases(octets):
        case = Case(path, name, image, meter_id, named, (mwh, raw_ms + 600_000))
        case.play()
        wrong += case.wrong
        count += 1
    return count, wrong


if __name__ == "__main__":
    print(run(sys.argv[1]))

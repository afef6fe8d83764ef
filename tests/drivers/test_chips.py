"""The chips and boards of one family: what differs stands in one place, and is theirs."""

from __future__ import annotations

import ast
import sys
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT

# What MicroPython 1.25 says of each board as it comes, and what our images say.
BOARDS = {
    "Raspberry Pi Pico with RP2040": ("pico", 23, None, 25),
    "Raspberry Pi Pico W with RP2040": ("pico-w", "WL_GPIO1", None, "WL_GPIO0"),
    "Raspberry Pi Pico2 with RP2350": ("pico2", 23, None, 25),
    "Raspberry Pi Pico 2 W with RP2350": ("pico2-w", "WL_GPIO1", None, "WL_GPIO0"),
    "OpenAMS Pico with RP2040": ("pico", 23, None, 25),
    "OpenAMS Pico bench with RP2040": ("pico", 23, None, 25),
    "OpenAMS Pico W with RP2040": ("pico-w", None, 23, None),
    "OpenAMS Pico 2 with RP2350": ("pico2", 23, None, 25),
    "OpenAMS Pico 2 W with RP2350": ("pico2-w", None, 23, None),
}
# Datasheets: RP2040 2.2, 2.5.3.1, 4.7.6, 4.9.6; RP2350 2.2, 12.6.4.1, 12.9.7, 12.4.7.
RP2040 = {"ADC": 0x4004C000, "ADC_REQUEST": 36, "SCRATCH": 0x4005800C}
RP2350 = {"ADC": 0x400A0000, "ADC_REQUEST": 48, "SCRATCH": 0x400D800C}
BOTH = {"DMA": 0x50000000, "PIO0_REQUEST": 4, "XIP": 0x10000000}


# Ours has the radio's driver where it was built with it: see tools/firmware/images.py.
WITH_DRIVER = {"OpenAMS Pico 2 W with RP2350": ("pico2-w", "WL_GPIO1", None, "WL_GPIO0")}


def chip(machine, driver, monkeypatch):
    source = (ROOT / "boards" / "pico" / "chip.py").read_text()
    asks = "sys.implementation._machine"
    assert source.count(asks) == 1
    network = SimpleNamespace(WLAN=object) if driver else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "network", network)
    names = {}
    exec(source.replace(asks, repr(machine)), names)
    return names


@pytest.mark.parametrize("machine", WITH_DRIVER)
def test_a_radio_with_a_driver_has_its_supply(machine, monkeypatch):
    names = chip(machine, True, monkeypatch)
    told = tuple(names[n] for n in ("NAME", "SUPPLY_MODE", "RADIO_SUPPLY", "STATUS_LED"))
    assert told == WITH_DRIVER[machine] and names["RADIO"]


@pytest.mark.parametrize("machine", BOARDS)
def test_a_board_is_known_by_what_it_says(machine, monkeypatch):
    names = chip(machine, "Raspberry" in machine, monkeypatch)
    assert names["RADIO"] == (machine.startswith("Raspberry") and " W with" in machine)
    told = tuple(names[n] for n in ("NAME", "SUPPLY_MODE", "RADIO_SUPPLY", "STATUS_LED"))
    assert told == BOARDS[machine]
    expected = BOTH | (RP2350 if "RP2350" in machine else RP2040)
    assert {name: names[name] for name in expected} == expected


# Registers, flash and RAM of an RP2040 or RP2350, as the core sees them.
ADDRESSES = ((0x10000000, 0x10400000), (0x20000000, 0x20082000), (0x40000000, 0x40200000),
             (0x50000000, 0x50400000), (0xD0000000, 0xD0001000))  # fmt: skip
# Where they may stand.
PLACES = (
    "boards/pico/chip.py",
    *(f"boards/{name}/flashmap.py" for name in ("pico", "pico2", "picoab")),
)


def addresses(path):
    for node in ast.walk(ast.parse(path.read_text())):
        value = getattr(node, "value", None)
        if (
            isinstance(node, ast.Constant)
            and type(value) is int
            and any(first <= value < last for first, last in ADDRESSES)
        ):
            yield path.relative_to(ROOT).as_posix(), node.lineno, hex(value)


def code():
    for folder in ("boards", "firmware"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_no_address_of_one_chip_stands_in_what_several_share():
    # Of integers that are no addresses.
    others = {("firmware/ams/han/quirks.py", "0x20000029")}
    found = [
        (place, line, value) for path in code() for place, line, value in addresses(path)
        if place not in PLACES and (place, value) not in others
    ]  # fmt: skip
    assert found == []
    assert all(list(addresses(ROOT / place)) for place in PLACES)


def test_no_name_of_a_chip_decides_anything_elsewhere():
    """RP2350 and the like in code, not in what is said of it."""
    found = []
    for path in code():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                if any(isinstance(t, str) and t.startswith(("RP2", "ESP32")) for t in texts):
                    found.append(path.relative_to(ROOT).as_posix())
    assert found == ["boards/pico/chip.py"]


WHOLE = """
import sys
sys.path[:0] = [{pico!r}, {boards!r}]

class Flash:
    octets = bytearray(b"\\xff" * 16384)
    wrong = []

    def __init__(self, start, len):
        self._start = start

    def readblocks(self, block, buffer, offset):
        at = self._start + 4096 * block + offset
        buffer[:] = self.octets[at : at + len(buffer)]

    def writeblocks(self, block, data, offset):
        # As the boot ROM: a whole page, and bits only fall.
        at = self._start + 4096 * block + offset
        if at % 256 or len(data) % 256:
            self.wrong.append((at, len(data)))
        for k, octet in enumerate(data):
            self.octets[at + k] &= octet

    def ioctl(self, what, block):
        assert what == 6
        at = self._start + 4096 * block
        self.octets[at : at + 4096] = b"\\xff" * 4096

class Rp2:
    pass

Rp2.Flash = Flash
sys.modules["rp2"] = Rp2
import flash
assert not flash.IN_SLICES
part = flash.WholeFlash(flash.STORAGE_OFFSET + 4096, 12288)
data = bytes(range(256)) * 3
part.program(4096 + 77, data)
part.program(4096 + 77, b"\\x0f")
part.program(10, b"")
part.program(4095, memoryview(b"ab"))
seen = bytearray(len(data) + 4)
part.read(4096 + 75, seen)
print(seen[2:-2] == data, bytes(seen[:2]), bytes(seen[-2:]), Flash.wrong)
print(Flash.octets[8191:8193], part.begin_erase(4096), part.erase_on())
print(Flash.octets[4096 + 4095 : 4096 + 4097], set(Flash.octets[8192:12288]) == {{255}})
"""


def test_a_flash_whose_sectors_are_erased_as_a_whole(micropython):
    """Pages are programmed as a whole, and what is not meant in them stays as it was."""
    out = micropython(WHOLE.format(pico=str(ROOT / "boards/pico"), boards=str(ROOT / "boards")))
    assert out.splitlines() == [
        r"True b'\xff\xff' b'\xff\xff' []",
        r"bytearray(b'ab') 0 0",
        r"bytearray(b'a\xff') True",
    ]

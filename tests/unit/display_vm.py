"""The display of the meter on models of its parts, on either VM.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

try:
    from hd44780 import Hd44780
    from ssd1306 import Ssd1306
except ImportError:
    from openams.emulator.models.hd44780 import Hd44780
    from openams.emulator.models.ssd1306 import Ssd1306

from ams.clock.local import LocalClock
from ams.control.transitions import CONNECTED, READY
from ams.display import items as it
from ams.display import pixels
from ams.display.glyphs import CHARACTERS, COLUMNS
from ams.metrology.quantities import STATUS_PHASE_LOSS_L1, Quantities
from ams.metrology.transformers import Transformers
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from drivers import screens

START_MS = 822_222_222_000
PASS_MS = 25


class Named:
    pass


class Faults:
    def __init__(self):
        self.taken = []

    def take(self, part, error):
        self.taken.append((part, repr(error)))


class Bus:
    """I2C with one model on it; counts what goes over it."""

    def __init__(self, device, hz):
        self.device = device
        self.hz = hz
        self.octets = 0
        self.silent = False

    def writeto(self, address, data):
        if self.silent or address != self.device.address:
            raise OSError(19)
        self.octets += 1 + len(data)
        self.device.write(bytes(data))
        return len(data)


def make_meter(system="3P4W", transformers=None):
    ratios = Transformers(transformers)
    meter = Named()
    meter.quantities = Quantities(system, ratios)
    meter.local_clock = LocalClock()
    meter.energy = EnergyRegisters(meter.local_clock, ratios)
    meter.identity = Identity("7359990000000017", "OAMS-3")
    meter.faults = Faults()
    meter.utc_ms = START_MS
    meter.said = []
    meter.say = meter.said.append
    meter.link = meter.modbus = meter.display = meter.home = None
    meter.han = Named()
    meter.han.is_open = False
    meter.han.sent = [0, 0, 0]
    meter.control = Named()
    meter.control.breaker = Named()
    meter.control.breaker.state = CONNECTED
    return meter


class Desk:
    """A meter with a display, passes of its loop."""

    def __init__(self, kind, meter=None):
        self.meter = meter or make_meter()
        self.model = None
        self.now_ms = 0
        if kind == "ssd1306":
            self.model = Ssd1306()
        elif kind == "lcd":
            self.model = Hd44780(lambda: 1000 * self.now_ms + self.bus.octets * 90)
        self.bus = None
        self.most_us = 0  # that a slice kept the bus
        screens.join(self.meter, {"kind": kind}, self.make_bus, self.meter.said.append)
        self.display = self.meter.display

    def make_bus(self, hz):
        self.bus = Bus(self.model, hz)
        return self.bus

    def run(self, ms, pressed=False):
        for _ in range(ms // PASS_MS):
            self.now_ms += PASS_MS
            self.meter.utc_ms += PASS_MS
            before = self.bus.octets if self.bus else 0
            self.display.poll(self.now_ms, pressed)
            if self.bus:
                us = (self.bus.octets - before) * 9000000 // self.bus.hz
                self.most_us = max(self.most_us, us)

    def press(self, ms):
        self.run(ms, True)
        self.run(PASS_MS)

    def text(self):
        return self.model.text_rows()


def glyphs(model, page, part=0, step=6):
    """The text that stands in a page of pixels, read back by the glyphs."""
    out = ""
    width = 5 * step // 6
    for x in range(0, 128 - step + 1, step):
        cell = bytes([model.ram[128 * page + x + k] for k in range(0, width, step // 6)])
        if cell == bytes(5):
            out += " "
            continue
        at = COLUMNS.find(cell)
        while at >= 0 and at % 5:
            at = COLUMNS.find(cell, at + 1)
        assert at >= 0, (page, x, cell)
        out += CHARACTERS[at // 5]
    return out.rstrip()


def large(model):
    """The text of two lines of double size."""
    out = ""
    for x in range(0, 120, 12):
        cell = bytearray(5)
        for k in range(5):
            for page, shift in ((2, 0), (3, 4)):
                column = model.ram[128 * page + x + 2 * k]
                assert column == model.ram[128 * page + x + 2 * k + 1]
                for bit in range(4):
                    pair = column >> 2 * bit & 3
                    assert pair in (0, 3)
                    cell[k] |= (pair & 1) << bit + shift
        if bytes(cell) == bytes(5):
            out += " "
        else:
            out += CHARACTERS[COLUMNS.find(bytes(cell)) // 5]
    return out.rstrip()


def check_the_test_lights_everything_and_then_comes_the_register():
    desk = Desk("ssd1306")
    desk.run(2500)
    assert desk.model.on and desk.model.pump
    assert all([all(row) for row in desk.model.pixels()])
    desk.meter.energy.mwh[0] = 123456789012
    desk.run(3000)
    model = desk.model
    assert glyphs(model, 0).split() == ["1.8.0", "1/6"]
    assert large(model) == "123456.78"
    assert glyphs(model, 4).split() == ["IMPORT", "kWh"]
    assert glyphs(model, 7) == "1.8.0 123456.78 kWh"
    assert not desk.meter.faults.taken and not desk.meter.said

    desk = Desk("lcd")
    desk.run(2500)
    assert desk.text() == ["\u2588" * 16] * 2 and desk.model.light and desk.model.two_lines
    desk.run(2000)
    assert desk.text() == ["1.8.0     IMPORT", "   000000.00 kWh"]
    assert desk.model.hurried == 0


def check_the_register_has_the_legal_form():
    """Six digits and two decimals of kWh, cut, and over at a million."""
    for mwh, shown in (
        (0, "000000.00"),
        (9999, "000000.00"),
        (10000, "000000.01"),
        (1234567890, "001234.56"),
        (999999999999, "999999.99"),
        (1000000000000, "000000.00"),
        (1000000019999, "000000.01"),
    ):
        meter = make_meter()
        meter.energy.mwh[0] = mwh
        items = it.Items(meter)
        assert items.item("1.8.0") == ("1.8.0", shown, "kWh", "IMPORT"), mwh
        assert items.legal() == (shown, "kWh")
    meter = make_meter("3P3W", {"ct": [600, 5], "vt": [11000, 110]})
    meter.energy.mwh[0] = 123456789  # of a large point: Wh
    assert it.Items(meter).item("1.8.0")[1:3] == ("000123.45", "MWh")


def check_it_scrolls_by_itself_and_the_button_pages():
    desk = Desk("lcd")
    desk.run(3100)
    seen = []
    for _ in range(6):
        desk.run(6000)
        seen.append(desk.display.item[0])
    assert seen == ["2.8.0", "3.8.0", "4.8.0", "0.9.1", "0.9.2", "1.8.0"]
    desk.press(200)
    assert desk.display.place[:3] == (it.REGISTERS, "REGISTERS", 1)
    desk.press(1200)
    assert desk.display.place[:3] == (it.NOW, "NOW", 0)
    desk.run(500)
    assert desk.text()[0].startswith("1.7.0")
    for _ in range(5):
        desk.press(100)
    desk.run(20000)  # what was chosen by hand stays
    assert desk.display.item[0] == "52.7.0"
    desk.run(12000)
    assert desk.display.place[:2] == (it.REGISTERS, "REGISTERS")
    for title in ("NOW", "PEAKS", "METER", "REGISTERS"):
        desk.press(1100)
        assert desk.display.place[1] == title


def check_a_meter_that_is_ready_says_so_and_its_long_press_is_the_breakers():
    desk = Desk("lcd")
    desk.run(4000)
    desk.meter.control.breaker.state = READY
    desk.run(3000)
    assert desk.text() == ["96.3.1HOLD 1 S: ON", "           READY"] or desk.text()[1] == (
        "           READY"
    )
    assert desk.display.item[:3] == ("96.3.10", "READY", "")
    desk.press(1500)
    assert desk.display.item[0] == "96.3.10"
    desk.press(200)
    assert desk.display.item[0] != "96.3.10"


def check_the_key_of_the_set_up_is_there_while_it_is_open():
    for kind in ("ssd1306", "lcd"):
        desk = Desk(kind)
        home = desk.meter.home = Named()
        home.setup = Named()
        home.setup.item = None
        desk.run(5000)
        assert desk.display.item[0] == "1.8.0"
        home.setup.item = ("KEY", "K7M2PQRSTV", "", "OPENAMS-0017")
        for _ in range(3):  # it scrolls on, and the button pages, behind it
            desk.run(7000)
            assert desk.display.item == home.setup.item
            if kind == "lcd":
                assert desk.text() == ["KEY OPENAMS-0017", "      K7M2PQRSTV"]
            else:
                assert glyphs(desk.model, 0) == "KEY"
                assert glyphs(desk.model, 2) == "K7M2PQRSTV"
                assert glyphs(desk.model, 4) == "OPENAMS-0017"
            desk.press(200)
        # Who waits to be switched on again comes first.
        desk.meter.control.breaker.state = READY
        desk.run(4000)
        assert desk.display.item[0] == "96.3.10"
        desk.meter.control.breaker.state = CONNECTED
        home.setup.item = None
        desk.run(4000)
        assert "KEY" not in desk.display.item
        assert "K7M2" not in "".join(desk.text())


def check_rates_peaks_and_state_are_shown_where_there_are_any():
    meter = make_meter("1P2W")
    items = it.Items(meter)
    assert items.codes(it.REGISTERS) == ["1.8.0", "2.8.0", "3.8.0", "4.8.0", "0.9.1", "0.9.2"]
    assert items.codes(it.NOW) == [
        "1.7.0", "2.7.0", "3.7.0", "4.7.0", "32.7.0", "31.7.0", "13.7.0", "14.7.0",
    ]  # fmt: skip
    assert items.codes(it.PEAKS) == ["1.6.0", "1.16.0", "2.6.0", "2.16.0"]
    meter.energy.mwh[0] = 5_000_000
    meter.energy.switch(2)
    meter.energy.mwh[0] = 8_000_000
    assert "1.8.2" in items.codes(it.REGISTERS)
    assert items.item("1.8.1")[1:] == ("000005.00", "kWh", "T1 IMPORT")
    assert items.item("1.8.2")[1:] == ("000003.00", "kWh", "T2 IMPORT")
    assert items.item("96.14.0")[1] == "T2"
    meter.energy.highest.lists[0] = [(4321987, START_MS // 1000), (2000000, START_MS // 1000)]
    assert items.codes(it.PEAKS)[:2] == ["1.6.0", "1.6.129"]
    code, value, unit, note = items.item("1.6.0")
    assert (value, unit) == ("4.321", "kW") and len(note) == 11
    meter.quantities.total_active_power_mw = -1234567
    assert items.item("2.7.0")[1:3] == ("1.235", "kW") and items.item("1.7.0")[1] == "0.000"
    meter.quantities.voltage_mv[0] = 230149
    assert items.item("32.7.0")[1:] == ("230.1", "V", "L1")
    assert items.item("96.3.10")[1] == "ON" and items.item("128.1.0")[1] == "CLOSED"
    assert items.item("96.1.0")[1] == "00000017"


def check_the_flags_name_phases_that_are_there():
    meter = make_meter()
    items = it.Items(meter)
    assert items.flags().split() == ["L1L2L3", "T1", "ON"]
    meter.quantities.status = STATUS_PHASE_LOSS_L1 << 1
    meter.quantities.total_active_power_mw = 5
    meter.han.is_open = True
    assert items.flags().split() == ["L1", "L3", "+P", "HAN", "T1", "ON"]
    assert len(items.flags()) <= 21


def check_a_slice_keeps_the_bus_for_no_longer_than_it_may():
    for kind, most_us in (("ssd1306", 1000), ("lcd", 2000)):
        desk = Desk(kind)
        desk.run(30000)
        assert 0 < desk.most_us <= most_us, (kind, desk.most_us)


def check_only_what_changes_goes_over_the_bus():
    desk = Desk("ssd1306")
    desk.display._by_hand_to_ms = 1 << 40
    desk.run(12000)
    before = desk.bus.octets
    desk.run(10000)
    # A second that goes on: the piece of the clock that has it.
    assert (desk.bus.octets - before) // 10 <= 2 * 40, desk.bus.octets - before


def check_a_missing_display_is_told_once_and_comes_back():
    for kind in ("ssd1306", "lcd"):
        desk = Desk(kind)
        desk.bus.silent = True
        desk.run(200000)
        assert len(desk.meter.said) == 1 and "no answer" in desk.meter.said[0]
        assert desk.display.item[0] != ""  # who asks sees it all the same
        desk.bus.silent = False
        desk.run(70000)
        assert desk.meter.said[1:] == ["display: answers again"]
        desk.bus.silent = True
        desk.run(30000)
        desk.model.write(b"\x00\xae" if kind == "ssd1306" else b"\x00")
        desk.bus.silent = False
        desk.run(70000)
        assert desk.model.on
        assert len(desk.meter.said) == 2  # one that comes and goes is not told of each time
        if kind == "ssd1306":
            assert glyphs(desk.model, 7) == "1.8.0 000000.00 kWh"
        else:
            assert desk.text()[0].split()[0] == desk.display.item[0]
        assert not desk.meter.faults.taken


def check_a_fault_of_our_own_is_told_and_ends_nothing():
    desk = Desk("ssd1306")
    desk.run(4000)
    desk.meter.quantities.voltage_mv = None
    desk.display._go(it.NOW, 4)
    desk.run(3000)
    assert len(desk.meter.faults.taken) >= 1


def check_settings_that_name_no_display_are_said():
    for settings in ({"kind": "tft"}, {}, "vga"):
        meter = make_meter()
        said = []
        screens.join(meter, settings, None, said.append)
        assert meter.display is None and len(said) == 1 and "ssd1306" in said[0]
    meter = make_meter()
    screens.join(meter, {"kind": "page"}, None, None)
    meter.display.poll(0)
    meter.display.poll(4000)
    meter.display.poll(4025)
    assert meter.display.item[0] == "1.8.0"


def check_drawing_is_the_same_by_viper_and_in_plain():
    for part in (0, 1, 2):
        plain, quick = bytearray(128), bytearray(128)
        for glyph in range(len(CHARACTERS)):
            pixels._blit_plain(plain, glyph, glyph, part)
            pixels.blit(quick, glyph, glyph, part)
        assert plain == quick
    line = bytearray(128)
    pixels.draw(line, "A" * 40, 0)  # what does not fit is left out
    pixels.draw(line, "A" * 40, 1)
    pixels.draw(line, "~", 0)
    assert bytes(line[:5]) == COLUMNS[5 * CHARACTERS.find("?") :][:5]


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]


def main():
    for name in CHECKS:
        try:
            globals()[name]()
        except Exception:
            print(name)
            raise
    print(len(CHECKS))

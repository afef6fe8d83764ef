"""The Raspberry Pi Pico and Pico 2, with radio and without, as a meter: which pin is what. See
docs/boards/pico.md.

GP0   HAN (UART0 TX)             GP14     test LED, 1000 pulses per kWh
GP4/5 service port (UART1)       GP25     status LED (with a radio: the radio's)
GP2/3 clock chip (I2C1)          GP16-19  metering IC (SPI0: MISO, CS, SCK, MOSI)
GP20/21  display (I2C0)          GP22     DRDY of an ADS131M08, on the same SPI
GP6   relay, coil that opens     GP26     voltage (ADC0)
GP7   relay, coil that closes    GP27     current (ADC1)
GP8   relay, feedback: low when closed
GP9   terminal cover: high when off      GP12  push button: low when pressed
GP10  meter cover: high when off         GP13  supply: low when it falls
GP11  magnetic field: low when there
"""

import os
import time

import chip
import machine
import thumb
from flash import PLANNED, SCRATCH, SlotsFlash, StateFlash
from flashmap import RING_SIZE
from machine import I2C, SPI, Pin
from micropython import const
from variant import NAME, halves

from ams import hal
from ams.metrology import kernel
from drivers.bus import free
from drivers.ds3231 import CountedClock, Ds3231
from drivers.inputs import PinInputs
from drivers.line import Line
from drivers.pulse_led import PinLed
from drivers.relay import BistableRelay
from drivers.watchdog import Watchdog

# A third of the cycles of viper, the same bits.
kernel.pair_sums = thumb.accumulate

_HAN_TX, _HAN_RX = const(0), const(1)
_SERVICE_TX, _SERVICE_RX = const(4), const(5)
_SDA, _SCL = const(2), const(3)
_DISPLAY_SDA, _DISPLAY_SCL = const(20), const(21)
# A display that holds its bus costs a slice no more than this.
_DISPLAY_TIMEOUT_US = const(2000)
_COIL_OPEN, _COIL_CLOSE, _CONTACT = const(6), const(7), const(8)
_TERMINAL_COVER, _METER_COVER, _MAGNETIC_FIELD = const(9), const(10), const(11)
_BUTTON, _SUPPLY = const(12), const(13)
_TEST_LED = const(14)
_SPI_MISO, _SPI_CS, _SPI_SCK, _SPI_MOSI = const(16), const(17), const(18), const(19)
_DRDY = const(22)
# Holds the largest telegram; the HAN port never listens.
_HAN_BUFFER = const(2048)
_HAN_RECEIVED = const(32)
_SERVICE_BUFFER = const(512)
_FIFO = const(32)
_WATCHDOG_MS = const(4000)
# A lithium cell keeps the clock chip for years; its crystal may err by minutes in one.
_CLOCK_BACKUP_S = const(31536000)
# What a driver wants to know of this board: the gain registers of an ATM90E32AS for the dividers
# and transformers of the wiring table.
IC_OPTIONS = {"atm90e32": {"gains": (0x8000, 0x8000)}}
# What measures when the settings do not say it (`front_end`).
_FRONT_END = {"1P2W": "adc", "3P3W": "atm90e32", "3P4W": "atm90e32"}


def _contact(number):
    return Pin(number, Pin.IN, Pin.PULL_UP)


def _spi(**settings):
    return SPI(
        0, bits=8, sck=Pin(_SPI_SCK), mosi=Pin(_SPI_MOSI), miso=Pin(_SPI_MISO), **settings
    )  # fmt: skip


def _led(number):
    return None if number is None else PinLed(Pin(number, Pin.OUT, value=0))


class Board:
    name = NAME or chip.NAME

    def __init__(self, started=None):
        self.started = started
        # At small load it would skip pulses: a ripple on the reference of the ADC, at its pace.
        if chip.SUPPLY_MODE is not None:
            Pin(chip.SUPPLY_MODE, Pin.OUT, value=1)
        if chip.RADIO_SUPPLY is not None:
            Pin(chip.RADIO_SUPPLY, Pin.OUT, value=0)
        self.mailbox = None
        if chip.BENCH:
            from mailbox import Mailbox

            self.mailbox = Mailbox()
            os.dupterm(self.mailbox)
        free(_SCL, _SDA)
        rtc = Ds3231(I2C(1, scl=Pin(_SCL), sda=Pin(_SDA), freq=400000))
        self.clock = CountedClock(rtc, time.ticks_ms, time.ticks_diff, _CLOCK_BACKUP_S)
        self.flash = StateFlash()
        self.slots = SlotsFlash()
        self.halves = halves()
        self.han_uart = Line(0, Pin(_HAN_TX), Pin(_HAN_RX), _HAN_BUFFER, _HAN_RECEIVED, _FIFO)
        # With nothing connected it is at rest, not in break.
        received = _contact(_SERVICE_RX)
        self.service_uart = Line(
            1, Pin(_SERVICE_TX), received, _SERVICE_BUFFER, _SERVICE_BUFFER, _FIFO, received
        )
        self.relay = BistableRelay(
            Pin(_COIL_OPEN, Pin.OUT, value=0),
            Pin(_COIL_CLOSE, Pin.OUT, value=0),
            _contact(_CONTACT),
        )
        self.inputs = PinInputs(
            (
                (_contact(_TERMINAL_COVER), 1, hal.INPUT_TERMINAL_COVER),
                (_contact(_METER_COVER), 1, hal.INPUT_METER_COVER),
                (_contact(_MAGNETIC_FIELD), 0, hal.INPUT_MAGNETIC_FIELD),
                (_contact(_BUTTON), 0, hal.INPUT_BUTTON),
                (_contact(_SUPPLY), 0, hal.INPUT_POWER_FAIL),
            )
        )
        self.watchdog = Watchdog(_WATCHDOG_MS)
        self.pulse_led = PinLed(Pin(_TEST_LED, Pin.OUT, value=0))
        self.pulse_timer = machine.Timer()
        self.status_led = _led(chip.STATUS_LED)
        self.unique_id = machine.unique_id()
        self.frontend = None
        self.links = None
        self.network = None
        self.has_radio = chip.RADIO

    def make_frontend(self, calibration, name=None):
        """By a checked `Calibration` and what the settings name: the ADC of the chip measures
        one phase, an ADS131M08 is sampled, a metering IC measures what its driver says. False when
        the chip does not answer; raises ValueError, in one line, when there is no such one.
        """
        name = name or _FRONT_END[calibration.system]
        if name == "adc":
            if calibration.system != "1P2W":
                raise ValueError("front_end adc measures 1P2W")
            from adc import AdcFrontEnd

            self.frontend = AdcFrontEnd()
            return True
        if name == "ads131m08":
            return self._make_ads131m08(calibration.channels)
        from drivers import metering_ic

        select = Pin(_SPI_CS, Pin.OUT, value=1)
        options = IC_OPTIONS.get(name, {})
        self.frontend = metering_ic.make(name, calibration, _spi, select, time.sleep_ms, options)
        return self.frontend.begin()

    def make_display_bus(self, hz):
        """A bus of its own: a display that holds it leaves the clock chip alone."""
        free(_DISPLAY_SCL, _DISPLAY_SDA)
        return I2C(
            0, scl=Pin(_DISPLAY_SCL), sda=Pin(_DISPLAY_SDA), freq=hz, timeout=_DISPLAY_TIMEOUT_US
        )

    def _make_ads131m08(self, channels):
        from ring import room

        from drivers import ads131m08
        from drivers.ads131m08_dma import Ads131m08Dma

        # A ninth of the cycles of the plain twin, the same bits.
        ads131m08.take_frames = thumb.take_frames
        Pin(_DRDY, Pin.IN, Pin.PULL_UP)

        def bus():
            return _spi(
                baudrate=ads131m08.SPI_HZ,
                polarity=ads131m08.SPI_POLARITY,
                phase=ads131m08.SPI_PHASE,
            )

        ring = room(RING_SIZE)
        pins = _SPI_MISO, _SPI_CS, _DRDY
        self.frontend = Ads131m08Dma(channels, bus, *pins, ring, chip.PIO0_REQUEST)
        return self.frontend.begin()

    def restart(self):
        """Starts the chip anew: a reset by the watchdog, which is told from one that was due."""
        machine.mem32[SCRATCH] = PLANNED
        machine.reset()

    was_reset = False  # what `watchdog_bit` has told

    def watchdog_bit(self):
        """Whether it was the watchdog that reset the chip, unasked. True once."""
        planned = machine.mem32[SCRATCH] == PLANNED
        machine.mem32[SCRATCH] = 0
        return machine.reset_cause() == machine.WDT_RESET and not planned

    def link_write(self, channel, data):
        return self.links.write(channel, data)

    def link_close(self, channel):
        self.links.close(channel)

    def entropy(self, count):
        # The ring oscillator, whitened by a hash in the port.
        return os.urandom(count)

    def log(self, text):
        print(text)

"""The ESP32 DevKit as a meter: which pin is what. See docs/boards/esp32.md.

GPIO17     HAN (UART2 TX)                 GPIO27  test LED, 1000 pulses per kWh
GPIO25/26  service port (UART1 TX, RX)    GPIO2   status LED
GPIO21/22  clock chip (I2C0 SDA, SCL)     GPIO18/19/23/5  metering IC (SPI2: SCK, MISO, MOSI, CS)
GPIO32     relay, coil that opens         GPIO35  terminal cover: high when off
GPIO33     relay, coil that closes        GPIO36  meter cover: high when off
GPIO34     relay, feedback: low when closed   GPIO39  magnetic field: low when there
GPIO4      push button: low when pressed  GPIO13  supply: low when it falls
GPIO14/15  display (I2C1 SDA, SCL)
"""

import os
import time

import machine
from flash import SLOTS_LABEL, STATE_LABEL, PartitionFlash
from machine import I2C, SPI, Pin
from micropython import const

from ams import hal
from drivers import metering_ic
from drivers.bus import free
from drivers.ds3231 import CountedClock, Ds3231
from drivers.inputs import PinInputs
from drivers.line import Line
from drivers.pulse_led import PinLed
from drivers.relay import BistableRelay
from drivers.watchdog import Watchdog

_HAN_UART, _HAN_TX, _HAN_RX = const(2), const(17), const(16)
_SERVICE_UART, _SERVICE_TX, _SERVICE_RX = const(1), const(25), const(26)
_SDA, _SCL = const(21), const(22)
_DISPLAY_SDA, _DISPLAY_SCL = const(14), const(15)
# A display that holds its bus costs a slice no more than this.
_DISPLAY_TIMEOUT_US = const(2000)
_COIL_OPEN, _COIL_CLOSE, _CONTACT = const(32), const(33), const(34)
_TEST_LED, _STATUS_LED = const(27), const(2)
_SPI, _SPI_SCK, _SPI_MISO, _SPI_MOSI, _SPI_CS = const(2), const(18), const(19), const(23), const(5)
_TERMINAL_COVER, _METER_COVER, _MAGNETIC_FIELD = const(35), const(36), const(39)
_BUTTON, _SUPPLY = const(4), const(13)

# Holds the largest telegram.
_HAN_BUFFER = const(2048)
_SERVICE_BUFFER = const(512)
_FIFO = const(128)
# The first guards a trial of new firmware.
_TIMER = const(1)
_WATCHDOG_MS = const(8000)
# A lithium cell keeps the clock chip for years; its crystal may err by minutes in one.
_CLOCK_BACKUP_S = const(31536000)
# What a driver wants to know of this board: the gain registers of an ATM90E32AS for the dividers
# and transformers of the wiring table.
IC_OPTIONS = {"atm90e32": {"gains": (0x8000, 0x8000)}}
# What measures when the settings do not say it (`front_end`).
_FRONT_END = "atm90e32"


def _slots():
    try:
        return PartitionFlash(SLOTS_LABEL)
    except OSError:
        # A partition table without them: no update over the link.
        return None


def _spi(**settings):
    return SPI(_SPI, sck=Pin(_SPI_SCK), mosi=Pin(_SPI_MOSI), miso=Pin(_SPI_MISO), **settings)


class Board:
    name = "esp32"

    def __init__(self, started=None):
        self.started = started
        free(_SCL, _SDA)
        rtc = Ds3231(I2C(0, scl=Pin(_SCL), sda=Pin(_SDA), freq=400000))
        self.clock = CountedClock(rtc, time.ticks_ms, time.ticks_diff, _CLOCK_BACKUP_S)
        self.flash = PartitionFlash(STATE_LABEL)
        self.slots = _slots()
        self.han_uart = Line(_HAN_UART, _HAN_TX, _HAN_RX, _HAN_BUFFER, _HAN_BUFFER, _FIFO)
        # With nothing connected it is at rest, not in break.
        self.service_uart = Line(
            *(_SERVICE_UART, _SERVICE_TX, _SERVICE_RX, _SERVICE_BUFFER, _SERVICE_BUFFER, _FIFO),
            Pin(_SERVICE_RX, Pin.IN, Pin.PULL_UP),
        )
        self.relay = BistableRelay(
            Pin(_COIL_OPEN, Pin.OUT, value=0),
            Pin(_COIL_CLOSE, Pin.OUT, value=0),
            Pin(_CONTACT, Pin.IN),
        )
        self.inputs = PinInputs(
            (
                # Pins from 34 on have no pull-ups of their own.
                (Pin(_TERMINAL_COVER, Pin.IN), 1, hal.INPUT_TERMINAL_COVER),
                (Pin(_METER_COVER, Pin.IN), 1, hal.INPUT_METER_COVER),
                (Pin(_MAGNETIC_FIELD, Pin.IN), 0, hal.INPUT_MAGNETIC_FIELD),
                (Pin(_BUTTON, Pin.IN, Pin.PULL_UP), 0, hal.INPUT_BUTTON),
                (Pin(_SUPPLY, Pin.IN, Pin.PULL_UP), 0, hal.INPUT_POWER_FAIL),
            )
        )
        self.watchdog = Watchdog(_WATCHDOG_MS)
        self.pulse_led = PinLed(Pin(_TEST_LED, Pin.OUT, value=0))
        self.pulse_timer = machine.Timer(_TIMER)
        self.status_led = PinLed(Pin(_STATUS_LED, Pin.OUT, value=0))
        self.unique_id = machine.unique_id()
        self.frontend = None
        self.links = None
        self.network = None

    def make_frontend(self, calibration, name=None):
        """The metering IC that the settings name, set up by a checked `Calibration`. False when
        it does not answer; raises ValueError, in one line, when there is no such IC."""
        name = name or _FRONT_END
        select = Pin(_SPI_CS, Pin.OUT, value=1)
        options = IC_OPTIONS.get(name, {})
        self.frontend = metering_ic.make(name, calibration, _spi, select, time.sleep_ms, options)
        return self.frontend.begin()

    def make_display_bus(self, hz):
        """A bus of its own: a display that holds it leaves the clock chip alone."""
        free(_DISPLAY_SCL, _DISPLAY_SDA)
        return I2C(
            1, scl=Pin(_DISPLAY_SCL), sda=Pin(_DISPLAY_SDA), freq=hz, timeout=_DISPLAY_TIMEOUT_US
        )

    def restart(self):
        machine.reset()

    def link_write(self, channel, data):
        return self.links.write(channel, data)

    def link_connect(self, channel, destination):
        return self.links.connect(channel, destination)

    def link_close(self, channel):
        self.links.close(channel)

    def entropy(self, count):
        # With the radio on, or by the boot loader's seed, the ESP32's generator is a true one.
        return os.urandom(count)

    def log(self, text):
        print(text)

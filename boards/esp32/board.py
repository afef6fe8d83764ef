"""An ESP32 as a meter. Which pin is what stands in pinout.py, which each board has."""

import os
import time

import machine
import pinout
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

# A display that holds its bus costs a slice no more than this.
_DISPLAY_TIMEOUT_US = const(2000)

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
    return SPI(
        pinout.SPI_BUS,
        sck=Pin(pinout.SPI_SCK),
        mosi=Pin(pinout.SPI_MOSI),
        miso=Pin(pinout.SPI_MISO),
        **settings,
    )


class Board:
    name = pinout.NAME

    def __init__(self, started=None):
        self.started = started
        free(pinout.SCL, pinout.SDA)
        rtc = Ds3231(I2C(0, scl=Pin(pinout.SCL), sda=Pin(pinout.SDA), freq=400000))
        self.clock = CountedClock(rtc, time.ticks_ms, time.ticks_diff, _CLOCK_BACKUP_S)
        self.flash = PartitionFlash(STATE_LABEL)
        self.slots = _slots()
        self.han_uart = Line(
            pinout.HAN_UART, pinout.HAN_TX, pinout.HAN_RX, _HAN_BUFFER, _HAN_BUFFER, _FIFO
        )
        # With nothing connected it is at rest, not in break.
        self.service_uart = Line(
            *(
                pinout.SERVICE_UART,
                pinout.SERVICE_TX,
                pinout.SERVICE_RX,
                _SERVICE_BUFFER,
                _SERVICE_BUFFER,
                _FIFO,
            ),
            Pin(pinout.SERVICE_RX, Pin.IN, Pin.PULL_UP),
        )
        self.relay = BistableRelay(
            Pin(pinout.COIL_OPEN, Pin.OUT, value=0),
            Pin(pinout.COIL_CLOSE, Pin.OUT, value=0),
            Pin(pinout.CONTACT, Pin.IN),
        )
        self.inputs = PinInputs(
            (
                # Pins from 34 on have no pull-ups of their own.
                (Pin(pinout.TERMINAL_COVER, Pin.IN), 1, hal.INPUT_TERMINAL_COVER),
                (Pin(pinout.METER_COVER, Pin.IN), 1, hal.INPUT_METER_COVER),
                (Pin(pinout.MAGNETIC_FIELD, Pin.IN), 0, hal.INPUT_MAGNETIC_FIELD),
                (Pin(pinout.BUTTON, Pin.IN, Pin.PULL_UP), 0, hal.INPUT_BUTTON),
                (Pin(pinout.SUPPLY, Pin.IN, Pin.PULL_UP), 0, hal.INPUT_POWER_FAIL),
            )
        )
        self.watchdog = Watchdog(_WATCHDOG_MS)
        self.pulse_led = PinLed(Pin(pinout.TEST_LED, Pin.OUT, value=0))
        self.pulse_timer = machine.Timer(_TIMER)
        self.status_led = PinLed(Pin(pinout.STATUS_LED, Pin.OUT, value=0))
        self.unique_id = machine.unique_id()
        self.frontend = None
        self.links = None
        self.network = None

    def make_frontend(self, calibration, name=None):
        """The metering IC that the settings name, set up by a checked `Calibration`. False when
        it does not answer; raises ValueError, in one line, when there is no such IC."""
        name = name or _FRONT_END
        select = Pin(pinout.SPI_CS, Pin.OUT, value=1)
        options = IC_OPTIONS.get(name, {})
        self.frontend = metering_ic.make(name, calibration, _spi, select, time.sleep_ms, options)
        return self.frontend.begin()

    def make_display_bus(self, hz):
        """A bus of its own: a display that holds it leaves the clock chip alone."""
        free(pinout.DISPLAY_SCL, pinout.DISPLAY_SDA)
        return I2C(
            1,
            scl=Pin(pinout.DISPLAY_SCL),
            sda=Pin(pinout.DISPLAY_SDA),
            freq=hz,
            timeout=_DISPLAY_TIMEOUT_US,
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

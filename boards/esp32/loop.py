"""The meter's main loop on an ESP32.

`meter.json` in the file system says what the meter is: `system`, `front_end`, `identity`,
`han`, `security`, what drivers.outside takes, `display` (see drivers.screens) and, once,
`calibration`.
Keys that were taken into the meter's flash are removed from the file.
"""

import gc
import json
import time

from board import Board
from micropython import const

from ams.faults import LOOP, MEASURED
from ams.metrology.pulses import PulseOutput
from ams.storage.layout import SECURITY, SETTINGS
from drivers.ic_reader import IcReader
from drivers.inputs import watch_supply
from drivers.outside import Outside
from drivers.pulse_led import PulseTimer

CONFIG = "meter.json"
_PASS_MS = const(5)
_COLLECT_EVERY_MS = const(500)
# The longest that a sector takes, and how long an erase waits for so much quiet.
_ERASE_MS = const(400)
_PATIENCE_MS = const(30000)


class Loop:
    def __init__(self, board, meter, config):
        self.board = board
        self.meter = meter
        self.pulses = PulseOutput(board.pulse_led)
        self._beat = PulseTimer(self.pulses, getattr(board, "pulse_timer", None))
        now = board.clock.utc_ms()
        self._reader = IcReader(board.frontend, meter, now)
        self._collected_ms = now
        self._erase_by_ms = None
        watch_supply(board, meter)
        self._outside = Outside(board, meter, config)

    def step(self):
        """One pass: takes what was measured, and gives every room its time."""
        board = self.board
        raw_ms = board.clock.utc_ms()
        self._beat.show(raw_ms)
        try:
            if self._reader.read(raw_ms):
                self.pulses.take(raw_ms, self.meter.energy.secondary_mwh(), self.meter.measured_ms)
        except Exception as error:
            # The case, the breaker and the lists have their time all the same.
            self.meter.faults.take(MEASURED, error)
        self.meter.tick(raw_ms)
        self._outside.poll(raw_ms)
        if self.meter.display is not None:
            self.meter.display.poll(raw_ms, self.meter.case.pressed)
        board.watchdog.feed()
        self._erase(raw_ms)
        if raw_ms - self._collected_ms >= _COLLECT_EVERY_MS:
            self._collected_ms = raw_ms
            gc.collect()

    def _erase(self, raw_ms):
        """What is to be erased ahead: nothing runs while ESP-IDF erases a sector. So it waits for a
        time in which nobody talks and nothing is due, but not for ever."""
        eraser = self.meter.nv_memory.eraser
        if eraser is None or not eraser.has_work():
            self._erase_by_ms = None
            return
        if self._erase_by_ms is None:
            self._erase_by_ms = raw_ms + _PATIENCE_MS
        quiet = not self._outside.talks and self.meter.due_in(raw_ms) > _ERASE_MS
        if quiet or raw_ms >= self._erase_by_ms:
            self._erase_by_ms = None
            eraser.work()

    def _go(self):
        """A pass that fails is told of; when each does, the watchdog ends it."""
        try:
            self.step()
        except Exception as error:
            self.meter.faults.take(LOOP, error)

    def run(self):
        while True:
            self._go()
            time.sleep_ms(_PASS_MS)


def load_config():
    try:
        with open(CONFIG) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def forget_keys(config):
    """What is in the meter's flash now has no business in a file."""
    if config.get("security") or "calibration" in config:
        if "security" in config:
            config["security"] = {}
        config.pop("calibration", None)
        with open(CONFIG, "w") as file:
            json.dump(config, file)


def build(board, config):
    """The meter that `config` describes, started. Raises ValueError or OSError in one line."""
    from ams.meter import Meter

    meter = Meter(board, config)
    if not board.make_frontend(meter.calibration, config.get("front_end")):
        board.log("meter: no answer from the metering IC")
    meter.start(board.clock.utc_ms())
    if config.get("han_open"):
        meter.han_settings.open_first()
    if config.get("home_open") and meter.home is not None:
        meter.home.open_first()
    if config.get("modbus_open") and meter.modbus is not None:
        meter.modbus.open_first()
    if config.get("display"):
        from drivers import screens

        screens.join(meter, config["display"], board.make_display_bus, board.log)
    if meter.nv_memory.takes(SECURITY) and meter.nv_memory.takes(SETTINGS):
        forget_keys(config)
    return meter


def main(started=None):
    try:
        board = Board(started)
        config = load_config()
        if config is None:
            board.log("meter: not provisioned, no %s" % CONFIG)
            return
        meter = build(board, config)
    except (OSError, ValueError) as error:
        print("meter: %s" % error)
        return
    board.status_led.set(True)
    Loop(board, meter, config).run()

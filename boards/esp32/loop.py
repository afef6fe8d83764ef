"""The meter's main loop on an ESP32.

`meter.json` in the file system says what the meter is: `system`, `front_end`, `identity`,
`han`, `security`, `wifi` (`ssid`, `password`), `dlms_port`, `ntp` (`server`: an address),
`modbus` (see ams.modbus.modbus_port), `home` (see ams.home.broker), `display` (see
drivers.screens) and, once, `calibration`.
Keys that were taken into the meter's flash are removed from the file.
"""

import gc
import json
import time

from board import Board
from micropython import const

from ams.faults import LINK, LOOP, MEASURED
from ams.metrology.pulses import PulseOutput
from ams.storage.layout import SECURITY, SETTINGS
from drivers.ic_reader import IcReader
from drivers.inputs import watch_supply
from drivers.links import Links
from drivers.pulse_led import PulseTimer

CONFIG = "meter.json"
DLMS_PORT = const(4059)
_PASS_MS = const(5)
_MBUS_BAUD = const(2400)
_COLLECT_EVERY_MS = const(500)
_RETRY_MS = const(10000)
# The longest that a sector takes, and how long an erase waits for so much quiet.
_ERASE_MS = const(400)
_PATIENCE_MS = const(30000)


class Loop:
    def __init__(self, board, meter, config):
        self.board = board
        self.meter = meter
        self.pulses = PulseOutput(board.pulse_led)
        self._beat = PulseTimer(self.pulses, getattr(board, "pulse_timer", None))
        self._wlan = None
        self._port = config.get("dlms_port", DLMS_PORT)
        now = board.clock.utc_ms()
        self._reader = IcReader(board.frontend, meter, now)
        self._collected_ms = now
        self._listen_ms = now
        self._erase_by_ms = None
        watch_supply(board, meter)
        self._bus = None
        self._ntp = self._make_ntp(config.get("ntp"))
        service = board.service_uart
        if config.get("mbus"):
            # There is no fourth UART: DLMS has the network, the sub-meters have the service port.
            service.init(_MBUS_BAUD, 8, 0, 1)
            meter.model.join_submeters(service, board.log)
            self._bus = meter.model.submeters
            service = None
        self._modbus = meter.modbus
        if self._modbus is not None and self._modbus.wants_line:
            if service is None:
                board.log("modbus: no RS-485: the sub-meters have the line")
            else:
                self._modbus.join_line(service)
                service = None
        if meter.link is not None:
            board.links = Links(meter.link, service)
        self._home = meter.home
        served = meter.link is not None or self._modbus is not None
        if self._home is not None or config.get("wifi") and served:
            self._join(config.get("wifi"))

    def _join(self, wifi):
        from drivers.radio import Radio

        self._wlan = Radio()
        if self._home is not None:
            # By its set-up page the Wi-Fi may be another since.
            self._home.join_wlan(self._wlan, wifi)
        else:
            self._wlan.join(wifi["ssid"], wifi["password"])

    def _make_ntp(self, ntp):
        """The client of a time server, where one is configured; what is wrong with it is said."""
        if not ntp:
            return None
        from drivers.ntp import Ntp

        try:
            return Ntp(ntp["server"], self.board.entropy)
        except (KeyError, TypeError, ValueError) as error:
            self.board.log("ntp: not used: %s" % error)
            return None

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
        try:
            if self._wlan is not None and raw_ms >= self._listen_ms:
                self._listen_ms = raw_ms + _RETRY_MS
                if self._wlan.joined():
                    self._listen()
            if board.links is not None:
                board.links.poll(time.ticks_ms())
            if self._home is not None:
                self._home.poll(time.ticks_ms())
            if self._modbus is not None:
                self._modbus.poll(time.ticks_ms(), time.ticks_us())
            if self._bus is not None:
                self._bus.poll(raw_ms)
            if self._ntp is not None and self._wlan is not None and self._wlan.joined():
                told = self._ntp.poll(raw_ms)
                if told is not None:
                    self.meter.timing.hear(raw_ms, *told)
        except Exception as error:
            # Metering goes on, whatever the network or a sub-meter does.
            self.meter.faults.take(LINK, error)
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
        links = self.board.links
        talks = links is not None and links.busy(time.ticks_ms())
        quiet = not talks and self.meter.due_in(raw_ms) > _ERASE_MS
        if quiet or raw_ms >= self._erase_by_ms:
            self._erase_by_ms = None
            eraser.work()

    def _listen(self):
        """The ports that are not listened on yet."""
        links = self.board.links
        if links is not None and links.network is None:
            links.network = self._listener(self._port)
        modbus = self._modbus
        if modbus is not None and modbus.tcp_port is not None and modbus.network is None:
            network = self._listener(modbus.tcp_port)
            if network is not None:
                modbus.join_network(network)

    def _listener(self, port):
        from drivers.tcp import Listener

        try:
            return Listener(port)
        except OSError as error:
            # Metering goes on, whatever the network says.
            self.board.log("network: port %d: %s" % (port, error))
            return None

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

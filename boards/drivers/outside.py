"""What a board of a meter has to do with outside: service port, sub-meters, Modbus, and what goes
over a radio (DLMS and Modbus over TCP, a broker, a time server).

Of the settings it takes `wifi` (`ssid`, `password`), `dlms_port`, `ntp` (`server`: an address) and
`mbus`, and by the meter `modbus` (see ams.modbus.modbus_port) and `home` (see ams.home.broker). A
meter whose settings want no radio leaves it off.
"""

import time

from micropython import const

from ams.faults import LINK
from drivers.links import Links

DLMS_PORT = const(4059)
_MBUS_BAUD = const(2400)
_RETRY_MS = const(10000)


class Outside:
    """`samples`: the core takes samples, from a ring of half a second. It is made before those
    begin to come: a radio takes a second to start."""

    def __init__(self, board, meter, config, samples=False):
        self._board = board
        self._meter = meter
        self._port = config.get("dlms_port", DLMS_PORT)
        self._samples = samples
        self._wlan = None
        self._listen_ms = board.clock.utc_ms()
        self._bus = None
        self._modbus = meter.modbus
        self._home = meter.home
        service = self._join_lines(config)
        if meter.link is not None:
            board.links = Links(meter.link, service)
        self._ntp = self._make_ntp(config.get("ntp"))
        served = meter.link is not None or self._modbus is not None or self._ntp is not None
        if self._home is not None or config.get("wifi") and served:
            self._join(config.get("wifi"))

    def _join_lines(self, config):
        """Who has the UART of the service port: sub-meters, Modbus, or it is given back."""
        board, service = self._board, self._board.service_uart
        if config.get("mbus"):
            # There is no other UART: DLMS has the network, the sub-meters have the service port.
            service.init(_MBUS_BAUD, 8, 0, 1)
            self._meter.model.join_submeters(service, board.log)
            self._bus = self._meter.model.submeters
            service = None
        if self._modbus is not None and self._modbus.wants_line:
            if service is None:
                board.log("modbus: no RS-485: the sub-meters have the line")
            else:
                self._modbus.join_line(service)
                service = None
        return service

    def _make_ntp(self, ntp):
        """The client of a time server, where one is configured; what is wrong with it is said."""
        if not ntp:
            return None
        from drivers.ntp import Ntp

        try:
            return Ntp(ntp["server"], self._board.entropy)
        except (KeyError, TypeError, ValueError) as error:
            self._board.log("ntp: not used: %s" % error)
            return None

    def _join(self, wifi):
        from drivers.radio import Radio

        try:
            radio = Radio(not self._samples)
        except OSError as error:
            # Metering goes on, and so does all that goes by wire.
            self._board.log("network: no radio: %s" % error)
            return
        self._wlan = radio
        if wifi and not (_is_text(wifi, "ssid") and _is_text(wifi, "password")):
            self._board.log("wifi: not used: it is {ssid, password}, both texts")
            wifi = None
        if self._home is not None:
            # By its set-up page the Wi-Fi may be another since.
            self._home.join_wlan(radio, wifi)
        elif wifi:
            radio.join(wifi["ssid"], wifi["password"])

    @property
    def talks(self):
        """Whether a client spoke just now."""
        links = self._board.links
        return links is not None and links.busy(time.ticks_ms())

    def poll(self, raw_ms):
        """Once in each pass; never waits."""
        try:
            self._poll(raw_ms)
        except Exception as error:
            # Metering goes on, whatever the network or a sub-meter does.
            self._meter.faults.take(LINK, error)

    def _poll(self, raw_ms):
        if self._wlan is not None and raw_ms >= self._listen_ms:
            self._listen_ms = raw_ms + _RETRY_MS
            if self._wlan.joined():
                self._listen()
        if self._board.links is not None:
            self._board.links.poll(time.ticks_ms())
        if self._home is not None:
            self._home.poll(time.ticks_ms())
        if self._modbus is not None:
            self._modbus.poll(time.ticks_ms(), time.ticks_us())
        if self._bus is not None:
            self._bus.poll(raw_ms)
        if self._ntp is not None and self._wlan is not None and self._wlan.joined():
            told = self._ntp.poll(raw_ms)
            if told is not None:
                self._meter.timing.hear(raw_ms, *told)

    def _listen(self):
        """The ports that are not listened on yet."""
        links = self._board.links
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
            self._board.log("network: port %d: %s" % (port, error))
            return None


def _is_text(settings, name):
    return isinstance(settings, dict) and isinstance(settings.get(name), str)

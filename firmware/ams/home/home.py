"""Home automation as the operator and the customer left it: closed or open, and which broker.

The operator opens it as he opens the HAN port (0-0:128.7.0); the customer says on the spot which
broker, in the settings (`home`) or on the set-up page. Nobody reads that back.
"""

import json

from micropython import const

from ams.faults import HOME
from ams.home.broker import Broker
from ams.home.hour_ring import HourRing
from ams.home.publisher import CLOSED, NO_BROKER, STATES, Publisher
from ams.storage import settings as st
from ams.storage.opening import Opening

_LOOK_MS = const(1000)
_WRAP = const(0x3FFFFFFF)  # of time.ticks_ms


class Home(Opening):
    """`config` as in Broker; what is wrong with it is said, and the meter goes on without."""

    def __init__(self, meter, config, settings):
        super().__init__(settings, st.HOME)
        self._meter = meter
        self.ring = HourRing()
        self.publisher = None
        self._network = None
        self._ticks = None
        self._now_ms = 0
        self._config = config
        self._wlan = self._wifi = None
        self.setup = None
        self._looked_ms = 0
        self._use_stored()

    def _stored(self, cell):
        """What the set-up page left, or None."""
        value = self._settings.get(cell)
        return None if value is None else json.loads(value)

    def _use_stored(self):
        """The broker of the set-up page, or that of the settings; what is wrong with it is said."""
        config = self._stored(st.HOME_BROKER)
        if config is None:
            config = self._config
        if config.get("tls") and not config.get("ca") and self._wlan is not None:
            config = dict(config)
            config["ca"] = self._wlan.authority().decode()
        try:
            self.use(config)
        except ValueError as error:
            self._meter.say(str(error))

    # --- the radio -----------------------------------------------------------------------

    def join_wlan(self, wlan, wifi=None):
        """The board has a radio (hal.Wlan): `network` follows it, and there is a set-up page.

        `wifi` (`ssid`, `password`) is that of the settings, where the page has left none.
        """
        from ams.home.setup_mode import SetupMode

        self._wlan = wlan
        self._wifi = wifi
        self.setup = SetupMode(self._meter, self, self._settings, wlan)
        self.take_up()

    def take_up(self):
        """Wi-Fi and broker as they are set now."""
        wifi = self._stored(st.HOME_WIFI) or self._wifi
        if wifi:
            self._wlan.join(wifi["ssid"], wifi["password"])
        self._use_stored()

    def _look_at_wlan(self):
        if self._now_ms >= self._looked_ms:
            self._looked_ms = self._now_ms + _LOOK_MS
            self.network = self._wlan if self._wlan.joined() else None
        setup = self.setup
        setup.look(self._now_ms, self._meter.case.pressed)
        if setup.active:
            try:
                setup.poll(self._now_ms)
            except Exception:
                setup.end()
                raise

    # --- who sets it -------------------------------------------------------------------

    def use(self, config):
        """Another broker from now on; {} or one without `broker`: none. Raises ValueError."""
        broker = Broker(config) if config.get("broker") else None
        if self.publisher is not None:
            self.publisher.close(self._now_ms)
        self.publisher = None
        if broker is not None:
            seed = int.from_bytes(self._meter.entropy(4), "big")
            self.publisher = Publisher(self._meter, broker, seed, self.ring)
            self.publisher.network = self._network

    @property
    def network(self):
        return self._network

    @network.setter
    def network(self, network):
        """hal.Network, or None while there is none."""
        self._network = network
        if self.publisher is not None:
            self.publisher.network = network

    def set_open(self, is_open):
        super().set_open(is_open)
        if not is_open:
            if self.publisher is not None:
                self.publisher.close(self._now_ms)
            self.ring.clear()

    # --- what happens --------------------------------------------------------------------

    def hour(self, end_ms):
        """A full hour has ended, and its registers are in the lists."""
        publisher = self.publisher
        if self.is_open and publisher is not None:
            try:
                self.ring.push(end_ms // 1000, publisher.entities.hour_values())
            except Exception as error:
                self._meter.faults.take(HOME, error)

    def poll(self, ticks_ms):
        """Often; never waits. Whatever is wrong in here, the metering that called it goes on."""
        if self._ticks is not None:
            self._now_ms += (ticks_ms - self._ticks) & _WRAP
        self._ticks = ticks_ms
        if self._wlan is not None:
            try:
                self._look_at_wlan()
            except Exception as error:
                self._meter.faults.take(HOME, error)
        if not self.is_open or self.publisher is None:
            return
        try:
            self.publisher.poll(self._now_ms)
        except Exception as error:
            self.publisher.close(self._now_ms)
            self._meter.faults.take(HOME, error)

    # --- what is shown --------------------------------------------------------------------

    @property
    def state(self):
        """One of STATES, and behind it why it is not connected."""
        publisher = self.publisher
        if not self.is_open:
            return STATES[CLOSED]
        if publisher is None:
            return STATES[NO_BROKER]
        name = STATES[publisher.state]
        return name + ": " + publisher.why if publisher.why else name

    @property
    def published(self):
        return self.publisher.published if self.publisher is not None else 0

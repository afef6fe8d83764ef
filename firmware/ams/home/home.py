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

_WRAP = const(0x3FFFFFFF)  # of time.ticks_ms


class Home:
    """`config` as in Broker; what is wrong with it is said, and the meter goes on without."""

    def __init__(self, meter, config, settings):
        self._meter = meter
        self._settings = settings
        self._kept = settings.get(st.HOME)  # None: the operator has said nothing yet
        self.is_open = self._kept == b"\x01"
        self.ring = HourRing()
        self.publisher = None
        self._network = None
        self._ticks = None
        self._now_ms = 0
        stored = settings.get(st.HOME_BROKER)
        if stored is not None:
            config = json.loads(stored)
        try:
            self.use(config)
        except ValueError as error:
            meter.say(str(error))

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

    def open_first(self):
        """Left open at the works: that counts until an operator says something else."""
        if self._kept is None:
            self.is_open = True

    def set_open(self, is_open):
        """Outlives a power cut. Raises AccessError when the flash does not take it."""
        value = b"\x01" if is_open else b"\x00"
        self._settings.set(st.HOME, value)
        self._kept = value
        self.is_open = is_open
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


def keep_broker(settings, config):
    """Stores the broker of the set-up page. Raises AccessError when the flash does not take it."""
    settings.set(st.HOME_BROKER, json.dumps(config).encode())

"""The HAN port as the operator left it: open or closed, encrypted or not, its keys and counter,
its summer time."""

import struct

from micropython import const

from ams.cosem.numbers import Spent
from ams.events import events as ev
from ams.faults import HAN
from ams.han import make_format
from ams.han.port import HanPort
from ams.results import AccessError
from ams.storage import settings as st

_OPEN = const(1)
_ENCRYPTED = const(2)
_TIME_SAID = const(4)  # the operator chose between summer time and standard time all the year
_SUMMER_TIME = const(8)
_OPEN_UNSAID = const(16)  # of open or closed he has said nothing yet
# Invocation counters are kept ahead of use, so many at a time: none serves twice.
_RESERVE = const(10000)
_HALF = const(0x7FFFFFFF)
_NOTHING_SAID = b"\x10"
# What the events on changed keys name in place of a client.
HAN_KEYS_CHANGED = const(0x80)


def make_port(meter, uart, han):
    """The port that the configuration `han` describes."""
    cipher = None
    if han.get("keys"):
        from ams.han.cipher import cipher_of

        cipher = cipher_of(han)
    return HanPort(
        uart,
        make_format(han["format"], han.get("variant"), han.get("options")),
        meter.quantities,
        meter.energy,
        meter.identity,
        meter.local_clock,
        meter.events,
        han.get("quirk"),
        cipher,
        han.get("seed", 1),
        han.get("summer_time"),
    )


class PortSettings:
    sub_meters = ()  # those on the M-Bus (mbus.submeters)

    def __init__(self, meter, settings):
        self._meter = meter
        self._settings = settings
        self._flags = settings.get(st.HAN_PORT, _NOTHING_SAID)[0]
        self._sources = None
        self._started = False
        self._sends = False  # just now

    def send(self, utc_ms):
        """What is due by now, with each pass of the loop."""
        if self._sends:
            return
        self._sends = True
        try:
            self._meter.han.poll(utc_ms)
        except Exception as error:
            self._meter.faults.take(HAN, error)
        self._sends = False

    def send_meanwhile(self, raw_ms):
        """For a board that waits in the middle of something: lists go out at their time."""
        meter = self._meter
        self.send(max(meter.clock.utc_ms(raw_ms), meter.utc_ms))

    @property
    def encrypted(self):
        return self._meter.han.cipher is not None

    def start(self, utc_ms):
        """Power-up: the port is as it was."""
        if self._meter.han.format.wants_sources:
            self.want_sources()
        self._started = True
        if self._sources is not None:
            self._sources.start(utc_ms, True)
        if self._flags & _TIME_SAID:
            self._meter.han.summer_time = self._flags & _SUMMER_TIME != 0
        if self._flags & _ENCRYPTED:
            self._encrypt()
        if self._flags & _OPEN:
            self._meter.han.open(utc_ms)

    def want_sources(self):
        """What lists show beside registers and quantities: kept from the first who wants it on."""
        if self._sources is None:
            from ams.han.meter_sources import MeterSources

            meter = self._meter
            self._sources = meter.han.view.sources = MeterSources(
                meter.han.view, meter, self._settings
            )
            if self._started:
                self._sources.start(meter.utc_ms, False)
        return self._sources

    def keep(self):
        """Now and then, and when the supply falls."""
        self._meter.han.view.sources.keep()

    def open_first(self):
        """Left open at the works: that counts until an operator says something else."""
        if self._flags & _OPEN_UNSAID:
            self._meter.han.open(self._meter.utc_ms)
            self._meter.wake()

    def set_open(self, is_open):
        self._keep(self._flags & ~(_OPEN | _OPEN_UNSAID) | (_OPEN if is_open else 0))
        meter = self._meter
        if is_open:
            meter.han.open(meter.utc_ms)
        else:
            meter.han.close(meter.utc_ms)
        meter.wake()

    def set_encrypted(self, on):
        """False: there are no keys, or the lists are text."""
        if on and not self._may_encrypt():
            return False
        self._keep(self._flags & ~_ENCRYPTED | (_ENCRYPTED if on else 0))
        self._meter.events.log(
            self._meter.utc_ms, ev.PARAMETER_CHANGED, ev.PARAMETER_HAN_ENCRYPTION, 1 if on else 0
        )
        if on:
            self._encrypt()
        else:
            self._meter.han.cipher = None
        return True

    def set_summer_time(self, on):
        self._keep(self._flags & ~_SUMMER_TIME | _TIME_SAID | (_SUMMER_TIME if on else 0))
        self._meter.han.summer_time = on
        self._meter.events.log(
            self._meter.utc_ms, ev.PARAMETER_CHANGED, ev.PARAMETER_HAN_SUMMER_TIME, 1 if on else 0
        )

    def keys(self):
        """Encryption and authentication key, or None."""
        value = self._settings.get(st.HAN_KEYS)
        return None if value is None else value[:32]

    def rekey(self, encryption, authentication):
        """New keys come into force with the next list.

        The counter goes on: nobody can tell whether a key that comes has served before.
        """
        value = self._settings.get(st.HAN_KEYS)
        counter = 1 if value is None else struct.unpack(">I", value[32:36])[0]
        if counter > _HALF and encryption != value[:16]:
            counter = 1
        # One cell: keys and the counter that is theirs change together.
        self._settings.set(st.HAN_KEYS, encryption + authentication + struct.pack(">I", counter))
        self._meter.events.log(self._meter.utc_ms, ev.KEYS_CHANGED, HAN_KEYS_CHANGED)
        if self._flags & _ENCRYPTED:
            self._encrypt()

    def _keep(self, flags):
        self._settings.set(st.HAN_PORT, bytes((flags,)))
        self._flags = flags

    def _may_encrypt(self):
        meter = self._meter
        keys = self._settings.get(st.HAN_KEYS)
        return keys is not None and meter.link is not None and meter.han.may_cipher

    def _encrypt(self):
        """A port that should be encrypted and cannot be says nothing."""
        from ams.han.cipher import KeptCipher

        if not self._may_encrypt():
            self._flags &= ~_OPEN
            return
        value = self._settings.get(st.HAN_KEYS)
        keys = [(value[:16], value[16:32])]
        counter = struct.unpack(">I", value[32:36])[0]
        self._meter.han.cipher = KeptCipher(
            self._meter.link.keyring.title, keys, counter, self._reserve
        )

    def _reserve(self, counter):
        """Keeps that counters below the end given back may have been used.

        Gives (first, end) of those that may be. When there are none, or that cannot be
        kept, they are the same: then the port falls silent.
        """
        value = self._settings.get(st.HAN_KEYS)
        numbers = self._meter.link.keyring.numbers
        try:
            counter = numbers.next(counter)
            limit = min(counter + _RESERVE, numbers.end)
            self._settings.set(st.HAN_KEYS, value[:32] + struct.pack(">I", limit))
        except (AccessError, Spent):
            return counter, counter
        return counter, limit
